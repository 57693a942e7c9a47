/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The few driver calls that the lower layers of the runtime make, with nothing behind them but
 * counts: for suites that test one module and need no simulated device. `limit` is how many bytes
 * cuMemCreate() gives before it is out of memory.
 */

#include "runtime/driver.h"

struct fake_driver {
    uint64_t limit;
    uint64_t created; /* bytes, live */
    uint64_t reserved;
    unsigned int mappings;
    CUdeviceptr next_address;
    unsigned int fail_maps; /* as many cuMemMap calls fail */
};

static struct fake_driver fake;

static inline CUresult fake_reserve(CUdeviceptr *out, size_t bytes, size_t alignment,
                                    CUdeviceptr hint, unsigned long long flags)
{
    if (bytes > (uint64_t)1 << 40)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *out = fake.next_address;
    fake.next_address += bytes;
    fake.reserved += bytes;
    return CUDA_SUCCESS;
}

static inline CUresult fake_unreserve(CUdeviceptr at, size_t bytes)
{
    fake.reserved -= bytes;
    return CUDA_SUCCESS;
}

static inline CUresult fake_create(CUmemGenericAllocationHandle *out, size_t bytes,
                                   const CUmemAllocationProp *prop, unsigned long long flags)
{
    if (fake.created + bytes > fake.limit)
        return CUDA_ERROR_OUT_OF_MEMORY;
    fake.created += bytes;
    *out = bytes; /* the handle is its own size */
    return CUDA_SUCCESS;
}

static inline CUresult fake_release(CUmemGenericAllocationHandle handle)
{
    fake.created -= handle;
    return CUDA_SUCCESS;
}

static inline CUresult fake_map(CUdeviceptr at, size_t bytes, size_t offset,
                                CUmemGenericAllocationHandle handle, unsigned long long flags)
{
    if (fake.fail_maps) {
        fake.fail_maps--;
        return CUDA_ERROR_UNKNOWN;
    }
    fake.mappings++;
    return CUDA_SUCCESS;
}

static inline CUresult fake_unmap(CUdeviceptr at, size_t bytes)
{
    fake.mappings--;
    return CUDA_SUCCESS;
}

static inline CUresult fake_access(CUdeviceptr at, size_t bytes, const CUmemAccessDesc *desc,
                                   size_t count)
{
    return CUDA_SUCCESS;
}

static inline CUresult fake_synchronize(void)
{
    return CUDA_SUCCESS;
}

static const struct driver fake_calls = {
    .cuMemAddressReserve = fake_reserve,
    .cuMemAddressFree = fake_unreserve,
    .cuMemCreate = fake_create,
    .cuMemRelease = fake_release,
    .cuMemMap = fake_map,
    .cuMemUnmap = fake_unmap,
    .cuMemSetAccess = fake_access,
    .cuCtxSynchronize = fake_synchronize,
};

static inline void fake_driver_init(uint64_t limit)
{
    fake = (struct fake_driver){.limit = limit, .next_address = (CUdeviceptr)1 << 40};
}
