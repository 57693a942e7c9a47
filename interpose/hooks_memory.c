/* SPDX-License-Identifier: MIT */
/*
 * Allocating and freeing.
 *
 * What is paged: device memory from cuMemAlloc and from plain stream-ordered pools, from the
 * small-allocation limit up. What is not: smaller allocations (they would waste a chunk), anything
 * asked for while a stream is being captured (the driver's answer depends on the capture mode),
 * pools that can be exported or live elsewhere, managed and host memory.
 */
#include <errno.h>
#include "interpose/hooks.h"
#include "interpose/route.h"
#include "runtime/pager.h"

enum {
    PITCH_ALIGNMENT = 512, /* of rows: what every card's texture alignment divides */
};

static CUresult native_alloc(const struct driver *drv, CUdeviceptr *dptr, size_t bytes)
{
    CUresult result = drv->cuMemAlloc_v2(dptr, bytes);

    if (result == CUDA_ERROR_OUT_OF_MEMORY && pager_give_way(drv, bytes))
        result = drv->cuMemAlloc_v2(dptr, bytes);
    if (result == CUDA_SUCCESS)
        stats_add(native_allocations, 1);
    return result;
}

/* The driver's memory first, a page of ours when it has none. */
static CUresult native_or_paged(const struct driver *drv, CUdeviceptr *dptr, size_t bytes)
{
    CUresult result = native_alloc(drv, dptr, bytes);
    CUdeviceptr address;

    if (result != CUDA_ERROR_OUT_OF_MEMORY || pager_alloc(drv, bytes, NULL, &address))
        return result;
    *dptr = address;
    return CUDA_SUCCESS;
}

CUresult hook_cuMemAlloc_v2(const struct driver *drv, CUdeviceptr *dptr, size_t bytes)
{
    CUdeviceptr address;
    int r;

    if (!dptr || pager_is_small(bytes) || pager_capture_is_open())
        return native_or_paged(drv, dptr, bytes);
    r = pager_alloc(drv, bytes, NULL, &address);
    if (r == PAGER_E_NATIVE)
        return native_alloc(drv, dptr, bytes);
    if (!r)
        *dptr = address;
    return driver_result(r);
}

/* What the program asked of cuMemAllocPitch. */
struct rows {
    size_t width;
    size_t height;
    unsigned int element;
    size_t pitch; /* of ours, and all bytes at it; 0 when the driver must judge what was asked */
    size_t bytes;
};

static struct rows rows_of(size_t width, size_t height, unsigned int element)
{
    bool plain = element == 4 || element == 8 || element == 16;
    size_t pitch = align_up(width, PITCH_ALIGNMENT);
    struct rows rows = {.width = width, .height = height, .element = element};
    size_t bytes;

    if (plain && pitch >= width && !__builtin_mul_overflow(pitch, height, &bytes) && bytes) {
        rows.pitch = pitch;
        rows.bytes = bytes;
    }
    return rows;
}

static CUresult native_rows(const struct driver *drv, const struct rows *rows, CUdeviceptr *dptr,
                            size_t *p_pitch)
{
    CUresult result =
        drv->cuMemAllocPitch_v2(dptr, p_pitch, rows->width, rows->height, rows->element);

    if (result == CUDA_ERROR_OUT_OF_MEMORY && pager_give_way(drv, rows->bytes))
        result = drv->cuMemAllocPitch_v2(dptr, p_pitch, rows->width, rows->height, rows->element);
    if (result == CUDA_SUCCESS)
        stats_add(native_allocations, 1);
    return result;
}

static int paged_rows(const struct driver *drv, const struct rows *rows, CUdeviceptr *dptr,
                      size_t *p_pitch)
{
    CUdeviceptr address;
    int r = pager_alloc(drv, rows->bytes, NULL, &address);

    if (!r) {
        *dptr = address;
        *p_pitch = rows->pitch;
    }
    return r;
}

CUresult hook_cuMemAllocPitch_v2(const struct driver *drv, CUdeviceptr *dptr, size_t *p_pitch,
                                 size_t width_in_bytes, size_t height,
                                 unsigned int element_size_bytes)
{
    struct rows rows = rows_of(width_in_bytes, height, element_size_bytes);
    CUresult result;
    int r;

    if (!dptr || !p_pitch || !rows.bytes || pager_is_small(rows.bytes) || pager_capture_is_open()) {
        result = native_rows(drv, &rows, dptr, p_pitch);
        if (result != CUDA_ERROR_OUT_OF_MEMORY || !rows.bytes)
            return result;
        return paged_rows(drv, &rows, dptr, p_pitch) ? result : CUDA_SUCCESS;
    }
    r = paged_rows(drv, &rows, dptr, p_pitch);
    return r == PAGER_E_NATIVE ? native_rows(drv, &rows, dptr, p_pitch) : driver_result(r);
}

