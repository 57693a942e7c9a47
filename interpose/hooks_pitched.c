/* SPDX-License-Identifier: MIT */
/*
 * Copies and memsets of boxes: rows at a pitch, slices of rows. As in hooks_copy.c no driver call
 * crosses from one tier to the other. A box that does is cut in half along its longest dimension
 * until the pieces do not, or a single row is left, which is cut where the tier changes: for a box
 * with one border that is a few calls more, not one per row.
 */
#include "interpose/hooks.h"
#include "runtime/gate.h"
#include "runtime/pager.h"

/* One side of a copy that is in device address space; `pitch` of a row, `slice` of a plane. */
struct side {
    CUdeviceptr at; /* 0: host memory or an array, in one tier by definition */
    uint64_t pitch;
    uint64_t slice;
};

struct box {
    uint64_t width; /* bytes */
    uint64_t height;
    uint64_t depth;
};

/* Whether all that lies between the first and the last byte of the box is in one tier. */
static bool side_is_uniform(const struct side *side, const struct box *box)
{
    uint64_t span;

    if (!side->at || !residency_block(side->at))
        return true;
    span = (box->depth - 1) * side->slice + (box->height - 1) * side->pitch + box->width;
    return residency_run(side->at, span) >= span;
}

static uint64_t side_run(const struct side *side, uint64_t width)
{
    return side->at ? residency_run(side->at, width) : width;
}

static CUdeviceptr device_of(CUmemorytype type, CUdeviceptr device)
{
    return type == CU_MEMORYTYPE_DEVICE || type == CU_MEMORYTYPE_UNIFIED ? device : 0;
}

static struct side source_2d(const CUDA_MEMCPY2D *copy)
{
    CUdeviceptr base = device_of(copy->srcMemoryType, copy->srcDevice);

    return (struct side){
        .at = base ? base + copy->srcY * copy->srcPitch + copy->srcXInBytes : 0,
        .pitch = copy->srcPitch,
    };
}

static struct side target_2d(const CUDA_MEMCPY2D *copy)
{
    CUdeviceptr base = device_of(copy->dstMemoryType, copy->dstDevice);

    return (struct side){
        .at = base ? base + copy->dstY * copy->dstPitch + copy->dstXInBytes : 0,
        .pitch = copy->dstPitch,
    };
}

typedef CUresult (*copy_2d_fn)(const struct driver *drv, const CUDA_MEMCPY2D *copy,
                               CUstream stream);

static CUresult copy_2d(const struct driver *drv, const CUDA_MEMCPY2D *copy, CUstream stream,
                        copy_2d_fn submit)
{
    struct box box = {.width = copy->WidthInBytes, .height = copy->Height, .depth = 1};
    struct side source = source_2d(copy);
    struct side target = target_2d(copy);
    CUDA_MEMCPY2D first = *copy;
    CUDA_MEMCPY2D second = *copy;
    CUresult result;

    if (!box.width || !box.height ||
        (side_is_uniform(&source, &box) && side_is_uniform(&target, &box)))
        return submit(drv, copy, stream);

    if (box.height > 1) {
        first.Height = box.height / 2;
        second.Height -= first.Height;
        second.srcY += first.Height;
        second.dstY += first.Height;
    } else {
        first.WidthInBytes = side_run(&source, side_run(&target, box.width));
        second.WidthInBytes -= first.WidthInBytes;
        second.srcXInBytes += first.WidthInBytes;
        second.dstXInBytes += first.WidthInBytes;
    }
    result = copy_2d(drv, &first, stream, submit);
    return result == CUDA_SUCCESS ? copy_2d(drv, &second, stream, submit) : result;
}

static CUresult copy_2d_gated(const struct driver *drv, const CUDA_MEMCPY2D *copy, CUstream stream,
                              copy_2d_fn submit)
{
    CUresult result;

    if (!copy)
        return submit(drv, copy, stream);
    gate_enter();
    result = copy_2d(drv, copy, stream, submit);
    gate_leave();
    return result;
}

