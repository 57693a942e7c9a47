/* SPDX-License-Identifier: MIT */
#include "runtime/prepare.h"

#include <errno.h>
#include <stdlib.h>
#include "runtime/blame.h"
#include "runtime/cold.h"
#include "runtime/experts.h"
#include "runtime/gate.h"
#include "runtime/log.h"
#include "runtime/move.h"
#include "runtime/proof.h"
#include "runtime/stats.h"
#include "runtime/trial.h"
#include "runtime/util.h"
#include "runtime/weigh.h"

enum {
    RING_SHARE = 4, /* of the card's slots: the most that the ring takes */
    SLOTS_LEAST = 2,
    REST = 2048, /* launches */
    REWRITES_MOST = 2,
    PROVEN_ROUNDS =
        4,          /* by which the guard has seen most functions be harmless, under such a plan */
    LEFT_SHARE = 8, /* of the card: less than that is left unused by a plan of the user */
};

/* A piece, and where in the pass it is first visited. */
struct ordered {
    struct piece *piece;
    uint32_t at;
};

/* What pieces stand for whose range is gone. */
static struct range gone_range = {.n_blocks = 1};
static struct block gone = {.range = &gone_range, .tier = TIER_DEVICE};

static int watchers; /* plans that need all functions and submissions watched */

static void watch(struct streaming *s, bool on)
{
    watchers += (int)on - (int)s->watching;
    s->watching = on;
    layout_watch(watchers > 0);
    gate_watch(watchers > 0);
}

struct streaming *prepare_streaming(struct pager *pager)
{
    if (!pager->streaming) {
        pager->streaming = calloc(1, sizeof(*pager->streaming));
        if (pager->streaming)
            prepare_observation(pager, true);
    }
    return pager->streaming;
}

void prepare_trust(struct streaming *s)
{
    uintptr_t unloads = layout_unloads();

    if (unloads != s->unloads)
        trust_forget(&s->trust);
    s->unloads = unloads;
}

void prepare_observation(struct pager *pager, bool on)
{
    pager->observed = on;
    for (struct range *range = residency.ranges; range; range = range->next) {
        if (range->pager == pager)
            range_observe(range, on || residency_spills());
    }
}

/* When the pass before the last one began, in ticks, as far as can be told. */
static uint64_t two_passes_ago(const struct pass_learner *learner)
{
    uint64_t now = atomic_load_explicit(&residency.clock, memory_order_relaxed);
    uint64_t launches = 2 * learner->period * learner->step / max_u64(learner->n, 1) + 1;

    return now > launches ? now - launches : 0;
}

/* Whether some buffer that the pass is about begins in the range, or one that is in use all the
 * time, and so has no place in it. */
static bool is_in_use(const struct streaming *s, const struct range *range, uint64_t since)
{
    for (uint32_t i = 0; i < range->n_blocks; i++) {
        if (pass_find(&s->pass, prepare_key(&range->blocks[i])) ||
            atomic_load_explicit(&range->blocks[i].last_use, memory_order_relaxed) > since)
            return true;
    }
    return false;
}

int prepare_add_pieces(struct streaming *s, struct range *range)
{
    struct piece *grown = realloc(s->pieces, (s->n_pieces + range->n_blocks) * sizeof(*s->pieces));

    if (!grown)
        return -ENOMEM;
    s->pieces = grown;
    for (uint32_t i = 0; i < range->n_blocks; i++) {
        s->pieces[s->n_pieces++] = (struct piece){.block = &range->blocks[i], .turn = -1};
        range->blocks[i].piece = s->n_pieces;
    }
    return 0;
}

static int make_pieces(struct pager *pager)
{
    struct streaming *s = pager->streaming;
    uint64_t since = two_passes_ago(&s->learner);
    int r = 0;

    for (struct range *range = residency.ranges; range && !r; range = range->next) {
        if (range->pager == pager && is_in_use(s, range, since))
            r = prepare_add_pieces(s, range);
    }
    return r;
}

