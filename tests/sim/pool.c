/* SPDX-License-Identifier: MIT */
/*
 * Stream-ordered memory: allocations that exist from one point of a stream to another.
 *
 * The address and the memory are taken at the call, but a large allocation is mapped only when the
 * stream reaches it and both kinds are given back when the stream reaches the free, so that use
 * outside that span faults. A pool keeps no memory it does not use: release thresholds are stored
 * and have no effect, and reserved memory equals used memory.
 */
#include "tests/sim/pool.h"

#include <stdlib.h>

#include "runtime/util.h"
#include "tests/sim/calls.h"
#include "tests/sim/capture.h"
#include "tests/sim/vmm.h"

struct pool {
    int device;
    bool is_default;
    bool destroyed;     /* freed with its last allocation */
    uint64_t max_bytes; /* 0: no limit of its own */
    uint64_t used;
    uint64_t used_high;
    size_t n_allocations;
    uint64_t release_threshold;
    int reuse[3]; /* follow event dependencies, opportunistic, internal dependencies */
};

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
    for (size_t i = 0; i < ARRAY_SIZE(pool->reuse); i++)
        pool->reuse[i] = 1;
    return pool;
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

void allocation_retire(struct allocation *allocation)
{
    struct pool *pool = allocation->pool;

    if (pool) {
        pool->used -= allocation->range.bytes;
        pool->n_allocations--;
    }
    allocation_free(allocation);
    if (pool && pool->destroyed && !pool->n_allocations)
        free(pool);
}

struct pool_work {
    struct work work;
    uint64_t address;
    uint64_t id; /* of the allocation: the address may be somebody else's by then */
};

static struct allocation *work_allocation(const struct pool_work *work)
{
    struct allocation *allocation = ranges_find(&allocations, work->address);

    return allocation && allocation->id == work->id ? allocation : NULL;
}

static void alloc_run(struct work *work)
{
    struct allocation *allocation = work_allocation((struct pool_work *)work);

    if (allocation)
        allocation_map(allocation);
}

static void free_run(struct work *work)
{
    struct allocation *allocation = work_allocation((struct pool_work *)work);

    if (allocation)
        allocation_retire(allocation);
}

static CUresult submit(struct stream *stream, const struct allocation *allocation,
                       void (*run)(struct work *))
{
    struct pool_work *work = work_new(sizeof(*work), run, NULL);

    if (!work)
        return CUDA_ERROR_OUT_OF_MEMORY;
    work->address = allocation->range.base;
    work->id = allocation->id;
    return stream_submit(stream, &work->work);
}

