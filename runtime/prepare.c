/* SPDX-License-Identifier: MIT */
#include "runtime/prepare.h"

#include <errno.h>
#include <stdlib.h>
#include "runtime/blame.h"
#include "runtime/experts.h"
#include "runtime/gate.h"
#include "runtime/log.h"
#include "runtime/pieces.h"
#include "runtime/proof.h"
#include "runtime/stats.h"
#include "runtime/trial.h"
#include "runtime/turns.h"
#include "runtime/util.h"
#include "runtime/weigh.h"

enum {
    REST = 2048, /* launches */
    PROVEN_ROUNDS =
        4, /* by which the guard has seen most functions be harmless, under such a plan */
};

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
        if (pass_find(&s->pass, piece_key(&range->blocks[i])) ||
            atomic_load_explicit(&range->blocks[i].last_use, memory_order_relaxed) > since)
            return true;
    }
    return false;
}

static bool is_on_device(const struct range *range)
{
    for (uint32_t i = 0; i < range->n_blocks; i++) {
        if (block_tier(&range->blocks[i]) == TIER_DEVICE)
            return true;
    }
    return false;
}

/* What is not in use may be on the device all the same, and has to make room. */
static int make_pieces(struct pager *pager)
{
    struct streaming *s = pager->streaming;
    uint64_t since = two_passes_ago(&s->learner);
    int r = 0;

    for (struct range *range = residency.ranges; range && !r; range = range->next) {
        if (range->pager == pager && (is_in_use(s, range, since) || is_on_device(range)))
            r = pieces_add(s, range);
    }
    return r;
}

static void drop_plan(struct streaming *s)
{
    s->by_plan = false;
    s->reserve = 0;
    side_end(s);
    pieces_forget(s);
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
        r = pieces_compare(s, drv, false, &changed);
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
    s->chain.n_open = 0;
    s->apart = false;
    s->apart_at = s->apart_after = 0;
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
    int r = turns_begin(pager, drv);

    if (!r && weigh_pieces(s, drv, &pager->costs)) {
        turns_end(pager, drv, true);
        r = turns_begin(pager, drv);
    }
    weigh_forget(s, drv, true);
    if (r)
        return r;
    trust_earn(&s->trust);
    turns_open_windows(pager, drv);
    run_from_here(s);
    if (!s->ring.n_turns)
        experts_begin(pager, drv);
    else
        (void)experts_drop_shadows(pager, drv);
    watch(s, s->ring.n_turns > 0);
    prepare_observation(pager, false);
    stats_add(streaming_plans, 1);
    log_info("streaming: %u chunks, of which %u take turns in %u slots", s->n_pieces,
             turns_count(s), s->ring.n_slots);
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

int prepare_admit(struct pager *pager, const struct driver *drv, struct range *range)
{
    struct streaming *s = pager->streaming;
    struct transfer *transfer;
    bool changed = false;
    int r = 0;

    if (!card_enter(pager, drv, &transfer))
        return -EAGAIN;
    if (!range->blocks[0].piece)
        r = pieces_add(s, range);
    if (!r)
        r = pieces_digest_range(s, drv, range, &changed);
    card_leave(drv);
    /* By a copy, most likely; or by somebody who was noted since then. */
    if (changed)
        trust_note_anew(&s->trust);
    return r;
}

/* Another plan, with all that is known of this one. */
static int begin_anew(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;

    windows_close(&s->windows, drv, NULL);
    turns_end(pager, drv, true);
    experts_end(pager, drv, true);
    s->plan++;
    return prepare_begin(pager, drv);
}

/* Never under a plan of the user, so everybody who is trusted has been watched. */
static int extend(struct pager *pager, const struct driver *drv, const struct pass_learner *learner)
{
    struct streaming *s = pager->streaming;
    uint32_t changed;
    int r = pieces_compare(s, drv, true, &changed);

    pieces_recall_rewrites(s);
    if (!r)
        r = blame_changes(s);
    if (r < 0 || guard_noticed(&s->guard) || pieces_turns_changed(s))
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

static int make_plan(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;
    uint32_t changed;
    int r = pieces_compare(s, drv, false, &changed);

    pieces_recall_rewrites(s);
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

int prepare_check(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;
    struct transfer *transfer;
    uint32_t changed = 0;
    bool unseen;
    int r;

    if (!card_enter(pager, drv, &transfer))
        return 0;
    unseen = pieces_undigested(s);
    r = pieces_compare(s, drv, true, &changed);
    card_leave(drv);
    if (!r && !changed && !unseen)
        trust_earn(&s->trust);
    else if (unseen)
        trust_note_anew(&s->trust);
    return r ? r : changed ? -EINVAL : 0;
}

void prepare_end(struct pager *pager, const struct driver *drv, bool alive)
{
    struct streaming *s = pager->streaming;

    if (alive)
        (void)transfer_wait(s->transfer, drv);
    windows_close(&s->windows, drv, NULL);
    turns_end(pager, drv, alive);
    weigh_forget(s, drv, alive);
    trials_forget(s, drv, alive);
    chain_fini(&s->chain, drv, alive);
    experts_end(pager, drv, alive);
    if (!alive)
        s->digester = (struct digester){.module = NULL};
    watch(s, false);
    drop_plan(s);
}
