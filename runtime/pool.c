/* SPDX-License-Identifier: MIT */
#include "runtime/pool.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include "runtime/log.h"
#include "runtime/stats.h"
#include "runtime/vmm.h"

static void count_held(const struct pool *pool, int64_t bytes)
{
    if (pool->tier == TIER_DEVICE)
        stats_add(device_pool_bytes, (uint64_t)bytes);
    else
        stats_add(host_pool_bytes, (uint64_t)bytes);
}

int pool_init(struct pool *pool, enum tier tier, const CUmemAllocationProp *prop, CUdevice device,
              uint64_t budget, uint64_t granularity, uint64_t largest_chunk)
{
    *pool = (struct pool){
        .tier = tier,
        .prop = *prop,
        .device = device,
        .ceiling = budget,
        .budget = budget,
        .granularity = granularity,
        .n_classes = largest_chunk / granularity,
    };
    pool->spare = calloc(pool->n_classes, sizeof(*pool->spare));
    return pool->spare ? 0 : -ENOMEM;
}

/* Once: it is a limit, and will be met again. */
static void tell_of_limit(void)
{
    static atomic_bool told;
    struct rlimit limit;

    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        !atomic_exchange(&told, true))
        log_warn(
            "no addresses are left for more pinned memory (ulimit -v %llu); what is pinned has "
            "to do",
            (unsigned long long)limit.rlim_cur / 1024);
}

static int alias_map(struct pool *pool, const struct driver *drv, struct chunk *chunk)
{
    struct vmm_access access = {.n = 0};
    CUdeviceptr alias;
    int r;

    r = driver_errno(drv->cuMemAddressReserve(&alias, chunk->bytes, 0, 0, 0));
    if (r == -ENOMEM)
        tell_of_limit();
    if (r)
        return r;
    vmm_access_add(&access, pool->device);
    r = vmm_map(drv, alias, chunk->bytes, chunk->handle, &access);
    if (r) {
        vmm_unreserve(drv, alias, chunk->bytes);
        return r;
    }
    chunk->alias = alias;
    return 0;
}

static void alias_unmap(const struct driver *drv, struct chunk *chunk)
{
    if (chunk->alias && vmm_unmap(drv, chunk->alias, chunk->bytes) == 0)
        vmm_unreserve(drv, chunk->alias, chunk->bytes);
}

static void chunk_free(struct pool *pool, const struct driver *drv, struct chunk *chunk)
{
    alias_unmap(drv, chunk);
    vmm_release(drv, chunk->handle);
    count_held(pool, -(int64_t)chunk->bytes);
    free(chunk);
    pool_forgive(pool);
}

static int chunk_new(struct pool *pool, const struct driver *drv, uint64_t bytes,
                     struct chunk **out)
{
    struct chunk *chunk = calloc(1, sizeof(*chunk));
    int r;

    if (!chunk)
        return -ENOMEM;
    chunk->bytes = bytes;
    r = driver_errno(drv->cuMemCreate(&chunk->handle, bytes, &pool->prop, 0));
    if (r)
        goto free_chunk;
    if (pool->tier == TIER_HOST) {
        r = alias_map(pool, drv, chunk);
        if (r)
            goto release;
    }
    count_held(pool, (int64_t)bytes);
    *out = chunk;
    return 0;

release:
    vmm_release(drv, chunk->handle);
free_chunk:
    free(chunk);
    return r;
}

static struct chunk **spare_of(struct pool *pool, uint64_t bytes)
{
    return &pool->spare[bytes / pool->granularity - 1];
}

static struct chunk *spare_pop(struct pool *pool, struct chunk **list)
{
    struct chunk *chunk = *list;

    if (chunk) {
        *list = chunk->next;
        pool->kept -= chunk->bytes;
    }
    return chunk;
}

/* Kept chunks of other sizes must not stand in the way of one that is wanted. */
static void make_room(struct pool *pool, const struct driver *drv, uint64_t bytes)
{
    for (size_t i = pool->n_classes; i-- > 0;) {
        while (pool->spare[i] && pool->used + pool->kept + bytes > pool->budget)
            chunk_free(pool, drv, spare_pop(pool, &pool->spare[i]));
    }
}

int pool_take(struct pool *pool, const struct driver *drv, uint64_t bytes, struct chunk **out)
{
    struct chunk *chunk;
    int r;

    if (bytes > pool_room(pool))
        return POOL_E_FULL;

    chunk = spare_pop(pool, spare_of(pool, bytes));
    if (!chunk) {
        make_room(pool, drv, bytes);
        r = chunk_new(pool, drv, bytes, &chunk);
        if (r == -ENOMEM && pool->kept) {
            pool_trim(pool, drv);
            r = chunk_new(pool, drv, bytes, &chunk);
        }
        if (r == -ENOMEM) {
            pool->budget = pool->used + pool->kept;
            return POOL_E_FULL;
        }
        if (r)
            return r;
    }
    pool->used += bytes;
    *out = chunk;
    return 0;
}

void pool_give(struct pool *pool, const struct driver *drv, struct chunk *chunk)
{
    struct chunk **list = spare_of(pool, chunk->bytes);

    pool->used -= chunk->bytes;
    pool->kept += chunk->bytes;
    chunk->next = *list;
    *list = chunk;

    for (size_t i = pool->n_classes; i-- > 0;) {
        while (pool->spare[i] && pool->kept > pool->used)
            chunk_free(pool, drv, spare_pop(pool, &pool->spare[i]));
    }
}

void pool_trim(struct pool *pool, const struct driver *drv)
{
    for (size_t i = 0; i < pool->n_classes; i++) {
        while (pool->spare[i])
            chunk_free(pool, drv, spare_pop(pool, &pool->spare[i]));
    }
}

void pool_fini(struct pool *pool, const struct driver *drv)
{
    if (!pool->spare)
        return;
    pool_trim(pool, drv);
    free(pool->spare);
    *pool = (struct pool){0};
}
