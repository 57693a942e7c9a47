/* SPDX-License-Identifier: MIT */
/*
 * A library, linked with the driver, that uses it in its constructor: under the loader's lock.
 */

#include <cuda.h>
#include <dlfcn.h>
#include <pthread.h>
#include "runtime/util.h"

CUresult constructor_result(void);

static CUresult at_load = CUDA_ERROR_UNKNOWN;
static CUdeviceptr allocation;

EXPORT CUresult constructor_result(void)
{
    return at_load;
}

__attribute__((constructor)) static void construct(void)
{
    CUcontext ctx;

    at_load = cuInit(0);
    if (at_load == CUDA_SUCCESS)
        at_load = cuDevicePrimaryCtxRetain(&ctx, 0);
    if (at_load == CUDA_SUCCESS)
        at_load = cuCtxSetCurrent(ctx);
    if (at_load == CUDA_SUCCESS)
        at_load = cuMemAlloc(&allocation, 4 << 20);
}

/* Runs when the process ends, after the destructors of a preload library. */
__attribute__((destructor)) static void destruct(void)
{
    if (allocation)
        (void)cuMemFree(allocation);
}
