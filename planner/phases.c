/* SPDX-License-Identifier: MIT */
/*
 * In every phase what is written has its room first. Residents stay where they are from phase to
 * phase; those of the main one are chosen first, the others share what it leaves by their size.
 * What has to make way for another phase is brought in again once per picture.
 *
 * Where not all phases fit together the library has one ring for all of them, as large as any
 * wants, and what has no room beside that takes turns in it: see runtime/residents.c, whose rule
 * this is.
 */
#include "planner/phases.h"

#include <errno.h>
#include <stdlib.h>

#include "planner/allocation.h"
#include "runtime/spread.h"
#include "runtime/util.h"

/* How phases share the device that stream through one ring. */
struct shared {
    uint64_t ring; /* 0: they do not */
    uint64_t main; /* bytes of residents of the main phase */
    double others; /* part of the others' bytes */
};

enum {
    SLOTS_LEAST = 2,
};

/* Device memory that pieces which are pinned there take, whichever phase runs. */
static uint64_t pinned_bytes(const struct strategy_case *c)
{
    return align_up(subject_pinned(c->subject, PLACE_ON_DEVICE), strategy_chunk(c));
}

/* And what is left of it. */
static uint64_t device_of(const struct strategy_case *c)
{
    return less_u64(c->machine.device, pinned_bytes(c));
}

static uint64_t room_in(const struct strategy_case *c, size_t phase)
{
    return less_u64(device_of(c), allocation_written(c, phase));
}

/* What is hardly larger than a chunk moves with its neighbours. */
static void copy_pieces(struct place_piece *to, const struct strategy_case *c, size_t phase,
                        const struct phases_way *way)
{
    const struct subject *s = c->subject;
    const struct subject_phase *p = &s->phases[phase];
    uint64_t small = 2 * strategy_chunk(c);

    for (size_t i = 0; i < p->n; i++) {
        to[i] = s->pieces[p->first + i];
        if (allocation_is_small(c, &to[i]))
            to[i] = (struct place_piece){.dense = true};
        else if (to[i].expert ? way->whole_experts : to[i].touched && to[i].bytes <= small) {
            to[i].dense = true;
            to[i].touched = to[i].bytes;
        }
    }
}

/* Buffers by their kinds. */
struct lot {
    struct spread_kind *kinds;
    uint32_t n;
    uint64_t bytes;
    uint64_t longest; /* of those that are pinned to the host, which do not count otherwise */
};

/* Those of the main phase, or of all others, that are read whole. -ENOENT when some of the main one
 * are not: it may be better to keep these. */
static int lot_init(struct lot *lot, struct strategy_case *c, const struct phases_way *way,
                    bool main, struct place_piece *scratch)
{
    const struct subject *s = c->subject;
    int r = 0;

    *lot = (struct lot){.kinds = calloc(s->n_pieces + 1, sizeof(*lot->kinds))};
    if (!lot->kinds)
        return -ENOMEM;
    for (size_t i = 0; i < s->n_phases; i++) {
        if ((i == s->main_phase) != main)
            continue;
        copy_pieces(scratch, c, i, way);
        for (size_t k = 0; k < s->phases[i].n; k++) {
            if (!scratch[k].dense && !scratch[k].pin) {
                r = main ? -ENOENT : 0;
                continue;
            }
            if (scratch[k].dense && scratch[k].pin == PLACE_ON_HOST)
                lot->longest = max_u64(lot->longest, scratch[k].bytes);
            if (scratch[k].pin)
                continue;
            spread_add(lot->kinds, &lot->n, scratch[k].bytes, scratch[k].bytes);
            lot->bytes += scratch[k].bytes;
        }
    }
    return r;
}

/* Of the longest buffer, what is away when so many bytes of them stay. */
static uint64_t lot_away(const struct lot *lot, uint64_t stays)
{
    struct spread_share share = spread_share(lot->kinds, lot->n, less_u64(lot->bytes, stays));
    uint64_t most = 0;

    for (uint32_t i = 0; stays < lot->bytes && i < lot->n; i++)
        most = max_u64(most, spread_away(&share, lot->kinds[i].length));
    return most;
}

/* With no larger ring than it takes for what is then away. `tight`: the room of the phase that has
 * the least. */