/* The driver's free waits for the work of the context; so does ours. */
static CUresult wait_for_context(const struct driver *drv, CUcontext ctx)
{
    CUresult result = drv->cuCtxPushCurrent_v2(ctx);

    if (result != CUDA_SUCCESS)
        return result;
    result = drv->cuCtxSynchronize();
    driver_pop_context(drv);
    return result;
}

static CUresult free_waiting(const struct driver *drv, CUdeviceptr dptr)
{
    struct pager_allocation allocation;
    CUresult result;

    if (!pager_describe(dptr, &allocation) || allocation.base != dptr)
        return CUDA_ERROR_INVALID_VALUE;
    if (!pager_wait_begin())
        return driver_result(pager_free_later(drv, dptr));
    result = wait_for_context(drv, allocation.ctx);
    pager_wait_end();
    return result == CUDA_SUCCESS ? driver_result(pager_free(drv, dptr)) : result;
}

CUresult hook_cuMemFree_v2(const struct driver *drv, CUdeviceptr dptr)
{
    CUresult result;

    if (residency_block(dptr))
        return free_waiting(drv, dptr);
    result = drv->cuMemFree_v2(dptr);
    pager_device_memory_freed();
    return result;
}

static size_t element_bytes(CUarray_format format)
{
    switch ((int)format) {
    case CU_AD_FORMAT_UNSIGNED_INT8:
    case CU_AD_FORMAT_SIGNED_INT8:
        return 1;
    case CU_AD_FORMAT_UNSIGNED_INT16:
    case CU_AD_FORMAT_SIGNED_INT16:
    case CU_AD_FORMAT_HALF:
        return 2;
    default:
        return 4;
    }
}

/* Calls `make`, and once more after homes have made room for at least `bytes`: arrays are the
 * driver's own, of a layout that only it knows. */
#define WITH_ROOM(drv, bytes, make)                                                                \
    ({                                                                                             \
        CUresult with_room_result = (make);                                                        \
                                                                                                   \
        if (with_room_result == CUDA_ERROR_OUT_OF_MEMORY && pager_give_way(drv, bytes))            \
            with_room_result = (make);                                                             \
        if (with_room_result == CUDA_SUCCESS)                                                      \
            stats_add(native_allocations, 1);                                                      \
        with_room_result;                                                                          \
    })

/* Extents of 0 mean that the dimension is not there. */
static size_t array_bytes(size_t width, size_t height, size_t depth, size_t element)
{
    size_t bytes;

    if (__builtin_mul_overflow(width, height ? height : 1, &bytes) ||
        __builtin_mul_overflow(bytes, depth ? depth : 1, &bytes) ||
        __builtin_mul_overflow(bytes, element, &bytes))
        return SIZE_MAX;
    return bytes;
}

CUresult hook_cuArrayCreate_v2(const struct driver *drv, CUarray *p_handle,
                               const CUDA_ARRAY_DESCRIPTOR *asked)
{
    return WITH_ROOM(drv,
                     array_bytes(asked->Width, asked->Height, 1,
                                 asked->NumChannels * element_bytes(asked->Format)),
                     drv->cuArrayCreate_v2(p_handle, asked));
}

CUresult hook_cuArray3DCreate_v2(const struct driver *drv, CUarray *p_handle,
                                 const CUDA_ARRAY3D_DESCRIPTOR *asked)
{
    return WITH_ROOM(drv,
                     array_bytes(asked->Width, asked->Height, asked->Depth,
                                 asked->NumChannels * element_bytes(asked->Format)),
                     drv->cuArray3DCreate_v2(p_handle, asked));
}

/* What the pager knows a stream by: a default stream's NULL means one per table, and in per-thread
 * mode one per thread. */
static CUstream stream_identity(const struct driver *drv, CUstream stream)
{
    if (stream == CU_STREAM_PER_THREAD)
        return NULL;
    if (stream)
        return stream;
    return drv == route_driver(STREAM_LEGACY) ? CU_STREAM_LEGACY : NULL;
}

static CUmemoryPool current_pool(const struct driver *drv)
{
    CUmemoryPool pool = NULL;
    CUdevice device;

    if (!drv->cuDeviceGetMemPool || !drv->cuCtxGetDevice ||
        drv->cuCtxGetDevice(&device) != CUDA_SUCCESS)
        return NULL;
    return drv->cuDeviceGetMemPool(&pool, device) == CUDA_SUCCESS ? pool : NULL;
}

/* A request in stream order. */
struct request {
    CUdeviceptr *dptr;
    size_t bytes;
    CUmemoryPool pool;
    CUstream stream;
};

static bool may_be_paged(const struct driver *drv, const struct request *request)
{
    return request->dptr && request->pool && !pager_is_captured(drv, request->stream) &&
           pager_pool_is_plain(drv, request->pool);
}