static bool is_clean(const struct piece *piece)
{
    return !piece->changed && !piece->beside;
}

/* Asks the device for the spans that are in memory; of the others the digest is known. */
static int digest_memory(struct streaming *s, const struct driver *drv, struct digest_span *spans,
                         size_t n)
{
    struct digest_span *asked = calloc(n + 1, sizeof(*asked));
    size_t m = 0;
    int r;

    if (!asked)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        if (spans[i].at)
            asked[m++] = spans[i];
    }
    r = digest_spans(&s->digester, drv, s->transfer->stream, asked, m);
    for (size_t i = n; i-- > 0 && !r;) {
        if (spans[i].at)
            spans[i].digest = asked[--m].digest;
    }
    free(asked);
    return r;
}

static struct digest_span span_of(const struct piece *piece)
{
    const struct block *block = piece->block;

    if (block_tier(block) == TIER_DISK)
        return (struct digest_span){.digest = block->page ? block->digest : 0};
    return (struct digest_span){.at = block_address(block), .bytes = block->bytes};
}

/* Digests of all pieces, or of those that nobody is known to write. */
static int digest(struct streaming *s, const struct driver *drv, bool clean_only,
                  struct digest_span *spans)
{
    size_t n = 0;

    for (uint32_t i = 0; i < s->n_pieces; i++) {
        if (clean_only && !is_clean(&s->pieces[i]))
            continue;
        spans[n++] = span_of(&s->pieces[i]);
    }
    return digest_memory(s, drv, spans, n);
}

static int compare_digests(struct streaming *s, const struct driver *drv, bool clean_only,
                           uint32_t *out_changed)
{
    struct digest_span *spans = calloc(s->n_pieces + 1, sizeof(*spans));
    uint32_t changed = 0;
    size_t n = 0;
    int r;

    if (!spans)
        return -ENOMEM;
    r = digest(s, drv, clean_only, spans);
    for (uint32_t i = 0; i < s->n_pieces && !r; i++) {
        struct piece *piece = &s->pieces[i];

        if (clean_only && !is_clean(piece))
            continue;
        if (piece->block == &gone)
            spans[n].digest = piece->digest;
        piece->changed = !piece->undigested && piece->digest != spans[n].digest;
        changed += piece->changed;
        piece->digest = spans[n++].digest;
        piece->undigested = false;
    }
    free(spans);
    *out_changed = changed;
    return r;
}

static void drop_plan(struct streaming *s)
{
    s->by_plan = false;
    s->reserve = 0;
    side_end(s);
    prepare_forget(s);
    free(s->pieces);
    s->pieces = NULL;
    pass_fini(&s->pass);
    pass_learner_fini(&s->learner);
    trust_stop(&s->trust);
}

static int begin_comparison(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;
    uint32_t changed;
    int r = transfer_ready(s->transfer, drv);

    prepare_trust(s);
    if (!r && !s->digester.module)
        r = digester_init(&s->digester, drv);
    if (!r)
        r = pass_init(&s->pass, &s->learner, (uint32_t)s->learner.period);
    if (!r)
        r = make_pieces(pager);
    if (!r)
        r = compare_digests(s, drv, false, &changed);
    if (r) {
        drop_plan(s);
        return r;
    }
    pass_learner_fini(&s->learner);
    watch(s, true);
    s->plan++;
    s->state = STREAMING_COMPARING;
    log_debug("a pass of %u visits was recognised, in %u chunks", s->pass.n, s->n_pieces);
    return 0;
}

int prepare_comparison(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;
    int r;

    if (!card_enter(pager, drv, &s->transfer))
        return -EAGAIN;
    r = begin_comparison(pager, drv);
    card_leave(drv);
    if (r)
        log_debug("cannot prepare for streaming: error %d", -r);
    return r;
}

