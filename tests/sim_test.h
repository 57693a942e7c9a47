/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the suites of the simulated driver share: a current context, and kernels in C.
 */

#include <criterion/criterion.h>
#include <cuda.h>
#include <stdint.h>
#include <string.h>

#include "runtime/util.h"
#include "tests/sim/mmu.h"
#include "tests/sim/sim.h"

#define PAGE               SIM_PAGE_BYTES

#define ok(call)           cr_assert_eq(call, CUDA_SUCCESS)
#define fails(call, error) cr_assert_eq(call, error)

/* fill_words(address, n, value): n 32-bit words. */
struct fill_params {
    uint64_t address;
    uint64_t n;
    uint32_t value;
};
static const size_t fill_offsets[] = {0, 8, 16};
static const size_t fill_sizes[] = {8, 8, 4};

static void fill_run(const void *params)
{
    const struct fill_params *p = params;

    for (uint64_t i = 0; i < p->n; i++) {
        uint32_t *word = sim_kernel_access(p->address + 4 * i, 4, 1);

        if (!word)
            return;
        *word = p->value;
    }
}

/* copy_words(dst, src, n). */
struct copy_params {
    uint64_t dst;
    uint64_t src;
    uint64_t n;
};
static const size_t copy_offsets[] = {0, 8, 16};
static const size_t copy_sizes[] = {8, 8, 8};

static void copy_run(const void *params)
{
    const struct copy_params *p = params;

    for (uint64_t i = 0; i < p->n; i++) {
        const uint32_t *from = sim_kernel_access(p->src + 4 * i, 4, 0);
        uint32_t *to = from ? sim_kernel_access(p->dst + 4 * i, 4, 1) : NULL;

        if (!to)
            return;
        *to = *from;
    }
}

static const struct sim_native_kernel fill_kernel = {"fill_words", 3,        fill_offsets,
                                                     fill_sizes,   fill_run, 0};
static const struct sim_native_kernel copy_kernel = {"copy_words", 3,        copy_offsets,
                                                     copy_sizes,   copy_run, 0};

struct device_code {
    CUmodule module;
    CUfunction fill;
    CUfunction copy;
};

/* Initialises, and makes the primary context of device 0 current. */
static inline CUcontext start(void)
{
    CUcontext context;

    ok(cuInit(0));
    ok(cuDevicePrimaryCtxRetain(&context, 0));
    ok(cuCtxSetCurrent(context));
    return context;
}

static inline struct device_code load_code(void)
{
    struct device_code code;

    sim_register_kernel(&fill_kernel);
    sim_register_kernel(&copy_kernel);
    ok(cuModuleLoadData(&code.module, "SIM-NATIVE"));
    ok(cuModuleGetFunction(&code.fill, code.module, "fill_words"));
    ok(cuModuleGetFunction(&code.copy, code.module, "copy_words"));
    return code;
}

static inline CUresult launch_fill(const struct device_code *code, CUdeviceptr address, uint64_t n,
                                   uint32_t value, CUstream stream)
{
    void *params[] = {&address, &n, &value};

    return cuLaunchKernel(code->fill, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL);
}

static inline CUresult launch_copy(const struct device_code *code, CUdeviceptr dst, CUdeviceptr src,
                                   uint64_t n, CUstream stream)
{
    void *params[] = {&dst, &src, &n};

    return cuLaunchKernel(code->copy, 1, 1, 1, 1, 1, 1, 0, stream, params, NULL);
}

static inline CUmemAllocationProp device_prop(void)
{
    return (CUmemAllocationProp){
        .type = CU_MEM_ALLOCATION_TYPE_PINNED,
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
    };
}

static inline CUmemAllocationProp host_prop(void)
{
    return (CUmemAllocationProp){
        .type = CU_MEM_ALLOCATION_TYPE_PINNED,
        .location = {.type = CU_MEM_LOCATION_TYPE_HOST_NUMA, .id = 0},
    };
}

static inline CUresult allow_device(CUdeviceptr base, size_t bytes)
{
    CUmemAccessDesc access = {
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
        .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
    };

    return cuMemSetAccess(base, bytes, &access, 1);
}

/* A reservation of `bytes`, mapped to one new handle of that property, accessible. */
static inline CUdeviceptr map_new(const CUmemAllocationProp *prop, size_t bytes,
                                  CUmemGenericAllocationHandle *out)
{
    CUdeviceptr base;

    ok(cuMemAddressReserve(&base, bytes, 0, 0, 0));
    ok(cuMemCreate(out, bytes, prop, 0));
    ok(cuMemMap(base, bytes, 0, *out, 0));
    ok(allow_device(base, bytes));
    return base;
}

static inline uint32_t read_word(CUdeviceptr address)
{
    uint32_t word;

    ok(cuMemcpyDtoH_v2(&word, address, sizeof(word)));
    return word;
}

static inline struct sim_stats stats_now(void)
{
    struct sim_stats stats;

    sim_get_stats(&stats);
    return stats;
}
