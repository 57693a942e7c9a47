/* SPDX-License-Identifier: MIT */
#include "runtime/streaming.h"

#include <errno.h>
#include <stdlib.h>
#include "runtime/blame.h"
#include "runtime/log.h"
#include "runtime/planned.h"
#include "runtime/prepare.h"
#include "runtime/serve.h"
#include "runtime/stats.h"
#include "runtime/trial.h"
#include "runtime/weigh.h"

enum {
    REST = 2048,       /* launches */
    CHECK_ROUNDS = 64, /* the most between two looks at what was noted */
    JUMPS_SHARE = 4,   /* of a pass: more in a round are another pass */
    STILL_LAPS = 4,    /* so many launches for each visit, */
    STILL_LEAST = 256, /* and these, of something else: the program does not come back to it */
};

static void learn_anew(struct streaming *s)
{
    pass_learner_fini(&s->learner);
    s->state = STREAMING_LEARNING;
}

static void rest(struct streaming *s)
{
    log_info("no pass was recognised that can be streamed; homes are moved by age");
    pass_learner_fini(&s->learner);
    s->state = STREAMING_RESTING;
    s->rest = REST;
}

/* So many launches more. */
static void rest_on(struct pager *pager, uint64_t n)
{
    struct streaming *s = pager->streaming;

    s->rest -= min_u64(s->rest, n);
    if (s->rest)
        return;
    prepare_observation(pager, true);
    learn_anew(s);
}

static void learn(struct pager *pager, const struct driver *drv, const struct extents *extents)
{
    struct streaming *s = pager->streaming;

    pass_learner_step(&s->learner);
    for (size_t i = 0; i < extents->n; i++) {
        const struct extent *extent = &extents->list[i];

        if (extent->range->pager == pager)
            pass_learner_touch(&s->learner,
                               piece_key(&extent->range->blocks[extent_first(extent)]));
    }
    if (pass_learner_knows(&s->learner)) {
        int r = prepare_comparison(pager, drv);

        if (r && r != -EAGAIN)
            learn_anew(s);
    } else if (pass_learner_despairs(&s->learner)) {
        prepare_observation(pager, false);
        rest(s);
    }
}

/* Uploads cut buffers into parts; by the end of the first pass launches have named them all. */
static void see_as_named(struct extents *extents)
{
    for (size_t i = 0; i < extents->n; i++)
        extents->list[i].bytes =
            range_named_extent(extents->list[i].range, extents->list[i].address);
}

static void follow_beginnings(struct pager *pager, const struct extents *extents)
{
    struct streaming *s = pager->streaming;

    for (size_t i = 0; i < extents->n; i++) {
        const struct extent *extent = &extents->list[i];

        if (extent->range->pager == pager)
            (void)pass_touch(&s->pass, piece_key(&extent->range->blocks[extent_first(extent)]));
    }
}

static void follow(struct pager *pager, const struct extents *extents)
{
    struct streaming *s = pager->streaming;

    EACH_BLOCK(extents, pager, block)
    (void)pass_touch(&s->pass, piece_key(block));
}

/* What has no place in the pass is in use all the time, and says nothing of where it is. */
static void keep_those_in_pass(struct pager *pager, const struct extents *extents,
                               struct extents *out)
{
    const struct pass *pass = &pager->streaming->pass;

    out->n = 0;
    for (size_t i = 0; i < extents->n; i++) {
        const struct extent *extent = &extents->list[i];
        const struct block *first = &extent->range->blocks[extent_first(extent)];

        if (extent->range->pager == pager && pass_find(pass, piece_key(first)))
            out->list[out->n++] = *extent;
    }
}

static void record(struct pager *pager, const struct extents *all)
{
    struct streaming *s = pager->streaming;
    struct extents extents;

    keep_those_in_pass(pager, all, &extents);
    pass_learner_step(&s->learner);
    EACH_BLOCK(&extents, pager, block)
    pass_learner_touch(&s->learner, piece_key(block));
    /* The first are needed as long as the last. */
    EACH_BLOCK(&extents, pager, block)
    pass_learner_touch(&s->learner, piece_key(block));
}

static struct redirect *compare(struct pager *pager, const struct driver *drv,
                                const struct launch *launch, const struct extents *extents)
{
    struct streaming *s = pager->streaming;

    follow_beginnings(pager, extents);
    if (s->pass.laps >= 2) {
        if (prepare_plan(pager, drv))
            s->state = STREAMING_ENDING;
        return NULL;
    }
    if (s->pass.laps == 1)
        record(pager, extents);
    serve_note(pager, drv, launch, extents);
    if (s->pass.jumps > s->pass.n / JUMPS_SHARE || s->pass.foreign > 2 * (uint64_t)s->pass.n)
        s->state = STREAMING_ENDING;
    if (s->pass.laps != 1 || !serve_is_own_context(s, drv))
        return NULL;
    return weigh_launch(s, drv, launch, extents, pager);
}