static uint64_t bytes_on_device(const struct streaming *s)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < s->n_pieces; i++)
        bytes += block_tier(s->pieces[i].block) == TIER_DEVICE ? s->pieces[i].block->bytes : 0;
    return bytes;
}

static uint64_t bytes_of_pieces(const struct streaming *s)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < s->n_pieces; i++)
        bytes += s->pieces[i].block->bytes;
    return bytes;
}

static enum spread_class class_of(const struct streaming *s, const struct piece *piece)
{
    const struct pass_place *place = pass_find(&s->pass, prepare_key(piece->block));

    if (!is_clean(piece) || (!place && piece->named))
        return SPREAD_WRITTEN;
    if (!place)
        return SPREAD_IDLE;
    if (piece->in_place)
        return SPREAD_SPARSE;
    if (place->at >= s->pass.phases[0].n)
        return SPREAD_SELDOM;
    return place->n_at > 1 ? SPREAD_AGAIN : SPREAD_STREAMED;
}

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
        const struct pass_place *place = pass_find(&s->pass, prepare_key(s->pieces[i].block));

        order[i] = (struct ordered){.piece = &s->pieces[i], .at = place ? place->at : UINT32_MAX};
    }
    if (order)
        qsort(order, s->n_pieces, sizeof(*order), by_place);
    return order;
}

static bool may_be_kept(const struct streaming *s, const struct piece *piece,
                        enum spread_class class, bool resident)
{
    return !piece->stays && class_of(s, piece) == class &&
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

    for (uint32_t i = 0; i < s->n_pieces; i++)
        s->pieces[i].stays = false;
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
    int r = -ENOMEM;

    if (!choices || !order)
        goto out;
    for (uint32_t i = 0; i < s->n_pieces; i++)
        choices[i] = (struct spread_piece){
            .bytes = order[i].piece->block->bytes,
            .length = order[i].piece->stretch * residency.space.slot_bytes,
            .class = class_of(s, order[i].piece),
            .heat = order[i].piece->block->heat,
        };
    (void)spread_residents(choices, s->n_pieces, budget);
    for (uint32_t i = 0; i < s->n_pieces; i++)
        order[i].piece->stays = choices[i].resident;
    r = 0;

out:
    free(order);
    free(choices);
    return r;
}

static int choose_residents(struct streaming *s, uint64_t budget)
{
    if (!s->by_plan)
        return choose_evenly(s, budget);
    keep_residents(s, budget);
    return 0;
}

void prepare_note_stretch(struct streaming *s, const struct range *range, uint32_t first,
                          uint32_t last)
{
    for (uint32_t i = first; i <= last && i < range->n_blocks; i++) {
        struct piece *piece = prepare_piece(s, &range->blocks[i]);

        if (piece && piece->stretch < last - first + 1)
            piece->stretch = last - first + 1;
    }
}

static void note_stretches(struct streaming *s)
{
    for (const struct trusted_use *u = s->trust.uses; u; u = u->hh.next) {
        struct range *range = prepare_range(s, u->use.range);

        if (range)
            prepare_note_stretch(s, range, u->use.first, u->use.last);
    }
}

/* The piece at each position of the pass; NULL where it is not there any more. */
static struct piece **visitors_of(const struct streaming *s)
{
    struct piece **visitors = calloc(s->pass.n, sizeof(struct piece *));

    for (uint32_t i = 0; visitors && i < s->n_pieces; i++) {
        const struct pass_place *place = pass_find(&s->pass, prepare_key(s->pieces[i].block));

        for (uint32_t n = 0, at = place ? place->at : 0; place && n < place->n_at; n++) {
            visitors[at] = &s->pieces[i];
            at = s->pass.again[at];
        }
    }
    return visitors;
}

