/* SPDX-License-Identifier: MIT */
/*
 * Copies of every form.
 *
 * A kind names the driver call to make. "Default" asks the driver where the pointers point, and so
 * does host to host.
 */
#include "tests/cudart/calls.h"

static bool kind_is_valid(enum cudaMemcpyKind kind)
{
    return (unsigned int)kind <= cudaMemcpyDefault;
}

cudaError_t call_cudaMemcpy(const struct driver_table *drv, void *to, const void *from,
                            size_t bytes, enum cudaMemcpyKind kind)
{
    CUdeviceptr target = (CUdeviceptr)to;
    CUdeviceptr source = (CUdeviceptr)from;

    if (!kind_is_valid(kind))
        return cudaErrorInvalidMemcpyDirection;
    if (!bytes)
        return cudaSuccess;
    switch (kind) {
    case cudaMemcpyHostToDevice:
        return error_of(drv->cuMemcpyHtoD_v2(target, from, bytes));
    case cudaMemcpyDeviceToHost:
        return error_of(drv->cuMemcpyDtoH_v2(to, source, bytes));
    case cudaMemcpyDeviceToDevice:
        return error_of(drv->cuMemcpyDtoD_v2(target, source, bytes));
    default:
        return error_of(drv->cuMemcpy(target, source, bytes));
    }
}

cudaError_t call_cudaMemcpyAsync(const struct driver_table *drv, void *to, const void *from,
                                 size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream)
{
    CUdeviceptr target = (CUdeviceptr)to;
    CUdeviceptr source = (CUdeviceptr)from;

    if (!kind_is_valid(kind))
        return cudaErrorInvalidMemcpyDirection;
    if (!bytes)
        return cudaSuccess;
    switch (kind) {
    case cudaMemcpyHostToDevice:
        return error_of(drv->cuMemcpyHtoDAsync_v2(target, from, bytes, stream));
    case cudaMemcpyDeviceToHost:
        return error_of(drv->cuMemcpyDtoHAsync_v2(to, source, bytes, stream));
    case cudaMemcpyDeviceToDevice:
        return error_of(drv->cuMemcpyDtoDAsync_v2(target, source, bytes, stream));
    default:
        return error_of(drv->cuMemcpyAsync(target, source, bytes, stream));
    }
}

/* What each side of a copy is, by kind: from, to. */
static const struct {
    CUmemorytype from;
    CUmemorytype to;
} sides[] = {
    [cudaMemcpyHostToHost] = {CU_MEMORYTYPE_HOST, CU_MEMORYTYPE_HOST},
    [cudaMemcpyHostToDevice] = {CU_MEMORYTYPE_HOST, CU_MEMORYTYPE_DEVICE},
    [cudaMemcpyDeviceToHost] = {CU_MEMORYTYPE_DEVICE, CU_MEMORYTYPE_HOST},
    [cudaMemcpyDeviceToDevice] = {CU_MEMORYTYPE_DEVICE, CU_MEMORYTYPE_DEVICE},
    [cudaMemcpyDefault] = {CU_MEMORYTYPE_UNIFIED, CU_MEMORYTYPE_UNIFIED},
};

static cudaError_t rectangle(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                             size_t width, size_t height, enum cudaMemcpyKind kind,
                             CUDA_MEMCPY2D *out)
{
    if (!kind_is_valid(kind))
        return cudaErrorInvalidMemcpyDirection;
    if (width > to_pitch || width > from_pitch)
        return cudaErrorInvalidPitchValue;
    *out = (CUDA_MEMCPY2D){
        .srcMemoryType = sides[kind].from,
        .srcHost = from,
        .srcDevice = (CUdeviceptr)from,
        .srcPitch = from_pitch,
        .dstMemoryType = sides[kind].to,
        .dstHost = to,
        .dstDevice = (CUdeviceptr)to,
        .dstPitch = to_pitch,
        .WidthInBytes = width,
        .Height = height,
    };
    return cudaSuccess;
}

