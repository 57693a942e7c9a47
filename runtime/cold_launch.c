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
    uint64_t most; /* from one address */
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

/* In the windows of what the launch reads copies of, homes are not touched. */
static bool is_copied(const struct reached_place *place, const struct extents *extents)
{
    for (size_t i = 0; i < extents->n && !place->beyond; i++) {
        const struct extent *extent = &extents->list[i];
        uint64_t bytes = range_named_extent(extent->range, extent->address);

        if (extent->staged && extent->range == place->range && extent->address <= place->address &&
            place->address + place->bytes <= extent->address + bytes)
            return true;
    }
    return false;
}

static bool is_reached(const struct pager *pager, const struct extents *extents,
                       const struct reached_place *place, bool optional)
{
    return place->range->pager == pager && place->optional == optional &&
           !is_copied(place, extents);
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

        if (is_reached(pager, extents, place, false))
            r = reach_from(place->range, place->address, place->bytes, ambition, out);
    }
    return r;
}

static uint64_t not_reached(const struct reached_place *place, uint64_t launch)
{
    uint64_t offset = place->address - place->range->base;
    uint64_t last = (offset + place->bytes - 1) >> residency.slot_shift;
    uint64_t bytes = 0;

    for (uint64_t i = offset >> residency.slot_shift; i <= last; i++)
        bytes += place->range->blocks[i].launch == launch ? 0 : place->range->blocks[i].bytes;
    return bytes;
}

/* What need not be, the least first, as long as there is memory for it. */
static int reach_more(struct pager *pager, const struct extents *extents,
                      const struct reaches *reaches, const struct ambition *ambition,
                      struct reached *out)
{
    const struct reached_place *next;
    int r = 0;

    do {
        uint64_t least = UINT64_MAX;

        next = NULL;
        for (size_t i = 0; i < reaches->n; i++) {
            const struct reached_place *place = &reaches->list[i];
            uint64_t bytes =
                is_reached(pager, extents, place, true) ? not_reached(place, pager->launch) : 0;

            if (!bytes || bytes >= least)
                continue;
            least = bytes;
            next = place;
        }
        if (!next || least + out->bytes > cold_memory(pager))
            break;
        r = reach_from(next->range, next->address, next->bytes, ambition, out);
    } while (!r);
    return r;
}

/* -E2BIG, and nothing done, when it is more than there is memory for. */
static int bring_reached(struct pager *pager, const struct driver *drv,
                         const struct extents *extents, const struct reaches *reaches,
                         const struct ambition *ambition)
{
    struct reached reached;
    int r = reach(pager, extents, reaches, ambition, &reached);

    if (!r)
        r = reach_more(pager, extents, reaches, ambition, &reached);
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
        {range_certain_extent, UINT64_MAX},
        {range_named_extent, UINT64_MAX},
    };
    static bool told;
    struct ambition least = {range_named_extent, cold_memory(pager)};
    uint64_t enough = max_u64(residency.space.slot_bytes, reaches->farthest);
    int r = -E2BIG;

    if (extents->more || reaches->more)
        return cold_all(drv);
    for (size_t i = 0; i < ARRAY_SIZE(ambitions) && (r == -E2BIG || r == -ENOMEM); i++)
        r = bring_reached(pager, drv, extents, reaches, &ambitions[i]);
    for (bool much = r == -E2BIG; much && least.most >= enough; least.most /= 2) {
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
