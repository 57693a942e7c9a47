/* SPDX-License-Identifier: MIT */
/*
 * The phases of a pass have turns of their own in the same slots, each counted from the first slot
 * on: where fewer pieces of the first phase are away than there are slots, each of them keeps its
 * slot until another phase needs it.
 */
#include "runtime/turns.h"

#include <errno.h>
#include <stdlib.h>
#include "runtime/cold.h"
#include "runtime/proof.h"
#include "runtime/repute.h"
#include "runtime/residents.h"

static bool may_take_turns(const struct streaming *s, const struct piece *piece)
{
    return piece_may_stream(s, piece) && block_tier(piece->block) != TIER_DEVICE;
}

uint32_t turns_count(const struct streaming *s)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < s->n_pieces; i++)
        n += may_take_turns(s, &s->pieces[i]);
    return n;
}

static void add_turn(struct streaming *s, uint32_t visit, struct piece *piece, uint32_t n_slots,
                     uint32_t *distinct)
{
    struct ring *ring = &s->ring;

    ring->turns[ring->n_turns] = (struct turn){
        .source = piece->block->chunk ? piece->block->chunk->alias : 0,
        .page = piece->block->page - 1,
        .page_bytes = piece->block->bytes,
        .bytes = piece->bytes,
        .slot = piece->turn < 0 ? (*distinct)++ % n_slots : ring->turns[piece->turn].slot,
        .visit = visit,
        .until = s->pass.visits[visit].until,
        .piece = piece->block->piece - 1,
    };
    ring->waits |= !ring->turns[ring->n_turns].source;
    if (piece->turn < 0)
        piece->turn = (int32_t)ring->n_turns;
    ring->n_turns++;
    atomic_store_explicit(&piece->block->takes_turns, true, memory_order_relaxed);
}

/* The turns of a phase: what was there before it in the slots need not stay. */
static void add_cycle(struct streaming *s, const struct pass_phase *phase, uint32_t n_slots,
                      struct piece *const *visitors)
{
    struct ring *ring = &s->ring;
    struct ring_cycle *cycle = &ring->cycles[ring->n_cycles++];
    uint32_t distinct = 0;

    *cycle =
        (struct ring_cycle){.first = ring->n_turns, .visit = phase->first, .n_visits = phase->n};
    for (uint32_t visit = phase->first; visit < phase->first + phase->n; visit++) {
        if (visitors[visit] && may_take_turns(s, visitors[visit]))
            add_turn(s, visit, visitors[visit], n_slots, &distinct);
    }
    cycle->n = ring->n_turns - cycle->first;
}

/* The first phase follows itself and all others, if it has turns; else these follow each other. */
static void link_cycles(struct ring *ring)
{
    ring->here = 0;
    for (uint32_t i = 0; i < ring->n_cycles; i++) {
        uint32_t then = ring->cycles[0].n ? 0 : (i + 1) % ring->n_cycles;

        while (!ring->cycles[then].n && then != i)
            then = (then + 1) % ring->n_cycles;
        ring->cycles[i].then = then;
        if (!ring->cycles[ring->here].n)
            ring->here = i;
    }
}

/* Who takes turns, in the order of the pass. */
static int make_turns(struct streaming *s, uint32_t n_slots)
{
    struct ring *ring = &s->ring;
    struct piece **visitors;

    ring->n_turns = ring->n_cycles = 0;
    ring->turns = calloc(s->pass.n, sizeof(*ring->turns));
    if (!ring->turns)
        return -ENOMEM;
    visitors = pieces_in_pass(s);
    if (!visitors)
        return -ENOMEM;
    for (uint32_t i = 0; i < s->pass.n_phases; i++)
        add_cycle(s, &s->pass.phases[i], n_slots, visitors);
    free(visitors);
    link_cycles(ring);
    ring_enter(ring, ring->here, s->pass.begin, UINT64_MAX, 0);
    s->at = s->pass.begin;
    s->entries = UINT64_MAX;
    return 0;
}

/* Homes, and the ring. There is none when all that is away is read in place. What the driver will
 * not give after all is not planned with again. */
static int make_room(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;
    struct pool *pool = &pager->pools[TIER_DEVICE];
    uint64_t budget;
    uint32_t n_slots;
    int r;

    do {
        budget = pool->budget;
        r = residents_place(pager, drv, &n_slots);
        if (r)
            return r;
        if (!n_slots)
            return -ENOENT;
        if (!turns_count(s))
            return residents_place_alone(pager, drv);
        r = ring_init(&s->ring, drv, pool, &pager->access, n_slots, residency.space.slot_bytes);
    } while (r && pool->budget < budget);
    return r;
}