static struct shared share_room(const struct lot *main, const struct lot *others, uint64_t room,
                                uint64_t tight, uint64_t chunk)
{
    struct shared shared = {.ring = 0};
    uint64_t longest = max_u64(main->longest, others->longest);
    uint64_t wanted = max_u64(SLOTS_LEAST * chunk, place_ring_for(longest, room, chunk));

    while ((longest || main->bytes + others->bytes > room) && wanted > shared.ring &&
           wanted < room) {
        uint64_t left, most;

        shared.ring = wanted;
        shared.main = min_u64(main->bytes, room - wanted);
        left = min_u64(others->bytes, less_u64(min_u64(room, tight), wanted + shared.main));
        shared.others = others->bytes ? (double)left / (double)others->bytes : 0;
        most = max_u64(lot_away(main, shared.main), lot_away(others, left));
        most = max_u64(most, longest);
        wanted = spread_ring_for((most + chunk - 1) / chunk, room, chunk, SPREAD_SOME_SLOTS);
    }
    return shared;
}

static int share_device(struct strategy_case *c, const struct phases_way *way,
                        struct place_piece *scratch, struct shared *out)
{
    const struct subject *s = c->subject;
    uint64_t tight = device_of(c);
    struct lot main, others = {.kinds = NULL};
    int r;

    *out = (struct shared){.ring = 0};
    if (!way->may_stream || way->ring || way->all_away || s->n_phases < 2)
        return 0;
    for (size_t i = 0; i < s->n_phases; i++)
        tight = min_u64(tight, room_in(c, i));
    r = lot_init(&main, c, way, true, scratch);
    if (!r)
        r = lot_init(&others, c, way, false, scratch);
    if (!r)
        *out = share_room(&main, &others, room_in(c, s->main_phase), tight, strategy_chunk(c));
    free(main.kinds);
    free(others.kinds);
    return r == -ENOENT ? 0 : r;
}

static int place_phase(struct strategy_case *c, size_t phase, uint64_t budget,
                       const struct phases_way *way, uint64_t ring, struct place_piece *pieces,
                       struct placement *out, struct subject_cost *cost)
{
    struct subject *s = c->subject;
    uint64_t written;
    struct place_request request = {
        .budget = budget,
        .chunk = strategy_chunk(c),
        .apart = allocation_unit(c),
        .link = c->machine.link_rate,
        .in_place = c->machine.in_place_rate,
        .may_stream = way->may_stream,
        .cache = way->cache,
        .all_away = way->all_away,
        .ring = ring ? ring : way->ring,
        .keeps_ring = ring != 0,
    };
    int r;

    *cost = subject_cost(s, phase, c->machine.device_rate, c->machine.flops, c->machine.launch);
    request.compute = cost->seconds;
    copy_pieces(pieces, c, phase, way);
    r = place_pieces(pieces, s->phases[phase].n, &request, out);
    written = allocation_written(c, phase) + pinned_bytes(c);
    if (!r && written > c->machine.device) {
        out->fits = false;
        out->short_by += written - c->machine.device;
    }
    return r;
}

static uint64_t bytes_in(const struct strategy_case *c, size_t phase)
{
    return less_u64(c->subject->phases[phase].bytes,
                    subject_pinned_in(c->subject, phase, PLACE_ON_DEVICE));
}

/* Those that nobody has pinned. */
static uint64_t free_in(const struct strategy_case *c, size_t phase)
{
    return less_u64(bytes_in(c, phase), subject_pinned_in(c->subject, phase, PLACE_ON_HOST));
}

/* The ring that it cannot do without. */
static uint64_t least_of(const struct strategy_case *c, size_t phase, const struct shared *shared)
{
    return min_u64(max_u64(shared->ring, SLOTS_LEAST * strategy_chunk(c)), bytes_in(c, phase));
}

/* A phase's part of what the main one leaves beside the largest ring that another needs: parts by
 * size, so that none of them shrinks when there is more memory. */
static uint64_t part_of(const struct strategy_case *c, size_t phase, const struct shared *shared,
                        const struct phases_total *total)
{
    const struct subject *s = c->subject;
    uint64_t left = less_u64(room_in(c, s->main_phase), total->placement.ring);
    uint64_t least = 0, all = 0;

    for (size_t i = 0; i < s->n_phases; i++) {
        if (i == s->main_phase)
            continue;
        left = min_u64(left, room_in(c, i));
        least = max_u64(least, least_of(c, i, shared));
        all += free_in(c, i);
    }
    left = less_u64(left, total->placement.device + least);
    return all ? (uint64_t)((double)left * ((double)free_in(c, phase) / (double)all)) : 0;
}

