/* SPDX-License-Identifier: MIT */
/*
 * Allocations of device memory, and native memory: what cuMemAlloc hands out.
 *
 * A native request of at most SMALL_LIMIT shares a 2 MiB page with others (a slab: one bitmap of
 * 512-byte units); a larger one gets pages of its own. So the card fills up in whole pages, as real
 * ones do, and a slab's page goes back when its last allocation does.
 */
#include "tests/sim/bulk.h"
#include "tests/sim/memory.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"
#include "tests/sim/context.h"
#include "tests/sim/pool.h"
#include "tests/sim/pool_memory.h"

#define SMALL_LIMIT (1 * MIB)
#define UNIT_BYTES  512
#define SLAB_UNITS  (SIM_PAGE_BYTES / UNIT_BYTES)

struct slab {
    struct slab *next;
    const struct context *context;
    uint64_t base;
    struct physical *physical;
    size_t n_used;
    bool used[SLAB_UNITS];
};

struct ranges allocations;
static struct allocation *unlisted;
static struct slab *slabs;

uint64_t memory_next_id(void)
{
    static uint64_t last;

    return ++last;
}

static CUresult slab_new(struct context *context, struct slab **out)
{
    struct slab *slab = calloc(1, sizeof(*slab));
    CUresult res = CUDA_ERROR_OUT_OF_MEMORY;

    if (!slab)
        return res;
    slab->context = context;
    res = physical_new(context->device, SIM_PAGE_BYTES, &slab->physical);
    if (res)
        goto free_slab;
    slab->base = mmu_take_region(SIM_PAGE_BYTES, SIM_PAGE_BYTES, 0);
    if (!slab->base) {
        res = CUDA_ERROR_OUT_OF_MEMORY;
        goto put;
    }
    mmu_map(slab->base, slab->physical, SIM_PAGE_BYTES, NULL);
    mmu_set_access(slab->base, SIM_PAGE_BYTES, context->device, true, true);
    slab->next = slabs;
    slabs = slab;
    *out = slab;
    return CUDA_SUCCESS;

put:
    physical_put(slab->physical);
free_slab:
    free(slab);
    return res;
}

static void slab_free(struct slab *slab)
{
    struct slab **at = &slabs;

    while (*at != slab)
        at = &(*at)->next;
    *at = slab->next;
    mmu_unmap(slab->base, SIM_PAGE_BYTES);
    mmu_give_region(slab->base);
    physical_put(slab->physical);
    free(slab);
}

/* First run of `n` free units; SLAB_UNITS when there is none. */
static size_t slab_room(const struct slab *slab, size_t n)
{
    size_t run = 0;

    if (SLAB_UNITS - slab->n_used < n)
        return SLAB_UNITS;
    for (size_t i = 0; i < SLAB_UNITS; i++) {
        run = slab->used[i] ? 0 : run + 1;
        if (run == n)
            return i + 1 - n;
    }
    return SLAB_UNITS;
}

static void slab_mark(struct slab *slab, const struct range *range, bool used)
{
    size_t n = align_up(range->bytes, UNIT_BYTES) / UNIT_BYTES;

    memset(&slab->used[(range->base - slab->base) / UNIT_BYTES], used, n);
    slab->n_used = used ? slab->n_used + n : slab->n_used - n;
}

static CUresult place_small(struct context *context, struct allocation *allocation)
{
    size_t n = align_up(allocation->range.bytes, UNIT_BYTES) / UNIT_BYTES;
    struct slab *slab;
    size_t at = SLAB_UNITS;
    CUresult res;

    for (slab = slabs; slab; slab = slab->next)
        if (slab->context == context && (at = slab_room(slab, n)) < SLAB_UNITS)
            break;
    if (!slab) {
        res = slab_new(context, &slab);
        if (res)
            return res;
        at = 0;
    }
    allocation->slab = slab;
    allocation->range.base = slab->base + at * UNIT_BYTES;
    slab_mark(slab, &allocation->range, true);
    bulk_fill(slab->physical->memory + at * UNIT_BYTES, MEMORY_PATTERN, n * UNIT_BYTES);
    return CUDA_SUCCESS;
}