cudaError_t call_cudaMemcpy2D(const struct driver_table *drv, void *to, size_t to_pitch,
                              const void *from, size_t from_pitch, size_t width, size_t height,
                              enum cudaMemcpyKind kind)
{
    CUDA_MEMCPY2D copy;
    cudaError_t error = rectangle(to, to_pitch, from, from_pitch, width, height, kind, &copy);

    if (error || !width || !height)
        return error;
    return error_of(drv->cuMemcpy2DUnaligned_v2(&copy));
}

cudaError_t call_cudaMemcpy2DAsync(const struct driver_table *drv, void *to, size_t to_pitch,
                                   const void *from, size_t from_pitch, size_t width, size_t height,
                                   enum cudaMemcpyKind kind, cudaStream_t stream)
{
    CUDA_MEMCPY2D copy;
    cudaError_t error = rectangle(to, to_pitch, from, from_pitch, width, height, kind, &copy);

    if (error || !width || !height)
        return error;
    return error_of(drv->cuMemcpy2DAsync_v2(&copy, stream));
}

cudaError_t copy_box(const struct cudaMemcpy3DParms *copy, CUDA_MEMCPY3D *out)
{
    if (!copy)
        return cudaErrorInvalidValue;
    if (!kind_is_valid(copy->kind))
        return cudaErrorInvalidMemcpyDirection;
    if (copy->srcArray || copy->dstArray)
        return cudaErrorNotSupported;
    *out = (CUDA_MEMCPY3D){
        .srcXInBytes = copy->srcPos.x,
        .srcY = copy->srcPos.y,
        .srcZ = copy->srcPos.z,
        .srcMemoryType = sides[copy->kind].from,
        .srcHost = copy->srcPtr.ptr,
        .srcDevice = (CUdeviceptr)copy->srcPtr.ptr,
        .srcPitch = copy->srcPtr.pitch,
        .srcHeight = copy->srcPtr.ysize,
        .dstXInBytes = copy->dstPos.x,
        .dstY = copy->dstPos.y,
        .dstZ = copy->dstPos.z,
        .dstMemoryType = sides[copy->kind].to,
        .dstHost = copy->dstPtr.ptr,
        .dstDevice = (CUdeviceptr)copy->dstPtr.ptr,
        .dstPitch = copy->dstPtr.pitch,
        .dstHeight = copy->dstPtr.ysize,
        .WidthInBytes = copy->extent.width,
        .Height = copy->extent.height,
        .Depth = copy->extent.depth,
    };
    return cudaSuccess;
}

static bool box_is_empty(const CUDA_MEMCPY3D *box)
{
    return !box->WidthInBytes || !box->Height || !box->Depth;
}

cudaError_t call_cudaMemcpy3D(const struct driver_table *drv, const struct cudaMemcpy3DParms *copy)
{
    CUDA_MEMCPY3D box;
    cudaError_t error = copy_box(copy, &box);

    return error || box_is_empty(&box) ? error : error_of(drv->cuMemcpy3D_v2(&box));
}

cudaError_t call_cudaMemcpy3DAsync(const struct driver_table *drv,
                                   const struct cudaMemcpy3DParms *copy, cudaStream_t stream)
{
    CUDA_MEMCPY3D box;
    cudaError_t error = copy_box(copy, &box);

    return error || box_is_empty(&box) ? error : error_of(drv->cuMemcpy3DAsync_v2(&box, stream));
}

cudaError_t call_cudaMemcpyPeer(const struct driver_table *drv, void *to, int to_device,
                                const void *from, int from_device, size_t bytes)
{
    CUcontext target = NULL;
    CUcontext source = NULL;
    cudaError_t error = context_of_device(to_device, &target);

    if (!error)
        error = context_of_device(from_device, &source);
    if (error || !bytes)
        return error;
    return error_of(drv->cuMemcpyPeer((CUdeviceptr)to, target, (CUdeviceptr)from, source, bytes));
}

