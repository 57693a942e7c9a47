/* SPDX-License-Identifier: MIT */
/*
 * Kernels: launches, attributes, occupancy; and host functions with a status.
 *
 * A kernel's handle is the library's (CUkernel), good in every context, as NVIDIA's runtime has it.
 */
#include "tests/cudart/calls.h"

#include <stdlib.h>

/* What a refused launch is called here. */
static cudaError_t launch_error(CUresult res)
{
    return res == CUDA_ERROR_INVALID_VALUE ? cudaErrorInvalidConfiguration : error_of(res);
}

static cudaError_t launch(const struct driver_table *drv, CUkernel kernel, dim3 grid, dim3 block,
                          void **params, size_t shared_bytes, cudaStream_t stream)
{
    return launch_error(drv->cuLaunchKernel((CUfunction)kernel, grid.x, grid.y, grid.z, block.x,
                                            block.y, block.z, (unsigned int)shared_bytes, stream,
                                            params, NULL));
}

cudaError_t call_cudaLaunchKernel(const struct driver_table *drv, const void *function, dim3 grid,
                                  dim3 block, void **params, size_t shared_bytes,
                                  cudaStream_t stream)
{
    CUkernel kernel = NULL;
    cudaError_t error = image_kernel(function, &kernel);

    return error ? error : launch(drv, kernel, grid, block, params, shared_bytes, stream);
}

cudaError_t call_cudaLaunchCooperativeKernel(const struct driver_table *drv, const void *function,
                                             dim3 grid, dim3 block, void **params,
                                             size_t shared_bytes, cudaStream_t stream)
{
    CUkernel kernel = NULL;
    cudaError_t error = image_kernel(function, &kernel);

    if (error)
        return error;
    return launch_error(drv->cuLaunchCooperativeKernel((CUfunction)kernel, grid.x, grid.y, grid.z,
                                                       block.x, block.y, block.z,
                                                       (unsigned int)shared_bytes, stream, params));
}

/* The attributes of both sides lie alike. */
cudaError_t call_cudaLaunchKernelExC(const struct driver_table *drv,
                                     const cudaLaunchConfig_t *config, const void *function,
                                     void **params)
{
    CUkernel kernel = NULL;
    cudaError_t error = config ? image_kernel(function, &kernel) : cudaErrorInvalidValue;
    CUlaunchConfig driver_config;

    if (error)
        return error;
    _Static_assert(sizeof(cudaLaunchAttribute) == sizeof(CUlaunchAttribute), "attributes differ");
    driver_config = (CUlaunchConfig){
        .gridDimX = config->gridDim.x,
        .gridDimY = config->gridDim.y,
        .gridDimZ = config->gridDim.z,
        .blockDimX = config->blockDim.x,
        .blockDimY = config->blockDim.y,
        .blockDimZ = config->blockDim.z,
        .sharedMemBytes = (unsigned int)config->dynamicSmemBytes,
        .hStream = config->stream,
        .attrs = (CUlaunchAttribute *)config->attrs,
        .numAttrs = config->numAttrs,
    };
    return launch_error(drv->cuLaunchKernelEx(&driver_config, (CUfunction)kernel, params, NULL));
}

/* What nvcc 13 makes of a stub: the handle is looked up once, and kept by the stub. */
EXPORT cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *function);
EXPORT cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **params,
                                      size_t shared_bytes, cudaStream_t stream);
EXPORT cudaError_t __cudaLaunchKernel_ptsz(cudaKernel_t kernel, dim3 grid, dim3 block,
                                           void **params, size_t shared_bytes, cudaStream_t stream);

EXPORT cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *function)
{
    cudaError_t error = thread_enter(NEEDS_CONTEXT);

    return thread_leave(error ? error : image_kernel(function, kernel));
}

static cudaError_t launch_stub(enum stream_mode mode, cudaKernel_t kernel, dim3 grid, dim3 block,
                               void **params, size_t shared_bytes, cudaStream_t stream)
{
    cudaError_t error = thread_enter(NEEDS_CONTEXT);

    /* The stub asked for its handle and found none. */
    if (!error && !kernel)
        error = cudaErrorInvalidDeviceFunction;
    if (!error)
        error = launch(driver_of(mode), kernel, grid, block, params, shared_bytes, stream);
    return thread_leave(error);
}

EXPORT cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **params,
                                      size_t shared_bytes, cudaStream_t stream)
{
    return launch_stub(STREAM_LEGACY, kernel, grid, block, params, shared_bytes, stream);
}

EXPORT cudaError_t __cudaLaunchKernel_ptsz(cudaKernel_t kernel, dim3 grid, dim3 block,
                                           void **params, size_t shared_bytes, cudaStream_t stream)
{
    return launch_stub(STREAM_PER_THREAD, kernel, grid, block, params, shared_bytes, stream);
}

/* Questions */
cudaError_t call_cudaGetKernel(const struct driver_table *drv, cudaKernel_t *out,
                               const void *function)
{
    return out ? image_kernel(function, out) : cudaErrorInvalidValue;
}

cudaError_t call_cudaGetFuncBySymbol(const struct driver_table *drv, cudaFunction_t *out,
                                     const void *function)
{
    CUkernel kernel = NULL;
    cudaError_t error = out ? image_kernel(function, &kernel) : cudaErrorInvalidValue;

    return error ? error : error_of(drv->cuKernelGetFunction(out, kernel));
}

static int kernel_attribute(const struct driver_table *drv, CUfunction_attribute attribute,
                            CUkernel kernel, CUdevice device, CUresult *res)
{
    int value = 0;

    if (!*res)
        *res = drv->cuKernelGetAttribute(&value, attribute, kernel, device);
    return value;
}

