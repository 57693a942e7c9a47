/* SPDX-License-Identifier: MIT */
/*
 * The copy and memset calls: what each says about its two sides.
 */
#include "tests/sim/calls.h"
#include "tests/sim/copy.h"

static CUresult enter(CUstream handle, struct stream **out)
{
    struct context *context;
    CUresult res = context_require(&context);

    return res ? res : stream_resolve(handle, context, out);
}

static CUresult copy_1d(uint64_t dst, enum side_type dst_type, uint64_t src,
                        enum side_type src_type, size_t bytes, CUstream handle, bool synchronous)
{
    struct stream *stream;
    CUresult res = enter(handle, &stream);
    int device;

    if (res)
        return res;
    device = stream->context->device;
    return copy_submit(stream, copy_side_of(dst_type, dst, device),
                       copy_side_of(src_type, src, device), (struct copy_box){bytes, 1, 1},
                       synchronous);
}

CUresult sim_cuMemcpy(CUdeviceptr dst, CUdeviceptr src, size_t bytes)
{
    return copy_1d(dst, SIDE_TYPE_UNIFIED, src, SIDE_TYPE_UNIFIED, bytes, NULL, true);
}

CUresult sim_cuMemcpyAsync(CUdeviceptr dst, CUdeviceptr src, size_t bytes, CUstream stream)
{
    return copy_1d(dst, SIDE_TYPE_UNIFIED, src, SIDE_TYPE_UNIFIED, bytes, stream, false);
}

CUresult sim_cuMemcpyHtoD_v2(CUdeviceptr dst, const void *src, size_t bytes)
{
    return copy_1d(dst, SIDE_TYPE_DEVICE, (uintptr_t)src, SIDE_TYPE_HOST, bytes, NULL, true);
}

CUresult sim_cuMemcpyHtoDAsync_v2(CUdeviceptr dst, const void *src, size_t bytes, CUstream stream)
{
    return copy_1d(dst, SIDE_TYPE_DEVICE, (uintptr_t)src, SIDE_TYPE_HOST, bytes, stream, false);
}

CUresult sim_cuMemcpyDtoH_v2(void *dst, CUdeviceptr src, size_t bytes)
{
    return copy_1d((uintptr_t)dst, SIDE_TYPE_HOST, src, SIDE_TYPE_DEVICE, bytes, NULL, true);
}

CUresult sim_cuMemcpyDtoHAsync_v2(void *dst, CUdeviceptr src, size_t bytes, CUstream stream)
{
    return copy_1d((uintptr_t)dst, SIDE_TYPE_HOST, src, SIDE_TYPE_DEVICE, bytes, stream, false);
}

CUresult sim_cuMemcpyDtoD_v2(CUdeviceptr dst, CUdeviceptr src, size_t bytes)
{
    return copy_1d(dst, SIDE_TYPE_DEVICE, src, SIDE_TYPE_DEVICE, bytes, NULL, true);
}

CUresult sim_cuMemcpyDtoDAsync_v2(CUdeviceptr dst, CUdeviceptr src, size_t bytes, CUstream stream)
{
    return copy_1d(dst, SIDE_TYPE_DEVICE, src, SIDE_TYPE_DEVICE, bytes, stream, false);
}

static CUresult peer_device(CUcontext handle, int *out)
{
    const struct context *context = (struct context *)handle;

    if (!handle_is(context, HANDLE_CONTEXT) || !context->alive)
        return CUDA_ERROR_INVALID_CONTEXT;
    *out = context->device;
    return context->sticky;
}

CUresult sim_cuMemcpyPeerAsync(CUdeviceptr dst, CUcontext dst_context, CUdeviceptr src,
                               CUcontext src_context, size_t bytes, CUstream stream)
{
    struct stream *target;
    int dst_device;
    int src_device;
    CUresult res = enter(stream, &target);

    if (!res)
        res = peer_device(dst_context, &dst_device);
    if (!res)
        res = peer_device(src_context, &src_device);
    if (res)
        return res;
    return copy_submit(target, copy_side_of(SIDE_TYPE_DEVICE, dst, dst_device),
                       copy_side_of(SIDE_TYPE_DEVICE, src, src_device),
                       (struct copy_box){bytes, 1, 1}, false);
}