cudaError_t call_cudaMemcpyPeerAsync(const struct driver_table *drv, void *to, int to_device,
                                     const void *from, int from_device, size_t bytes,
                                     cudaStream_t stream)
{
    CUcontext target = NULL;
    CUcontext source = NULL;
    cudaError_t error = context_of_device(to_device, &target);

    if (!error)
        error = context_of_device(from_device, &source);
    if (error || !bytes)
        return error;
    return error_of(
        drv->cuMemcpyPeerAsync((CUdeviceptr)to, target, (CUdeviceptr)from, source, bytes, stream));
}

/* Memory of devices at both ends, each named by its primary context. */
static cudaError_t peer_box(const struct cudaMemcpy3DPeerParms *copy, CUDA_MEMCPY3D_PEER *out)
{
    CUDA_MEMCPY3D_PEER box;
    cudaError_t error;

    if (!copy)
        return cudaErrorInvalidValue;
    if (copy->srcArray || copy->dstArray)
        return cudaErrorNotSupported;
    box = (CUDA_MEMCPY3D_PEER){
        .srcXInBytes = copy->srcPos.x,
        .srcY = copy->srcPos.y,
        .srcZ = copy->srcPos.z,
        .srcMemoryType = CU_MEMORYTYPE_DEVICE,
        .srcDevice = (CUdeviceptr)copy->srcPtr.ptr,
        .srcPitch = copy->srcPtr.pitch,
        .srcHeight = copy->srcPtr.ysize,
        .dstXInBytes = copy->dstPos.x,
        .dstY = copy->dstPos.y,
        .dstZ = copy->dstPos.z,
        .dstMemoryType = CU_MEMORYTYPE_DEVICE,
        .dstDevice = (CUdeviceptr)copy->dstPtr.ptr,
        .dstPitch = copy->dstPtr.pitch,
        .dstHeight = copy->dstPtr.ysize,
        .WidthInBytes = copy->extent.width,
        .Height = copy->extent.height,
        .Depth = copy->extent.depth,
    };
    error = context_of_device(copy->srcDevice, &box.srcContext);
    if (!error)
        error = context_of_device(copy->dstDevice, &box.dstContext);
    if (!error)
        *out = box;
    return error;
}

static bool extent_is_empty(const struct cudaExtent *extent)
{
    return !extent->width || !extent->height || !extent->depth;
}

cudaError_t call_cudaMemcpy3DPeer(const struct driver_table *drv,
                                  const struct cudaMemcpy3DPeerParms *copy)
{
    CUDA_MEMCPY3D_PEER box;
    cudaError_t error = peer_box(copy, &box);

    return error || extent_is_empty(&copy->extent) ? error : error_of(drv->cuMemcpy3DPeer(&box));
}

cudaError_t call_cudaMemcpy3DPeerAsync(const struct driver_table *drv,
                                       const struct cudaMemcpy3DPeerParms *copy,
                                       cudaStream_t stream)
{
    CUDA_MEMCPY3D_PEER box;
    cudaError_t error = peer_box(copy, &box);

    if (error || extent_is_empty(&copy->extent))
        return error;
    return error_of(drv->cuMemcpy3DPeerAsync(&box, stream));
}

/* Variables. They are on the device: a kind that says otherwise is wrong. */
static cudaError_t symbol_range(const void *symbol, size_t offset, size_t bytes, char **out)
{
    CUdeviceptr address = 0;
    size_t size = 0;
    cudaError_t error = image_variable(symbol, &address, &size);

    if (!error && (offset > size || bytes > size - offset))
        error = cudaErrorInvalidValue;
    if (!error)
        *out = (char *)address + offset;
    return error;
}

static bool kind_ends_on_device(enum cudaMemcpyKind kind)
{
    return kind_is_valid(kind) && sides[kind].to != CU_MEMORYTYPE_HOST;
}

