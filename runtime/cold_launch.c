/* SPDX-License-Identifier: MIT */
/*
 * What a launch may touch, brought back before it: as much as there is memory for, but never less
 * than it certainly touches.
 */
#include "runtime/cold_parts.h"

#include <errno.h>
#include <stdlib.h>
#include "runtime/log.h"
#include "runtime/pager.h"

/* How far a launch is taken to reach from an address that it is given. */
typedef uint64_t reach_fn(const struct range *range, uint64_t address);

/* What of all that a launch may touch is brought back. */
struct ambition {
    reach_fn *bytes_from;
    uint64_t most;  /* from one address */
    bool whole_way; /* what lies between a pointer and where a number leads */
};

struct reached {
    struct block **blocks;
    size_t n;
    uint64_t bytes;
    bool any_on_disk;
};

/* Adds the blocks of an extent that the launch has not reached yet. */
static int reach_extent(const struct extent *extent, uint64_t launch, struct reached *reached)
{
    struct range *range = extent->range;
    uint32_t last = (uint32_t)min_u64(extent_last(extent), range->n_blocks - 1);
    uint32_t first = extent_first(extent);
    struct block **grown =
        realloc(reached->blocks, (reached->n + last - first + 1) * sizeof(*grown));

    if (!grown)
        return -ENOMEM;
    reached->blocks = grown;
    for (uint32_t i = first; i <= last; i++) {
        struct block *block = &range->blocks[i];

        if (block->launch == launch)
            continue;
        block->launch = launch;
        reached->blocks[reached->n++] = block;
        reached->bytes += block->bytes;
        reached->any_on_disk |= block_tier(block) == TIER_DISK;
    }
    return 0;
}

/* `bytes`: 0 for as far as from a pointer; that is never less than a buffer, if it is known to end
 * so soon that memory could hold it. */
static int reach_from(struct range *range, CUdeviceptr address, uint64_t bytes,
                      const struct ambition *ambition, struct reached *out)
{
    struct extent extent = {.range = range, .address = address, .bytes = bytes};
    uint64_t buffer = range_extent(range, address);

    if (!bytes)
        extent.bytes = min_u64(ambition->bytes_from(range, address), ambition->most);
    if (!bytes && buffer <= cold_memory(range->pager))
        extent.bytes = max_u64(extent.bytes, buffer);
    extent.bytes = max_u64(extent.bytes, 1);
    return reach_extent(&extent, range->pager->launch, out);
}

/* All blocks of the card that the launch reaches, each once. */
static int reach(struct pager *pager, const struct extents *extents, const struct reaches *reaches,
                 const struct ambition *ambition, struct reached *out)
{
    int r = 0;

    pager->launch++;
    *out = (struct reached){.n = 0};
    for (size_t i = 0; i < extents->n && !r; i++) {
        const struct extent *extent = &extents->list[i];

        if (extent->range->pager == pager && !extent->staged)
            r = reach_from(extent->range, extent->address, 0, ambition, out);
    }
    for (size_t i = 0; i < reaches->n && !r; i++) {
        const struct reached_place *place = &reaches->list[i];

        if (place->range->pager == pager && (!place->on_the_way || ambition->whole_way))
            r = reach_from(place->range, place->address, place->bytes, ambition, out);
    }
    return r;
}

/* -E2BIG, and nothing done, when it is more than there is memory for. */
static int bring_reached(struct pager *pager, const struct driver *drv,
                         const struct extents *extents, const struct reaches *reaches,
                         const struct ambition *ambition)
{
    struct reached reached;
    int r = reach(pager, extents, reaches, ambition, &reached);

    if (!r && reached.any_on_disk)
        r = reached.bytes > cold_memory(pager) ? -E2BIG
                                               : cold_need(pager, drv, reached.blocks, reached.n);
    free(reached.blocks);
    return r;
}

/*
 * As far as it certainly may reach, where there is memory for so much; else as far as is likely.
 * Before all that lies in a range has been named once, that is up to its end: then what comes
 * first, as much of it as there is memory for.
 */
int cold_launch(struct pager *pager, const struct driver *drv, const struct extents *extents,
                const struct reaches *reaches)
{
    static const struct ambition ambitions[] = {
        {range_certain_extent, UINT64_MAX, true},
        {range_certain_extent, UINT64_MAX, false},
        {range_named_extent, UINT64_MAX, true},
        {range_named_extent, UINT64_MAX, false},
    };
    static bool told;
    struct ambition least = {range_named_extent, cold_memory(pager), false};
    int r = -E2BIG;

    if (extents->more || reaches->more)
        return cold_all(drv);
    for (size_t i = 0; i < ARRAY_SIZE(ambitions) && (r == -E2BIG || r == -ENOMEM); i++)
        r = bring_reached(pager, drv, extents, reaches, &ambitions[i]);
    for (bool much = r == -E2BIG; much && least.most >= residency.space.slot_bytes;
         least.most /= 2) {
        r = bring_reached(pager, drv, extents, reaches, &least);
        much = r == -E2BIG || r == -ENOMEM;
    }
    if (r == -E2BIG && !told) {
        told = true;
        log_warn("a launch may touch more than memory has room for, by what it is given or finds "
                 "there; it is refused as out of memory");
    }
    return r == -E2BIG ? -ENOMEM : r;
}

static int all_of(struct pager *pager, const struct driver *drv)
{
    struct block **blocks = NULL;
    size_t n = 0;
    int r = 0;

    for (struct range *range = residency.ranges; range && !r; range = range->next) {
        struct block **grown;

        if (range->pager != pager)
            continue;
        grown = realloc(blocks, (n + range->n_blocks) * sizeof(*grown));
        if (!grown) {
            r = -ENOMEM;
            break;
        }
        blocks = grown;
        for (uint32_t i = 0; i < range->n_blocks; i++)
            blocks[n++] = &range->blocks[i];
    }
    /* Nothing may be moved out for it: it has to be there as well. */
    if (!r && cold_bytes_of(blocks, n) > cold_memory(pager))
        r = -ENOMEM;
    if (!r)
        r = cold_need(pager, drv, blocks, n);
    free(blocks);
    return r;
}

int cold_all(const struct driver *drv)
{
    int r = 0;

    if (!residency_any_on_disk())
        return 0;
    for (int i = 0; i < DEVICES_MAX && !r; i++) {
        if (pagers.cards[i].state == CARD_PAGED)
            r = all_of(&pagers.cards[i], drv);
    }
    if (r == -ENOMEM)
        log_warn("something was submitted of which nobody knows what memory it uses, and not all "
                 "that is on the disk fits into memory; it is refused as out of memory");
    return r;
}
