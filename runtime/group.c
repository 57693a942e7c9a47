/* SPDX-License-Identifier: MIT */
/*
 * All that a launch is given of one range it reads through one window, so that addresses keep their
 * distances.
 */
#include "runtime/group.h"

#include "runtime/proof.h"
#include "runtime/turns.h"

#define EACH_OF_GROUP(group, extent)                                                               \
    for (const struct extent *extent = (group)->extents->list;                                     \
         extent < (group)->extents->list + (group)->extents->n; extent++)                          \
        if (extent->range == (group)->range)

/* The stretch can be read through a window now. */
static bool is_staged(struct streaming *s, const struct extent *extent)
{
    for (uint32_t i = extent_first(extent); i <= extent_last(extent); i++) {
        const struct piece *piece = piece_of(s, &extent->range->blocks[i]);

        if (piece && piece->turn >= 0 &&
            (piece->idle || !ring_holds(&s->ring, (uint32_t)piece->turn)))
            return false;
    }
    return true;
}

static struct guard_entry guarded(const struct streaming *s, const struct piece *piece,
                                  uint32_t slot)
{
    struct guard_entry entry = guard_entry(&s->guard, slot, piece->block->piece - 1);

    entry.slot = s->ring.slots[slot].at;
    entry.home = block_address(piece->block);
    if (block_tier(piece->block) == TIER_DISK)
        entry.home = entry.slot; /* it has none: see cold_rescue() */
    entry.units = piece->bytes / 16;
    entry.apart = piece->block->escaped ? GUARD_SAMPLE : GUARD_APART;
    return entry;
}

static bool pin(struct pager *pager, const struct driver *drv, const struct extent *extent,
                struct redirect *redirect)
{
    struct streaming *s = pager->streaming;

    for (uint32_t i = extent_first(extent); i <= extent_last(extent); i++) {
        struct piece *piece = piece_of(s, &extent->range->blocks[i]);
        uint32_t slot;

        if (!piece || piece->turn < 0)
            continue;
        slot = s->ring.turns[piece->turn].slot;
        if (redirect->n_slots == REDIRECT_SLOTS_MAX ||
            ring_pin(&s->ring, drv, slot, redirect->stream))
            return false;
        redirect->entries[redirect->n_entries++] = guarded(s, piece, slot);
        proof_checked(piece);
        redirect->slots[redirect->n_slots++] = slot;
    }
    return true;
}

static struct stretch stretch_of(const struct group *group)
{
    struct stretch stretch = {.range = group->range->id, .first = UINT32_MAX};
    uint64_t parts = 0;
    uint32_t n = 0;

    EACH_OF_GROUP(group, extent)
    {
        uint32_t first = extent_first(extent);
        uint32_t last = extent_last(extent);

        stretch.first = first < stretch.first ? first : stretch.first;
        stretch.last = last > stretch.last ? last : stretch.last;
        parts = (parts ^ ((uint64_t)first << 32 | last)) * 0x9e3779b97f4a7c15u;
        parts ^= parts >> 29;
        n++;
    }
    stretch.parts = n > 1 ? parts : 0;
    return stretch;
}

/* Only what is named is staged; what lies between is at home. */
static const struct chunk *chunk_in_group(void *context, const struct block *block)
{
    const struct group *group = context;

    EACH_OF_GROUP(group, extent)
    {
        if (block->index >= extent_first(extent) && block->index <= extent_last(extent))
            return turns_chunk(group->s, block);
    }
    return NULL;
}

static struct window *window_for(struct pager *pager, const struct driver *drv, struct group *group)
{
    struct stretch stretch = stretch_of(group);
    struct window *window = window_find(&group->s->windows, &stretch);

    if (!window && window_open(&group->s->windows, drv, &pager->access, group->range, &stretch,
                               chunk_in_group, group, &window))
        return NULL;
    return window;
}

/* Where the range ends, or soon after: nobody else's address. */
static void redirect_end(void *context, const struct layout_word *word, uint64_t value)
{
    const struct group *group = context;
    uint64_t offset = value - group->range->base;

    if (offset >= group->range->bytes && residency_range(value) == NULL &&
        offset <= (uint64_t)group->range->n_blocks << residency.slot_shift)
        redirect_word(group->redirect, word, window_address(group->window, value));
}

static bool redirect_is_made(struct pager *pager, const struct launch *launch,
                             struct redirect **redirect)
{
    if (!*redirect)
        *redirect = redirect_new(launch);
    if (!*redirect)
        return false;
    (*redirect)->pager = pager;
    (*redirect)->plan = pager->streaming->plan;
    (*redirect)->guard = &pager->streaming->guard;
    (*redirect)->stream = launch->stream;
    return true;
}

bool group_hold(struct pager *pager, const struct launch *launch, const struct group *group,
                struct redirect **redirect)
{
    if (!redirect_is_made(pager, launch, redirect))
        return false;
    EACH_OF_GROUP(group, extent)
    {
        for (uint32_t i = extent_first(extent); i <= extent_last(extent); i++) {
            const struct piece *piece = piece_of(group->s, &extent->range->blocks[i]);

            if (!piece || piece->turn < 0)
                continue;
            if ((*redirect)->n_slots == REDIRECT_SLOTS_MAX)
                return false;
            ring_hold(&group->s->ring, (uint32_t)piece->turn);
            (*redirect)->slots[(*redirect)->n_slots++] = group->s->ring.turns[piece->turn].slot;
        }
    }
    return true;
}

bool group_redirect(struct pager *pager, const struct driver *drv, const struct launch *launch,
                    struct group *group, struct redirect **redirect)
{
    EACH_OF_GROUP(group, extent)
    {
        if (!is_staged(group->s, extent))
            return false;
    }
    group->window = window_for(pager, drv, group);
    if (!group->window || !redirect_is_made(pager, launch, redirect))
        return false;
    EACH_OF_GROUP(group, extent)
    {
        if (!pin(pager, drv, extent, *redirect))
            return false;
    }
    group->redirect = *redirect;
    EACH_OF_GROUP(group, extent)
    redirect_word(*redirect, extent->word, window_address(group->window, extent->address));
    (void)layout_scan(launch->layout, launch->kernel_params, launch->extra, redirect_end, group);
    for (size_t i = 0; i < group->extents->n; i++) {
        if (group->extents->list[i].range == group->range)
            group->extents->list[i].staged = true;
    }
    return true;
}

enum group_use group_find_use(struct streaming *s, const struct launch *launch,
                              const struct group *group)
{
    enum group_use found = GROUP_RESIDENT;

    EACH_OF_GROUP(group, extent)
    {
        struct trust_use use = extent_use(launch, extent);
        const struct trusted_use *known = trust_find(&s->trust, &use);

        if (!extent_has_turns(extent))
            continue;
        if (!known || !known->in_place)
            return GROUP_STREAMED;
        found = GROUP_IN_PLACE;
    }
    return found;
}

uint64_t group_bytes(const struct streaming *s, const struct group *group)
{
    uint64_t bytes = 0;

    EACH_OF_GROUP(group, extent)
    {
        uint64_t from = extent->address - extent->range->base;
        uint64_t to = from + extent->bytes;

        for (uint32_t i = extent_first(extent); i <= extent_last(extent); i++) {
            const struct block *block = &extent->range->blocks[i];
            const struct piece *piece = piece_of(s, block);
            uint64_t begin = (uint64_t)i << residency.slot_shift;

            if (piece && piece->turn >= 0)
                bytes += min_u64(to, begin + block->bytes) - max_u64(from, begin);
        }
    }
    return bytes;
}