static bool kind_begins_on_device(enum cudaMemcpyKind kind)
{
    return kind_is_valid(kind) && sides[kind].from != CU_MEMORYTYPE_HOST;
}

cudaError_t call_cudaMemcpyToSymbol(const struct driver_table *drv, const void *symbol,
                                    const void *from, size_t bytes, size_t offset,
                                    enum cudaMemcpyKind kind)
{
    char *to = NULL;
    cudaError_t error = kind_ends_on_device(kind) ? symbol_range(symbol, offset, bytes, &to)
                                                  : cudaErrorInvalidMemcpyDirection;

    return error ? error : call_cudaMemcpy(drv, to, from, bytes, kind);
}

cudaError_t call_cudaMemcpyToSymbolAsync(const struct driver_table *drv, const void *symbol,
                                         const void *from, size_t bytes, size_t offset,
                                         enum cudaMemcpyKind kind, cudaStream_t stream)
{
    char *to = NULL;
    cudaError_t error = kind_ends_on_device(kind) ? symbol_range(symbol, offset, bytes, &to)
                                                  : cudaErrorInvalidMemcpyDirection;

    return error ? error : call_cudaMemcpyAsync(drv, to, from, bytes, kind, stream);
}

cudaError_t call_cudaMemcpyFromSymbol(const struct driver_table *drv, void *to, const void *symbol,
                                      size_t bytes, size_t offset, enum cudaMemcpyKind kind)
{
    char *from = NULL;
    cudaError_t error = kind_begins_on_device(kind) ? symbol_range(symbol, offset, bytes, &from)
                                                    : cudaErrorInvalidMemcpyDirection;

    return error ? error : call_cudaMemcpy(drv, to, from, bytes, kind);
}

cudaError_t call_cudaMemcpyFromSymbolAsync(const struct driver_table *drv, void *to,
                                           const void *symbol, size_t bytes, size_t offset,
                                           enum cudaMemcpyKind kind, cudaStream_t stream)
{
    char *from = NULL;
    cudaError_t error = kind_begins_on_device(kind) ? symbol_range(symbol, offset, bytes, &from)
                                                    : cudaErrorInvalidMemcpyDirection;

    return error ? error : call_cudaMemcpyAsync(drv, to, from, bytes, kind, stream);
}

cudaError_t call_cudaGetSymbolAddress(const struct driver_table *drv, void **address,
                                      const void *symbol)
{
    CUdeviceptr at = 0;
    size_t bytes;
    cudaError_t error = address ? image_variable(symbol, &at, &bytes) : cudaErrorInvalidValue;

    if (!error)
        *address = (void *)at;
    return error;
}

cudaError_t call_cudaGetSymbolSize(const struct driver_table *drv, size_t *bytes,
                                   const void *symbol)
{
    CUdeviceptr at;

    return bytes ? image_variable(symbol, &at, bytes) : cudaErrorInvalidValue;
}

/* A box is as many rectangles as it is deep. */
cudaError_t call_cudaMemset3DAsync(const struct driver_table *drv, struct cudaPitchedPtr pointer,
                                   int value, struct cudaExtent extent, cudaStream_t stream)
{
    CUdeviceptr at = (CUdeviceptr)pointer.ptr;
    CUresult res = CUDA_SUCCESS;

    if (!extent.width || !extent.height)
        return cudaSuccess;
    for (size_t z = 0; !res && z < extent.depth; z++, at += pointer.pitch * pointer.ysize)
        res = drv->cuMemsetD2D8Async(at, pointer.pitch, (unsigned char)value, extent.width,
                                     extent.height, stream);
    return error_of(res);
}

cudaError_t call_cudaMemset3D(const struct driver_table *drv, struct cudaPitchedPtr pointer,
                              int value, struct cudaExtent extent)
{
    return call_cudaMemset3DAsync(drv, pointer, value, extent, NULL);
}