static CUresult place_large(struct context *context, struct allocation *allocation)
{
    uint64_t bytes = align_up(allocation->range.bytes, SIM_PAGE_BYTES);
    CUresult res = physical_new(context->device, bytes, &allocation->physical);

    if (res)
        return res;
    allocation->range.base = mmu_take_region(bytes, SIM_PAGE_BYTES, 0);
    if (!allocation->range.base) {
        physical_put(allocation->physical);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    mmu_map(allocation->range.base, allocation->physical, bytes, NULL);
    mmu_set_access(allocation->range.base, bytes, allocation->device, true, true);
    return CUDA_SUCCESS;
}

/* Without a place yet. NULL when there is no room for the struct, or never could be for the bytes:
 * rounding up to pages must not wrap around. */
static struct allocation *allocation_make(struct context *context, uint64_t bytes)
{
    struct allocation *allocation =
        bytes <= (uint64_t)1 << 48 ? calloc(1, sizeof(*allocation)) : NULL;

    if (!allocation)
        return NULL;
    allocation->context = context;
    allocation->device = context->device;
    allocation->range.bytes = bytes;
    allocation->id = memory_next_id();
    return allocation;
}

void allocation_list(struct allocation *allocation)
{
    if (!ranges_insert(&allocations, &allocation->range))
        abort();
}

CUresult allocation_new(struct context *context, uint64_t bytes, struct allocation **out)
{
    struct allocation *allocation = allocation_make(context, bytes);
    CUresult res;

    if (!allocation)
        return CUDA_ERROR_OUT_OF_MEMORY;
    res =
        bytes <= SMALL_LIMIT ? place_small(context, allocation) : place_large(context, allocation);
    if (res) {
        free(allocation);
        return res;
    }
    allocation_list(allocation);
    *out = allocation;
    return CUDA_SUCCESS;
}

CUresult allocation_new_pooled(struct context *context, struct pool *pool, uint64_t bytes,
                               struct allocation **out)
{
    struct allocation *allocation = allocation_make(context, bytes);

    if (!allocation)
        return CUDA_ERROR_OUT_OF_MEMORY;
    allocation->pool = pool;
    allocation->device = pool->device;
    *out = allocation;
    return CUDA_SUCCESS;
}

void allocation_unlist(struct allocation *allocation)
{
    ranges_remove(&allocations, &allocation->range);
    allocation->next_unlisted = unlisted;
    unlisted = allocation;
}

struct allocation *allocation_find(uint64_t address, uint64_t id)
{
    struct allocation *allocation = ranges_find(&allocations, address);

    if (allocation && allocation->id == id)
        return allocation;
    for (allocation = unlisted; allocation; allocation = allocation->next_unlisted)
        if (allocation->id == id)
            return allocation;
    return NULL;
}

/* Wherever it can be found. */
static void allocation_forget(struct allocation *allocation)
{
    struct allocation **at = &unlisted;

    while (*at && *at != allocation)
        at = &(*at)->next_unlisted;
    if (*at)
        *at = allocation->next_unlisted;
    else
        ranges_remove(&allocations, &allocation->range);
}

void allocation_free(struct allocation *allocation)
{
    allocation_forget(allocation);
    if (allocation->segment) {
        pool_close(allocation);
    } else if (allocation->slab) {
        slab_mark(allocation->slab, &allocation->range, false);
        if (!allocation->slab->n_used)
            slab_free(allocation->slab);
    } else {
        mmu_unmap(allocation->range.base, allocation->physical->bytes);
        mmu_give_region(allocation->range.base);
        physical_put(allocation->physical);
    }
    free(allocation);
}

void allocation_free_of_context(const struct context *context)
{
    for (size_t i = allocations.n; i-- > 0;) {
        struct allocation *allocation = (struct allocation *)allocations.items[i];

        if (allocation->context == context && !allocation->graph_memory)
            allocation_retire(allocation);
    }
    for (struct allocation *next, *allocation = unlisted; allocation; allocation = next) {
        next = allocation->next_unlisted;
        if (allocation->context == context)
            allocation_retire(allocation);
    }
}
