/* SPDX-License-Identifier: MIT */
#include "runtime/streaming.h"

#include <errno.h>
#include <stdlib.h>
#include "runtime/blame.h"
#include "runtime/gate.h"
#include "runtime/log.h"
#include "runtime/planned.h"
#include "runtime/prepare.h"
#include "runtime/proof.h"
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

uint32_t extent_first(const struct extent *extent)
{
    return (uint32_t)((extent->address - extent->range->base) >> residency.slot_shift);
}

uint32_t extent_last(const struct extent *extent)
{
    return (uint32_t)((extent->address - extent->range->base + extent->bytes - 1) >>
                      residency.slot_shift);
}

/* Calls for each block that the launch names on this card. */
#define EACH_BLOCK(extents, pager_, block_)                                                        \
    for (const struct extent *e_ = (extents)->list; e_ < (extents)->list + (extents)->n; e_++)     \
        if (e_->range->pager == (pager_))                                                          \
            for (struct block *block_ = &e_->range->blocks[extent_first(e_)],                      \
                              *last_ = &e_->range->blocks[extent_last(e_)];                        \
                 block_ <= last_; block_++)

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
                               prepare_key(&extent->range->blocks[extent_first(extent)]));
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
            (void)pass_touch(&s->pass, prepare_key(&extent->range->blocks[extent_first(extent)]));
    }
}

static void follow(struct pager *pager, const struct extents *extents)
{
    struct streaming *s = pager->streaming;

    EACH_BLOCK(extents, pager, block)
    (void)pass_touch(&s->pass, prepare_key(block));
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

        if (extent->range->pager == pager && pass_find(pass, prepare_key(first)))
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
    pass_learner_touch(&s->learner, prepare_key(block));
    /* The first are needed as long as the last. */
    EACH_BLOCK(&extents, pager, block)
    pass_learner_touch(&s->learner, prepare_key(block));
}

static struct trust_use use_of(const struct launch *launch, const struct extent *extent)
{
    return (struct trust_use){
        .function = (uintptr_t)launch->function,
        .range = extent->range->id,
        .word = extent->word->offset,
        .first = extent_first(extent),
        .last = extent_last(extent),
    };
}

static bool has_turns(const struct extent *extent)
{
    for (uint32_t i = extent_first(extent); i <= extent_last(extent); i++) {
        if (atomic_load_explicit(&extent->range->blocks[i].takes_turns, memory_order_relaxed))
            return true;
    }
    return false;
}

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

        if (extent->range->pager != pager || (s->state == STREAMING_RUNNING && !has_turns(extent)))
            continue;
        use = use_of(launch, extent);
        trusted &= is_presumed(s, extent, &use) || trust_use(&s->trust, &use);
    }
    return trusted;
}

/* Whether the launch is known to leave alone all that takes turns and that it is not given. Notes
 * it, if it is not. */
static bool function_is_trusted(struct streaming *s, const struct driver *drv,
                                const struct launch *launch)
{
    bool watched = launch->layout->excused != NULL;
    bool trusted;

    if (s->by_plan)
        trusted = proof_launch(s, drv, launch->function);
    else
        trusted = !watched || trust_function(&s->trust, launch->function);
    if (trusted && watched)
        layout_excuse(launch->function);
    return trusted;
}

