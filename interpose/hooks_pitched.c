/* SPDX-License-Identifier: MIT */
/*
 * Copies and memsets of boxes: rows at a pitch, slices of rows. As in hooks_copy.c no driver call
 * crosses from one tier to the other. A box that does is halved along its outermost dimension until
 * the pieces do not, or a single row is left, which is cut where the tier changes: for a box with
 * one border that is a few calls more, not one per row.
 */
#include "interpose/hooks.h"
#include "runtime/gate.h"
#include "runtime/pager.h"

/* One side of a call that is in device address space. */
struct side {
    CUdeviceptr at; /* of the box's first byte; 0 for host memory and arrays: never mixed */
    uint64_t pitch; /* bytes from row to row */
    uint64_t slice; /* and from plane to plane */
};

/* Part of the box, by its offset in it; x and width in bytes. */
struct piece {
    uint64_t x, y, z;
    uint64_t width, height, depth;
};

/* A call, and how to make it for a part of its box. */
struct boxed {
    const struct driver *drv;
    const void *copy; /* CUDA_MEMCPY2D or CUDA_MEMCPY3D, or NULL */
    unsigned int value;
    CUstream stream;
    struct side sides[2];
    const struct piece *box; /* all of it */
    CUresult (*submit)(const struct boxed *call, const struct piece *piece);
};

static CUdeviceptr side_at(const struct side *side, const struct piece *piece)
{
    return side->at + piece->z * side->slice + piece->y * side->pitch + piece->x;
}

/* Whether all that lies between the first and the last byte of the piece is in one tier. */
static bool side_is_uniform(const struct side *side, const struct piece *piece)
{
    uint64_t span;

    if (!side->at || !residency_block(side_at(side, piece)))
        return true;
    span = (piece->depth - 1) * side->slice + (piece->height - 1) * side->pitch + piece->width;
    return pager_run(side_at(side, piece), span) >= span;
}

static CUresult submit_pieces(const struct boxed *call, const struct piece *piece);

static uint64_t side_run(const struct side *side, const struct piece *piece, uint64_t width)
{
    return side->at ? pager_run(side_at(side, piece), width) : width;
}

static bool is_uniform(const struct boxed *call, const struct piece *piece)
{
    if (!piece->width || !piece->height || !piece->depth)
        return true;
    return side_is_uniform(&call->sides[0], piece) && side_is_uniform(&call->sides[1], piece);
}

/* Of the box: what is written may be what launches read copies of. */
static void note(const struct boxed *call);

/* Inside the gate, which is left meanwhile: a piece of one tier, or of one block on the disk. */
static CUresult submit_near(const struct boxed *call, const struct piece *piece)
{
    CUdeviceptr to = call->sides[1].at ? side_at(&call->sides[1], piece) : 0;
    CUdeviceptr from = call->sides[0].at ? side_at(&call->sides[0], piece) : 0;
    CUresult result;

    if (pager_must_bring(to) || pager_must_bring(from)) {
        gate_leave();
        result = pager_bring(call->drv, to, from);
        gate_enter();
        note(call);
        return result == CUDA_SUCCESS ? submit_pieces(call, piece) : result;
    }
    return call->submit(call, piece);
}

static CUresult submit_pieces(const struct boxed *call, const struct piece *piece)
{
    struct piece first = *piece;
    struct piece second = *piece;
    CUresult result;

    if (is_uniform(call, piece))
        return submit_near(call, piece);

    if (piece->depth > 1) {
        first.depth /= 2;
        second.depth -= first.depth;
        second.z += first.depth;
    } else if (piece->height > 1) {
        first.height /= 2;
        second.height -= first.height;
        second.y += first.height;
    } else {
        first.width = side_run(&call->sides[0], piece, piece->width);
        first.width = side_run(&call->sides[1], piece, first.width);
        second.width -= first.width;
        second.x += first.width;
    }
    result = submit_pieces(call, &first);
    return result == CUDA_SUCCESS ? submit_pieces(call, &second) : result;
}

/* Of a box that cannot be right, the driver will say so. */
static bool side_takes_turns(const struct side *side, const struct piece *box)
{
    uint64_t span = box->depth * side->slice + box->height * side->pitch + box->width;

    return side->at && residency_takes_turns(side->at, span);
}

