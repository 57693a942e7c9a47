/* SPDX-License-Identifier: MIT */
#include "runtime/driver.h"

#include <errno.h>

static void *find(enum stream_mode mode, const char *plain, const char *twin,
                  driver_lookup_fn lookup, void *context)
{
    void *real = mode == STREAM_PER_THREAD ? lookup(context, twin) : NULL;

    return real ? real : lookup(context, plain);
}

void driver_bind(struct driver *drv, enum stream_mode mode, driver_lookup_fn lookup, void *context)
{
#define STRING(x) #x
#define NAME(x)   STRING(x)
#define HOOK(symbol, since, twin, params, args)                                                    \
    drv->symbol = (CUresult(*)(PROTO(params)))find(mode, #symbol, NAME(TWIN_##twin(symbol)),       \
                                                   lookup, context);
#define GATE HOOK
#define REAL HOOK
#include "runtime/driver_calls.def"
}

int driver_errno(CUresult result)
{
    switch (result) {
    case CUDA_SUCCESS:
        return 0;
    case CUDA_ERROR_OUT_OF_MEMORY:
        return -ENOMEM;
    case CUDA_ERROR_INVALID_VALUE:
        return -EINVAL;
    case CUDA_ERROR_NOT_SUPPORTED:
        return -ENOTSUP;
    case CUDA_ERROR_NOT_READY:
        return -EAGAIN;
    default:
        return -EIO;
    }
}

CUresult driver_result(int error)
{
    switch (error) {
    case 0:
        return CUDA_SUCCESS;
    case -ENOMEM:
        return CUDA_ERROR_OUT_OF_MEMORY;
    case -EINVAL:
        return CUDA_ERROR_INVALID_VALUE;
    case -ENOTSUP:
        return CUDA_ERROR_NOT_SUPPORTED;
    default:
        return CUDA_ERROR_UNKNOWN;
    }
}

enum {
    ATTEMPTS = 3,
};

void driver_pop_context(const struct driver *drv)
{
    CUcontext popped;

    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (drv->cuCtxPopCurrent_v2(&popped) == CUDA_SUCCESS)
            return;
    }
}

void driver_release_primary(const struct driver *drv, CUdevice device)
{
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (drv->cuDevicePrimaryCtxRelease_v2(device) == CUDA_SUCCESS)
            return;
    }
}

const char *driver_error_name(const struct driver *drv, CUresult result)
{
    const char *name = NULL;

    if (drv->cuGetErrorName && drv->cuGetErrorName(result, &name) == CUDA_SUCCESS && name)
        return name;
    return "an unknown error";
}