/* The most pieces that have turns at once, when all do that do not stay. -ENOMEM. */
static int most_at_once(const struct streaming *s)
{
    uint32_t *before = calloc(s->pass.n + 1, sizeof(*before));
    struct piece **visitors = visitors_of(s);
    uint32_t most = 0;

    for (uint32_t i = 0; before && visitors && i < s->pass.n; i++) {
        const struct piece *piece = visitors[i];

        before[i + 1] = before[i] + (piece && is_clean(piece) && !piece->in_place && !piece->stays);
    }
    for (uint32_t i = 0; before && visitors && i < s->pass.n; i++) {
        uint64_t end = min_u64((uint64_t)i + s->pass.visits[i].until + 1, s->pass.n);

        if (before[i + 1] > before[i] && before[end] - before[i] > most)
            most = before[end] - before[i];
    }
    most = before && visitors ? most : UINT32_MAX;
    free(visitors);
    free(before);
    return most == UINT32_MAX ? -ENOMEM : (int)most;
}

/* So many, and as many that arrive meanwhile. */
static uint32_t slots_for(uint32_t read, uint64_t budget)
{
    uint64_t most = max_u64(budget / residency.space.slot_bytes / RING_SHARE, SLOTS_LEAST);

    return (uint32_t)min_u64(2 * max_u64(read, 1), most);
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

        if (piece->block != &gone && block_tier(piece->block) == tier &&
            piece->stays != (tier == TIER_DEVICE))
            out[n++] = piece->block;
    }
    return n;
}

/* Out and in by turns: when both tiers are nearly full, each makes room for the other. */
static int settle_homes(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;
    struct mover mover = {drv, pager->pools, s->transfer, &pager->access};
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
    free(blocks);
    return 0;
}

bool prepare_is_there(const struct piece *piece)
{
    return piece->block != &gone;
}

bool prepare_may_stream(const struct streaming *s, const struct piece *piece)
{
    return is_clean(piece) && !piece->in_place && pass_find(&s->pass, prepare_key(piece->block));
}

static bool may_take_turns(const struct streaming *s, const struct piece *piece)
{
    return prepare_may_stream(s, piece) && block_tier(piece->block) != TIER_DEVICE;
}

static uint32_t count_turns(const struct streaming *s)
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
        .bytes = piece->block->bytes,
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
    visitors = visitors_of(s);
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

/* Device memory that pieces may take. */
static uint64_t budget_of_pieces(const struct pager *pager)
{
    const struct pool *pool = &pager->pools[TIER_DEVICE];
    uint64_t others =
        max_u64(pool->used - bytes_on_device(pager->streaming), pager->streaming->reserve);

    return pool->budget > others ? pool->budget - others : 0;
}

/* Nothing is to be streamed: what a ring would take is for residents too. */
static int place_without_ring(struct pager *pager, const struct driver *drv)
{
    int r = choose_residents(pager->streaming, budget_of_pieces(pager));

    return r ? r : settle_homes(pager, drv);
}

static int place_pieces(struct pager *pager, const struct driver *drv, uint32_t *out_slots)
{
    struct streaming *s = pager->streaming;
    uint64_t budget = budget_of_pieces(pager);
    int r;

    *out_slots = 0;
    note_stretches(s);
    if (bytes_of_pieces(s) > budget)
        r = choose_slots(s, budget, out_slots);
    else
        r = choose_residents(s, budget);
    return r ? r : settle_homes(pager, drv);
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
        r = place_pieces(pager, drv, &n_slots);
        if (r)
            return r;
        if (!n_slots)
            return -ENOENT;
        if (!count_turns(s))
            return place_without_ring(pager, drv);
        r = ring_init(&s->ring, drv, pool, &pager->access, n_slots, residency.space.slot_bytes);
    } while (r && pool->budget < budget);
    return r;
}