/* Events of another context may be gone before they are looked at. */
static bool is_own_context(const struct streaming *s, const struct driver *drv)
{
    CUcontext ctx;

    return drv->cuCtxGetCurrent(&ctx) == CUDA_SUCCESS && ctx == s->transfer->ctx;
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
    (void)function_is_trusted(s, drv, launch);
    (void)uses_are_trusted(pager, launch, extents);
    if (s->pass.jumps > s->pass.n / JUMPS_SHARE || s->pass.foreign > 2 * (uint64_t)s->pass.n)
        s->state = STREAMING_ENDING;
    if (s->pass.laps != 1 || !is_own_context(s, drv))
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
    if (unknown == s->unknown)
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

/* The stretch can be read through a window now. */
static bool is_staged(struct streaming *s, const struct extent *extent)
{
    for (uint32_t i = extent_first(extent); i <= extent_last(extent); i++) {
        const struct piece *piece = prepare_piece(s, &extent->range->blocks[i]);

        if (piece && piece->turn >= 0 &&
            (piece->idle || !ring_holds(&s->ring, (uint32_t)piece->turn)))
            return false;
    }
    return true;
}

static struct guard_entry guarded(const struct streaming *s, const struct piece *piece,
                                  uint32_t slot)
{
    struct guard_entry entry = guard_entry(&s->guard, slot, piece->block->piece - 1);

    entry.slot = s->ring.slots[slot].at;
    entry.home = block_address(piece->block);
    if (block_tier(piece->block) == TIER_DISK)
        entry.home = entry.slot; /* it has none: see cold_rescue() */
    entry.units = piece->block->bytes / 16;
    return entry;
}

static bool pin(struct pager *pager, const struct driver *drv, const struct extent *extent,
                struct redirect *redirect)
{
    struct streaming *s = pager->streaming;

    for (uint32_t i = extent_first(extent); i <= extent_last(extent); i++) {
        struct piece *piece = prepare_piece(s, &extent->range->blocks[i]);
        uint32_t slot;

        if (!piece || piece->turn < 0)
            continue;
        slot = s->ring.turns[piece->turn].slot;
        if (redirect->n_slots == REDIRECT_SLOTS_MAX ||
            ring_pin(&s->ring, drv, slot, redirect->stream))
            return false;
        redirect->entries[redirect->n_entries++] = guarded(s, piece, slot);
        proof_checked(piece);
        redirect->slots[redirect->n_slots++] = slot;
    }
    return true;
}

/* What a launch is given of one range: all of it is read through one window, so that addresses keep
 * their distances. A kernel may be given where something ends, too. */
struct group {
    struct extents *extents;
    struct range *range;
    struct streaming *s;
    struct window *window;
    struct redirect *redirect;
};

#define EACH_OF_GROUP(group, extent)                                                               \
    for (const struct extent *extent = (group)->extents->list;                                     \
         extent < (group)->extents->list + (group)->extents->n; extent++)                          \
        if (extent->range == (group)->range)

static struct stretch stretch_of(const struct group *group)
{
    struct stretch stretch = {.range = group->range->id, .first = UINT32_MAX};
    uint64_t parts = 0;
    uint32_t n = 0;

    EACH_OF_GROUP(group, extent)
    {
        uint32_t first = extent_first(extent);
        uint32_t last = extent_last(extent);

        stretch.first = first < stretch.first ? first : stretch.first;
        stretch.last = last > stretch.last ? last : stretch.last;
        parts = (parts ^ ((uint64_t)first << 32 | last)) * 0x9e3779b97f4a7c15u;
        parts ^= parts >> 29;
        n++;
    }
    stretch.parts = n > 1 ? parts : 0;
    return stretch;
}

/* Only what is named is staged; what lies between is at home. */
static const struct chunk *chunk_in_group(void *context, const struct block *block)
{
    const struct group *group = context;

    EACH_OF_GROUP(group, extent)
    {
        if (block->index >= extent_first(extent) && block->index <= extent_last(extent))
            return prepare_chunk(group->s, block);
    }
    return NULL;
}

static struct window *window_for(struct pager *pager, const struct driver *drv, struct group *group)
{
    struct stretch stretch = stretch_of(group);
    struct window *window = window_find(&group->s->windows, &stretch);

    if (!window && window_open(&group->s->windows, drv, &pager->access, group->range, &stretch,
                               chunk_in_group, group, &window))
        return NULL;
    return window;
}

/* Where the range ends, or soon after: nobody else's address. */
static void redirect_end(void *context, const struct layout_word *word, uint64_t value)
{
    const struct group *group = context;
    uint64_t offset = value - group->range->base;

    if (offset >= group->range->bytes && residency_range(value) == NULL &&
        offset <= (uint64_t)group->range->n_blocks << residency.slot_shift)
        redirect_word(group->redirect, word, window_address(group->window, value));
}

static bool redirect_is_made(struct pager *pager, const struct launch *launch,
                             struct redirect **redirect)
{
    if (!*redirect)
        *redirect = redirect_new(launch);
    if (!*redirect)
        return false;
    (*redirect)->pager = pager;
    (*redirect)->plan = pager->streaming->plan;
    (*redirect)->guard = &pager->streaming->guard;
    (*redirect)->stream = launch->stream;
    return true;
}

/* The launch is given homes of pieces that take turns. What it does there is not looked at, so it
 * is done before they are staged again. */
static bool hold_group(struct pager *pager, const struct launch *launch, const struct group *group,
                       struct redirect **redirect)
{
    if (!redirect_is_made(pager, launch, redirect))
        return false;
    EACH_OF_GROUP(group, extent)
    {
        for (uint32_t i = extent_first(extent); i <= extent_last(extent); i++) {
            const struct piece *piece = prepare_piece(group->s, &extent->range->blocks[i]);

            if (!piece || piece->turn < 0)
                continue;
            if ((*redirect)->n_slots == REDIRECT_SLOTS_MAX)
                return false;
            ring_hold(&group->s->ring, (uint32_t)piece->turn);
            (*redirect)->slots[(*redirect)->n_slots++] = group->s->ring.turns[piece->turn].slot;
        }
    }
    return true;
}

static bool redirect_group(struct pager *pager, const struct driver *drv,
                           const struct launch *launch, struct group *group,
                           struct redirect **redirect)
{
    EACH_OF_GROUP(group, extent)
    {
        if (!is_staged(group->s, extent))
            return false;
    }
    group->window = window_for(pager, drv, group);
    if (!group->window || !redirect_is_made(pager, launch, redirect))
        return false;
    EACH_OF_GROUP(group, extent)
    {
        if (!pin(pager, drv, extent, *redirect))
            return false;
    }
    group->redirect = *redirect;
    EACH_OF_GROUP(group, extent)
    redirect_word(*redirect, extent->word, window_address(group->window, extent->address));
    (void)layout_scan(launch->layout, launch->kernel_params, launch->extra, redirect_end, group);
    for (size_t i = 0; i < group->extents->n; i++) {
        if (group->extents->list[i].range == group->range)
            group->extents->list[i].staged = true;
    }
    return true;
}

enum group_use {
    GROUP_RESIDENT, /* nothing of it takes turns */
    GROUP_IN_PLACE, /* had better be read there */
    GROUP_STREAMED,
};

static enum group_use use_of_group(struct streaming *s, const struct launch *launch,
                                   const struct group *group)
{
    enum group_use found = GROUP_RESIDENT;

    EACH_OF_GROUP(group, extent)
    {
        struct trust_use use = use_of(launch, extent);
        const struct trusted_use *known = trust_find(&s->trust, &use);

        if (!has_turns(extent))
            continue;
        if (!known || !known->in_place)
            return GROUP_STREAMED;
        found = GROUP_IN_PLACE;
    }
    return found;
}

/* Of what the group is given itself, not of the blocks that lies in. */
static uint64_t bytes_in_turns(const struct streaming *s, const struct group *group)
{
    uint64_t bytes = 0;

    EACH_OF_GROUP(group, extent)
    {
        uint64_t from = extent->address - extent->range->base;
        uint64_t to = from + extent->bytes;

        for (uint32_t i = extent_first(extent); i <= extent_last(extent); i++) {
            const struct block *block = &extent->range->blocks[i];
            const struct piece *piece = prepare_piece(s, block);
            uint64_t begin = (uint64_t)i << residency.slot_shift;

            if (piece && piece->turn >= 0)
                bytes += min_u64(to, begin + block->bytes) - max_u64(from, begin);
        }
    }
    return bytes;
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
            use = use_of_group(s, launch, &group);
        if (use == GROUP_STREAMED && s->by_plan) {
            verdict = trial_find(s, launch->function);
            use = verdict == TRIAL_COPY ? GROUP_STREAMED : GROUP_IN_PLACE;
            away += bytes_in_turns(s, &group);
        }
        if (use == GROUP_STREAMED)
            missed |= !redirect_group(pager, drv, launch, &group, &redirect);
        else if (use == GROUP_IN_PLACE)
            held &= hold_group(pager, launch, &group, &redirect);
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
        const struct piece *piece = prepare_piece(s, block);

        if (!r && s->ring.waits && piece && piece->turn >= 0 && !piece->idle &&
            !ring_holds(&s->ring, (uint32_t)piece->turn))
            r = ring_advance(&s->ring, drv, s->transfer, now, visits, (uint32_t)piece->turn);
    }
    if (r == -ESTALE || guard_noticed(&s->guard))
        s->state = STREAMING_ENDING;
    return !r && s->state == STREAMING_RUNNING;
}