/* Device memory for weights of a phase, when those of others hold some of it: residents stay for
 * good, but they make way for a ring, and for what is written. What makes way is brought in again.
 */
static uint64_t budget_of(const struct strategy_case *c, size_t phase, const struct shared *shared,
                          const struct phases_total *total, uint64_t *out_moved)
{
    uint64_t room = room_in(c, phase);
    uint64_t least = least_of(c, phase, shared);

    *out_moved = 0;
    if (phase == c->subject->main_phase)
        return shared->ring ? shared->main + shared->ring : room;
    if (room < total->held + least) {
        *out_moved = min_u64(total->held, total->held + least - room);
        return min_u64(room, least);
    }
    if (shared->ring)
        return min_u64(room - total->held,
                       (uint64_t)((double)free_in(c, phase) * shared->others) + shared->ring);
    return min_u64(room - total->held, part_of(c, phase, shared, total) + least);
}

static void add_phase(struct strategy_case *c, size_t phase, const struct placement *placement,
                      const struct subject_cost *cost, uint64_t moved, struct phases_total *total)
{
    const struct subject *s = c->subject;
    const struct subject_phase *p = &s->phases[phase];
    uint64_t written_error;
    uint64_t written = subject_written(s, phase, &written_error);
    double changes = (double)moved / c->machine.link_rate / (s->work.steps ? s->work.steps : 1);
    uint64_t peak = pinned_bytes(c) + written + less_u64(total->held, moved) + placement->held;

    total->seconds += p->runs * placement->seconds + changes;
    total->computing += p->runs * cost->seconds;
    total->copying += p->runs * (double)placement->streamed / c->machine.link_rate + changes;
    total->reading += p->runs * (double)placement->in_place / c->machine.in_place_rate;
    total->held += placement->device;
    total->moved = max_u64(total->moved, moved);
    if (peak >= total->peak) {
        total->peak = peak;
        total->written_error = written_error;
    }
    if (!placement->fits) {
        total->fits = false;
        total->short_by = max_u64(total->short_by, placement->short_by);
    }
    if (phase == s->main_phase) {
        total->placement = *placement;
        total->written = written;
        total->computing_bound = cost->bound;
    }
}

static int run_phase(struct strategy_case *c, size_t phase, const struct phases_way *way,
                     const struct shared *shared, struct place_piece *pieces,
                     struct place_piece *keep, struct phases_total *out)
{
    const struct subject_phase *p = &c->subject->phases[phase];
    struct placement placement;
    struct subject_cost cost;
    uint64_t moved;
    uint64_t budget = budget_of(c, phase, shared, out, &moved);
    int r = place_phase(c, phase, budget, way, shared->ring, pieces, &placement, &cost);

    if (r)
        return r;
    add_phase(c, phase, &placement, &cost, moved, out);
    for (size_t i = 0; keep && i < p->n; i++)
        keep[p->first + i].tier = pieces[i].tier;
    return 0;
}

/* The main phase comes first: it runs most often. */
int phases_run(struct strategy_case *c, const struct phases_way *way, struct place_piece *keep,
               struct phases_total *out)
{
    struct subject *s = c->subject;
    struct place_piece *pieces = calloc(s->n_pieces + 1, sizeof(*pieces));
    struct shared shared;
    uint64_t small = 0;
    int r = pieces ? share_device(c, way, pieces, &shared) : -ENOMEM;

    *out = (struct phases_total){.fits = true, .computing_bound = "nothing"};
    if (!r)
        r = allocation_small(c, &small);
    if (!r)
        r = run_phase(c, s->main_phase, way, &shared, pieces, keep, out);
    for (size_t i = 0; !r && i < s->n_phases; i++)
        if (i != s->main_phase)
            r = run_phase(c, i, way, &shared, pieces, keep, out);
    out->peak += small;
    out->host = less_u64(allocation_paged(c), subject_pinned(s, PLACE_ON_DEVICE));
    out->host = less_u64(out->host, less_u64(out->held, out->moved));
    free(pieces);
    return r;
}