cudaError_t call_cudaFuncGetAttributes(const struct driver_table *drv,
                                       struct cudaFuncAttributes *attributes, const void *function)
{
    CUkernel kernel = NULL;
    CUdevice device = 0;
    cudaError_t error = attributes ? image_kernel(function, &kernel) : cudaErrorInvalidValue;
    CUresult res = error ? CUDA_SUCCESS : drv->cuCtxGetDevice(&device);
    struct cudaFuncAttributes got = {0};

    if (error)
        return error;
#define ASK(attribute) kernel_attribute(drv, CU_FUNC_ATTRIBUTE_##attribute, kernel, device, &res)
    got.sharedSizeBytes = (size_t)ASK(SHARED_SIZE_BYTES);
    got.constSizeBytes = (size_t)ASK(CONST_SIZE_BYTES);
    got.localSizeBytes = (size_t)ASK(LOCAL_SIZE_BYTES);
    got.maxThreadsPerBlock = ASK(MAX_THREADS_PER_BLOCK);
    got.numRegs = ASK(NUM_REGS);
    got.ptxVersion = ASK(PTX_VERSION);
    got.binaryVersion = ASK(BINARY_VERSION);
    got.cacheModeCA = ASK(CACHE_MODE_CA);
    got.maxDynamicSharedSizeBytes = ASK(MAX_DYNAMIC_SHARED_SIZE_BYTES);
    got.preferredShmemCarveout = ASK(PREFERRED_SHARED_MEMORY_CARVEOUT);
#undef ASK
    if (!res)
        *attributes = got;
    return error_of(res);
}

/* The kernel as a function of the current context, which is what these calls of the driver take. */
static cudaError_t kernel_function(const struct driver_table *drv, const void *function,
                                   CUfunction *out)
{
    return call_cudaGetFuncBySymbol(drv, out, function);
}

cudaError_t call_cudaFuncSetAttribute(const struct driver_table *drv, const void *function,
                                      enum cudaFuncAttribute attribute, int value)
{
    CUfunction found = NULL;
    cudaError_t error = kernel_function(drv, function, &found);

    if (error)
        return error;
    return error_of(drv->cuFuncSetAttribute(found, (CUfunction_attribute)attribute, value));
}

cudaError_t call_cudaFuncSetCacheConfig(const struct driver_table *drv, const void *function,
                                        enum cudaFuncCache config)
{
    CUfunction found = NULL;
    cudaError_t error = kernel_function(drv, function, &found);

    return error ? error : error_of(drv->cuFuncSetCacheConfig(found, (CUfunc_cache)config));
}

cudaError_t call_cudaFuncGetName(const struct driver_table *drv, const char **name,
                                 const void *function)
{
    CUfunction found = NULL;
    cudaError_t error = kernel_function(drv, function, &found);

    return error ? error : error_of(drv->cuFuncGetName(name, found));
}

cudaError_t call_cudaFuncGetParamInfo(const struct driver_table *drv, const void *function,
                                      size_t index, size_t *offset, size_t *bytes)
{
    CUkernel kernel = NULL;
    cudaError_t error = image_kernel(function, &kernel);

    return error ? error : error_of(drv->cuKernelGetParamInfo(kernel, index, offset, bytes));
}

cudaError_t call_cudaOccupancyMaxActiveBlocksPerMultiprocessor(const struct driver_table *drv,
                                                               int *blocks, const void *function,
                                                               int block_size, size_t shared_bytes)
{
    CUfunction found = NULL;
    cudaError_t error = kernel_function(drv, function, &found);

    if (error)
        return error;
    return error_of(
        drv->cuOccupancyMaxActiveBlocksPerMultiprocessor(blocks, found, block_size, shared_bytes));
}

cudaError_t call_cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    const struct driver_table *drv, int *blocks, const void *function, int block_size,
    size_t shared_bytes, unsigned int flags)
{
    /* The flags are about caches that nothing here has. */
    return call_cudaOccupancyMaxActiveBlocksPerMultiprocessor(drv, blocks, function, block_size,
                                                              shared_bytes);
}

cudaError_t call_cudaOccupancyAvailableDynamicSMemPerBlock(const struct driver_table *drv,
                                                           size_t *bytes, const void *function,
                                                           int blocks, int block_size)
{
    CUfunction found = NULL;
    cudaError_t error = kernel_function(drv, function, &found);

    if (error)
        return error;
    return error_of(drv->cuOccupancyAvailableDynamicSMemPerBlock(bytes, found, blocks, block_size));
}

/* Callbacks differ from host functions in what they are told. */
struct callback {
    cudaStreamCallback_t function;
    cudaStream_t stream;
    void *user_data;
};

static void callback_run(void *data)
{
    struct callback callback = *(struct callback *)data;

    free(data);
    callback.function(callback.stream, cudaSuccess, callback.user_data);
}

cudaError_t call_cudaStreamAddCallback(const struct driver_table *drv, cudaStream_t stream,
                                       cudaStreamCallback_t function, void *user_data,
                                       unsigned int flags)
{
    struct callback *callback;
    CUresult res;

    if (!function || flags)
        return cudaErrorInvalidValue;
    callback = malloc(sizeof(*callback));
    if (!callback)
        return cudaErrorMemoryAllocation;
    *callback = (struct callback){function, stream, user_data};
    res = drv->cuLaunchHostFunc(stream, callback_run, callback);
    if (res)
        free(callback);
    return error_of(res);
}