/* What is in a slot is what its piece is from now on, if nobody has looked before. */
static int note_staged(void *context, const struct driver *drv, const struct turn *turn,
                       CUdeviceptr at)
{
    struct streaming *s = context;
    struct piece *piece = &s->pieces[turn->piece];

    proof_copied(s, piece);
    if (!s->by_plan || piece->noted)
        return 0;
    piece->noted = true;
    return digest_note(&s->digester, drv, s->transfer->stream, at, turn->bytes,
                       guard_digest(&s->guard, turn->piece));
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

static int make_ring(struct pager *pager, const struct driver *drv)
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
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        enum guard_flag flag = guard_flag(&s->guard, i);

        if (flag != GUARD_SILENT)
            s->pieces[i].block->rewrites += flag == GUARD_WRITTEN ? REWRITES_MOST : 1;
    }
}

static void drop_ring(struct pager *pager, const struct driver *drv, bool alive)
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
    guard_fini(&s->guard, drv, alive);
    free(s->ring.turns);
    s->ring.turns = NULL;
    ring_fini(&s->ring, drv, &pager->pools[TIER_DEVICE], alive);
}

struct range *prepare_range(const struct streaming *s, uint64_t id)
{
    for (uint32_t i = 0; i < s->n_pieces; i += s->pieces[i].block->range->n_blocks) {
        if (s->pieces[i].block->range->id == id)
            return s->pieces[i].block->range;
    }
    return NULL;
}

static bool has_turns(const struct range *range, uint32_t first, uint32_t last)
{
    for (uint32_t i = first; i <= last && i < range->n_blocks; i++) {
        if (atomic_load_explicit(&range->blocks[i].takes_turns, memory_order_relaxed))
            return true;
    }
    return false;
}

void prepare_window(struct pager *pager, const struct driver *drv, struct range *range,
                    const struct stretch *stretch)
{
    struct streaming *s = pager->streaming;
    struct window *window;

    if (has_turns(range, stretch->first, stretch->last) && !window_find(&s->windows, stretch))
        (void)window_open(&s->windows, drv, &pager->access, range, stretch, prepare_chunk, s,
                          &window);
}

/* For all that was named in the lap, so that the first lap need not wait for them. One that cannot
 * be opened is tried again when it is needed. */
static void open_windows(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;

    windows_expect(&s->windows, HASH_COUNT(s->trust.uses));
    for (const struct trusted_use *u = s->trust.uses; u; u = u->hh.next) {
        struct stretch stretch = {u->use.range, u->use.first, u->use.last};
        struct range *range = prepare_range(s, u->use.range);

        if (range)
            prepare_window(pager, drv, range, &stretch);
    }
}

static void run_from_here(struct streaming *s)
{
    s->pass.settled = true;
    s->unknown = gate_unknown();
    s->rounds = 0;
    s->moves = s->pass.moves;
    s->check_round = s->by_plan ? PROVEN_ROUNDS : 1;
    s->check_after = 1;
    s->hits = s->misses = 0;
    s->jumps = s->pass.jumps;
    s->outsider = s->outsider_before = 0;
    s->still = 0;
    s->unsure = false;
    proof_begin(s);
    if (s->pass.n_phases == 1)
        side_begin(s);
    s->state = STREAMING_RUNNING;
}

int prepare_begin(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;
    int r = make_ring(pager, drv);

    if (!r && weigh_pieces(s, drv, &pager->costs)) {
        drop_ring(pager, drv, true);
        r = make_ring(pager, drv);
    }
    weigh_forget(s, drv, true);
    if (r)
        return r;
    trust_earn(&s->trust);
    open_windows(pager, drv);
    run_from_here(s);
    if (!s->ring.n_turns)
        experts_begin(pager, drv);
    watch(s, s->ring.n_turns > 0);
    prepare_observation(pager, false);
    stats_add(streaming_plans, 1);
    log_info("streaming: %u chunks, of which %u take turns in %u slots", s->n_pieces,
             count_turns(s), s->ring.n_slots);
    return 0;
}

void prepare_watch(struct pager *pager)
{
    watch(pager->streaming, true);
    prepare_observation(pager, true);
}