/* `alone`: it may write anything, so only what it reads itself is staged, and void afterwards. */
static struct redirect *serve(struct pager *pager, const struct driver *drv,
                              const struct launch *launch, struct extents *extents, bool alone)
{
    struct streaming *s = pager->streaming;
    uint64_t misses = s->misses;
    struct redirect *redirect;

    /* Copies wait for launches before; were one of these held up by the host, so would be all that
     * the copies are for, and the host might be waiting for that. */
    if (!is_own_context(s, drv) || !card_may_drain() ||
        !advance(pager, drv, extents, alone ? 1 : s->pass.n))
        return NULL;
    redirect = redirect_launch(pager, drv, launch, extents);
    /* What it does not wait for itself. */
    if (alone && (!redirect || !redirect->n_entries || redirect->n_entries != redirect->n_slots ||
                  s->misses != misses))
        (void)transfer_wait(s->transfer, drv);
    return redirect;
}

static bool names_turns(const struct pager *pager, const struct extents *extents)
{
    for (size_t i = 0; i < extents->n; i++) {
        if (extents->list[i].range->pager == pager && has_turns(&extents->list[i]))
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
    trusted = function_is_trusted(s, drv, launch);
    trusted &= uses_are_trusted(pager, launch, extents);
    if (trusted)
        return serve(pager, drv, launch, extents, false);
    distrust(s);
    s->misses++;
    return NULL;
}

/* Nothing was compared before. So a launch reads copies that were made since the last launch before
 * it of which it is not known what else that writes: at first, all are of that kind. */
static struct redirect *run_planned(struct pager *pager, const struct driver *drv,
                                    const struct launch *launch, struct extents *extents)
{
    struct streaming *s = pager->streaming;
    bool named = names_turns(pager, extents);
    struct redirect *redirect = NULL;
    bool trusted, uses;

    proof_look(pager, drv);
    prepare_trust(s);
    s->clock++;
    trusted = function_is_trusted(s, drv, launch);
    uses = uses_are_trusted(pager, launch, extents);
    /* For a launch that reads no copies, none are begun while the one before may void them. */
    if (uses && (named || gate_unknown() == s->unknown) && catch_up(pager, drv))
        redirect = serve(pager, drv, launch, extents, !trusted);
    if (!trusted || !uses)
        distrust(s);
    s->misses += !uses;
    return redirect;
}

static struct redirect *run(struct pager *pager, const struct driver *drv,
                            const struct launch *launch, struct extents *extents)
{
    struct streaming *s = pager->streaming;
    struct redirect *redirect = NULL;
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
    if (s->ring.n_turns)
        redirect = s->by_plan ? run_planned(pager, drv, launch, extents)
                              : run_learned(pager, drv, launch, extents);
    if (!redirect && s->side.on && s->state == STREAMING_RUNNING && is_own_context(s, drv))
        redirect = weigh_launch(s, drv, launch, extents, pager);
    return redirect;
}

/* Where nothing is streamed, what is read in place is looked at. */
static struct redirect *run_on(struct pager *pager, const struct driver *drv,
                               const struct launch *launch, struct extents *extents)
{
    struct streaming *s = pager->streaming;
    struct redirect *redirect = run(pager, drv, launch, extents);

    if (s->state == STREAMING_RUNNING && !s->ring.n_turns && is_own_context(s, drv))
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

void streaming_launched(const struct driver *drv, struct redirect *redirect)
{
    struct streaming *s = redirect->pager->streaming;

    if (!s || s->plan != redirect->plan)
        return;
    if (redirect->trial && s->state == STREAMING_RUNNING && card_may_drain())
        trial_launched(s, drv, redirect);
    if (redirect->probe && (s->state == STREAMING_COMPARING || s->side.on))
        weigh_launched(drv, redirect);
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
    if (!prepare_names(s, range) || (s->state != STREAMING_ENDING && prepare_detach(s, range)))
        return;
    (void)transfer_wait(s->transfer, drv);
    windows_close(&s->windows, drv, range);
    prepare_forget_range(s, range);
    s->state = STREAMING_ENDING;
}

void streaming_renew(struct pager *pager, const struct range *range)
{
    struct streaming *s = pager->streaming;

    if (!s || s->state < STREAMING_COMPARING || s->state > STREAMING_ENDING)
        return;
    if (!prepare_names(s, range) || (s->state != STREAMING_ENDING && prepare_detach(s, range)))
        return;
    prepare_forget_range(s, range);
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
