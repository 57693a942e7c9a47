/* SPDX-License-Identifier: MIT */
/*
 * A launch may read copies that were made since the last submission of unknown effect. What is
 * unknown is noted, and known when digests have been compared or, under a plan of the user, when
 * the guard has seen copies from before and behind it be alike (proof.h).
 *
 * The ring counts positions of the phase that the program is in. A phase in which nothing takes
 * turns is no place in it: while the program is there, the one before it is over.
 */
#include "runtime/serve.h"

#include "runtime/gate.h"
#include "runtime/group.h"
#include "runtime/planned.h"
#include "runtime/prepare.h"
#include "runtime/proof.h"
#include "runtime/stats.h"
#include "runtime/trial.h"

enum {
    APART_FAR = 64, /* launches; rarer ones are not waited for */
};

/* By the plan of the user: weights are read. The guard looks whether it is so. */
static bool is_presumed(struct streaming *s, const struct extent *extent,
                        const struct trust_use *use)
{
    if (!s->by_plan || trust_find(&s->trust, use) || !planned_is_read(extent))
        return false;
    trust_presume(&s->trust, use);
    return true;
}

static bool uses_are_trusted(struct pager *pager, const struct launch *launch,
                             const struct extents *extents)
{
    struct streaming *s = pager->streaming;
    bool trusted = !extents->more;

    for (size_t i = 0; i < extents->n; i++) {
        const struct extent *extent = &extents->list[i];
        struct trust_use use;

        if (extent->range->pager != pager ||
            (s->state == STREAMING_RUNNING && !extent_has_turns(extent)))
            continue;
        use = extent_use(launch, extent);
        trusted &= is_presumed(s, extent, &use) || trust_use(&s->trust, &use);
    }
    return trusted;
}

/* Whether the launch is known to leave alone all that takes turns and that it is not given. Notes
 * it, if it is not. */
static bool function_is_trusted(struct streaming *s, const struct launch *launch)
{
    bool watched = launch->layout->excused != NULL;
    bool trusted;

    if (s->by_plan)
        trusted = proof_launch(s, launch->function);
    else
        trusted = !watched || trust_function(&s->trust, launch->function);
    if (trusted && watched)
        layout_excuse(launch->function);
    return trusted;
}

bool serve_is_own_context(const struct streaming *s, const struct driver *drv)
{
    CUcontext ctx;

    return drv->cuCtxGetCurrent(&ctx) == CUDA_SUCCESS && ctx == s->transfer->ctx;
}

/* The program has come into a phase that has turns, or stays there longer than was foretold. */
static void enter_cycle(struct streaming *s)
{
    const struct pass *pass = &s->pass;
    uint64_t leave = UINT64_MAX;

    if (pass->phase == 0 && pass->last_run && s->entries != pass->entries)
        leave = pass->begin + (uint64_t)(pass->last_run - 1) * pass->phases[0].n;
    ring_enter(&s->ring, pass->phase, pass->begin, leave, pass->side);
}

/* Where the program is, as the ring counts: a phase without turns is the end of that before it. */
static uint64_t ring_position(struct streaming *s)
{
    const struct pass *pass = &s->pass;
    bool entered = s->entries != pass->entries;

    if (s->ring.cycles[pass->phase].n) {
        if (entered || (pass->phase == 0 && pass->begin > s->ring.leave))
            enter_cycle(s);
        s->at = pass_position(pass);
    } else if (entered) {
        s->at = ring_lap_end(&s->ring, s->at);
    }
    s->entries = pass->entries;
    return s->at;
}

/* Something of unknown effect was submitted, or the functions are not those that were trusted: what
 * was staged is forgotten, and nothing is staged before that has ended. False: not yet. */
static bool catch_up(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;
    uint64_t unknown = gate_unknown();
    struct transfer *transfer;

    prepare_trust(s);
    if (unknown == s->unknown && !s->chain.n_open)
        return true;
    ring_distrust_all(&s->ring);
    if (!card_enter(pager, drv, &transfer))
        return false;
    card_leave(drv);
    s->unknown = unknown;
    return true;
}

/* The launch that follows may write anything. */
static void distrust(struct streaming *s)
{
    ring_distrust_all(&s->ring);
    gate_note_unknown();
}

