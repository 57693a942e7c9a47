/* SPDX-License-Identifier: MIT */
/*
 * Every way is judged by the same model: what is written has its room on the device first, weights
 * get the rest, and a pass takes the longer of computing and copying, and what is read in place on
 * top. A model of several components is the sum of its phases, with what has to be brought in
 * between.
 */
#include "planner/strategy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "planner/allocation.h"
#include "planner/engine.h"
#include "planner/phases.h"
#include "runtime/util.h"

struct row {
    const char *name;
    enum strategy_kind kind;
    int (*judge)(const struct row *row, struct strategy_case *c, struct strategy_result *out);
    double number;
    const char *quality, *help;
};

#define STRATEGY(name, kind, judge, number, quality, help)                                         \
    static int judge_##judge(const struct row *row, struct strategy_case *c,                       \
                             struct strategy_result *out);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wredundant-decls"
#include "planner/strategies.def"
#pragma GCC diagnostic pop

static const struct row rows[] = {
#define STRATEGY(name, kind, judge, number, quality, help)                                         \
    {name, STRATEGY_##kind, judge_##judge, number, quality, help},
#include "planner/strategies.def"
};
_Static_assert(ARRAY_SIZE(rows) <= STRATEGIES_MAX, "room for every row");

const char *strategy_lack_name(enum strategy_lack lack)
{
    static const char *const names[] = {"nothing", "device memory", "pinned host memory",
                                        "host memory", "disk space"};

    return names[lack];
}

static const char *bound_of(const struct phases_total *total)
{
    if (total->reading > total->computing && total->reading > total->copying)
        return "link, in place";
    return total->copying > total->computing ? "link" : total->computing_bound;
}

static void set_seconds(const struct strategy_case *c, double seconds, struct strategy_result *out)
{
    double error = c->subject->measured.pass > 0 ? 0.07 : c->machine.speed_error;

    out->low = seconds * (1 - error);
    out->high = seconds * (1 + error);
}

static void lack(struct strategy_result *out, enum strategy_lack what, uint64_t bytes)
{
    out->fits = false;
    out->lack = what;
    out->short_by = bytes;
    out->low = out->high = 0;
    out->bound = "nothing";
    snprintf(out->why, sizeof(out->why), "short of %s", strategy_lack_name(what));
}

static uint64_t most_written(const struct subject *s, uint64_t *error)
{
    uint64_t most = 0;

    for (size_t i = 0; i < s->n_phases; i++) {
        uint64_t e;
        uint64_t written = subject_written(s, i, &e);

        if (written >= most) {
            most = written;
            *error = e;
        }
    }
    return most;
}

/* What everything takes together beyond the device. */
static uint64_t beyond_device(const struct strategy_case *c)
{
    uint64_t error = 0;

    return less_u64(c->subject->bytes + most_written(c->subject, &error), c->machine.device);
}

/* What host memory has to hold, pinned. Where it is the device's own, it is no second one. */
static void take_pinned(const struct strategy_case *c, uint64_t bytes, struct strategy_result *out)
{
    out->pinned = bytes;
    out->host = bytes;
    if (c->machine.unified && bytes && beyond_device(c))
        lack(out, LACK_DEVICE, beyond_device(c));
    else if (!c->machine.unified && bytes > c->machine.pinned)
        lack(out, LACK_PINNED, bytes - c->machine.pinned);
}

static int judge_way(struct strategy_case *c, const struct phases_way *way,
                     struct strategy_result *out, struct phases_total *total)
{
    int r = phases_run(c, way, NULL, total);

    if (r)
        return r;
    out->applies = true;
    out->fits = true;
    out->peak = c->machine.driver + total->peak;
    out->peak_error = c->machine.driver_error + total->written_error;
    out->bound = bound_of(total);
    out->n_streamed = total->placement.n_streamed;
    out->n_dense = total->placement.n_dense;
    out->ring = total->placement.ring;
    set_seconds(c, total->seconds, out);
    take_pinned(c, total->host, out);
    if (!total->fits)
        lack(out, LACK_DEVICE, total->short_by);
    return 0;
}

static double compute_all(struct strategy_case *c, const char **bound)
{
    const struct subject *s = c->subject;
    double seconds = 0;

    for (size_t i = 0; i < s->n_phases; i++) {
        struct subject_cost cost =
            subject_cost(s, i, c->machine.device_rate, c->machine.flops, c->machine.launch);

        seconds += s->phases[i].runs * cost.seconds;
        if (i == s->main_phase)
            *bound = cost.bound;
    }
    return seconds;
}

static int judge_resident(const struct row *row, struct strategy_case *c,
                          struct strategy_result *out)
{
    uint64_t error = 0;
    uint64_t need = allocation_paged(c) + most_written(c->subject, &error);
    uint64_t small;
    int r = allocation_small(c, &small);

    if (r || subject_pinned(c->subject, PLACE_ON_HOST))
        return r;
    out->applies = out->fits = true;
    out->peak = c->machine.driver + small + need;
    out->peak_error = c->machine.driver_error + error;
    set_seconds(c, compute_all(c, &out->bound), out);
    snprintf(out->why, sizeof(out->why), "nothing has to be moved");
    if (need > c->machine.device)
        lack(out, LACK_DEVICE, need - c->machine.device);
    return 0;
}

/* What stays of a phase while another runs: all but that of the encoder, or nothing, and what is
 * pinned. */
static uint64_t kept_bytes(const struct subject *s, size_t phase, bool encoder_only)
{
    if (encoder_only && phase > 0)
        return s->phases[phase].bytes - subject_pinned_in(s, phase, PLACE_ON_HOST);
    return subject_pinned_in(s, phase, PLACE_ON_DEVICE);
}

/* The largest sum of what is on the device at one time. The encoder comes and goes alone, or every
 * phase does. */
static uint64_t swapped_peak(const struct subject *s, bool encoder_only, uint64_t *error)
{
    uint64_t most = 0;

    for (size_t i = 0; i < s->n_phases; i++) {
        uint64_t e;
        uint64_t bytes = subject_written(s, i, &e);

        for (size_t k = 0; k < s->n_phases; k++)
            bytes += k == i ? s->phases[k].bytes : kept_bytes(s, k, encoder_only && i > 0);
        if (bytes >= most) {
            most = bytes;
            *error = e;
        }
    }
    return most;
}

static int judge_swapping(struct strategy_case *c, bool encoder_only, struct strategy_result *out)
{
    const struct subject *s = c->subject;
    uint64_t error = 0;
    uint64_t moved = 0;
    uint64_t need = swapped_peak(s, encoder_only, &error);
    double seconds = compute_all(c, &out->bound);

    if (s->n_phases < 2)
        return 0;
    for (size_t i = 0; i < s->n_phases; i++)
        moved += s->phases[i].bytes - kept_bytes(s, i, encoder_only);
    seconds += (double)moved / c->machine.link_rate / (s->work.steps ? s->work.steps : 1);
    out->applies = out->fits = true;
    out->peak = c->machine.driver + need;
    out->peak_error = c->machine.driver_error + error;
    set_seconds(c, seconds, out);
    snprintf(out->why, sizeof(out->why), "components change places once per picture");
    take_pinned(c, moved, out);
    if (need > c->machine.device)
        lack(out, LACK_DEVICE, need - c->machine.device);
    return 0;
}

static int judge_swap_encoder(const struct row *row, struct strategy_case *c,
                              struct strategy_result *out)
{
    return judge_swapping(c, true, out);
}

static int judge_swap(const struct row *row, struct strategy_case *c, struct strategy_result *out)
{
    return judge_swapping(c, false, out);
}

static void tell_stream(const struct strategy_case *c, const struct phases_total *total,
                        struct strategy_result *out)
{
    if (!out->fits)
        return;
    if (total->placement.n_streamed)
        snprintf(out->why, sizeof(out->why), "%zu of %zu tensors take turns, %.2f GB per pass",
                 total->placement.n_streamed, total->placement.n_dense,
                 (double)total->placement.streamed / 1e9);
    else
        snprintf(out->why, sizeof(out->why), "nothing has to be streamed");
}

static int judge_stream(const struct row *row, struct strategy_case *c, struct strategy_result *out)
{
    struct phases_total total;
    int r =
        judge_way(c, &(struct phases_way){.may_stream = true, .cache = true, .whole_experts = true},
                  out, &total);

    if (!r)
        tell_stream(c, &total, out);
    return r;
}

static int judge_experts(struct strategy_case *c, bool cache, struct strategy_result *out)
{
    struct phases_total total;
    int r;

    if (!c->subject->expert_bytes)
        return 0;
    r = judge_way(c, &(struct phases_way){.may_stream = true, .cache = cache}, out, &total);
    if (!r && out->fits)
        snprintf(out->why, sizeof(out->why), "%.2f GB of experts read in place per pass",
                 (double)total.placement.in_place / 1e9);
    return r;
}

static int judge_experts_cached(const struct row *row, struct strategy_case *c,
                                struct strategy_result *out)
{
    return judge_experts(c, true, out);
}

static int judge_experts_in_place(const struct row *row, struct strategy_case *c,
                                  struct strategy_result *out)
{
    return judge_experts(c, false, out);
}

static int judge_stream_blocks(const struct row *row, struct strategy_case *c,
                               struct strategy_result *out)
{
    const struct subject *s = c->subject;
    uint64_t ring = 2 * (s->bytes / (s->n_blocks ? s->n_blocks : 1)) + strategy_chunk(c);
    struct phases_way way = {
        .may_stream = true, .whole_experts = true, .all_away = true, .ring = ring};
    struct phases_total total;
    int r = judge_way(c, &way, out, &total);

    if (!r)
        tell_stream(c, &total, out);
    return r;
}

static int judge_stream_all(const struct row *row, struct strategy_case *c,
                            struct strategy_result *out)
{
    struct phases_way way = {
        .may_stream = true, .whole_experts = true, .all_away = true, .ring = 2 * strategy_chunk(c)};
    struct phases_total total;
    int r = judge_way(c, &way, out, &total);

    if (!r)
        tell_stream(c, &total, out);
    return r;
}

static int judge_in_place(const struct row *row, struct strategy_case *c,
                          struct strategy_result *out)
{
    struct phases_total total;
    int r = judge_way(c, &(struct phases_way){.cache = true}, out, &total);

    if (!r && out->fits)
        snprintf(out->why, sizeof(out->why), "%.2f GB per pass over the link",
                 (double)total.placement.in_place / 1e9);
    return r;
}

static int judge_spill(const struct row *row, struct strategy_case *c, struct strategy_result *out)
{
    struct phases_total total;
    struct phases_way way = {.may_stream = true, .cache = true};
    int r = judge_way(c, &way, out, &total);
    double reading;

    if (r || !total.fits)
        return r;
    out->disk = less_u64(total.host, c->machine.unified ? 0 : c->machine.pinned);
    out->applies = out->disk > 0;
    out->pinned = out->host = total.host - out->disk;
    out->fits = true;
    out->lack = LACK_NONE;
    out->short_by = 0;
    reading = (double)out->disk / c->machine.disk_rate;
    out->bound = reading > total.seconds ? "disk" : bound_of(&total);
    set_seconds(c, reading > total.seconds ? reading : total.seconds, out);
    snprintf(out->why, sizeof(out->why), "%.2f GB per pass from the disk", (double)out->disk / 1e9);
    if (out->disk > c->machine.disk)
        lack(out, LACK_DISK, out->disk - c->machine.disk);
    return 0;
}

static int judge_engine(const struct row *row, struct strategy_case *c, struct strategy_result *out)
{
    const struct subject *s = c->subject;
    uint64_t written = subject_written(s, s->main_phase, &out->peak_error);
    double device = compute_all(c, &out->bound);
    struct engine_run run;

    if (!c->engine || c->engine->offload == ENGINE_OFFLOAD_NONE)
        return 0;
    engine_run(c, device, out->bound, &run);
    if (run.away == 0 || c->machine.unified)
        return 0;
    out->applies = out->fits = true;
    out->host = run.host;
    out->pinned = run.pinned;
    out->bound = run.bound;
    out->peak = c->machine.driver + min_u64(s->bytes + written, c->machine.device);
    out->peak_error += c->machine.driver_error;
    set_seconds(c, run.seconds, out);
    snprintf(out->why, sizeof(out->why), "%s: %s", c->engine->name, c->engine->offload_flags);
    if (written > c->machine.device)
        lack(out, LACK_DEVICE, written - c->machine.device);
    else if (out->host > c->machine.host)
        lack(out, LACK_HOST, out->host - c->machine.host);
    else if (out->pinned > c->machine.pinned)
        lack(out, LACK_PINNED, out->pinned - c->machine.pinned);
    return 0;
}

/* As it would be on the device, else streamed. */
static int judge_best(struct strategy_case *c, struct strategy_result *out)
{
    struct strategy_result streamed = *out;
    int r = judge_resident(NULL, c, out);

    if (r || out->fits)
        return r;
    r = c->subject->expert_bytes ? judge_experts_cached(NULL, c, &streamed)
                                 : judge_stream(NULL, c, &streamed);
    if (!r && streamed.fits)
        *out = streamed;
    return r;
}

/* The weights with fewer bits. */
static void shrink(struct subject *s, double share)
{
    s->bytes = (uint64_t)((double)s->bytes * share);
    s->expert_bytes = (uint64_t)((double)s->expert_bytes * share);
    for (size_t i = 0; i < s->n_pieces; i++) {
        s->pieces[i].bytes = (uint64_t)((double)s->pieces[i].bytes * share);
        s->pieces[i].touched = (uint64_t)((double)s->pieces[i].touched * share);
    }
    for (size_t i = 0; i < s->n_phases; i++)
        s->phases[i].bytes = (uint64_t)((double)s->phases[i].bytes * share);
}

static int judge_smaller(const struct row *row, struct strategy_case *c,
                         struct strategy_result *out)
{
    struct subject *whole = c->subject;
    double bits = whole->parameters ? 8.0 * (double)whole->bytes / (double)whole->parameters : 0;
    struct subject small = *whole;
    int r;

    if (c->no_quantize || bits < 1.2 * row->number)
        return 0;
    small.pieces = calloc(whole->n_pieces + 1, sizeof(*small.pieces));
    if (!small.pieces)
        return -ENOMEM;
    memcpy(small.pieces, whole->pieces, whole->n_pieces * sizeof(*small.pieces));
    shrink(&small, row->number / bits);
    c->subject = &small;
    r = judge_best(c, out);
    c->subject = whole;
    if (!r && out->fits)
        snprintf(out->why, sizeof(out->why), "a file of %.2f GB instead of %.2f GB",
                 (double)small.bytes / 1e9, (double)whole->bytes / 1e9);
    free(small.pieces);
    return r;
}

static int judge_kv_q8(const struct row *row, struct strategy_case *c, struct strategy_result *out)
{
    struct subject *s = c->subject;
    struct workload work = s->work, quantised = work;
    uint64_t before = s->demand.cache.bytes;
    int r;

    quantised.keys = quantised.values = kv_type_find("q8_0");
    if (c->no_quantize || s->measured.cache || !before || work.keys->numbers > 1)
        return 0;
    subject_judge(s, &quantised);
    r = judge_best(c, out);
    if (!r && out->fits)
        snprintf(out->why, sizeof(out->why),
                 "a cache of %.2f GB instead of %.2f GB; needs flash attention",
                 (double)s->demand.cache.bytes / 1e9, (double)before / 1e9);
    subject_judge(s, &work);
    return r;
}

enum {
    TILES = 8,
};

/* Decoding in so many parts, one after the other. */
static int judge_decoding(struct strategy_case *c, uint64_t parts, struct strategy_result *out)
{
    struct subject *s = c->subject;
    size_t last = s->n_phases - 1;
    struct term before;
    int r;

    if (parts < 2)
        return 0;
    if (s->kind != SUBJECT_IMAGE || s->n_phases < 2 || strcmp(s->phases[last].name, "decode") != 0)
        return 0;
    before = s->phases[last].compute;
    s->phases[last].compute = (struct term){before.bytes / parts, before.error / parts};
    r = judge_best(c, out);
    s->phases[last].compute = before;
    if (!r && out->fits)
        snprintf(out->why, sizeof(out->why), "decoding takes %.2f GB instead of %.2f GB",
                 (double)(before.bytes / parts) / 1e9, (double)before.bytes / 1e9);
    return r;
}

static int judge_vae_slicing(const struct row *row, struct strategy_case *c,
                             struct strategy_result *out)
{
    return judge_decoding(c, c->subject->work.batch, out);
}

static int judge_vae_tiling(const struct row *row, struct strategy_case *c,
                            struct strategy_result *out)
{
    return judge_decoding(c, TILES, out);
}

double strategy_least(struct strategy_case *c)
{
    struct strategy_result ideal = {.bound = NULL};

    set_seconds(c, compute_all(c, &ideal.bound), &ideal);
    return ideal.high;
}

size_t strategy_count(void)
{
    return ARRAY_SIZE(rows);
}

int strategy_judge(struct strategy_case *c, size_t row, struct strategy_result *out)
{
    *out = (struct strategy_result){.name = rows[row].name,
                                    .kind = rows[row].kind,
                                    .quality = rows[row].quality,
                                    .help = rows[row].help,
                                    .bound = "nothing"};
    return rows[row].judge(&rows[row], c, out);
}

/* What the library makes of components that change places: those of which the bytes are not there
 * in every pass have their home in host memory. */
static void place_swapped(struct subject *s, bool encoder_only, struct placement *out)
{
    *out = (struct placement){.fits = true};
    for (size_t i = 0; i < s->n_phases; i++) {
        const struct subject_phase *phase = &s->phases[i];
        bool stays = encoder_only ? i > 0 : i == s->main_phase;

        *(stays ? &out->device : &out->host) += phase->bytes;
        for (size_t k = phase->first; k < phase->first + phase->n; k++) {
            struct place_piece *piece = &s->pieces[k];

            if (piece->pin)
                piece->tier = piece->pin == PLACE_ON_HOST ? PLACE_STREAM : PLACE_DEVICE;
            else
                piece->tier = stays ? PLACE_DEVICE : PLACE_STREAM;
        }
    }
}

/* The ways that leave something away; anything else has everything on the device. */
int strategy_place(struct strategy_case *c, const char *name, struct placement *out)
{
    static const struct {
        const char *name;
        struct phases_way way;
    } ways[] = {
        {"stream", {.may_stream = true, .cache = true, .whole_experts = true}},
        {"experts-cached", {.may_stream = true, .cache = true}},
        {"experts-in-place", {.may_stream = true}},
        {"in-place", {.cache = true}},
        {"spill", {.may_stream = true, .cache = true}},
        {"stream-blocks", {.may_stream = true, .whole_experts = true, .all_away = true}},
        {"stream-all", {.may_stream = true, .whole_experts = true, .all_away = true}},
    };
    struct phases_total total;
    int r;

    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        if (strcmp(ways[i].name, name) != 0)
            continue;
        r = phases_run(c, &ways[i].way, c->subject->pieces, &total);
        *out = total.placement;
        return r;
    }
    if (strncmp(name, "swap", 4) == 0) {
        place_swapped(c->subject, strcmp(name, "swap-encoder") == 0, out);
        return 0;
    }
    for (size_t i = 0; i < c->subject->n_pieces; i++)
        c->subject->pieces[i].tier =
            c->subject->pieces[i].pin == PLACE_ON_HOST ? PLACE_STREAM : PLACE_DEVICE;
    *out = (struct placement){.fits = true, .device = c->subject->bytes};
    return 0;
}