static void note(const struct boxed *call)
{
    if (side_takes_turns(&call->sides[0], call->box) ||
        side_takes_turns(&call->sides[1], call->box))
        gate_note_unknown();
}

static CUresult submit_gated(struct boxed *call, const struct piece *box)
{
    CUresult result;

    call->box = box;
    gate_enter();
    note(call);
    result = submit_pieces(call, box);
    gate_leave();
    return result;
}

/* Where a side's box begins, if that is in device address space; `x`, `y`, `z` are its offsets. */
static struct side side_of(CUmemorytype type, CUdeviceptr base, uint64_t pitch, uint64_t slice,
                           uint64_t x, uint64_t y, uint64_t z)
{
    if (type != CU_MEMORYTYPE_DEVICE && type != CU_MEMORYTYPE_UNIFIED)
        return (struct side){.at = 0};
    return (struct side){base + z * slice + y * pitch + x, pitch, slice};
}

/* Rows of host memory on their way to the device. */
static void scan(const struct driver *drv, CUmemorytype type, const void *host, uint64_t pitch,
                 uint64_t slice, const struct piece *box)
{
    if (!residency_spills() || type != CU_MEMORYTYPE_HOST)
        return;
    for (uint64_t z = 0; z < box->depth; z++) {
        for (uint64_t y = 0; y < box->height; y++)
            pager_scan(drv, (const char *)host + z * slice + y * pitch + box->x, box->width);
    }
}

static CUresult copy_2d(const struct driver *drv, const CUDA_MEMCPY2D *c, CUstream stream,
                        CUresult (*submit)(const struct boxed *, const struct piece *))
{
    struct boxed call = {
        .drv = drv,
        .copy = c,
        .stream = stream,
        .sides = {side_of(c->srcMemoryType, c->srcDevice, c->srcPitch, 0, c->srcXInBytes, c->srcY,
                          0),
                  side_of(c->dstMemoryType, c->dstDevice, c->dstPitch, 0, c->dstXInBytes, c->dstY,
                          0)},
        .submit = submit,
    };
    struct piece box = {.width = c->WidthInBytes, .height = c->Height, .depth = 1};
    struct piece from = box;

    from.x = c->srcXInBytes;
    scan(drv, c->srcMemoryType, (const char *)c->srcHost + c->srcY * c->srcPitch, c->srcPitch, 0,
         &from);
    return submit_gated(&call, &box);
}

static CUDA_MEMCPY2D part_2d(const struct boxed *call, const struct piece *piece)
{
    CUDA_MEMCPY2D part = *(const CUDA_MEMCPY2D *)call->copy;

    part.srcXInBytes += piece->x;
    part.dstXInBytes += piece->x;
    part.srcY += piece->y;
    part.dstY += piece->y;
    part.WidthInBytes = piece->width;
    part.Height = piece->height;
    return part;
}

static CUresult copy_3d(const struct driver *drv, const CUDA_MEMCPY3D *c, CUstream stream,
                        CUresult (*submit)(const struct boxed *, const struct piece *))
{
    struct boxed call = {
        .drv = drv,
        .copy = c,
        .stream = stream,
        .sides = {side_of(c->srcMemoryType, c->srcDevice, c->srcPitch, c->srcPitch * c->srcHeight,
                          c->srcXInBytes, c->srcY, c->srcZ),
                  side_of(c->dstMemoryType, c->dstDevice, c->dstPitch, c->dstPitch * c->dstHeight,
                          c->dstXInBytes, c->dstY, c->dstZ)},
        .submit = submit,
    };
    struct piece box = {.width = c->WidthInBytes, .height = c->Height, .depth = c->Depth};
    struct piece from = box;
    uint64_t slice = c->srcPitch * c->srcHeight;

    from.x = c->srcXInBytes;
    scan(drv, c->srcMemoryType, (const char *)c->srcHost + c->srcZ * slice + c->srcY * c->srcPitch,
         c->srcPitch, slice, &from);
    return submit_gated(&call, &box);
}

