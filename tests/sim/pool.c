/* SPDX-License-Identifier: MIT */
/*
 * Stream-ordered memory: allocations that exist from one point of a stream to another, and the
 * pools they come from.
 *
 * The address and the memory are taken at the call; what is large is accessible only once the
 * stream reaches the allocation, and until it reaches the free, so that use outside that span
 * faults. What a pool reserves counts as used of the card, also while nobody uses it. Sharing pools
 * with other processes, and pools in host memory, are refused, and no attribute claims them.
 */
#include "tests/sim/pool.h"

#include <stdlib.h>

#include "runtime/util.h"
#include "tests/sim/calls.h"
#include "tests/sim/capture.h"
#include "tests/sim/graph_memory.h"
#include "tests/sim/pool_memory.h"
#include "tests/sim/vmm.h"

static struct pool *pools;
static struct pool *default_pools[MAX_DEVICES];
static struct pool *current_pools[MAX_DEVICES];

static struct pool *pool_new(int device)
{
    struct pool *pool = calloc(1, sizeof(*pool));

    if (!pool || !handle_add(pool, HANDLE_POOL)) {
        free(pool);
        return NULL;
    }
    pool->device = device;
    for (size_t i = 0; i < REUSE_COUNT; i++)
        pool->reuse[i] = 1;
    pool_set_access(pool, device, true, true);
    pool->next = pools;
    pools = pool;
    return pool;
}

static void pool_free(struct pool *pool)
{
    struct pool **at = &pools;

    while (*at != pool)
        at = &(*at)->next;
    *at = pool->next;
    pool_trim(pool, 0);
    free(pool);
}

static struct pool *default_pool(int device)
{
    if (!default_pools[device]) {
        default_pools[device] = pool_new(device);
        if (default_pools[device])
            default_pools[device]->is_default = true;
    }
    return default_pools[device];
}

static struct pool *current_pool(int device)
{
    return current_pools[device] ? current_pools[device] : default_pool(device);
}

void pool_device_synchronised(int device)
{
    for (struct pool *pool = pools; pool; pool = pool->next)
        if (pool->device == device)
            pool_note_synchronised(pool);
}

void pool_make_room(int device)
{
    context_drain_device(device);
    pool_device_synchronised(device);
}

/* The program no longer has it. */
static void note_unused(struct allocation *allocation)
{
    if (!allocation->freeing)
        allocation->pool->used -= allocation->range.bytes;
    allocation->freeing = true;
}

void allocation_retire(struct allocation *allocation)
{
    struct pool *pool = allocation->pool;

    if (pool) {
        note_unused(allocation);
        pool->n_allocations--;
    }
    allocation_free(allocation);
    if (pool && pool->destroyed && !pool->n_allocations)
        pool_free(pool);
}

struct pool_work {
    struct work work;
    uint64_t address;
    uint64_t id; /* of the allocation: the address may be somebody else's by then */
};

static void alloc_run(struct work *work)
{
    const struct pool_work *begin = (struct pool_work *)work;
    struct allocation *allocation = allocation_find(begin->address, begin->id);

    if (allocation)
        pool_open(allocation);
}

static void free_run(struct work *work)
{
    const struct pool_work *end = (struct pool_work *)work;
    struct allocation *allocation = allocation_find(end->address, end->id);

    if (allocation)
        allocation_retire(allocation);
}

static CUresult resolve(CUstream handle, struct stream **out)
{
    struct context *context;
    CUresult res = context_require(&context);

    return res ? res : stream_resolve(handle, context, out);
}

/* Waits for room only when there is none. */
static CUresult take_or_drain(struct pool *pool, struct stream *stream, struct work *work,
                              struct allocation *allocation)
{
    const struct context *context = stream->context;
    CUresult res = pool_take(pool, stream, work, allocation);

    if (res != CUDA_ERROR_OUT_OF_MEMORY)
        return res;
    pool_make_room(pool->device);
    return context->sticky ? context->sticky : pool_take(pool, stream, work, allocation);
}

