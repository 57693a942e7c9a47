/* SPDX-License-Identifier: MIT */
/*
 * The smallest change that fits, found by trying: fewer tokens if half of them or more remain, a
 * smaller cache, and else as much more memory as is missing. What is offered has been judged, so it
 * holds.
 */
#include "planner/change.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runtime/util.h"

enum {
    STEP = 256, /* tokens */
    BATCH_MOST = 4096,
    PIXELS = 64, /* images are made of such pieces, */
    PIXELS_MOST = 16384,
};

static int fits_with(struct strategy_case *c, size_t row, const struct workload *work, bool *out)
{
    struct workload before = c->subject->work;
    struct strategy_result result;
    int r;

    subject_judge(c->subject, work);
    r = strategy_judge(c, row, &result);
    subject_judge(c->subject, &before);
    *out = !r && result.applies && result.fits;
    return r;
}

/* The greatest multiple of STEP from `low` (which fits) below `high` (which does not). */
static int largest_context(struct strategy_case *c, size_t row, uint64_t low, uint64_t high,
                           uint64_t *out)
{
    struct workload work = c->subject->work;

    while (high - low > STEP) {
        uint64_t middle = align_down(low + (high - low) / 2, STEP);
        bool fits;
        int r;

        if (middle <= low)
            break;
        work.context = middle;
        r = fits_with(c, row, &work, &fits);
        if (r)
            return r;
        *(fits ? &low : &high) = middle;
    }
    *out = low;
    return 0;
}

static int try_context(struct strategy_case *c, size_t row, struct strategy_result *result)
{
    uint64_t now = c->subject->demand.context;
    struct workload work = c->subject->work;
    uint64_t found;
    bool fits;
    int r;

    work.context = align_down(now / 2, STEP);
    if (c->subject->kind != SUBJECT_LANGUAGE || work.context == 0)
        return 0;
    r = fits_with(c, row, &work, &fits);
    if (r || !fits)
        return r;
    r = largest_context(c, row, work.context, now, &found);
    if (!r)
        snprintf(result->change, sizeof(result->change), "--ctx %" PRIu64, found);
    return r;
}

static int try_cache_type(struct strategy_case *c, size_t row, struct strategy_result *result)
{
    struct workload work = c->subject->work;
    bool fits;
    int r;

    work.keys = work.values = kv_type_find("q8_0");
    if (c->no_quantize || c->subject->kind != SUBJECT_LANGUAGE)
        return 0;
    r = fits_with(c, row, &work, &fits);
    if (!r && fits)
        snprintf(result->change, sizeof(result->change), "--kv q8_0");
    return r;
}

/* The budget that the lack is of, and the option that sets it. */
static uint64_t *budget_of(struct machine *machine, enum strategy_lack lack, const char **option)
{
    switch (lack) {
    case LACK_DEVICE:
        *option = "--vram";
        return &machine->device;
    case LACK_PINNED:
        *option = "--pinned";
        return &machine->pinned;
    case LACK_HOST:
        *option = "--ram";
        return &machine->host;
    default:
        *option = "--disk";
        return &machine->disk;
    }
}

static void say(struct strategy_result *result, const char *option, uint64_t bytes)
{
    size_t used = strlen(result->change);

    snprintf(result->change + used, sizeof(result->change) - used, "%s%s %" PRIu64 "MiB",
             used ? " " : "", option, bytes / MIB);
}

/* So much more of what `now` lacks. What is pinned is part of host memory: where that is too small,
 * more of it is wanted, of which the share that may be pinned is as large as before. */
static void raise_budget(struct machine *m, const struct strategy_result *now,
                         struct strategy_result *result)
{
    const char *option;
    uint64_t *budget = budget_of(m, now->lack, &option);

    *budget = align_up(*budget + now->short_by, MIB);
    if (now->lack == LACK_PINNED && m->pinned > m->host) {
        m->host = m->pinned;
        if (m->pinned_share > 0) {
            m->host = align_up((uint64_t)((double)m->pinned / m->pinned_share) + MIB, MIB);
            m->pinned = (uint64_t)((double)m->host * m->pinned_share);
        }
        say(result, "--ram", m->host);
        if (m->pinned_share > 0)
            return;
    }
    say(result, option, *budget);
}

/* More of what is missing, and of what is missing then. Rounded up to what is read easily. */
static int try_memory(struct strategy_case *c, size_t row, struct strategy_result *result)
{
    struct machine before = c->machine;
    struct strategy_result now = *result;
    int r = 0;

    for (int i = 0; i < 3 && !r && !now.fits; i++) {
        raise_budget(&c->machine, &now, result);
        r = strategy_judge(c, row, &now);
    }
    c->machine = before;
    if (!now.fits)
        result->change[0] = '\0';
    return r;
}

int change_find(struct strategy_case *c, size_t row, struct strategy_result *result)
{
    int r = try_context(c, row, result);

    if (!r && !result->change[0])
        r = try_cache_type(c, row, result);
    if (!r && !result->change[0])
        r = try_memory(c, row, result);
    return r;
}

/* Whether what is asked for fits, or anything but advice. */
static int any_fits(struct strategy_case *c, const struct workload *work, bool *out)
{
    struct workload before = c->subject->work;
    int r = 0;

    *out = false;
    subject_judge(c->subject, work);
    for (size_t i = 0; !r && !*out && i < strategy_count(); i++) {
        struct strategy_result result;

        r = strategy_judge(c, i, &result);
        *out = result.applies && result.fits &&
               (c->asked ? strcmp(result.name, c->asked) == 0 : result.kind == STRATEGY_OURS);
    }
    subject_judge(c->subject, &before);
    return r;
}

/* The greatest number of units up to `most` for which `set` makes a workload that fits. */
static int greatest(struct strategy_case *c, void (*set)(struct workload *, uint64_t),
                    uint64_t most, uint64_t *out)
{
    struct workload work = c->subject->work;
    uint64_t low = 0, high = most + 1;

    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        bool fits;
        int r;

        set(&work, middle);
        r = any_fits(c, &work, &fits);
        if (r)
            return r;
        *(fits ? &low : &high) = middle;
    }
    *out = low;
    return 0;
}

static void set_context(struct workload *work, uint64_t steps)
{
    work->context = steps * STEP;
}

static void set_batch(struct workload *work, uint64_t batch)
{
    work->batch = (uint32_t)batch;
}

/* What the model was made for need not be so many whole steps. */
int change_max_context(struct strategy_case *c, uint64_t *out)
{
    uint64_t most = c->subject->arch->context ? c->subject->arch->context : 1 << 20;
    struct workload work = c->subject->work;
    bool fits;
    int r;

    work.context = most;
    r = any_fits(c, &work, &fits);
    if (r)
        return r;
    if (fits) {
        *out = most;
        return 0;
    }
    r = greatest(c, set_context, most / STEP, out);
    *out *= STEP;
    return r;
}

int change_max_batch(struct strategy_case *c, uint64_t *out)
{
    return greatest(c, set_batch, BATCH_MOST, out);
}

static void set_resolution(struct workload *work, uint64_t steps)
{
    work->width = work->height = (uint32_t)(steps * PIXELS);
}

int change_max_resolution(struct strategy_case *c, uint64_t *out)
{
    int r = greatest(c, set_resolution, PIXELS_MOST / PIXELS, out);

    *out *= PIXELS;
    return r;
}