void prepare_unwatch(struct pager *pager)
{
    watch(pager->streaming, pager->streaming->ring.n_turns > 0);
    prepare_observation(pager, false);
}

/* What is in the range now: what was done to it before does not matter. */
static int digest_range(struct streaming *s, const struct driver *drv, const struct range *range)
{
    struct digest_span *spans = calloc(range->n_blocks, sizeof(*spans));
    int r;

    if (!spans)
        return -ENOMEM;
    for (uint32_t i = 0; i < range->n_blocks; i++)
        spans[i] = span_of(prepare_piece(s, &range->blocks[i]));
    r = digest_memory(s, drv, spans, range->n_blocks);
    for (uint32_t i = 0; i < range->n_blocks && !r; i++)
        prepare_piece(s, &range->blocks[i])->digest = spans[i].digest;
    free(spans);
    return r;
}

int prepare_admit(struct pager *pager, const struct driver *drv, struct range *range)
{
    struct transfer *transfer;
    int r = 0;

    if (!card_enter(pager, drv, &transfer))
        return -EAGAIN;
    if (!range->blocks[0].piece)
        r = prepare_add_pieces(pager->streaming, range);
    if (!r)
        r = digest_range(pager->streaming, drv, range);
    card_leave(drv);
    return r;
}

/* Whether anything of the pass has changed: who has written it is not known. */
static bool pass_has_changed(const struct streaming *s)
{
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        if (s->pieces[i].changed && s->pieces[i].turn >= 0)
            return true;
    }
    return false;
}

/* Another plan, with all that is known of this one. */
static int begin_anew(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;

    windows_close(&s->windows, drv, NULL);
    drop_ring(pager, drv, true);
    experts_end(pager, drv, true);
    s->plan++;
    return prepare_begin(pager, drv);
}

static int extend(struct pager *pager, const struct driver *drv, const struct pass_learner *learner)
{
    struct streaming *s = pager->streaming;
    uint32_t changed;
    int r = compare_digests(s, drv, true, &changed);

    if (!r)
        r = blame_changes(s);
    if (r < 0 || guard_noticed(&s->guard) || pass_has_changed(s))
        return r < 0 ? r : -EINVAL;
    if (r && !trust_bar_strangers(&s->trust))
        trust_note_anew(&s->trust);
    else
        r = pass_append(&s->pass, learner);
    log_debug("%u visits beside the pass, %u chunks changed: %d", (unsigned int)learner->n, changed,
              r);
    if (!r)
        return begin_anew(pager, drv);
    s->side.refused = true;
    weigh_forget(s, drv, true);
    prepare_unwatch(pager);
    return 0;
}

int prepare_extend(struct pager *pager, const struct driver *drv,
                   const struct pass_learner *learner)
{
    struct transfer *transfer;
    int r;

    if (!card_enter(pager, drv, &transfer)) {
        pager->streaming->side.refused = true;
        prepare_unwatch(pager);
        return 0;
    }
    r = extend(pager, drv, learner);
    card_leave(drv);
    return r;
}

/* Begins to stream at a safe point. When nothing is away, or nothing that could be streamed, homes
 * by age will do. */
static int try_to_run(struct pager *pager, const struct driver *drv)
{
    int r = prepare_begin(pager, drv);

    if (r != -ENOENT)
        return r;
    prepare_end(pager, drv, true);
    prepare_observation(pager, false);
    pager->streaming->state = STREAMING_RESTING;
    pager->streaming->rest = REST;
    return 0;
}

int prepare_run(struct pager *pager, const struct driver *drv)
{
    struct transfer *transfer;
    int r;

    if (!card_enter(pager, drv, &transfer))
        return 0;
    r = try_to_run(pager, drv);
    card_leave(drv);
    return r;
}

/* What was written under another plan may be so again, whether it was in this lap or not. */
static void recall_rewrites(struct streaming *s)
{
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        struct piece *piece = &s->pieces[i];

        if (piece->block->rewrites >= REWRITES_MOST && !piece->changed)
            piece->changed = piece->explained = true;
    }
}