static CUresult allocate(struct pool *pool, size_t bytes, struct stream *stream, CUdeviceptr *out)
{
    struct pool_work *work;
    struct allocation *allocation;
    CUdeviceptr address;
    CUresult res;

    if (stream->capture)
        return graph_memory_capture_alloc(stream, pool->device, bytes, out);
    work = work_new(sizeof(*work), alloc_run, NULL);
    res = work ? allocation_new_pooled(stream->context, pool, bytes, &allocation)
               : CUDA_ERROR_OUT_OF_MEMORY;
    if (!res) {
        res = take_or_drain(pool, stream, &work->work, allocation);
        if (res)
            free(allocation);
    }
    if (res) {
        work_free(work ? &work->work : NULL);
        return res;
    }
    allocation_list(allocation);
    pool->n_allocations++;
    pool->used += bytes;
    pool->used_high = max_u64(pool->used_high, pool->used);
    address = allocation->range.base;
    work->address = address;
    work->id = allocation->id;
    res = stream_submit(stream, &work->work); /* it may be over by now, and the work is gone */
    if (res)
        allocation_retire(allocation);
    else
        *out = address;
    return res;
}

CUresult sim_cuMemAllocAsync(CUdeviceptr *dptr, size_t bytes, CUstream stream)
{
    struct stream *target;
    struct pool *pool;
    CUresult res = resolve(stream, &target);

    if (res)
        return res;
    if (!dptr || !bytes)
        return CUDA_ERROR_INVALID_VALUE;
    pool = current_pool(target->context->device);
    return pool ? allocate(pool, bytes, target, dptr) : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult sim_cuMemAllocFromPoolAsync(CUdeviceptr *dptr, size_t bytes, CUmemoryPool pool,
                                     CUstream stream)
{
    struct stream *target;
    CUresult res = resolve(stream, &target);

    if (res)
        return res;
    if (!dptr || !bytes || !handle_is(pool, HANDLE_POOL))
        return CUDA_ERROR_INVALID_VALUE;
    return allocate((struct pool *)pool, bytes, target, dptr);
}

CUresult sim_cuMemFreeAsync(CUdeviceptr dptr, CUstream stream)
{
    struct allocation *allocation = ranges_find(&allocations, dptr);
    struct pool_work *work;
    struct stream *target;
    CUresult res = resolve(stream, &target);

    if (res)
        return res;
    if (target->capture)
        return graph_memory_capture_free(target, dptr);
    if (graph_memory_at(dptr))
        return graph_memory_free_async(graph_memory_at(dptr), target);
    if (!allocation || allocation->range.base != dptr || !allocation->pool || allocation->freeing)
        return CUDA_ERROR_INVALID_VALUE;
    work = work_new(sizeof(*work), free_run, NULL);
    if (!work)
        return CUDA_ERROR_OUT_OF_MEMORY;
    note_unused(allocation);
    pool_note_free(allocation, target, work->work.marker);
    work->address = dptr;
    work->id = allocation->id;
    return stream_submit(target, &work->work);
}

CUresult sim_cuMemPoolCreate(CUmemoryPool *pool, const CUmemPoolProps *pool_props)
{
    struct pool *created;
    CUresult res = context_check_sticky();

    if (res)
        return res;
    if (!pool || !pool_props || pool_props->allocType != CU_MEM_ALLOCATION_TYPE_PINNED)
        return CUDA_ERROR_INVALID_VALUE;
    if (pool_props->handleTypes != CU_MEM_HANDLE_TYPE_NONE) {
        core_say("pools whose memory is exported are not simulated");
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    if (pool_props->location.type == CU_MEM_LOCATION_TYPE_HOST ||
        pool_props->location.type == CU_MEM_LOCATION_TYPE_HOST_NUMA) {
        core_say("pools in host memory are not simulated");
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    if (pool_props->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device_is_valid(pool_props->location.id))
        return CUDA_ERROR_INVALID_DEVICE;
    created = pool_new(pool_props->location.id);
    if (!created)
        return CUDA_ERROR_OUT_OF_MEMORY;
    created->max_bytes = pool_props->maxSize;
    *pool = (CUmemoryPool)created;
    return CUDA_SUCCESS;
}

CUresult sim_cuMemPoolDestroy(CUmemoryPool pool)
{
    struct pool *gone = (struct pool *)pool;
    CUresult res = context_check_sticky();

    if (res)
        return res;
    if (!handle_is(gone, HANDLE_POOL) || gone->is_default)
        return CUDA_ERROR_INVALID_VALUE;
    for (int i = 0; i < MAX_DEVICES; i++)
        if (current_pools[i] == gone)
            current_pools[i] = NULL;
    handle_remove(gone);
    gone->destroyed = true;
    gone->release_threshold = 0;
    if (!gone->n_allocations)
        pool_free(gone);
    return CUDA_SUCCESS;
}

static CUresult enter(CUmemoryPool handle, const void *value, struct pool **out)
{
    CUresult res = context_check_sticky();

    if (res)
        return res;
    if (!value || !handle_is(handle, HANDLE_POOL))
        return CUDA_ERROR_INVALID_VALUE;
    *out = (struct pool *)handle;
    return CUDA_SUCCESS;
}

CUresult sim_cuMemPoolTrimTo(CUmemoryPool handle, size_t min_bytes_to_keep)
{
    struct pool *pool;
    CUresult res = enter(handle, &min_bytes_to_keep, &pool);

    if (!res)
        pool_trim(pool, min_bytes_to_keep);
    return res;
}

/* The attributes that are flags, and those that count; the latter can only be made to start anew.
 */
static int *flag_of(struct pool *pool, CUmemPool_attribute attr)
{
    switch ((int)attr) {
    case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
        return &pool->reuse[REUSE_EVENTS];
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
        return &pool->reuse[REUSE_OPPORTUNISTIC];
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
        return &pool->reuse[REUSE_DEPENDENCIES];
    default:
        return NULL;
    }
}

static uint64_t *count_of(struct pool *pool, CUmemPool_attribute attr)
{
    switch ((int)attr) {
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
        return &pool->release_threshold;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT:
        return &pool->reserved;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
        return &pool->reserved_high;
    case CU_MEMPOOL_ATTR_USED_MEM_CURRENT:
        return &pool->used;
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
        return &pool->used_high;
    default:
        return NULL;
    }
}

CUresult sim_cuMemPoolSetAttribute(CUmemoryPool handle, CUmemPool_attribute attr, void *value)
{
    struct pool *pool;
    CUresult res = enter(handle, value, &pool);

    if (res)
        return res;
    if (flag_of(pool, attr)) {
        *flag_of(pool, attr) = *(int *)value;
        return CUDA_SUCCESS;
    }
    switch ((int)attr) {
    case CU_MEMPOOL_ATTR_RELEASE_THRESHOLD:
        pool->release_threshold = *(uint64_t *)value;
        return CUDA_SUCCESS;
    case CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH:
    case CU_MEMPOOL_ATTR_USED_MEM_HIGH:
        if (*(uint64_t *)value)
            return CUDA_ERROR_INVALID_VALUE;
        *count_of(pool, attr) = *count_of(pool, attr == CU_MEMPOOL_ATTR_USED_MEM_HIGH
                                                    ? CU_MEMPOOL_ATTR_USED_MEM_CURRENT
                                                    : CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT);
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

CUresult sim_cuMemPoolGetAttribute(CUmemoryPool handle, CUmemPool_attribute attr, void *value)
{
    struct pool *pool;
    CUresult res = enter(handle, value, &pool);

    if (res)
        return res;
    if (flag_of(pool, attr))
        *(int *)value = *flag_of(pool, attr);
    else if (count_of(pool, attr))
        *(uint64_t *)value = *count_of(pool, attr);
    else
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

static CUresult check_access(const struct pool *pool, const CUmemAccessDesc *desc)
{
    if (desc->location.type != CU_MEM_LOCATION_TYPE_DEVICE || !device_is_valid(desc->location.id))
        return CUDA_ERROR_INVALID_VALUE;
    if (desc->flags != CU_MEM_ACCESS_FLAGS_PROT_NONE &&
        desc->flags != CU_MEM_ACCESS_FLAGS_PROT_READ &&
        desc->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
        return CUDA_ERROR_INVALID_VALUE;
    if (desc->location.id != pool->device && !peer_is_possible(desc->location.id, pool->device))
        return CUDA_ERROR_INVALID_DEVICE;
    /* A card always reaches its own memory. */
    if (desc->location.id == pool->device && desc->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
        return CUDA_ERROR_INVALID_DEVICE;
    return CUDA_SUCCESS;
}

CUresult sim_cuMemPoolSetAccess(CUmemoryPool handle, const CUmemAccessDesc *map, size_t count)
{
    struct pool *pool;
    CUresult res = enter(handle, map, &pool);

    for (size_t i = 0; i < count && !res; i++)
        res = check_access(pool, &map[i]);
    for (size_t i = 0; i < count && !res; i++)
        pool_set_access(pool, map[i].location.id, map[i].flags & CU_MEM_ACCESS_FLAGS_PROT_READ,
                        map[i].flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    return res;
}

CUresult sim_cuMemPoolGetAccess(CUmemAccess_flags *flags, CUmemoryPool handle,
                                CUmemLocation *location)
{
    struct pool *pool;
    CUresult res = enter(handle, flags, &pool);

    if (res)
        return res;
    if (!location || location->type != CU_MEM_LOCATION_TYPE_DEVICE ||
        !device_is_valid(location->id))
        return CUDA_ERROR_INVALID_VALUE;
    *flags = CU_MEM_ACCESS_FLAGS_PROT_NONE;
    if (pool->readable >> location->id & 1)
        *flags = CU_MEM_ACCESS_FLAGS_PROT_READ;
    if (pool->writable >> location->id & 1)
        *flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    return CUDA_SUCCESS;
}

CUresult sim_cuDeviceGetDefaultMemPool(CUmemoryPool *pool_out, CUdevice device)
{
    if (!pool_out)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    *pool_out = (CUmemoryPool)default_pool(device);
    return *pool_out ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult sim_cuDeviceGetMemPool(CUmemoryPool *pool, CUdevice device)
{
    if (!pool)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    *pool = (CUmemoryPool)current_pool(device);
    return *pool ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult sim_cuDeviceSetMemPool(CUdevice device, CUmemoryPool pool)
{
    const struct pool *chosen = (struct pool *)pool;

    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    if (!handle_is(chosen, HANDLE_POOL) || chosen->device != device)
        return CUDA_ERROR_INVALID_VALUE;
    current_pools[device] = (struct pool *)pool;
    return CUDA_SUCCESS;
}

/* The same by location, of which only devices have pools. */
static CUresult location_device(const CUmemLocation *location, CUmemAllocationType type,
                                CUdevice *out)
{
    if (!location)
        return CUDA_ERROR_INVALID_VALUE;
    if (type != CU_MEM_ALLOCATION_TYPE_PINNED || location->type != CU_MEM_LOCATION_TYPE_DEVICE) {
        core_say("pools of other memory than a device's are not simulated");
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    *out = location->id;
    return CUDA_SUCCESS;
}

CUresult sim_cuMemGetDefaultMemPool(CUmemoryPool *pool_out, CUmemLocation *location,
                                    CUmemAllocationType type)
{
    CUdevice device;
    CUresult res = location_device(location, type, &device);

    return res ? res : sim_cuDeviceGetDefaultMemPool(pool_out, device);
}

CUresult sim_cuMemGetMemPool(CUmemoryPool *pool, CUmemLocation *location, CUmemAllocationType type)
{
    CUdevice device;
    CUresult res = location_device(location, type, &device);

    return res ? res : sim_cuDeviceGetMemPool(pool, device);
}

CUresult sim_cuMemSetMemPool(CUmemLocation *location, CUmemAllocationType type, CUmemoryPool pool)
{
    CUdevice device;
    CUresult res = location_device(location, type, &device);

    return res ? res : sim_cuDeviceSetMemPool(device, pool);
}
