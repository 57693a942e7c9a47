/* SPDX-License-Identifier: MIT */
/*
 * Blocks of a segment are a list in the order of their addresses that leaves no gaps. Idle
 * neighbours become one. Requests above SMALL_LIMIT get whole pages of segments of their own size,
 * so that their pages are accessible exactly from the allocation to the free; smaller ones share
 * pages, which are accessible as long as anything in them is.
 *
 * Memory handed out shows MEMORY_PATTERN when its stream reaches the allocation, used before or
 * not.
 */
#include "tests/sim/pool_memory.h"

#include <stdlib.h>

#include "runtime/util.h"
#include "tests/sim/bulk.h"
#include "tests/sim/order.h"

#define SMALL_LIMIT (1 * MIB)
#define SMALL_ALIGN 512

enum block_state { BLOCK_IDLE, BLOCK_USED, BLOCK_PENDING };

struct block {
    struct block *next;
    struct segment *segment;
    uint64_t base;
    uint64_t bytes;
    enum block_state state;
    uint64_t owner;              /* id of the allocation; 0 when idle */
    const struct stream *stream; /* where it was freed; NULL: idle for any stream */
    struct marker *freed;        /* of a pending block */
};

struct segment {
    struct segment *next;
    struct pool *pool;
    struct physical *physical;
    uint64_t base;
    bool small;
    unsigned int *open; /* per page: how many open allocations touch it */
    struct block *blocks;
};

static struct block *block_new(struct segment *segment, uint64_t base, uint64_t bytes)
{
    struct block *block = calloc(1, sizeof(*block));

    if (!block)
        abort();
    block->segment = segment;
    block->base = base;
    block->bytes = bytes;
    return block;
}

static bool is_small(uint64_t bytes)
{
    return bytes <= SMALL_LIMIT;
}

static uint64_t block_need(uint64_t bytes)
{
    return align_up(bytes, is_small(bytes) ? SMALL_ALIGN : SIM_PAGE_BYTES);
}

static CUresult segment_new(struct pool *pool, uint64_t bytes, bool small, struct segment **out)
{
    struct segment *segment = calloc(1, sizeof(*segment));
    CUresult res = CUDA_ERROR_OUT_OF_MEMORY;

    if (!segment)
        return res;
    segment->open = calloc(bytes / SIM_PAGE_BYTES, sizeof(*segment->open));
    if (!segment->open)
        goto free_segment;
    res = physical_new(pool->device, bytes, &segment->physical);
    if (res)
        goto free_segment;
    segment->base = mmu_take_region(bytes, SIM_PAGE_BYTES, 0);
    if (!segment->base) {
        res = CUDA_ERROR_OUT_OF_MEMORY;
        goto put;
    }
    segment->pool = pool;
    segment->small = small;
    segment->blocks = block_new(segment, segment->base, bytes);
    segment->next = pool->segments;
    pool->segments = segment;
    pool->reserved += bytes;
    pool->reserved_high = max_u64(pool->reserved_high, pool->reserved);
    *out = segment;
    return CUDA_SUCCESS;

put:
    physical_put(segment->physical);
free_segment:
    free(segment->open);
    free(segment);
    return res;
}

static bool segment_is_idle(const struct segment *segment)
{
    for (const struct block *block = segment->blocks; block; block = block->next)
        if (block->state != BLOCK_IDLE)
            return false;
    return true;
}

/* Only of one that is idle: its pages are closed. */
static void segment_free(struct segment *segment)
{
    mmu_give_region(segment->base);
    segment->pool->reserved -= segment->physical->bytes;
    physical_put(segment->physical);
    while (segment->blocks) {
        struct block *block = segment->blocks;

        segment->blocks = block->next;
        free(block);
    }
    free(segment->open);
    free(segment);
}

void pool_trim(struct pool *pool, uint64_t keep)
{
    for (struct segment **at = &pool->segments; *at;) {
        struct segment *segment = *at;

        if (pool->reserved <= keep || !segment_is_idle(segment)) {
            at = &segment->next;
            continue;
        }
        *at = segment->next;
        segment_free(segment);
    }
}

static void block_unite_idle(struct segment *segment)
{
    struct block *block = segment->blocks;

    while (block->next) {
        struct block *next = block->next;

        if (block->state != BLOCK_IDLE || next->state != BLOCK_IDLE ||
            block->stream != next->stream) {
            block = next;
            continue;
        }
        block->bytes += next->bytes;
        block->next = next->next;
        free(next);
    }
}

void pool_note_synchronised(struct pool *pool)
{
    for (struct segment *segment = pool->segments; segment; segment = segment->next) {
        for (struct block *block = segment->blocks; block; block = block->next)
            if (block->state == BLOCK_IDLE)
                block->stream = NULL;
        block_unite_idle(segment);
    }
    pool_trim(pool, pool->release_threshold);
}

/* Whether a request in `stream` may have the block now; `waiting`: if need be by waiting. */
static bool block_may_serve(const struct block *block, const struct stream *stream, bool waiting)
{
    const int *reuse = block->segment->pool->reuse;

    if (block->state == BLOCK_USED)
        return false;
    if (!block->stream || block->stream == stream)
        return true;
    if (block->state == BLOCK_IDLE)
        return reuse[REUSE_OPPORTUNISTIC];
    if (reuse[REUSE_EVENTS] && order_follows(stream, block->freed))
        return true;
    return waiting && reuse[REUSE_DEPENDENCIES];
}