static CUresult submit_2d(const struct driver *drv, const CUDA_MEMCPY2D *copy, CUstream stream)
{
    return drv->cuMemcpy2D_v2(copy);
}

static CUresult submit_2d_unaligned(const struct driver *drv, const CUDA_MEMCPY2D *copy,
                                    CUstream stream)
{
    return drv->cuMemcpy2DUnaligned_v2(copy);
}

static CUresult submit_2d_async(const struct driver *drv, const CUDA_MEMCPY2D *copy,
                                CUstream stream)
{
    return drv->cuMemcpy2DAsync_v2(copy, stream);
}

CUresult hook_cuMemcpy2D_v2(const struct driver *drv, const CUDA_MEMCPY2D *copy)
{
    return copy_2d_gated(drv, copy, NULL, submit_2d);
}

CUresult hook_cuMemcpy2DUnaligned_v2(const struct driver *drv, const CUDA_MEMCPY2D *copy)
{
    return copy_2d_gated(drv, copy, NULL, submit_2d_unaligned);
}

CUresult hook_cuMemcpy2DAsync_v2(const struct driver *drv, const CUDA_MEMCPY2D *copy,
                                 CUstream stream)
{
    return copy_2d_gated(drv, copy, stream, submit_2d_async);
}

static struct side source_3d(const CUDA_MEMCPY3D *copy)
{
    CUdeviceptr base = device_of(copy->srcMemoryType, copy->srcDevice);
    uint64_t slice = copy->srcPitch * copy->srcHeight;

    return (struct side){
        .at =
            base ? base + copy->srcZ * slice + copy->srcY * copy->srcPitch + copy->srcXInBytes : 0,
        .pitch = copy->srcPitch,
        .slice = slice,
    };
}

static struct side target_3d(const CUDA_MEMCPY3D *copy)
{
    CUdeviceptr base = device_of(copy->dstMemoryType, copy->dstDevice);
    uint64_t slice = copy->dstPitch * copy->dstHeight;

    return (struct side){
        .at =
            base ? base + copy->dstZ * slice + copy->dstY * copy->dstPitch + copy->dstXInBytes : 0,
        .pitch = copy->dstPitch,
        .slice = slice,
    };
}

typedef CUresult (*copy_3d_fn)(const struct driver *drv, const CUDA_MEMCPY3D *copy,
                               CUstream stream);

static CUresult copy_3d(const struct driver *drv, const CUDA_MEMCPY3D *copy, CUstream stream,
                        copy_3d_fn submit)
{
    struct box box = {.width = copy->WidthInBytes, .height = copy->Height, .depth = copy->Depth};
    struct side source = source_3d(copy);
    struct side target = target_3d(copy);
    CUDA_MEMCPY3D first = *copy;
    CUDA_MEMCPY3D second = *copy;
    CUresult result;

    if (!box.width || !box.height || !box.depth ||
        (side_is_uniform(&source, &box) && side_is_uniform(&target, &box)))
        return submit(drv, copy, stream);

    if (box.depth > 1) {
        first.Depth = box.depth / 2;
        second.Depth -= first.Depth;
        second.srcZ += first.Depth;
        second.dstZ += first.Depth;
    } else if (box.height > 1) {
        first.Height = box.height / 2;
        second.Height -= first.Height;
        second.srcY += first.Height;
        second.dstY += first.Height;
    } else {
        first.WidthInBytes = side_run(&source, side_run(&target, box.width));
        second.WidthInBytes -= first.WidthInBytes;
        second.srcXInBytes += first.WidthInBytes;
        second.dstXInBytes += first.WidthInBytes;
    }
    result = copy_3d(drv, &first, stream, submit);
    return result == CUDA_SUCCESS ? copy_3d(drv, &second, stream, submit) : result;
}

static CUresult copy_3d_gated(const struct driver *drv, const CUDA_MEMCPY3D *copy, CUstream stream,
                              copy_3d_fn submit)
{
    CUresult result;

    if (!copy)
        return submit(drv, copy, stream);
    gate_enter();
    result = copy_3d(drv, copy, stream, submit);
    gate_leave();
    return result;
}

