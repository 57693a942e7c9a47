/* SPDX-License-Identifier: MIT */
/*
 * In every phase what is written has its room first, and the weights of the phase get the rest.
 * Whatever a phase keeps on the device has to be brought in when it begins, once per picture.
 */
#include "planner/phases.h"

#include <errno.h>
#include <stdlib.h>

#include "runtime/util.h"

enum {
    GRANULARITY = 2 << 20, /* of physical memory, on every card so far */
    LEAST_CHUNKS = 16,     /* that a budget is cut into, as in runtime/card.c */
};

uint64_t strategy_chunk(const struct strategy_case *c)
{
    uint64_t bytes = GRANULARITY;

    while (bytes * 2 <= c->chunk && bytes * 2 * LEAST_CHUNKS <= c->machine.device)
        bytes *= 2;
    return bytes;
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
        if (to[i].expert ? way->whole_experts : to[i].touched && to[i].bytes <= small) {
            to[i].dense = true;
            to[i].touched = to[i].bytes;
        }
    }
}

static int place_phase(struct strategy_case *c, size_t phase, const struct phases_way *way,
                       struct place_piece *pieces, struct placement *out, struct subject_cost *cost)
{
    struct subject *s = c->subject;
    uint64_t written = subject_written(s, phase, NULL);
    struct place_request request = {
        .budget = c->machine.device > written ? c->machine.device - written : 0,
        .chunk = strategy_chunk(c),
        .link = c->machine.link_rate,
        .in_place = c->machine.in_place_rate,
        .may_stream = way->may_stream,
        .cache = way->cache,
        .all_away = way->all_away,
        .ring = way->ring,
    };
    int r;

    *cost = subject_cost(s, phase, c->machine.device_rate, c->machine.flops, c->machine.launch);
    request.compute = cost->seconds;
    copy_pieces(pieces, c, phase, way);
    r = place_pieces(pieces, s->phases[phase].n, &request, out);
    if (!r && written > c->machine.device) {
        out->fits = false;
        out->short_by += written - c->machine.device;
    }
    return r;
}

/* What a change of phase brings in: the residents of the one that begins. */
static double bring_in(const struct strategy_case *c, const struct placement *placement)
{
    return c->subject->n_phases > 1 ? (double)placement->device / c->machine.link_rate : 0;
}

static void add_phase(struct strategy_case *c, size_t phase, const struct placement *placement,
                      const struct subject_cost *cost, struct phases_total *total)
{
    const struct subject *s = c->subject;
    const struct subject_phase *p = &s->phases[phase];
    uint64_t written_error;
    uint64_t written = subject_written(s, phase, &written_error);
    uint64_t others = s->bytes - p->bytes;
    double changes = bring_in(c, placement) / (s->work.steps ? s->work.steps : 1);

    total->seconds += p->runs * placement->seconds + changes;
    total->computing += p->runs * cost->seconds;
    total->copying += p->runs * (double)placement->streamed / c->machine.link_rate + changes;
    total->reading += p->runs * (double)placement->in_place / c->machine.in_place_rate;
    total->host = max_u64(total->host, placement->host + others);
    if (written + placement->device + placement->ring >= total->peak) {
        total->peak = written + placement->device + placement->ring;
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

int phases_run(struct strategy_case *c, const struct phases_way *way, struct place_piece *keep,
               struct phases_total *out)
{
    struct subject *s = c->subject;
    struct place_piece *pieces = calloc(s->n_pieces + 1, sizeof(*pieces));
    int r = pieces ? 0 : -ENOMEM;

    *out = (struct phases_total){.fits = true, .computing_bound = "nothing"};
    for (size_t i = 0; !r && i < s->n_phases; i++) {
        struct placement placement;
        struct subject_cost cost;

        r = place_phase(c, i, way, pieces, &placement, &cost);
        if (r)
            break;
        add_phase(c, i, &placement, &cost, out);
        for (size_t k = 0; keep && k < s->phases[i].n; k++)
            keep[s->phases[i].first + k].tier = pieces[k].tier;
    }
    free(pieces);
    return r;
}