static bool is_first_of_range(const struct extents *extents, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        if (extents->list[k].range == extents->list[i].range)
            return false;
    }
    return true;
}

static struct redirect *redirect_launch(struct pager *pager, const struct driver *drv,
                                        const struct launch *launch, struct extents *extents)
{
    struct streaming *s = pager->streaming;
    enum trial_verdict verdict = TRIAL_COPY;
    struct redirect *redirect = NULL;
    uint64_t away = 0;
    bool missed = false;
    bool held = true;

    for (size_t i = 0; i < extents->n; i++) {
        struct group group = {.extents = extents, .range = extents->list[i].range, .s = s};
        enum group_use use = GROUP_RESIDENT;

        if (group.range->pager == pager && is_first_of_range(extents, i))
            use = group_find_use(s, launch, &group);
        if (use == GROUP_STREAMED && s->by_plan) {
            verdict = trial_find(s, launch->function);
            use = verdict == TRIAL_COPY ? GROUP_STREAMED : GROUP_IN_PLACE;
            away += group_bytes(s, &group);
        }
        if (use == GROUP_STREAMED)
            missed |= !group_redirect(pager, drv, launch, &group, &redirect);
        else if (use == GROUP_IN_PLACE)
            held &= group_hold(pager, launch, &group, &redirect);
    }
    if (!held)
        distrust(s);
    if (verdict == TRIAL_FIRST && redirect)
        trial_begin(pager, drv, launch, away, redirect);
    s->hits += redirect && redirect->n_entries && !missed;
    s->misses += missed;
    if (redirect && redirect->n_entries)
        stats_add(launches_redirected, 1);
    if (missed)
        stats_add(launches_in_place, 1);
    return redirect;
}

/* Stages what can be of so many visits. Where some of it is on the disk, waits for what the launch
 * names. */
static bool advance(struct pager *pager, const struct driver *drv, const struct extents *extents,
                    uint64_t visits)
{
    struct streaming *s = pager->streaming;
    uint64_t now = ring_position(s);
    int r = 0;

    /* What has been waited for since may have been found to be written. */
    if (!guard_noticed(&s->guard))
        r = ring_advance(&s->ring, drv, s->transfer, now, visits, RING_NO_TURN);
    EACH_BLOCK(extents, pager, block)
    {
        const struct piece *piece = piece_of(s, block);

        if (!r && s->ring.waits && piece && piece->turn >= 0 && !piece->idle &&
            !ring_holds(&s->ring, (uint32_t)piece->turn))
            r = ring_advance(&s->ring, drv, s->transfer, now, visits, (uint32_t)piece->turn);
    }
    if (r == -ESTALE || guard_noticed(&s->guard))
        s->state = STREAMING_ENDING;
    return !r && s->state == STREAMING_RUNNING;
}

/* All that it reads has been copied for it, when all launches before it had ended. */
static bool is_fresh(const struct streaming *s, const struct redirect *redirect)
{
    bool fresh = redirect->n_entries == redirect->n_slots;

    for (uint32_t i = 0; i < redirect->n_slots && fresh; i++) {
        const struct slot *slot = &s->ring.slots[redirect->slots[i]];

        fresh = s->pieces[s->ring.turns[slot->turn].piece].copied == s->clock;
    }
    return fresh;
}

/* Launches that may write anything come in every layer, most likely: of what is copied ahead of one
 * nothing is good behind it, and it would have to wait for that. */
static bool expects_apart(const struct streaming *s)
{
    uint64_t since = s->clock - s->apart_at;

    return s->by_plan && s->apart_at && since <= min_u64(2 * s->apart_after, APART_FAR);
}

/* `alone`: it may write anything, so only what it reads itself is staged, and void afterwards. */
static struct redirect *serve(struct pager *pager, const struct driver *drv,
                              const struct launch *launch, struct extents *extents, bool alone)
{
    struct streaming *s = pager->streaming;
    struct redirect *redirect;

    /* Copies wait for launches before; were one of these held up by the host, so would be all that
     * the copies are for, and the host might be waiting for that. */
    if (!serve_is_own_context(s, drv) || !card_may_drain() ||
        !advance(pager, drv, extents, alone || expects_apart(s) ? 1 : s->pass.n))
        return NULL;
    redirect = redirect_launch(pager, drv, launch, extents);
    if (redirect)
        redirect->fresh = alone && is_fresh(s, redirect);
    return redirect;
}