static void blame(struct pager *pager, const struct driver *drv, const struct launch *launch,
                  const struct extents *extents)
{
    struct streaming *s = pager->streaming;
    int r = blame_launch(pager, drv, launch);

    if (r && r != -EAGAIN) {
        s->state = STREAMING_ENDING;
        return;
    }
    follow(pager, extents);
    if (s->pass.laps < 2)
        return;
    s->hopeless = !s->blamed;
    if (s->hopeless || prepare_run(pager, drv))
        s->state = STREAMING_ENDING;
}

/* A round has ended. False when the program does not go along with the pass any more. */
static bool end_round(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;
    bool lost = s->misses > s->hits + 4 && s->rounds > 2;
    bool stayed = s->outsider && s->outsider == s->outsider_before;

    s->outsider_before = s->outsider;
    s->outsider = 0;
    s->rounds++;
    s->moves = s->pass.moves;
    s->jumps = s->pass.jumps;
    s->hits = 0;
    s->misses = 0;
    if (stayed || (lost && !s->trust.waiting))
        return false;
    if (!s->trust.waiting || s->rounds < s->check_round)
        return true;
    s->check_round = s->rounds + s->check_after;
    s->check_after = min_u64(2 * s->check_after, CHECK_ROUNDS);
    return prepare_check(pager, drv) == 0;
}

/* Memory that came when the plan was made already, and is away: if it stays, it is planned with. */
static void note_outsiders(struct pager *pager, const struct extents *extents)
{
    struct streaming *s = pager->streaming;

    for (size_t i = 0; i < extents->n && !s->outsider; i++) {
        const struct range *range = extents->list[i].range;

        if (range->pager == pager && !range->blocks[0].piece && range_is_away(range) &&
            (s->side.refused || range->id > s->side.newest))
            s->outsider = range->id;
    }
}

static struct redirect *run(struct pager *pager, const struct driver *drv,
                            const struct launch *launch, struct extents *extents)
{
    struct streaming *s = pager->streaming;
    struct redirect *redirect;
    uint64_t moves = s->pass.moves;

    follow(pager, extents);
    note_outsiders(pager, extents);
    if (guard_noticed(&s->guard)) {
        log_info("what was streamed is written after all; the pass is learned anew");
        pager->planned.refuted |= s->by_plan;
        s->state = STREAMING_ENDING;
        return NULL;
    }
    s->still = s->pass.moves == moves ? s->still + 1 : 0;
    if (s->pass.jumps - s->jumps > s->pass.n / JUMPS_SHARE + 4 ||
        s->still > STILL_LAPS * (uint64_t)s->pass.n + STILL_LEAST ||
        (s->pass.moves - s->moves >= s->pass.phases[0].n && !end_round(pager, drv))) {
        pager->planned.refuted |= s->by_plan && !s->outsider_before;
        s->state = STREAMING_ENDING;
        return NULL;
    }
    if (side_launch(pager, drv, launch, extents)) {
        s->state = STREAMING_ENDING;
        return NULL;
    }
    redirect = serve_launch(pager, drv, launch, extents);
    if (!redirect && s->side.on && s->state == STREAMING_RUNNING && serve_is_own_context(s, drv))
        redirect = weigh_launch(s, drv, launch, extents, pager);
    return redirect;
}

/* Where nothing is streamed, what is read in place is looked at. */
static struct redirect *run_on(struct pager *pager, const struct driver *drv,
                               const struct launch *launch, struct extents *extents)
{
    struct streaming *s = pager->streaming;
    struct redirect *redirect = run(pager, drv, launch, extents);

    if (s->state == STREAMING_RUNNING && !s->ring.n_turns && serve_is_own_context(s, drv))
        experts_launch(pager, drv, launch, extents, &redirect);
    return redirect;
}

static void end(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;

    if (!s || s->state == STREAMING_LEARNING || s->state == STREAMING_RESTING)
        return;
    stats_add(streaming_ends, 1);
    prepare_end(pager, drv, true);
    prepare_observation(pager, !s->hopeless);
    if (s->hopeless) {
        s->hopeless = false;
        rest(s);
    } else {
        log_info("the pass has changed; it is learned anew");
        learn_anew(s);
    }
}

void streaming_more_room(struct pager *pager)
{
    struct streaming *s = pager->streaming;

    if (s && s->state == STREAMING_RUNNING)
        s->state = STREAMING_ENDING;
}

void streaming_reclaim(struct pager *pager, const struct driver *drv)
{
    struct transfer *transfer;

    if (!pager->streaming || pager->streaming->state != STREAMING_ENDING ||
        !card_enter(pager, drv, &transfer))
        return;
    end(pager, drv);
    card_leave(drv);
}

bool streaming_make_way(struct pager *pager, const struct driver *drv, struct transfer **out)
{
    if (!card_enter(pager, drv, out))
        return false;
    end(pager, drv);
    return true;
}

