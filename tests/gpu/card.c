/* SPDX-License-Identifier: MIT */
#include "tests/gpu/card.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/gpu/report.h"

struct gpu_calls cu;
struct card card;

static uint64_t (*virtual_clock)(void);

/* What the simulated card reads, in place and slowly, to be busy: its spinning takes no time. */
static CUdeviceptr slow;
static const uint64_t slow_bytes = 4 * MIB;

uint64_t clock_ns(void)
{
    struct timespec now;

    if (virtual_clock)
        return virtual_clock();
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t scaled(uint64_t on_card, uint64_t simulated)
{
    return card.simulated ? simulated : on_card;
}

const char *error_name(CUresult result)
{
    const char *name = NULL;

    if (cu.cuGetErrorName(result, &name) == CUDA_SUCCESS && name)
        return strncmp(name, "CUDA_", 5) ? name : name + 5;
    return "unknown error";
}

void must(CUresult result, const char *call)
{
    if (!strncmp(call, "cu.", 3))
        call += 3;
    if (result != CUDA_SUCCESS)
        report_die("%.*s: %s", (int)strcspn(call, "("), call, error_name(result));
}

static void describe(void)
{
    snprintf(card.name, sizeof(card.name), "%s", card.gpu.name);
    card.device = card.gpu.device;
    card.context = card.gpu.context;
    card.memory = card.gpu.total;
    card.unit = align_up(card.gpu.granularity, 2 * MIB);
    card.blocks = card.simulated ? 8 : 8 * (unsigned int)card.gpu.processors;
    card.on_device = gpu_device_memory(&card.gpu);
    card.access.location = card.on_device.location;
    card.access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    if (!gpu_host_memory(&card.gpu, &card.on_host))
        card.on_host.location.type = CU_MEM_LOCATION_TYPE_INVALID;
}

void card_open(void)
{
    char why[200];

    if (gpu_open(&card.gpu, 0, why, sizeof(why)))
        report_skip("%s", why);
    cu = card.gpu.cu;
    card.library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    virtual_clock = (uint64_t(*)(void))dlsym(card.library, "sim_clock_now");
    card.simulated = virtual_clock != NULL;
    describe();
    MUST(cu.cuModuleLoadData(&card.module, kernels_text));
    for (int i = 0; i < KERNEL_COUNT; i++)
        MUST(cu.cuModuleGetFunction(&card.kernels[i], card.module, kernel_names[i]));
    MUST(cu.cuMemAlloc_v2(&card.sum, 64));
    MUST(cu.cuMemsetD8_v2(card.sum, 0, 64));
    MUST(cu.cuCtxSynchronize());
}

void card_close(void)
{
    MUST(cu.cuMemFree_v2(card.sum));
    MUST(cu.cuModuleUnload(card.module));
    gpu_close(&card.gpu);
}

void card_need_host_memory(void)
{
    if (card.on_host.location.type == CU_MEM_LOCATION_TYPE_INVALID)
        report_skip("the driver makes no host-located memory (cuMemCreate)");
}

void kernel_launch(enum kernel kernel, unsigned int blocks, CUstream stream, uint64_t a, uint64_t b,
                   uint64_t c, uint64_t d)
{
    void *params[] = {&a, &b, &c, &d};

    MUST(cu.cuLaunchKernel(card.kernels[kernel], blocks, 1, 1, 256, 1, 1, 0, stream, params, NULL));
}

void kernel_read(CUstream stream, CUdeviceptr from, uint64_t bytes)
{
    kernel_launch(KERNEL_READ, card.blocks, stream, from, bytes / 16, card.sum, 1);
}

void kernel_busy(CUstream stream, double ms)
{
    void *params[] = {&(uint64_t){(uint64_t)(ms * 1e6)}, &(uint64_t){0}, &(uint64_t){0},
                      &(uint64_t){0}};

    if (!card.simulated) {
        MUST(cu.cuLaunchKernel(card.kernels[KERNEL_SPIN], 1, 1, 1, 1, 1, 1, 0, stream, params,
                               NULL));
        return;
    }
    if (!slow) {
        slow = range_new(slow_bytes);
        range_map(slow, slow_bytes, physical_new(&card.on_host, slow_bytes));
    }
    /* About 8 GB/s. */
    for (double left = ms; left > 0; left -= 0.5)
        kernel_read(stream, slow, slow_bytes);
}

uint64_t memory_digest(CUdeviceptr from, uint64_t bytes)
{
    uint64_t digest;

    MUST(cu.cuMemsetD8_v2(card.sum, 0, 8));
    kernel_read(NULL, from, bytes);
    MUST(cu.cuMemcpyDtoH_v2(&digest, card.sum, 8));
    return digest;
}

uint64_t fill_digest(uint64_t bytes, uint64_t seed)
{
    uint64_t total = 0;

    for (uint64_t i = 0; i < bytes / 16; i++) {
        uint64_t low = i * 0xd1342543de82ef95 ^ seed;
        uint64_t mixed = (i * 0x9e3779b97f4a7c15 ^ low) * 0xbf58476d1ce4e5b9;

        total += mixed ^ (i + seed);
    }
    return total;
}

void memory_fill(CUdeviceptr to, uint64_t bytes, uint64_t seed)
{
    kernel_launch(KERNEL_FILL, card.blocks, NULL, to, bytes / 16, seed, 0);
}

CUmemGenericAllocationHandle physical_new(const CUmemAllocationProp *where, uint64_t bytes)
{
    CUmemGenericAllocationHandle handle;

    MUST(cu.cuMemCreate(&handle, bytes, where, 0));
    return handle;
}

CUdeviceptr range_new(uint64_t bytes)
{
    CUdeviceptr at;

    MUST(cu.cuMemAddressReserve(&at, bytes, 0, 0, 0));
    return at;
}

void range_map(CUdeviceptr at, uint64_t bytes, CUmemGenericAllocationHandle handle)
{
    MUST(cu.cuMemMap(at, bytes, 0, handle, 0));
    MUST(cu.cuMemSetAccess(at, bytes, &card.access, 1));
}

void stopwatch_start(struct stopwatch *watch, CUstream stream)
{
    if (!watch->from) {
        MUST(cu.cuEventCreate(&watch->from, CU_EVENT_DEFAULT));
        MUST(cu.cuEventCreate(&watch->to, CU_EVENT_DEFAULT));
    }
    watch->stream = stream;
    MUST(cu.cuEventRecord(watch->from, stream));
}

double stopwatch_ms(struct stopwatch *watch)
{
    float ms;

    MUST(cu.cuEventRecord(watch->to, watch->stream));
    MUST(cu.cuEventSynchronize(watch->to));
    MUST(cu.cuEventElapsedTime(&ms, watch->from, watch->to));
    return (double)ms;
}
