/* SPDX-License-Identifier: MIT */
/*
 * Allocations, and what a pointer is.
 *
 * Out-parameters are written on success only, as by the driver. Nothing allocated is an address of
 * 0.
 */
#include "tests/cudart/calls.h"

#include "runtime/util.h"

/* Rows of pitched memory are read in pieces of at most so many bytes. */
#define PITCH_ELEMENT 4

static cudaError_t give(CUresult res, const CUdeviceptr *address, void **out)
{
    if (!res)
        *out = (void *)*address;
    return error_of(res);
}

cudaError_t call_cudaMalloc(const struct driver_table *drv, void **pointer, size_t bytes)
{
    CUdeviceptr address = 0;

    if (!pointer)
        return cudaErrorInvalidValue;
    /* To the driver nothing is an error; here it is a null pointer. */
    return give(bytes ? drv->cuMemAlloc_v2(&address, bytes) : CUDA_SUCCESS, &address, pointer);
}

cudaError_t call_cudaMallocPitch(const struct driver_table *drv, void **pointer, size_t *pitch,
                                 size_t width, size_t height)
{
    CUdeviceptr address = 0;
    CUresult res = CUDA_SUCCESS;

    if (!pointer || !pitch)
        return cudaErrorInvalidValue;
    *pitch = 0;
    if (width && height)
        res = drv->cuMemAllocPitch_v2(&address, pitch, width, height, PITCH_ELEMENT);
    return give(res, &address, pointer);
}

cudaError_t call_cudaMalloc3D(const struct driver_table *drv, struct cudaPitchedPtr *pointer,
                              struct cudaExtent extent)
{
    struct cudaPitchedPtr got = {.xsize = extent.width, .ysize = extent.height};
    cudaError_t error;

    if (!pointer)
        return cudaErrorInvalidValue;
    error =
        call_cudaMallocPitch(drv, &got.ptr, &got.pitch, extent.width, extent.height * extent.depth);
    if (!error)
        *pointer = got;
    return error;
}

cudaError_t call_cudaFree(const struct driver_table *drv, void *pointer)
{
    return pointer ? error_of(drv->cuMemFree_v2((CUdeviceptr)pointer)) : cudaSuccess;
}

cudaError_t call_cudaMallocManaged(const struct driver_table *drv, void **pointer, size_t bytes,
                                   unsigned int flags)
{
    CUdeviceptr address = 0;

    if (!pointer)
        return cudaErrorInvalidValue;
    return give(drv->cuMemAllocManaged(&address, bytes, flags), &address, pointer);
}

cudaError_t call_cudaMallocHost(const struct driver_table *drv, void **pointer, size_t bytes)
{
    if (!pointer)
        return cudaErrorInvalidValue;
    return error_of(drv->cuMemHostAlloc(pointer, bytes, 0));
}

cudaError_t call_cudaFreeHost(const struct driver_table *drv, void *pointer)
{
    return pointer ? error_of(drv->cuMemFreeHost(pointer)) : cudaSuccess;
}

cudaError_t call_cudaHostGetDevicePointer(const struct driver_table *drv, void **device, void *host,
                                          unsigned int flags)
{
    CUdeviceptr address = 0;

    if (!device)
        return cudaErrorInvalidValue;
    return give(drv->cuMemHostGetDevicePointer_v2(&address, host, flags), &address, device);
}

cudaError_t call_cudaMallocAsync(const struct driver_table *drv, void **pointer, size_t bytes,
                                 cudaStream_t stream)
{
    CUdeviceptr address = 0;

    if (!pointer)
        return cudaErrorInvalidValue;
    return give(bytes ? drv->cuMemAllocAsync(&address, bytes, stream) : CUDA_SUCCESS, &address,
                pointer);
}

cudaError_t call_cudaMallocFromPoolAsync(const struct driver_table *drv, void **pointer,
                                         size_t bytes, cudaMemPool_t pool, cudaStream_t stream)
{
    CUdeviceptr address = 0;

    if (!pointer)
        return cudaErrorInvalidValue;
    return give(drv->cuMemAllocFromPoolAsync(&address, bytes, pool, stream), &address, pointer);
}

cudaError_t call_cudaPointerGetAttributes(const struct driver_table *drv,
                                          struct cudaPointerAttributes *attributes,
                                          const void *pointer)
{
    unsigned int type = 0;
    unsigned int managed = 0;
    struct cudaPointerAttributes got = {.device = cudaInvalidDeviceId};
    CUpointer_attribute wanted[] = {
        CU_POINTER_ATTRIBUTE_MEMORY_TYPE,    CU_POINTER_ATTRIBUTE_DEVICE_POINTER,
        CU_POINTER_ATTRIBUTE_HOST_POINTER,   CU_POINTER_ATTRIBUTE_IS_MANAGED,
        CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
    };
    void *values[] = {&type, &got.devicePointer, &got.hostPointer, &managed, &got.device};
    CUresult res;

    if (!attributes)
        return cudaErrorInvalidValue;
    res = drv->cuPointerGetAttributes(ARRAY_SIZE(wanted), wanted, values, (CUdeviceptr)pointer);
    if (res)
        return error_of(res);
    if (managed)
        got.type = cudaMemoryTypeManaged;
    else if (type == CU_MEMORYTYPE_DEVICE)
        got.type = cudaMemoryTypeDevice;
    else if (type == CU_MEMORYTYPE_HOST)
        got.type = cudaMemoryTypeHost;
    if (got.type == cudaMemoryTypeUnregistered)
        got = (struct cudaPointerAttributes){.device = cudaInvalidDeviceId,
                                             .hostPointer = (void *)pointer};
    *attributes = got;
    return cudaSuccess;
}