/* What is in a slot is what its piece is from now on, if nobody has looked before. That is looked
 * at while the next one is copied. */
static int note_staged(void *context, const struct driver *drv, const struct turn *turn,
                       const struct slot *slot)
{
    struct streaming *s = context;
    struct piece *piece = &s->pieces[turn->piece];
    int r;

    proof_copied(s, piece);
    if (!s->by_plan || piece->noted)
        return 0;
    piece->noted = true;
    s->noter.ctx = s->transfer->ctx;
    r = transfer_ready(&s->noter, drv);
    if (!r)
        r = transfer_await(&s->noter, drv, slot->staged);
    if (!r)
        r = digest_note(&s->digester, drv, s->noter.stream, slot->at, turn->bytes,
                        guard_digest(&s->guard, turn->piece));
    return r ? r : transfer_record(&s->noter, drv, slot->staged);
}

static int make_guard(struct streaming *s, const struct driver *drv)
{
    uint64_t *digests = calloc(s->n_pieces + 1, sizeof(*digests));
    int r = -ENOMEM;

    for (uint32_t i = 0; digests && i < s->n_pieces; i++)
        digests[i] = s->by_plan ? 0 : s->pieces[i].digest;
    if (digests)
        r = guard_init(&s->guard, drv, s->transfer->stream, s->ring.n_slots, s->n_pieces, digests);
    free(digests);
    s->ring.staged = note_staged;
    s->ring.context = s;
    return r;
}

int turns_begin(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;
    int r = make_room(pager, drv);

    if (!r && s->ring.n_slots)
        r = make_guard(s, drv);
    if (!r && residency_spills()) {
        s->ring.ahead = &pagers.cold.ahead;
        s->ring.noticed = s->guard.flags;
    }
    return r ? r : make_turns(s, s->ring.n_slots);
}

/* Somebody wrote who was trusted: nobody is, now. What he wrote is remembered: something of a
 * launch at once; other changes when there are more of them. */
static void remember_rewrites(struct streaming *s)
{
    trust_forget(&s->trust);
    repute_refute();
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        enum guard_flag flag = guard_flag(&s->guard, i);

        if (flag != GUARD_SILENT)
            s->pieces[i].block->rewrites += flag == GUARD_WRITTEN ? PIECES_REWRITES : 1;
    }
}

void turns_end(struct pager *pager, const struct driver *drv, bool alive)
{
    struct streaming *s = pager->streaming;

    if (alive)
        cold_rescue(pager, drv);
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        atomic_store_explicit(&s->pieces[i].block->takes_turns, false, memory_order_relaxed);
        s->pieces[i].turn = -1;
    }
    if (alive && guard_noticed(&s->guard))
        remember_rewrites(s);
    if (s->ring.ahead)
        ahead_forget(s->ring.ahead);
    if (alive) {
        (void)transfer_wait(&s->noter, drv);
        transfer_fini(&s->noter, drv);
    }
    s->noter = (struct transfer){.ctx = NULL};
    guard_fini(&s->guard, drv, alive);
    free(s->ring.turns);
    s->ring.turns = NULL;
    ring_fini(&s->ring, drv, &pager->pools[TIER_DEVICE], alive);
}

void turns_window(struct pager *pager, const struct driver *drv, struct range *range,
                  const struct stretch *stretch)
{
    struct streaming *s = pager->streaming;
    struct window *window;

    if (range_takes_turns(range, stretch->first, stretch->last) &&
        !window_find(&s->windows, stretch))
        (void)window_open(&s->windows, drv, &pager->access, range, stretch, turns_chunk, s,
                          &window);
}

void turns_open_windows(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;

    windows_expect(&s->windows, HASH_COUNT(s->trust.uses));
    for (const struct trusted_use *u = s->trust.uses; u; u = u->hh.next) {
        struct stretch stretch = {u->use.range, u->use.first, u->use.last};
        struct range *range = pieces_range(s, u->use.range);

        if (range)
            turns_window(pager, drv, range, &stretch);
    }
}

const struct chunk *turns_chunk(void *context, const struct block *block)
{
    const struct streaming *s = context;
    const struct piece *piece = piece_of(s, block);

    if (!piece || piece->turn < 0)
        return NULL;
    return s->ring.slots[s->ring.turns[piece->turn].slot].chunk;
}