bool streaming_pause(struct pager *pager, const struct driver *drv, struct transfer **out)
{
    const struct streaming *s = pager->streaming;

    if (s && (s->state == STREAMING_COMPARING || s->state == STREAMING_BLAMING))
        return card_enter(pager, drv, out);
    return streaming_make_way(pager, drv, out);
}

bool streaming_still_reads(const struct redirect *redirect)
{
    const struct streaming *s = redirect->pager ? redirect->pager->streaming : NULL;

    return !redirect->n_entries ||
           (s && s->plan == redirect->plan &&
            (s->state == STREAMING_RUNNING || s->state == STREAMING_ENDING));
}

bool streaming_launch(struct pager *pager, const struct driver *drv, const struct launch *launch,
                      struct extents *extents, struct redirect **out)
{
    struct streaming *s = prepare_streaming(pager);

    if (!s)
        return false;
    streaming_reclaim(pager, drv);
    (void)planned_start(pager, drv);
    if (s->state >= STREAMING_COMPARING && s->state <= STREAMING_RUNNING)
        see_as_named(extents);
    switch (s->state) {
    case STREAMING_LEARNING:
        learn(pager, drv, extents);
        return s->state != STREAMING_RESTING;
    case STREAMING_COMPARING:
        *out = compare(pager, drv, launch, extents);
        if (s->state != STREAMING_RUNNING)
            return true;
        *out = run_on(pager, drv, launch, extents);
        return true;
    case STREAMING_BLAMING:
        blame(pager, drv, launch, extents);
        return true;
    case STREAMING_RUNNING:
        *out = run_on(pager, drv, launch, extents);
        return true;
    case STREAMING_RESTING:
        rest_on(pager, 1);
        return false;
    default:
        return true;
    }
}

bool streaming_is_running(const struct pager *pager)
{
    return pager->streaming && pager->streaming->state == STREAMING_RUNNING;
}

bool streaming_wants_pieces(struct pager *pager, uint32_t n_launches)
{
    struct streaming *s = pager->streaming;

    if (s && s->state == STREAMING_RESTING)
        rest_on(pager, n_launches);
    return !s || s->state != STREAMING_RESTING;
}

/* Later copies wait for the launch; where they cannot, what it did is not known. */
static void follow_launch(struct streaming *s, const struct driver *drv, struct redirect *redirect)
{
    bool lives = s && s->plan == redirect->plan &&
                 (s->state == STREAMING_RUNNING || s->state == STREAMING_ENDING);

    if (!lives)
        chain_forsake(drv, redirect);
    else if (!chain_follow(&s->chain, drv, s->transfer, redirect))
        gate_note_unknown();
}

void streaming_launched(const struct driver *drv, struct redirect *redirect)
{
    struct streaming *s = redirect->pager->streaming;

    if (redirect->ended)
        follow_launch(s, drv, redirect);
    if (!s || s->plan != redirect->plan)
        return;
    if (redirect->trial && s->state == STREAMING_RUNNING && card_may_drain())
        trial_launched(s, drv, redirect);
    if (s->state == STREAMING_COMPARING || s->side.on)
        weigh_launched(s, drv, redirect);
    if (s->state != STREAMING_RUNNING)
        return;
    if (redirect->unguarded) {
        s->unsure = true;
        s->state = STREAMING_ENDING;
    }
    for (uint32_t i = 0; i < redirect->n_slots; i++)
        ring_unpin(&s->ring, drv, s->transfer, redirect->slots[i], redirect->stream);
}

void streaming_forget(struct pager *pager, const struct driver *drv, const struct range *range)
{
    struct streaming *s = pager->streaming;

    if (!s || s->state < STREAMING_COMPARING || s->state > STREAMING_ENDING)
        return;
    if (!pieces_name(s, range) || (s->state != STREAMING_ENDING && pieces_detach(s, range)))
        return;
    (void)transfer_wait(s->transfer, drv);
    windows_close(&s->windows, drv, range);
    pieces_forget_range(s, range);
    s->state = STREAMING_ENDING;
}

void streaming_renew(struct pager *pager, const struct range *range)
{
    struct streaming *s = pager->streaming;

    if (!s || s->state < STREAMING_COMPARING || s->state > STREAMING_ENDING)
        return;
    if (!pieces_name(s, range) || (s->state != STREAMING_ENDING && pieces_detach(s, range)))
        return;
    pieces_forget_range(s, range);
    s->state = STREAMING_ENDING;
}

void streaming_stream_gone(struct pager *pager, CUstream stream)
{
    if (pager->streaming)
        ring_forget_stream(&pager->streaming->ring, stream);
}

void streaming_context_gone(struct pager *pager, const struct driver *drv, CUcontext ctx)
{
    struct streaming *s = pager->streaming;

    if (!s || !s->transfer || s->transfer->ctx != ctx)
        return;
    prepare_end(pager, drv, false);
    s->transfer = NULL;
    prepare_observation(pager, true);
    learn_anew(s);
}
