/* SPDX-License-Identifier: MIT */
/*
 * What is away takes turns in the ring, and what the ring takes is away as well: so the number of
 * slots is what it takes for what is then away.
 */
#include "runtime/residents.h"

#include <errno.h>
#include <stdlib.h>
#include "runtime/cold.h"
#include "runtime/move.h"
#include "runtime/spread.h"
#include "runtime/util.h"

enum {
    SLOTS_LEAST = 2,
    LEFT_SHARE = 8, /* of the card: less than that is left unused by a plan of the user */
};

/* A piece, and where in the pass it is first visited. */
struct ordered {
    struct piece *piece;
    uint32_t at;
};

static int by_place(const void *left, const void *right)
{
    const struct ordered *a = left;
    const struct ordered *b = right;

    if (a->at != b->at)
        return a->at < b->at ? -1 : 1;
    return a->piece < b->piece ? -1 : a->piece > b->piece;
}

/* All pieces, those of the pass first and in its order. */
static struct ordered *put_in_order(const struct streaming *s)
{
    struct ordered *order = calloc(s->n_pieces, sizeof(*order));

    for (uint32_t i = 0; order && i < s->n_pieces; i++) {
        const struct pass_place *place = pass_find(&s->pass, piece_key(s->pieces[i].block));

        order[i] = (struct ordered){.piece = &s->pieces[i], .at = place ? place->at : UINT32_MAX};
    }
    if (order)
        qsort(order, s->n_pieces, sizeof(*order), by_place);
    return order;
}

/* Whether its home is where somebody wants it. What is written may not be away. */
static bool is_pinned(const struct streaming *s, const struct piece *piece)
{
    if (block_is_pinned(piece->block, TIER_DEVICE))
        return true;
    return block_is_pinned(piece->block, TIER_HOST) && piece_class(s, piece) != SPREAD_WRITTEN;
}

/* Those first; returns what they leave of the budget. */
static uint64_t keep_pinned(struct streaming *s, uint64_t budget)
{
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        struct piece *piece = &s->pieces[i];

        piece->stays = block_is_pinned(piece->block, TIER_DEVICE) && piece->block->bytes <= budget;
        budget -= piece->stays ? piece->block->bytes : 0;
    }
    return budget;
}

static bool may_be_kept(const struct streaming *s, const struct piece *piece,
                        enum spread_class class, bool resident)
{
    return !piece->stays && !is_pinned(s, piece) && piece_class(s, piece) == class &&
           resident == (block_tier(piece->block) == TIER_DEVICE);
}

/* What there is room for of pieces of a class that have their homes there already, or of others:
 * evenly, for if it were the first of them, a long buffer behind these would be away as a whole. */
static void keep(struct streaming *s, enum spread_class class, bool resident, uint64_t *budget)
{
    uint64_t wanted = 0;
    double share;
    double carry = 0;

    for (uint32_t i = 0; i < s->n_pieces; i++)
        wanted += may_be_kept(s, &s->pieces[i], class, resident) ? s->pieces[i].block->bytes : 0;
    share = wanted > *budget ? (double)*budget / (double)wanted : 1;
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        struct piece *piece = &s->pieces[i];

        if (!may_be_kept(s, piece, class, resident))
            continue;
        carry += share;
        if (carry < 1 - 1e-9 || piece->block->bytes > *budget)
            continue;
        carry -= 1;
        piece->stays = true;
        *budget -= piece->block->bytes;
    }
}

/* Homes were chosen when memory was allocated, by the plan. What streams is moved in only if that
 * left much room: by itself it lies evenly, as it is. */
static void keep_residents(struct streaming *s, uint64_t budget)
{
    static const enum spread_class order[] = {SPREAD_WRITTEN, SPREAD_AGAIN,  SPREAD_STREAMED,
                                              SPREAD_SELDOM,  SPREAD_SPARSE, SPREAD_IDLE};
    uint64_t little = budget / LEFT_SHARE;

    for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
        keep(s, order[i], true, &budget);
        if (order[i] == SPREAD_WRITTEN || order[i] == SPREAD_AGAIN || budget > little)
            keep(s, order[i], false, &budget);
    }
}