static CUresult submit_3d(const struct driver *drv, const CUDA_MEMCPY3D *copy, CUstream stream)
{
    return drv->cuMemcpy3D_v2(copy);
}

static CUresult submit_3d_async(const struct driver *drv, const CUDA_MEMCPY3D *copy,
                                CUstream stream)
{
    return drv->cuMemcpy3DAsync_v2(copy, stream);
}

CUresult hook_cuMemcpy3D_v2(const struct driver *drv, const CUDA_MEMCPY3D *copy)
{
    return copy_3d_gated(drv, copy, NULL, submit_3d);
}

CUresult hook_cuMemcpy3DAsync_v2(const struct driver *drv, const CUDA_MEMCPY3D *copy,
                                 CUstream stream)
{
    return copy_3d_gated(drv, copy, stream, submit_3d_async);
}

/* A rectangle of `width` bytes by `height` rows, all of the same repeated value. */
struct fill {
    const struct driver *drv;
    unsigned int value;
    unsigned int element; /* bytes */
    CUstream stream;
    CUresult (*submit)(const struct fill *fill, const struct side *side, const struct box *box);
};

static CUresult fill_box(const struct fill *fill, const struct side *side, const struct box *box)
{
    struct side rest = *side;
    struct box first = *box;
    struct box second = *box;
    CUresult result;

    if (!box->width || !box->height || side_is_uniform(side, box))
        return fill->submit(fill, side, box);
    if (box->height > 1) {
        first.height /= 2;
        second.height -= first.height;
        rest.at += first.height * side->pitch;
    } else {
        first.width = side_run(side, box->width);
        second.width -= first.width;
        rest.at += first.width;
    }
    result = fill_box(fill, side, &first);
    return result == CUDA_SUCCESS ? fill_box(fill, &rest, &second) : result;
}

static CUresult fill_gated(const struct fill *fill, CUdeviceptr dst, size_t pitch, size_t width,
                           size_t height)
{
    struct side side = {.at = dst, .pitch = pitch};
    struct box box = {.width = width * fill->element, .height = height, .depth = 1};
    CUresult result;

    gate_enter();
    result = dst % fill->element ? fill->submit(fill, &side, &box) : fill_box(fill, &side, &box);
    gate_leave();
    return result;
}

#define MEMSET_2D(symbol, type, PASS_ON, STREAM, ...)                                              \
    static CUresult submit_##symbol(const struct fill *fill, const struct side *side,              \
                                    const struct box *box)                                         \
    {                                                                                              \
        return fill->drv->symbol(side->at, side->pitch, (type)fill->value,                         \
                                 box->width / sizeof(type), box->height PASS_ON);                  \
    }                                                                                              \
                                                                                                   \
    CUresult hook_##symbol(const struct driver *drv, CUdeviceptr dst, size_t dst_pitch,            \
                           type value, size_t width, size_t height __VA_OPT__(, ) __VA_ARGS__)     \
    {                                                                                              \
        struct fill fill = {drv, value, sizeof(value), STREAM, submit_##symbol};                   \
                                                                                                   \
        return fill_gated(&fill, dst, dst_pitch, width, height);                                   \
    }

#define ON_STREAM , fill->stream
#define NO_STREAM

MEMSET_2D(cuMemsetD2D8_v2, unsigned char, NO_STREAM, NULL)
MEMSET_2D(cuMemsetD2D16_v2, unsigned short, NO_STREAM, NULL)
MEMSET_2D(cuMemsetD2D32_v2, unsigned int, NO_STREAM, NULL)
MEMSET_2D(cuMemsetD2D8Async, unsigned char, ON_STREAM, stream, CUstream stream)
MEMSET_2D(cuMemsetD2D16Async, unsigned short, ON_STREAM, stream, CUstream stream)
MEMSET_2D(cuMemsetD2D32Async, unsigned int, ON_STREAM, stream, CUstream stream)