static bool names_turns(const struct pager *pager, const struct extents *extents)
{
    for (size_t i = 0; i < extents->n; i++) {
        if (extents->list[i].range->pager == pager && extent_has_turns(&extents->list[i]))
            return true;
    }
    return false;
}

static struct redirect *run_learned(struct pager *pager, const struct driver *drv,
                                    const struct launch *launch, struct extents *extents)
{
    struct streaming *s = pager->streaming;
    bool trusted;

    if (!catch_up(pager, drv))
        return NULL;
    trusted = function_is_trusted(s, launch);
    trusted &= uses_are_trusted(pager, launch, extents);
    if (trusted)
        return serve(pager, drv, launch, extents, false);
    distrust(s);
    s->misses++;
    return NULL;
}

/* Whether copies for other cards are void, too, when it is not known what a launch writes. */
static bool others_stream(const struct pager *pager)
{
    for (int i = 0; i < DEVICES_MAX; i++) {
        if (&pagers.cards[i] != pager && pagers.cards[i].streaming)
            return true;
    }
    return false;
}

static bool join_chain(struct pager *pager, const struct driver *drv, const struct launch *launch,
                       struct redirect **redirect)
{
    struct streaming *s = pager->streaming;

    if (!serve_is_own_context(s, drv) || !card_may_drain() || others_stream(pager))
        return false;
    if (!*redirect)
        *redirect = redirect_nowhere(launch);
    if (!*redirect)
        return false;
    (*redirect)->pager = pager;
    (*redirect)->plan = s->plan;
    (*redirect)->stream = launch->stream;
    return chain_join(&s->chain, drv, s->transfer, *redirect);
}

/* The launch may write anything: no copy is made beside it, and none is good any more. */
static void set_apart(struct pager *pager, const struct driver *drv, const struct launch *launch,
                      struct redirect **redirect)
{
    struct streaming *s = pager->streaming;

    s->apart = true;
    s->apart_after = s->clock - s->apart_at;
    s->apart_at = s->clock;
    stats_add(launches_apart, 1);
    if (join_chain(pager, drv, launch, redirect)) {
        ring_distrust_all(&s->ring);
        return;
    }
    (void)transfer_wait(s->transfer, drv);
    distrust(s);
}

/* Nothing was compared before. So a launch reads copies that were made since the last launch before
 * it of which it is not known what else that writes: at first, all are of that kind. */
static struct redirect *run_planned(struct pager *pager, const struct driver *drv,
                                    const struct launch *launch, struct extents *extents)
{
    struct streaming *s = pager->streaming;
    bool named = names_turns(pager, extents);
    struct redirect *redirect = NULL;
    bool trusted, uses, wanted;

    proof_look(pager, drv);
    prepare_trust(s);
    s->clock++;
    trusted = function_is_trusted(s, launch);
    uses = uses_are_trusted(pager, launch, extents);
    s->apart &= !named;
    /* For a launch that reads no copies, none are begun while the one before may void them. */
    wanted = named || (trusted && !s->apart && gate_unknown() == s->unknown);
    if (uses && wanted && catch_up(pager, drv))
        redirect = serve(pager, drv, launch, extents, !trusted);
    if (!trusted || !uses)
        set_apart(pager, drv, launch, &redirect);
    s->misses += !uses;
    return redirect;
}

void serve_note(struct pager *pager, const struct driver *drv, const struct launch *launch,
                const struct extents *extents)
{
    (void)function_is_trusted(pager->streaming, launch);
    (void)uses_are_trusted(pager, launch, extents);
}

struct redirect *serve_launch(struct pager *pager, const struct driver *drv,
                              const struct launch *launch, struct extents *extents)
{
    if (!pager->streaming->ring.n_turns)
        return NULL;
    return pager->streaming->by_plan ? run_planned(pager, drv, launch, extents)
                                     : run_learned(pager, drv, launch, extents);
}