/* 0 and *dptr, PAGER_E_NATIVE or -ENOMEM. */
static int paged_async(const struct driver *drv, const struct request *request)
{
    CUdeviceptr address;
    int r = pager_alloc_async(drv, request->bytes, request->pool,
                              stream_identity(drv, request->stream), &address);

    if (!r)
        *request->dptr = address;
    return r;
}

static CUresult alloc_async(const struct driver *drv, const struct request *request,
                            CUresult (*native)(const struct driver *, const struct request *))
{
    CUresult result;
    int r = PAGER_E_NATIVE;

    if (!pager_is_small(request->bytes) && may_be_paged(drv, request))
        r = paged_async(drv, request);
    if (r != PAGER_E_NATIVE)
        return driver_result(r);
    result = native(drv, request);
    if (result == CUDA_ERROR_OUT_OF_MEMORY && pager_give_way(drv, request->bytes))
        result = native(drv, request);
    if (result == CUDA_SUCCESS)
        stats_add(native_allocations, 1);
    if (result != CUDA_ERROR_OUT_OF_MEMORY || !may_be_paged(drv, request))
        return result;
    return paged_async(drv, request) ? result : CUDA_SUCCESS;
}

static CUresult native_async(const struct driver *drv, const struct request *request)
{
    return drv->cuMemAllocAsync(request->dptr, request->bytes, request->stream);
}

CUresult hook_cuMemAllocAsync(const struct driver *drv, CUdeviceptr *dptr, size_t bytes,
                              CUstream stream)
{
    struct request request = {dptr, bytes, current_pool(drv), stream};

    return alloc_async(drv, &request, native_async);
}

static CUresult native_from_pool(const struct driver *drv, const struct request *request)
{
    return drv->cuMemAllocFromPoolAsync(request->dptr, request->bytes, request->pool,
                                        request->stream);
}

CUresult hook_cuMemAllocFromPoolAsync(const struct driver *drv, CUdeviceptr *dptr, size_t bytes,
                                      CUmemoryPool pool, CUstream stream)
{
    struct request request = {dptr, bytes, pool, stream};

    return alloc_async(drv, &request, native_from_pool);
}

CUresult hook_cuMemFreeAsync(const struct driver *drv, CUdeviceptr dptr, CUstream stream)
{
    int r;

    if (!residency_block(dptr) || pager_is_captured(drv, stream))
        return drv->cuMemFreeAsync(dptr, stream);
    r = pager_free_async(drv, dptr, stream, stream_identity(drv, stream));
    if (r == 0 || r == -EINVAL)
        return driver_result(r);
    if (r == PAGER_E_NATIVE)
        return CUDA_ERROR_INVALID_VALUE;
    /* Waiting for the stream would not do: what precedes a default stream's next work only has to
     * be over before that. */
    return free_waiting(drv, dptr);
}

CUresult hook_cuMemPoolCreate(const struct driver *drv, CUmemoryPool *pool,
                              const CUmemPoolProps *pool_props)
{
    CUresult result = drv->cuMemPoolCreate(pool, pool_props);

    if (result == CUDA_SUCCESS && pool_props->handleTypes == CU_MEM_HANDLE_TYPE_NONE &&
        pool_props->location.type == CU_MEM_LOCATION_TYPE_DEVICE)
        pager_pool_made(*pool);
    return result;
}

CUresult hook_cuMemPoolDestroy(const struct driver *drv, CUmemoryPool pool)
{
    pager_pool_gone(pool);
    return drv->cuMemPoolDestroy(pool);
}

CUresult hook_cuMemAllocManaged(const struct driver *drv, CUdeviceptr *dptr, size_t bytes,
                                unsigned int flags)
{
    stats_add(managed_allocations, 1);
    return drv->cuMemAllocManaged(dptr, bytes, flags);
}

CUresult hook_cuMemHostAlloc(const struct driver *drv, void **pp, size_t bytes, unsigned int flags)
{
    stats_add(pinned_allocations, 1);
    return drv->cuMemHostAlloc(pp, bytes, flags);
}

CUresult hook_cuMemAllocHost_v2(const struct driver *drv, void **pp, size_t bytes)
{
    stats_add(pinned_allocations, 1);
    return drv->cuMemAllocHost_v2(pp, bytes);
}

CUresult hook_cuMemCreate(const struct driver *drv, CUmemGenericAllocationHandle *handle,
                          size_t size, const CUmemAllocationProp *prop, unsigned long long flags)
{
    CUresult result = drv->cuMemCreate(handle, size, prop, flags);

    if (result == CUDA_ERROR_OUT_OF_MEMORY && prop->location.type == CU_MEM_LOCATION_TYPE_DEVICE &&
        pager_give_way(drv, size))
        result = drv->cuMemCreate(handle, size, prop, flags);
    if (result == CUDA_SUCCESS)
        stats_add(vmm_allocations, 1);
    return result;
}