CUresult sim_cuMemcpyPeer(CUdeviceptr dst, CUcontext dst_context, CUdeviceptr src,
                          CUcontext src_context, size_t bytes)
{
    return sim_cuMemcpyPeerAsync(dst, dst_context, src, src_context, bytes, NULL);
}

/* One side of a box copy: its memory type, pointers, pitch and where in the memory it starts. */
static CUresult box_side(CUmemorytype type, const void *host, CUdeviceptr device_pointer,
                         uint64_t pitch, uint64_t height, size_t x, size_t y, size_t z, int device,
                         struct copy_side *out)
{
    switch ((int)type) {
    case CU_MEMORYTYPE_HOST:
        *out = copy_side_of(SIDE_TYPE_HOST, (uintptr_t)host, device);
        break;
    case CU_MEMORYTYPE_DEVICE:
        *out = copy_side_of(SIDE_TYPE_DEVICE, device_pointer, device);
        break;
    case CU_MEMORYTYPE_UNIFIED:
        *out = copy_side_of(SIDE_TYPE_UNIFIED, device_pointer, device);
        break;
    case CU_MEMORYTYPE_ARRAY:
        core_say("copies from and to arrays are not simulated");
        return CUDA_ERROR_NOT_SUPPORTED;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (!out->address)
        return CUDA_ERROR_INVALID_VALUE;
    out->pitch = pitch;
    out->slice = pitch * height;
    out->address += z * out->slice + y * pitch + x;
    return CUDA_SUCCESS;
}

static CUresult copy_2d(const CUDA_MEMCPY2D *copy, CUstream handle, bool synchronous)
{
    struct copy_side dst;
    struct copy_side src;
    struct stream *stream;
    CUresult res = enter(handle, &stream);
    int device;

    if (res)
        return res;
    if (!copy)
        return CUDA_ERROR_INVALID_VALUE;
    if (!copy->WidthInBytes || !copy->Height)
        return CUDA_SUCCESS;
    device = stream->context->device;
    res = box_side(copy->dstMemoryType, copy->dstHost, copy->dstDevice,
                   copy->dstPitch ? copy->dstPitch : copy->WidthInBytes, copy->Height,
                   copy->dstXInBytes, copy->dstY, 0, device, &dst);
    if (!res)
        res = box_side(copy->srcMemoryType, copy->srcHost, copy->srcDevice,
                       copy->srcPitch ? copy->srcPitch : copy->WidthInBytes, copy->Height,
                       copy->srcXInBytes, copy->srcY, 0, device, &src);
    if (res)
        return res;
    return copy_submit(stream, dst, src, (struct copy_box){copy->WidthInBytes, copy->Height, 1},
                       synchronous);
}

CUresult sim_cuMemcpy2D_v2(const CUDA_MEMCPY2D *copy)
{
    return copy_2d(copy, NULL, true);
}

CUresult sim_cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D *copy)
{
    return copy_2d(copy, NULL, true);
}

CUresult sim_cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *copy, CUstream stream)
{
    return copy_2d(copy, stream, false);
}

CUresult copy_sides(const CUDA_MEMCPY3D *copy, int device, struct copy_side *dst,
                    struct copy_side *src)
{
    CUresult res = box_side(copy->dstMemoryType, copy->dstHost, copy->dstDevice,
                            copy->dstPitch ? copy->dstPitch : copy->WidthInBytes,
                            copy->dstHeight ? copy->dstHeight : copy->Height, copy->dstXInBytes,
                            copy->dstY, copy->dstZ, device, dst);

    if (res)
        return res;
    return box_side(copy->srcMemoryType, copy->srcHost, copy->srcDevice,
                    copy->srcPitch ? copy->srcPitch : copy->WidthInBytes,
                    copy->srcHeight ? copy->srcHeight : copy->Height, copy->srcXInBytes, copy->srcY,
                    copy->srcZ, device, src);
}

