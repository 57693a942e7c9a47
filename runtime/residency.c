/* SPDX-License-Identifier: MIT */
#include "runtime/residency.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

struct residency residency;

enum {
    MARKS_MAX = 1 << 14,      /* per range: beyond it buffers are merged with the one before */
    SCANNED_ALWAYS = 4 << 12, /* bytes of an upload: two thousand addresses */
};

static struct range nobodys;
struct block residency_nobody = {.range = &nobodys};

static _Atomic(struct block *) *slots_new(uint64_t n_slots)
{
    _Atomic(struct block *) *slots = malloc(n_slots * sizeof(*slots));

    for (uint64_t i = 0; slots && i < n_slots; i++)
        atomic_init(&slots[i], &residency_nobody);
    return slots;
}

int residency_init(const struct driver *drv, uint64_t bytes, uint64_t least_bytes,
                   uint64_t slot_bytes)
{
    int r = space_init(&residency.space, drv, bytes, least_bytes, slot_bytes);

    if (r)
        return r;
    residency.slots = slots_new(residency.space.n_slots);
    if (!residency.slots) {
        space_fini(&residency.space, drv);
        return -ENOMEM;
    }
    residency.base = residency.space.base;
    residency.slot_shift = (uint32_t)__builtin_ctzll(slot_bytes);
    atomic_store_explicit(&residency.scanned, SCANNED_ALWAYS, memory_order_relaxed);
    atomic_store_explicit(&residency.bytes, residency.space.n_slots * slot_bytes,
                          memory_order_release);
    return 0;
}

void residency_reset(void)
{
    memset(&residency, 0, sizeof(residency));
}

struct range *residency_range(uint64_t address)
{
    struct block *block = residency_block(address);

    if (!block || block->range->state != RANGE_LIVE)
        return NULL;
    return address - block->range->base < block->range->bytes ? block->range : NULL;
}

struct range *residency_range_at(uint64_t base)
{
    struct range *range = residency_range(base);

    return range && range->base == base ? range : NULL;
}

static unsigned int size_class(uint64_t n_blocks)
{
    return n_blocks <= 1 ? 0 : 64 - (unsigned int)__builtin_clzll(n_blocks - 1);
}

static struct range *range_recycle_or_new(uint64_t n_blocks)
{
    unsigned int class = size_class(n_blocks);
    struct range *range;

    if (class >= ARRAY_SIZE(residency.recycled))
        return NULL;
    range = residency.recycled[class];
    if (range) {
        residency.recycled[class] = range->next;
        range->next = NULL;
        return range;
    }
    range = calloc(1, sizeof(*range) + sizeof(struct block) * ((uint64_t)1 << class));
    if (!range)
        return NULL;
    range->capacity = 1u << class;
    for (uint32_t i = 0; i < range->capacity; i++) {
        range->blocks[i].range = range;
        range->blocks[i].index = i;
    }
    return range;
}

static void range_recycle(struct range *range)
{
    struct range **list = &residency.recycled[size_class(range->capacity)];

    range->next = *list;
    *list = range;
}

int range_take(uint64_t bytes, uint64_t granularity, struct range **out)
{
    uint64_t slot_bytes = residency.space.slot_bytes;
    uint64_t n_blocks = (bytes + slot_bytes - 1) / slot_bytes;
    struct range *range = range_recycle_or_new(n_blocks);
    int r;

    if (!range)
        return -ENOMEM;
    /* Where one range ends no other begins, so that the address of an end is nobody else's. */
    range->n_slots = (uint32_t)n_blocks + 1;
    r = space_take(&residency.space, range->n_slots, &range->base);
    if (r)
        r = space_take(&residency.space, --range->n_slots, &range->base);
    if (r) {
        range_recycle(range);
        return r;
    }
    range->bytes = bytes;
    range->mapped_bytes = align_up(bytes, granularity);
    range->id = ++residency.next_id;
    range->pager = NULL;
    range->ctx = NULL;
    range->mempool = NULL;
    range->planned = false;
    range->aside = 0;
    range->state = RANGE_LIVE;
    range->n_blocks = (uint32_t)n_blocks;
    range->marks.n = 0;
    range->named.n = 0;
    range->uploads.n = 0;
    range->escaped = false;
    range->sources.n = 0;
    atomic_store_explicit(&range->n_away, 0, memory_order_relaxed);
    for (uint32_t i = 0; i < n_blocks; i++) {
        struct block *block = &range->blocks[i];

        block->bytes = min_u64(slot_bytes, range->mapped_bytes - i * slot_bytes);
        block->chunk = NULL;
        block->needed = 0;
        block->plan = 0;
        block->launch = 0;
        block->was_away = false;
        block->rewrites = 0;
        block->looks = 0;
        block->heat = 0;
        block->shadow = NULL;
        block->piece = 0;
        block->escaped = false;
        block->page = 0;
        atomic_store_explicit(&block->takes_turns, false, memory_order_relaxed);
        block_touch(block, atomic_load_explicit(&residency.clock, memory_order_relaxed));
    }
    *out = range;
    return 0;
}

static void slots_set(const struct range *range, bool visible)
{
    uint64_t first = (range->base - residency.base) >> residency.slot_shift;

    for (uint32_t i = 0; i < range->n_blocks; i++)
        atomic_store_explicit(&residency.slots[first + i],
                              visible ? (struct block *)&range->blocks[i] : &residency_nobody,
                              memory_order_release);
}