static int make_plan(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;
    uint32_t changed;
    int r = compare_digests(s, drv, false, &changed);

    recall_rewrites(s);
    pass_fini(&s->pass);
    if (!r)
        r = pass_init(&s->pass, &s->learner, (uint32_t)(s->learner.n - s->learner.first));
    if (!r)
        r = blame_changes(s);
    if (r < 0)
        return r;
    log_debug("%u of %u chunks have changed, %d of them by nobody known", changed, s->n_pieces, r);
    if (!r || trust_bar_strangers(&s->trust))
        return try_to_run(pager, drv);
    s->launched = NULL;
    s->blamed = false;
    s->state = STREAMING_BLAMING;
    return 0;
}

int prepare_plan(struct pager *pager, const struct driver *drv)
{
    struct transfer *transfer;
    int r;

    if (!card_enter(pager, drv, &transfer))
        return 0;
    r = make_plan(pager, drv);
    card_leave(drv);
    return r;
}

/* Something that nobody is known to write was never looked at: there is nothing to compare. */
static bool is_undigested(const struct streaming *s)
{
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        if (s->pieces[i].undigested && is_clean(&s->pieces[i]))
            return true;
    }
    return false;
}

int prepare_check(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;
    struct transfer *transfer;
    uint32_t changed = 0;
    bool unseen;
    int r;

    if (!card_enter(pager, drv, &transfer))
        return 0;
    unseen = is_undigested(s);
    r = compare_digests(s, drv, true, &changed);
    card_leave(drv);
    if (!r && !changed && !unseen)
        trust_earn(&s->trust);
    else if (unseen)
        trust_note_anew(&s->trust);
    return r ? r : changed ? -EINVAL : 0;
}

void prepare_forget(struct streaming *s)
{
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        struct block *block = s->pieces[i].block;

        atomic_store_explicit(&block->takes_turns, false, memory_order_relaxed);
        block->piece = 0;
    }
    s->n_pieces = 0;
    s->ring.n_turns = 0;
}

void prepare_forget_range(struct streaming *s, const struct range *range)
{
    if (!s->ring.waits) {
        prepare_forget(s);
        return;
    }
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        struct piece *piece = &s->pieces[i];

        if (piece->block->range != range)
            continue;
        atomic_store_explicit(&piece->block->takes_turns, false, memory_order_relaxed);
        piece->block->piece = 0;
        *piece = (struct piece){.block = &gone, .turn = -1};
    }
}

bool prepare_detach(struct streaming *s, const struct range *range)
{
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        if (s->pieces[i].block->range == range && s->pieces[i].turn >= 0)
            return false;
    }
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        struct piece *piece = &s->pieces[i];

        if (piece->block->range != range)
            continue;
        piece->block->piece = 0;
        *piece = (struct piece){.block = &gone, .turn = -1};
    }
    return true;
}

bool prepare_names(const struct streaming *s, const struct range *range)
{
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        if (s->pieces[i].block->range == range)
            return true;
    }
    return false;
}

void prepare_end(struct pager *pager, const struct driver *drv, bool alive)
{
    struct streaming *s = pager->streaming;

    if (alive)
        (void)transfer_wait(s->transfer, drv);
    windows_close(&s->windows, drv, NULL);
    drop_ring(pager, drv, alive);
    weigh_forget(s, drv, alive);
    trials_forget(s, drv, alive);
    experts_end(pager, drv, alive);
    if (!alive)
        s->digester = (struct digester){.module = NULL};
    watch(s, false);
    drop_plan(s);
}

const struct chunk *prepare_chunk(void *context, const struct block *block)
{
    const struct streaming *s = context;
    const struct piece *piece = prepare_piece(s, block);

    if (!piece || piece->turn < 0)
        return NULL;
    return s->ring.slots[s->ring.turns[piece->turn].slot].chunk;
}
