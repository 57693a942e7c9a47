/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A card of this machine and its driver, loaded with dlopen(): nothing here is linked with it.
 *
 * Locking: none. The driver stays loaded until the process ends.
 */

#include <cuda.h>
#include <stdbool.h>
#include <stdint.h>

#include "runtime/driver.h"

/* Every call of the table; a field is NULL where the driver lacks the call. */
struct gpu_calls {
#define HOOK(symbol, since, twin, params, args) CUresult (*symbol)(PROTO(params));
#define GATE                                    HOOK
#define REAL                                    HOOK
#define PASS                                    HOOK
#include "runtime/driver_calls.def"
};

struct gpu {
    struct gpu_calls cu;
    struct driver drv; /* the same, for code of the runtime */
    int version;       /* of CUDA that the driver speaks: 1000 * major + 10 * minor */
    int count;         /* of cards */
    CUdevice device;
    CUcontext context; /* current in the thread that opened it */
    char name[96];
    char bus_id[32]; /* empty: not known */
    int major, minor;
    int processors;
    bool unified; /* its memory is the host's */
    bool vmm;
    int host_node;        /* nearest, as the driver says; -1 */
    uint64_t total, free; /* bytes */
    uint64_t granularity; /* of physical memory; 0 without VMM */
};

/*
 * Loads the driver and makes the card's primary context current. 0, or -ENODEV and why in `why`:
 * then `version` and `count` say how far it came.
 */
int gpu_open(struct gpu *gpu, int ordinal, char *why, size_t size);
void gpu_close(struct gpu *gpu);

/* 0 when the driver lacks it. */
int gpu_attribute(const struct gpu *gpu, CUdevice_attribute what);

/* Properties of physical memory on the card, or in pinned host memory that the card can map: then
 * false when there is none that works (HOST_NUMA is tried before HOST). */
CUmemAllocationProp gpu_device_memory(const struct gpu *gpu);
bool gpu_host_memory(const struct gpu *gpu, CUmemAllocationProp *out);

/* A range of `bytes` with one handle of that kind mapped at its start. 0 or -errno; a range of no
 * handle is fine to unmap. */
struct gpu_range {
    CUdeviceptr at;
    uint64_t bytes;
    CUmemGenericAllocationHandle handle;
    bool mapped, created;
};
int gpu_map(const struct gpu *gpu, const CUmemAllocationProp *prop, uint64_t bytes,
            struct gpu_range *out);
void gpu_unmap(const struct gpu *gpu, struct gpu_range *range);