void range_publish(struct range *range)
{
    DL_APPEND(residency.ranges, range);
    slots_set(range, true);
}

void range_retract(struct range *range)
{
    DL_DELETE(residency.ranges, range);
    range->state = RANGE_FREEING;
}

void range_restore(struct range *range)
{
    range->state = RANGE_LIVE;
    DL_APPEND(residency.ranges, range);
}

void range_give(struct range *range)
{
    slots_set(range, false);
    space_give(&residency.space, range->base, range->n_slots);
    range_recycle(range);
}

/* The first mark above `offset`. */
static uint32_t mark_after(const struct marks *marks, uint64_t offset)
{
    uint32_t low = 0;
    uint32_t high = marks->n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (marks->at[middle] > offset)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static bool marks_have_room(struct marks *marks)
{
    uint32_t capacity = marks->capacity ? 2 * marks->capacity : 16;
    uint64_t *grown;

    if (marks->n < marks->capacity)
        return true;
    if (capacity > MARKS_MAX)
        return false;
    grown = realloc(marks->at, capacity * sizeof(*grown));
    if (!grown)
        return false;
    marks->at = grown;
    marks->capacity = capacity;
    return true;
}

static void mark(struct marks *marks, uint64_t offset)
{
    uint32_t at = mark_after(marks, offset);

    if (!offset || (at > 0 && marks->at[at - 1] == offset) || !marks_have_room(marks))
        return;
    memmove(&marks->at[at + 1], &marks->at[at], (marks->n - at) * sizeof(*marks->at));
    marks->at[at] = offset;
    marks->n++;
}

void range_mark(struct range *range, uint64_t address)
{
    mark(&range->uploads, address - range->base);
    mark(&range->marks, address - range->base);
}

void range_name(struct range *range, uint64_t address)
{
    mark(&range->marks, address - range->base);
    mark(&range->named, address - range->base);
}

static uint64_t extent(const struct range *range, const struct marks *marks, uint64_t address)
{
    uint64_t offset = address - range->base;
    uint32_t at = mark_after(marks, offset);
    uint64_t end = at < marks->n ? marks->at[at] : range->bytes;

    return end > offset ? end - offset : 0;
}

uint64_t range_extent(const struct range *range, uint64_t address)
{
    return extent(range, &range->marks, address);
}

uint64_t range_named_extent(const struct range *range, uint64_t address)
{
    return extent(range, &range->named, address);
}

uint64_t range_certain_extent(const struct range *range, uint64_t address)
{
    const struct marks *uploads = &range->uploads;
    const struct marks *named = &range->named;
    uint64_t offset = address - range->base;
    uint32_t i = mark_after(uploads, offset);
    uint32_t k = mark_after(named, offset);

    while (i < uploads->n && k < named->n) {
        if (uploads->at[i] == named->at[k])
            return uploads->at[i] - offset;
        if (uploads->at[i] < named->at[k])
            i++;
        else
            k++;
    }
    return range->bytes > offset ? range->bytes - offset : 0;
}

void range_escape(struct range *range, uint64_t address)
{
    uint64_t bytes = range_extent(range, address);
    uint64_t first = (address - range->base) >> residency.slot_shift;
    uint64_t last = (address - range->base + bytes - 1) >> residency.slot_shift;

    for (uint64_t i = first; bytes && i <= last; i++)
        range->blocks[i].escaped = true;
}

bool range_begins_at(const struct range *range, uint64_t address)
{
    uint64_t offset = address - range->base;
    uint32_t at = mark_after(&range->marks, offset);

    return !offset || (at > 0 && range->marks.at[at - 1] == offset);
}

bool range_takes_turns(const struct range *range, uint32_t first, uint32_t last)
{
    for (uint32_t i = first; i <= last && i < range->n_blocks; i++) {
        if (atomic_load_explicit(&range->blocks[i].takes_turns, memory_order_relaxed))
            return true;
    }
    return false;
}

bool residency_takes_turns(uint64_t address, uint64_t bytes)
{
    const struct block *block = residency_block(address);
    const struct range *range;
    uint64_t last;

    if (!block || !bytes)
        return false;
    range = block->range;
    last = (address - range->base + bytes - 1) >> residency.slot_shift;
    return range_takes_turns(range, block->index, (uint32_t)min_u64(last, range->n_blocks));
}

uint64_t residency_run(uint64_t address, uint64_t bytes)
{
    uint64_t slot_bytes = (uint64_t)1 << residency.slot_shift;
    const struct block *block = residency_block(address);
    const struct range *range;
    enum tier tier;
    uint64_t run;

    if (!block)
        return bytes;
    range = block->range;
    if (!range_is_away(range))
        return bytes;
    tier = block_tier(block);
    if (tier == TIER_DISK)
        return residency_block_run(address, bytes);
    run = block_address(block) + slot_bytes - address;
    for (uint32_t i = block->index + 1; run < bytes && i < range->n_blocks; i++) {
        if (block_tier(&range->blocks[i]) != tier)
            return run;
        run += slot_bytes;
    }
    return bytes;
}

uint64_t residency_block_run(uint64_t address, uint64_t bytes)
{
    uint64_t slot_bytes = (uint64_t)1 << residency.slot_shift;
    const struct block *block = residency_block(address);

    return block ? min_u64(block_address(block) + slot_bytes - address, bytes) : bytes;
}