static CUresult resolve(CUstream handle, struct stream **out)
{
    struct context *context;
    CUresult res = context_require(&context);

    if (!res)
        res = stream_resolve(handle, context, out);
    if (!res && (*out)->capture) {
        core_say("stream-ordered memory in a stream capture is not simulated");
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    return res;
}

static CUresult allocate(struct pool *pool, size_t bytes, struct stream *stream, CUdeviceptr *out)
{
    struct allocation *allocation;
    CUresult res;

    if (!out || !bytes)
        return CUDA_ERROR_INVALID_VALUE;
    if (!pool)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (pool->max_bytes && bytes > pool->max_bytes - min_u64(pool->used, pool->max_bytes))
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (pool->device != stream->context->device) {
        core_say("a pool of device %d used in a stream of device %d is not simulated", pool->device,
                 stream->context->device);
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    res = allocation_new_or_drain(stream->context, bytes, false, &allocation);
    if (res)
        return res;
    allocation->pool = pool;
    pool->n_allocations++;
    pool->used += bytes;
    pool->used_high = max_u64(pool->used_high, pool->used);
    *out = allocation->range.base;
    res = submit(stream, allocation, alloc_run);
    if (res)
        allocation_retire(allocation);
    return res;
}

CUresult sim_cuMemAllocAsync(CUdeviceptr *dptr, size_t bytes, CUstream stream)
{
    struct stream *target;
    CUresult res = resolve(stream, &target);

    return res ? res : allocate(current_pool(target->context->device), bytes, target, dptr);
}

CUresult sim_cuMemAllocFromPoolAsync(CUdeviceptr *dptr, size_t bytes, CUmemoryPool pool,
                                     CUstream stream)
{
    struct stream *target;
    CUresult res = resolve(stream, &target);

    if (res)
        return res;
    if (!handle_is(pool, HANDLE_POOL))
        return CUDA_ERROR_INVALID_VALUE;
    return allocate((struct pool *)pool, bytes, target, dptr);
}

CUresult sim_cuMemFreeAsync(CUdeviceptr dptr, CUstream stream)
{
    struct allocation *allocation = ranges_find(&allocations, dptr);
    struct stream *target;
    CUresult res = resolve(stream, &target);

    if (res)
        return res;
    if (!allocation || allocation->range.base != dptr || !allocation->pool || allocation->freeing)
        return CUDA_ERROR_INVALID_VALUE;
    allocation->freeing = true;
    return submit(target, allocation, free_run);
}

CUresult sim_cuMemPoolCreate(CUmemoryPool *pool, const CUmemPoolProps *pool_props)
{
    struct pool *created;
    CUresult res = context_check_sticky();

    if (res)
        return res;
    if (!pool || !pool_props || pool_props->allocType != CU_MEM_ALLOCATION_TYPE_PINNED ||
        pool_props->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_INVALID_VALUE;
    if (pool_props->handleTypes != CU_MEM_HANDLE_TYPE_NONE) {
        core_say("pools whose memory is exported are not simulated");
        return CUDA_ERROR_NOT_SUPPORTED;
    }
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
    if (!gone->n_allocations)
        free(gone);
    return CUDA_SUCCESS;
}

CUresult sim_cuMemPoolTrimTo(CUmemoryPool pool, size_t min_bytes_to_keep)
{
    CUresult res = context_check_sticky();

    if (res)
        return res;
    return handle_is(pool, HANDLE_POOL) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static int *reuse_flag(struct pool *pool, CUmemPool_attribute attr)
{
    switch ((int)attr) {
    case CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES:
        return &pool->reuse[0];
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC:
        return &pool->reuse[1];
    case CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES:
        return &pool->reuse[2];
    default:
        return NULL;
    }
}

CUresult sim_cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value)
{
    struct pool *changed = (struct pool *)pool;
    CUresult res = context_check_sticky();
    int *flag;

    if (res)
        return res;
    if (!value || !handle_is(changed, HANDLE_POOL))
        return CUDA_ERROR_INVALID_VALUE;
    flag = reuse_flag(changed, attr);
    if (flag)
        *flag = *(int *)value;
    else if (attr == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD)
        changed->release_threshold = *(uint64_t *)value;
    else if (attr == CU_MEMPOOL_ATTR_USED_MEM_HIGH || attr == CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH)
        changed->used_high = changed->used;
    else
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

CUresult sim_cuMemPoolGetAttribute(CUmemoryPool pool, CUmemPool_attribute attr, void *value)
{
    struct pool *asked = (struct pool *)pool;
    CUresult res = context_check_sticky();
    int *flag;

    if (res)
        return res;
    if (!value || !handle_is(asked, HANDLE_POOL))
        return CUDA_ERROR_INVALID_VALUE;
    flag = reuse_flag(asked, attr);
    if (flag)
        *(int *)value = *flag;
    else if (attr == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD)
        *(uint64_t *)value = asked->release_threshold;
    else if (attr == CU_MEMPOOL_ATTR_USED_MEM_HIGH || attr == CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH)
        *(uint64_t *)value = asked->used_high;
    else if (attr == CU_MEMPOOL_ATTR_USED_MEM_CURRENT ||
             attr == CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT)
        *(uint64_t *)value = asked->used;
    else
        return CUDA_ERROR_INVALID_VALUE;
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