static CUDA_MEMCPY3D part_3d(const struct boxed *call, const struct piece *piece)
{
    CUDA_MEMCPY3D part = *(const CUDA_MEMCPY3D *)call->copy;

    part.srcXInBytes += piece->x;
    part.dstXInBytes += piece->x;
    part.srcY += piece->y;
    part.dstY += piece->y;
    part.srcZ += piece->z;
    part.dstZ += piece->z;
    part.WidthInBytes = piece->width;
    part.Height = piece->height;
    part.Depth = piece->depth;
    return part;
}

/* Without a descriptor there is nothing to look at; the driver says what it thinks of that. */
#define COPY(symbol, dimensions, type, PASS_ON, HAND_DOWN, STREAM, ...)                            \
    static CUresult submit_##symbol(const struct boxed *call, const struct piece *piece)           \
    {                                                                                              \
        const type part = part_##dimensions(call, piece);                                          \
                                                                                                   \
        return call->drv->symbol(&part HAND_DOWN);                                                 \
    }                                                                                              \
                                                                                                   \
    CUresult hook_##symbol(const struct driver *drv, const type *copy __VA_OPT__(, ) __VA_ARGS__)  \
    {                                                                                              \
        return copy ? copy_##dimensions(drv, copy, STREAM, submit_##symbol)                        \
                    : drv->symbol(copy PASS_ON);                                                   \
    }

#define MEMSET(symbol, type, PASS_ON, HAND_DOWN, STREAM, ...)                                      \
    static CUresult submit_##symbol(const struct boxed *call, const struct piece *piece)           \
    {                                                                                              \
        return call->drv->symbol(side_at(&call->sides[0], piece), call->sides[0].pitch,            \
                                 (type)call->value, piece->width / sizeof(type),                   \
                                 piece->height HAND_DOWN);                                         \
    }                                                                                              \
                                                                                                   \
    CUresult hook_##symbol(const struct driver *drv, CUdeviceptr dst, size_t dst_pitch,            \
                           type value, size_t width, size_t height __VA_OPT__(, ) __VA_ARGS__)     \
    {                                                                                              \
        struct boxed call = {.drv = drv,                                                           \
                             .value = value,                                                       \
                             .stream = STREAM,                                                     \
                             .sides = {{dst, dst_pitch, 0}},                                       \
                             .submit = submit_##symbol};                                           \
        struct piece box = {.height = height, .depth = 1};                                         \
                                                                                                   \
        if (__builtin_mul_overflow(width, sizeof(type), &box.width))                               \
            return drv->symbol(dst, dst_pitch, value, width, height PASS_ON);                      \
        return submit_gated(&call, &box);                                                          \
    }

#define NOTHING
#define ON_STREAM    , stream
#define CALLS_STREAM , call->stream

COPY(cuMemcpy2D_v2, 2d, CUDA_MEMCPY2D, NOTHING, NOTHING, NULL)
COPY(cuMemcpy2DUnaligned_v2, 2d, CUDA_MEMCPY2D, NOTHING, NOTHING, NULL)
COPY(cuMemcpy2DAsync_v2, 2d, CUDA_MEMCPY2D, ON_STREAM, CALLS_STREAM, stream, CUstream stream)
COPY(cuMemcpy3D_v2, 3d, CUDA_MEMCPY3D, NOTHING, NOTHING, NULL)
COPY(cuMemcpy3DAsync_v2, 3d, CUDA_MEMCPY3D, ON_STREAM, CALLS_STREAM, stream, CUstream stream)

MEMSET(cuMemsetD2D8_v2, unsigned char, NOTHING, NOTHING, NULL)
MEMSET(cuMemsetD2D16_v2, unsigned short, NOTHING, NOTHING, NULL)
MEMSET(cuMemsetD2D32_v2, unsigned int, NOTHING, NOTHING, NULL)
MEMSET(cuMemsetD2D8Async, unsigned char, ON_STREAM, CALLS_STREAM, stream, CUstream stream)
MEMSET(cuMemsetD2D16Async, unsigned short, ON_STREAM, CALLS_STREAM, stream, CUstream stream)
MEMSET(cuMemsetD2D32Async, unsigned int, ON_STREAM, CALLS_STREAM, stream, CUstream stream)