/* The smallest block that will do. */
static struct block *find_block(const struct pool *pool, const struct stream *stream,
                                uint64_t bytes, bool waiting)
{
    uint64_t need = block_need(bytes);
    struct block *best = NULL;

    for (const struct segment *segment = pool->segments; segment; segment = segment->next) {
        if (segment->small != is_small(bytes))
            continue;
        for (struct block *block = segment->blocks; block; block = block->next)
            if (block->bytes >= need && (!best || block->bytes < best->bytes) &&
                block_may_serve(block, stream, waiting))
                best = block;
    }
    return best;
}

static struct block *new_memory(struct pool *pool, uint64_t bytes)
{
    uint64_t size = align_up(bytes, SIM_PAGE_BYTES);
    struct segment *segment;

    if (pool->max_bytes && size > pool->max_bytes - min_u64(pool->reserved, pool->max_bytes))
        return NULL;
    return segment_new(pool, size, is_small(bytes), &segment) ? NULL : segment->blocks;
}

/* What is left of a block keeps its state. */
static void block_cut(struct block *block, uint64_t bytes)
{
    struct block *rest;

    if (block->bytes == bytes)
        return;
    rest = block_new(block->segment, block->base + bytes, block->bytes - bytes);
    rest->state = block->state;
    rest->owner = block->owner;
    rest->stream = block->stream;
    rest->freed = marker_get(block->freed);
    rest->next = block->next;
    block->next = rest;
    block->bytes = bytes;
}

/* The allocation whose free is still queued gives way: its address is another's from here on. */
static void retire_owner(uint64_t id, uint64_t address)
{
    struct allocation *allocation = ranges_find(&allocations, address);

    if (id && allocation && allocation->id == id)
        allocation_unlist(allocation);
}

CUresult pool_take(struct pool *pool, struct stream *stream, struct work *work,
                   struct allocation *allocation)
{
    struct block *block = find_block(pool, stream, allocation->range.bytes, false);

    if (!block)
        block = new_memory(pool, allocation->range.bytes);
    if (!block) {
        block = find_block(pool, stream, allocation->range.bytes, true);
        if (!block || work_depend(work, block->freed))
            return CUDA_ERROR_OUT_OF_MEMORY;
    }
    retire_owner(block->owner, block->base);
    block_cut(block, block_need(allocation->range.bytes));
    marker_put(block->freed);
    block->freed = NULL;
    block->state = BLOCK_USED;
    block->owner = allocation->id;
    allocation->range.base = block->base;
    allocation->segment = block->segment;
    return CUDA_SUCCESS;
}

static void page_open(const struct segment *segment, uint64_t page)
{
    const struct pool *pool = segment->pool;
    struct physical part = *segment->physical;
    struct page *entry = mmu_page(page);

    part.memory += page - segment->base;
    mmu_map(page, &part, SIM_PAGE_BYTES, NULL);
    entry->pooled = true;
    entry->readable = pool->readable;
    entry->writable = pool->writable;
}

static void pages_open(const struct segment *segment, const struct range *range, int step)
{
    uint64_t end = range->base + range->bytes;

    for (uint64_t page = align_down(range->base, SIM_PAGE_BYTES); page < end;
         page += SIM_PAGE_BYTES) {
        unsigned int *open = &segment->open[(page - segment->base) / SIM_PAGE_BYTES];

        if (step > 0 && !(*open)++)
            page_open(segment, page);
        else if (step < 0 && !--*open)
            mmu_unmap(page, SIM_PAGE_BYTES);
    }
}

void pool_open(struct allocation *allocation)
{
    const struct segment *segment = allocation->segment;

    if (allocation->open)
        return;
    allocation->open = true;
    pages_open(segment, &allocation->range, 1);
    bulk_fill(segment->physical->memory + (allocation->range.base - segment->base), MEMORY_PATTERN,
              allocation->range.bytes);
}

void pool_close(struct allocation *allocation)
{
    struct segment *segment = allocation->segment;

    if (allocation->open)
        pages_open(segment, &allocation->range, -1);
    allocation->open = false;
    for (struct block *block = segment->blocks; block; block = block->next) {
        if (block->owner != allocation->id)
            continue;
        marker_put(block->freed);
        block->freed = NULL;
        block->owner = 0;
        block->state = BLOCK_IDLE;
    }
    block_unite_idle(segment);
}

void pool_note_free(struct allocation *allocation, struct stream *stream, struct marker *freed)
{
    for (struct block *block = allocation->segment->blocks; block; block = block->next) {
        if (block->owner != allocation->id)
            continue;
        block->state = BLOCK_PENDING;
        block->stream = stream;
        block->freed = marker_get(freed);
    }
}

void pool_set_access(struct pool *pool, int device, bool read, bool write)
{
    uint8_t bit = (uint8_t)(1u << device);

    pool->readable = read ? pool->readable | bit : pool->readable & (uint8_t)~bit;
    pool->writable = write ? pool->writable | bit : pool->writable & (uint8_t)~bit;
    for (const struct segment *segment = pool->segments; segment; segment = segment->next)
        for (uint64_t at = 0; at < segment->physical->bytes; at += SIM_PAGE_BYTES)
            if (segment->open[at / SIM_PAGE_BYTES])
                mmu_set_access(segment->base + at, SIM_PAGE_BYTES, device, read, write);
}