static int choose_evenly(struct streaming *s, uint64_t budget)
{
    struct spread_piece *choices = calloc(s->n_pieces, sizeof(*choices));
    struct ordered *order = put_in_order(s);
    uint32_t n = 0;
    int r = -ENOMEM;

    if (!choices || !order)
        goto out;
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        if (is_pinned(s, order[i].piece))
            continue;
        order[n] = order[i];
        choices[n++] = (struct spread_piece){
            .bytes = order[i].piece->block->bytes,
            .length = order[i].piece->stretch * residency.space.slot_bytes,
            .class = piece_class(s, order[i].piece),
            .heat = order[i].piece->block->heat,
        };
    }
    (void)spread_residents(choices, n, budget);
    for (uint32_t i = 0; i < n; i++)
        order[i].piece->stays = choices[i].resident;
    r = 0;

out:
    free(order);
    free(choices);
    return r;
}

static int choose_residents(struct streaming *s, uint64_t budget)
{
    budget = keep_pinned(s, budget);
    if (!s->by_plan)
        return choose_evenly(s, budget);
    keep_residents(s, budget);
    return 0;
}

void residents_note_stretch(struct streaming *s, const struct range *range, uint32_t first,
                            uint32_t last)
{
    for (uint32_t i = first; i <= last && i < range->n_blocks; i++) {
        struct piece *piece = piece_of(s, &range->blocks[i]);

        if (piece && piece->stretch < last - first + 1)
            piece->stretch = last - first + 1;
    }
}

static void note_stretches(struct streaming *s)
{
    for (const struct trusted_use *u = s->trust.uses; u; u = u->hh.next) {
        struct range *range = pieces_range(s, u->use.range);

        if (range)
            residents_note_stretch(s, range, u->use.first, u->use.last);
    }
}

/* Half of a ring holds what one launch reads, the other what arrives meanwhile. But what is read
 * once in many passes comes from the disk, where there is one, and that is slower than any launch;
 * what it would take to hold twice as much of it is read from there in every pass. */
static uint32_t counted(const struct streaming *s, uint32_t visit, uint32_t at_once)
{
    bool seldom = visit >= s->pass.phases[0].n && residency_any_on_disk();

    return seldom ? at_once / 2 + 1 : at_once;
}

/* The most pieces that have turns at once, when all do that do not stay. -ENOMEM. */
static int most_at_once(const struct streaming *s)
{
    uint32_t *before = calloc(s->pass.n + 1, sizeof(*before));
    struct piece **visitors = pieces_in_pass(s);
    uint32_t most = 0;

    for (uint32_t i = 0; before && visitors && i < s->pass.n; i++) {
        const struct piece *piece = visitors[i];

        before[i + 1] =
            before[i] + (piece && piece_is_clean(piece) && !piece->in_place && !piece->stays);
    }
    for (uint32_t i = 0; before && visitors && i < s->pass.n; i++) {
        uint64_t end = min_u64((uint64_t)i + s->pass.visits[i].until + 1, s->pass.n);

        if (before[i + 1] > before[i])
            most = (uint32_t)max_u64(most, counted(s, i, before[end] - before[i]));
    }
    most = before && visitors ? most : UINT32_MAX;
    free(visitors);
    free(before);
    return most == UINT32_MAX ? -ENOMEM : (int)most;
}

/* Whatever the ring takes of a small budget comes from the disk in every pass, where there is one.
 */
static uint32_t slots_for(uint32_t read, uint64_t budget)
{
    uint64_t slot = residency.space.slot_bytes;

    uint64_t slots = residency_any_on_disk() ? SPREAD_LEAST_SLOTS : SPREAD_SOME_SLOTS;

    return (uint32_t)(spread_ring_for(read, budget, slot, slots) / slot);
}

