/* SPDX-License-Identifier: MIT */
/*
 * Programs offload in few ways. What the CPU computes is bound by what it reads of host memory;
 * what is copied comes from memory that is not pinned, while nothing else goes on, unless the
 * program has pinned copies. Components of a picture other than the main one are copied once a
 * picture.
 *
 * Held against published figures: tests/test_published.py.
 */
#include "planner/engine.h"

#include "runtime/util.h"

/* CPUs multiply matrices at so many operations per second; a desktop's, and not a bad one. */
#define CPU_FLOPS 0.5e12

/* Of the main phase, what a pass touches of all pieces, or of experts. */
static double touched_bytes(const struct subject *s, bool experts_only, double *of)
{
    const struct subject_phase *p = &s->phases[s->main_phase];
    double touched = 0;

    *of = 0;
    for (size_t i = p->first; i < p->first + p->n; i++) {
        if (experts_only && !s->pieces[i].expert)
            continue;
        touched += (double)s->pieces[i].touched;
        *of += (double)s->pieces[i].bytes;
    }
    return touched;
}

/* What a pass touches of what is away: whole layers are as the model is, experts go first where the
 * program knows them. */
static double touched_away(const struct subject *s, uint64_t away, bool experts_first)
{
    double experts, touched = touched_bytes(s, experts_first, &experts);
    double first = (double)away < experts ? (double)away : experts;

    return (experts > 0 ? first * touched / experts : 0) +
           (experts_first ? (double)away - first : 0);
}

/* The CPU computes with what lies in host memory, and the device waits meanwhile. */
static void run_on_cpu(const struct strategy_case *c, double device, bool experts_first,
                       struct engine_run *out)
{
    const struct subject *s = c->subject;
    double touched = touched_away(s, out->away, experts_first);
    double of, all = touched_bytes(s, false, &of);
    double share = all > touched ? touched / all : 1;
    double reading = touched / c->machine.ram_rate;
    double computing = 2 * s->touched_numbers * subject_tokens(s) * share / CPU_FLOPS;
    double host = reading > computing ? reading : computing;

    out->seconds = device * (1 - share) + host;
    if (host > device * (1 - share))
        out->bound = reading > computing ? "host memory" : "CPU";
}

/* What is copied for a pass: what of the main phase has no room, or all of it; and once a picture
 * what else there is. */
static double copied_bytes(const struct strategy_case *c, bool whole)
{
    const struct subject *s = c->subject;
    uint64_t main = s->phases[s->main_phase].bytes;
    uint64_t need = main + subject_written(s, s->main_phase, NULL);
    uint64_t away = less_u64(need, c->machine.device);
    double steps = s->work.steps ? s->work.steps : 1;
    double each = (double)(away && whole ? main : away);

    return s->n_phases < 2 ? each : each + ((double)s->bytes - each) / steps;
}

static void run_copying(const struct strategy_case *c, double device, bool whole,
                        struct engine_run *out)
{
    double copying = copied_bytes(c, whole) / c->machine.pageable_rate;

    out->seconds = device + copying;
    if (copying > device)
        out->bound = "link, pageable";
}

/* All of it is copied for every pass, beside computing. */
static void run_in_groups(const struct strategy_case *c, double device, struct engine_run *out)
{
    const struct subject *s = c->subject;
    double steps = s->work.steps ? s->work.steps : 1;
    uint64_t main = s->phases[s->main_phase].bytes;
    double copying = (double)main / c->machine.link_rate;
    double others = (double)(s->bytes - main) / c->machine.link_rate / steps;

    out->pinned = s->bytes;
    out->host = 2 * s->bytes;
    out->seconds = (copying > device ? copying : device) + others;
    if (copying > device)
        out->bound = "link";
}

static void run_in_place(const struct strategy_case *c, double device, struct engine_run *out)
{
    double reading = touched_away(c->subject, out->away, false) / c->machine.in_place_rate;

    out->pinned = out->away;
    out->seconds = device + reading;
    if (reading > device)
        out->bound = "link, in place";
}

void engine_run(const struct strategy_case *c, double device, const char *bound,
                struct engine_run *out)
{
    const struct subject *s = c->subject;
    uint64_t need = s->bytes + subject_written(s, s->main_phase, NULL);

    *out = (struct engine_run){.away = less_u64(need, c->machine.device), .bound = bound};
    out->host = out->away;
    switch (c->engine->offload) {
    case ENGINE_OFFLOAD_EXPERTS:
    case ENGINE_OFFLOAD_LAYERS:
        run_on_cpu(c, device, c->engine->offload == ENGINE_OFFLOAD_EXPERTS, out);
        break;
    case ENGINE_OFFLOAD_COPY:
    case ENGINE_OFFLOAD_STREAM:
    case ENGINE_OFFLOAD_SEGMENTS:
        run_copying(c, device, c->engine->offload == ENGINE_OFFLOAD_SEGMENTS, out);
        if (c->engine->offload != ENGINE_OFFLOAD_COPY)
            out->host = s->bytes;
        break;
    case ENGINE_OFFLOAD_IN_PLACE:
        run_in_place(c, device, out);
        break;
    default:
        run_in_groups(c, device, out);
    }
}