static CUresult copy_3d(const CUDA_MEMCPY3D *copy, CUstream handle, bool synchronous)
{
    struct copy_side dst;
    struct copy_side src;
    struct stream *stream;
    CUresult res = enter(handle, &stream);

    if (res)
        return res;
    if (!copy || copy->srcLOD || copy->dstLOD || copy->reserved0 || copy->reserved1)
        return CUDA_ERROR_INVALID_VALUE;
    if (!copy->WidthInBytes || !copy->Height || !copy->Depth)
        return CUDA_SUCCESS;
    res = copy_sides(copy, stream->context->device, &dst, &src);
    if (res)
        return res;
    return copy_submit(stream, dst, src,
                       (struct copy_box){copy->WidthInBytes, copy->Height, copy->Depth},
                       synchronous);
}

CUresult sim_cuMemcpy3D_v2(const CUDA_MEMCPY3D *copy)
{
    return copy_3d(copy, NULL, true);
}

CUresult sim_cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *copy, CUstream stream)
{
    return copy_3d(copy, stream, false);
}

static CUresult set(uint64_t dst, uint64_t pitch, uint32_t value, unsigned int element_bytes,
                    size_t width, size_t height, CUstream handle)
{
    struct stream *stream;
    CUresult res = enter(handle, &stream);

    if (res)
        return res;
    return memset_submit(stream, dst, pitch, value, element_bytes, width, height);
}

CUresult sim_cuMemsetD8_v2(CUdeviceptr dst, unsigned char value, size_t n)
{
    return set(dst, 0, value, 1, n, 1, NULL);
}

CUresult sim_cuMemsetD16_v2(CUdeviceptr dst, unsigned short value, size_t n)
{
    return set(dst, 0, value, 2, n, 1, NULL);
}

CUresult sim_cuMemsetD32_v2(CUdeviceptr dst, unsigned int value, size_t n)
{
    return set(dst, 0, value, 4, n, 1, NULL);
}

CUresult sim_cuMemsetD2D8_v2(CUdeviceptr dst, size_t dst_pitch, unsigned char value, size_t width,
                             size_t height)
{
    return set(dst, dst_pitch, value, 1, width, height, NULL);
}

CUresult sim_cuMemsetD2D16_v2(CUdeviceptr dst, size_t dst_pitch, unsigned short value, size_t width,
                              size_t height)
{
    return set(dst, dst_pitch, value, 2, width, height, NULL);
}

CUresult sim_cuMemsetD2D32_v2(CUdeviceptr dst, size_t dst_pitch, unsigned int value, size_t width,
                              size_t height)
{
    return set(dst, dst_pitch, value, 4, width, height, NULL);
}

CUresult sim_cuMemsetD8Async(CUdeviceptr dst, unsigned char value, size_t n, CUstream stream)
{
    return set(dst, 0, value, 1, n, 1, stream);
}

CUresult sim_cuMemsetD16Async(CUdeviceptr dst, unsigned short value, size_t n, CUstream stream)
{
    return set(dst, 0, value, 2, n, 1, stream);
}

CUresult sim_cuMemsetD32Async(CUdeviceptr dst, unsigned int value, size_t n, CUstream stream)
{
    return set(dst, 0, value, 4, n, 1, stream);
}

CUresult sim_cuMemsetD2D8Async(CUdeviceptr dst, size_t dst_pitch, unsigned char value, size_t width,
                               size_t height, CUstream stream)
{
    return set(dst, dst_pitch, value, 1, width, height, stream);
}

CUresult sim_cuMemsetD2D16Async(CUdeviceptr dst, size_t dst_pitch, unsigned short value,
                                size_t width, size_t height, CUstream stream)
{
    return set(dst, dst_pitch, value, 2, width, height, stream);
}

CUresult sim_cuMemsetD2D32Async(CUdeviceptr dst, size_t dst_pitch, unsigned int value, size_t width,
                                size_t height, CUstream stream)
{
    return set(dst, dst_pitch, value, 4, width, height, stream);
}