/* With no more slots than it takes for what is then away: that is more, the more slots there are.
 */
static int choose_slots(struct streaming *s, uint64_t budget, uint32_t *out_slots)
{
    uint32_t wanted = SLOTS_LEAST;
    uint32_t n_slots;
    int r;

    do {
        n_slots = wanted;
        if (budget < n_slots * residency.space.slot_bytes)
            return -ENOSPC;
        r = choose_residents(s, budget - n_slots * residency.space.slot_bytes);
        if (!r)
            r = most_at_once(s);
        if (r < 0)
            return r;
        wanted = slots_for((uint32_t)r, budget);
    } while (wanted > n_slots);
    *out_slots = n_slots;
    return 0;
}

/* Those blocks whose home is in `tier` and should not be. */
static size_t misplaced(const struct streaming *s, enum tier tier, struct block **out)
{
    size_t n = 0;

    for (uint32_t i = 0; i < s->n_pieces; i++) {
        const struct piece *piece = &s->pieces[i];

        if (piece_is_there(piece) && block_tier(piece->block) == tier &&
            piece->stays != (tier == TIER_DEVICE))
            out[n++] = piece->block;
    }
    return n;
}

/* What came to the device has left its bytes in host memory, as far as there is room: should it go
 * again unchanged, they need not be copied. */
static void keep_shadows(struct pager *pager, const struct driver *drv)
{
    const struct streaming *s = pager->streaming;

    for (uint32_t i = 0; i < s->n_pieces; i++) {
        const struct piece *piece = &s->pieces[i];

        if (!piece_is_clean(piece) || piece->undigested)
            move_drop_shadow(pager->pools, drv, piece->block);
        piece->block->shadow_digest = piece->digest;
    }
}

/* Out and in by turns: when both tiers are nearly full, each makes room for the other. */
static int settle_homes(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;
    struct mover mover = {
        .drv = drv,
        .pools = pager->pools,
        .transfer = s->transfer,
        .access = &pager->access,
        .shadows = true,
    };
    struct block **blocks = calloc(s->n_pieces, sizeof(struct block *));
    size_t moved;

    if (!blocks)
        return -ENOMEM;
    if (residency_spills()) {
        free(blocks);
        return cold_settle(pager, drv);
    }
    do {
        moved = move_to_host(&mover, blocks, misplaced(s, TIER_DEVICE, blocks));
        moved += move_to_device(&mover, blocks, misplaced(s, TIER_HOST, blocks));
    } while (moved);
    keep_shadows(pager, drv);
    free(blocks);
    return 0;
}

/* Device memory that pieces may take. */
static uint64_t budget_of_pieces(const struct pager *pager)
{
    const struct pool *pool = &pager->pools[TIER_DEVICE];
    uint64_t others =
        max_u64(pool->used - pieces_on_device(pager->streaming), pager->streaming->reserve);

    return pool->budget > others ? pool->budget - others : 0;
}

/* Whether some of the pass has its home in host memory whatever room there is. */
static bool any_pinned_away(const struct streaming *s)
{
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        if (block_is_pinned(s->pieces[i].block, TIER_HOST) && piece_may_stream(s, &s->pieces[i]))
            return true;
    }
    return false;
}

int residents_place_alone(struct pager *pager, const struct driver *drv)
{
    int r = choose_residents(pager->streaming, budget_of_pieces(pager));

    return r ? r : settle_homes(pager, drv);
}

int residents_place(struct pager *pager, const struct driver *drv, uint32_t *out_slots)
{
    struct streaming *s = pager->streaming;
    uint64_t budget = budget_of_pieces(pager);
    int r;

    *out_slots = 0;
    note_stretches(s);
    if (pieces_bytes(s) > budget || any_pinned_away(s))
        r = choose_slots(s, budget, out_slots);
    else
        r = choose_residents(s, budget);
    return r ? r : settle_homes(pager, drv);
}
