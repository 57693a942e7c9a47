/* SPDX-License-Identifier: MIT */
/*
 * Homes are chosen when memory is allocated, before anybody knows its address, so that nothing has
 * to be moved: each block has a share that is to stay, of what the plan expects there, and shares
 * add up from block to block until they make a whole one. That spreads residents evenly.
 *
 * The pass is the plan's order of tensors, gone through once in thought. What is read of them is
 * taken to be only read: the guard looks after every launch whether it is so. That they are not
 * written by others is not: see proof.h. When either is not so, the plan is over for good and the
 * pass is learned. Digests of what takes turns are taken of the first copy in the ring, where they
 * cost no traffic.
 */
#include "runtime/planned.h"

#include <errno.h>
#include <stdlib.h>
#include "runtime/log.h"
#include "runtime/prepare.h"
#include "runtime/residents.h"
#include "runtime/turns.h"
#include "runtime/recognise.h"
#include "runtime/tally.h"
#include "runtime/weigh.h"

enum {
    ATTEMPTS = 3,      /* to begin by the plan; later ones because memory came or went */
    ENOUGH_SHARE = 10, /* all but one part of so many must be recognised */
    AS_PLANNED = 64,   /* budgets that differ by less than one part of so many are the same */
};

static bool is_close(uint64_t a, uint64_t b)
{
    return apart_u64(a, b) <= b / AS_PLANNED;
}

static uint64_t planned_residents(const struct planfile *plan)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < plan->n_tensors; i++)
        bytes += plan->tensors[i].resident;
    return bytes;
}

/* Of another budget, what can stay beside what is written and a ring. */
static uint64_t residents_for(const struct planfile *plan, uint64_t budget)
{
    uint64_t room = less_u64(budget, plan->cache + plan->buffers);
    struct spread_kind *kinds = calloc(plan->n_tensors, sizeof(*kinds));
    uint32_t n = 0;
    uint64_t ring;

    if (!kinds)
        return room;
    for (uint32_t i = 0; i < plan->n_tensors; i++) {
        if (plan->tensors[i].tier != PLANFILE_IN_PLACE)
            spread_add(kinds, &n, plan->tensors[i].bytes, plan->tensors[i].bytes);
    }
    ring = spread_ring(kinds, n, room, room, residency.space.slot_bytes);
    free(kinds);
    return ring ? less_u64(room, ring) : plan->weights;
}

/* By how much more or less stays here than the plan says. */
static double scale_of(struct pager *pager)
{
    const struct planfile *plan = recognise_plan();
    uint64_t budget = pager->pools[TIER_DEVICE].budget;
    uint64_t residents = planned_residents(plan);

    if (pager->planned.scaled)
        return pager->planned.scale;
    pager->planned.scaled = true;
    pager->planned.scale = 1;
    if (is_close(budget, plan->device) || !residents)
        return 1;
    log_warn("the plan was made for %llu MiB of device memory, and there are %llu MiB: what stays "
             "is scaled",
             (unsigned long long)(plan->device / MIB), (unsigned long long)(budget / MIB));
    pager->planned.scale = (double)residents_for(plan, budget) / (double)residents;
    return pager->planned.scale;
}

/* Bytes of each block that are to stay. */
struct shares {
    double scale;
    uint32_t n;
    uint64_t all; /* bytes of the allocation */
    double *bytes;
    double due;    /* bytes of all its tensors that are to stay, and */
    double shared; /* those of blocks that are not one tensor's alone */
    double owed;   /* bytes that stay already and were not due to the tensors so far */
};

/* Of a tensor, what lies in blocks that it has not for itself. */
static uint64_t shared_bytes(const struct shares *shares, uint64_t offset, uint64_t end)
{
    uint64_t slot = residency.space.slot_bytes;
    uint64_t first = align_up(offset, slot);
    uint64_t last = end < shares->all ? end - end % slot : end;

    return first > last ? end - offset : first - offset + end - last;
}

static void add_bytes(struct shares *shares, uint64_t offset, uint64_t end, double alone,
                      double shared)
{
    uint64_t slot = residency.space.slot_bytes;

    while (offset < end) {
        uint64_t block = offset >> residency.slot_shift;
        uint64_t to = min_u64(end, (block + 1) << residency.slot_shift);
        bool is_alone = offset % slot == 0 && (to % slot == 0 || to == shares->all);

        if (block < shares->n)
            shares->bytes[block] += (is_alone ? alone : shared) * (double)(to - offset);
        offset = to;
    }
}

static double due_of(const struct shares *shares, uint64_t bytes, double share)
{
    return (double)bytes * (share * shares->scale < 1 ? share * shares->scale : 1);
}

static void count_share(void *context, uint64_t offset, uint64_t bytes, double share)
{
    struct shares *shares = context;

    shares->due += due_of(shares, bytes, share);
    shares->shared += (double)shared_bytes(shares, offset, offset + bytes);
}

/* Blocks that tensors share stay before others: at first they would be copied for each. Where that
 * is more than is due to a tensor, as with small ones, those behind it have less, but for those
 * that are to stay as a whole. */
static void add_share(void *context, uint64_t offset, uint64_t bytes, double share)
{
    struct shares *shares = context;
    double part = shares->due < shares->shared ? shares->due / shares->shared : 1;
    double shared = (double)shared_bytes(shares, offset, offset + bytes);
    double alone = (double)bytes - shared;
    double paid = share < 1 ? shares->owed : 0;
    double left = due_of(shares, bytes, share) - paid - part * shared;
    double taken = left < 0 ? 0 : left < alone ? left : alone;

    shares->owed += taken - left - paid;
    add_bytes(shares, offset, offset + bytes, alone > 0 ? taken / alone : 0, part);
}

void planned_homes_init(struct planned_homes *homes, struct pager *pager, uint64_t bytes)
{
    double slot = (double)residency.space.slot_bytes;
    struct shares shares = {
        .n = (uint32_t)((bytes + residency.space.slot_bytes - 1) >> residency.slot_shift)};

    *homes = (struct planned_homes){.n = shares.n};
    if (!recognise_plan() || pager->planned.refuted)
        return;
    shares.scale = scale_of(pager);
    shares.all = bytes;
    shares.bytes = calloc(shares.n, sizeof(*shares.bytes));
    homes->stays = calloc(shares.n, sizeof(*homes->stays));
    if (!shares.bytes || !homes->stays || !recognise_expect(bytes, count_share, &shares) ||
        !recognise_expect(bytes, add_share, &shares))
        planned_homes_fini(homes);
    for (uint32_t i = 0; homes->stays && i < shares.n; i++) {
        pager->planned.carry += shares.bytes[i];
        homes->stays[i] = pager->planned.carry >= slot / 2;
        pager->planned.carry -= homes->stays[i] ? slot : 0;
    }
    free(shares.bytes);
}

void planned_homes_fini(struct planned_homes *homes)
{
    free(homes->stays);
    homes->stays = NULL;
}

/* Calls for each tensor of the main phase that is on this card and in the pass. */
#define EACH_TENSOR(pager_, range_, offset_, bytes_)                                               \
    for (uint32_t i_ = 0; i_ < recognise_plan()->n_tensors; i_++)                                  \
        for (uint64_t offset_ = 0, bytes_ = recognise_plan()->tensors[i_].bytes; bytes_;           \
             bytes_ = 0)                                                                           \
            for (struct range *range_ = in_pass(pager_, i_, &offset_); range_; range_ = NULL)

static bool is_main(const struct planfile *plan, uint32_t tensor)
{
    for (uint32_t i = 0; i < plan->n_phases; i++) {
        const struct planfile_phase *phase = &plan->phases[i];

        if (tensor >= phase->first && tensor - phase->first < phase->n)
            return phase->is_main;
    }
    return false;
}

static struct range *in_pass(const struct pager *pager, uint32_t tensor, uint64_t *out_offset)
{
    const struct planfile *plan = recognise_plan();
    struct range *range;

    if (plan->tensors[tensor].tier == PLANFILE_IN_PLACE || !is_main(plan, tensor))
        return NULL;
    range = recognise_where(tensor, out_offset);
    return range && range->pager == pager ? range : NULL;
}

static uint32_t block_at(uint64_t offset)
{
    return (uint32_t)(offset >> residency.slot_shift);
}

/* A pass in thought: each tensor is a launch. */
static void go_through(struct pager *pager)
{
    struct streaming *s = pager->streaming;

    pass_learner_fini(&s->learner);
    EACH_TENSOR(pager, range, offset, bytes)
    {
        uint32_t first = block_at(offset);
        uint32_t last = block_at(offset + bytes - 1);

        pass_learner_step(&s->learner);
        for (int twice = 0; twice < 2; twice++) {
            for (uint32_t i = first; i <= last; i++)
                pass_learner_touch(&s->learner, piece_key(&range->blocks[i]));
        }
    }
}

/* All of the plan; and what else is away, which is taken to be written and comes in. */
static int add_pieces(struct pager *pager)
{
    struct streaming *s = pager->streaming;
    int r = 0;

    for (struct range *range = residency.ranges; range && !r; range = range->next) {
        bool planned = range->pager == pager && range->planned;
        uint32_t first = s->n_pieces;

        if (range->pager != pager || (!planned && !range_is_away(range)))
            continue;
        r = pieces_add(s, range);
        for (uint32_t i = first; i < s->n_pieces; i++) {
            s->pieces[i].changed = s->pieces[i].explained = !planned;
            s->pieces[i].undigested = true;
        }
    }
    return r;
}

static void note_stretches(struct pager *pager)
{
    EACH_TENSOR(pager, range, offset, bytes)
    {
        residents_note_stretch(pager->streaming, range, block_at(offset),
                               block_at(offset + bytes - 1));
    }
}

static void open_windows(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;

    windows_expect(&s->windows, recognise_plan()->n_tensors);
    EACH_TENSOR(pager, range, offset, bytes)
    {
        struct stretch stretch = {range->id, block_at(offset), block_at(offset + bytes - 1)};

        turns_window(pager, drv, range, &stretch);
    }
}

static int begin(struct pager *pager, const struct driver *drv)
{
    const struct planfile *plan = recognise_plan();
    struct streaming *s = pager->streaming;
    int r = transfer_ready(s->transfer, drv);

    prepare_trust(s);
    if (!r && !s->digester.module)
        r = digester_init(&s->digester, drv);
    if (r)
        return r;
    go_through(pager);
    r = pass_init(&s->pass, &s->learner, (uint32_t)(s->learner.n - s->learner.first));
    pass_learner_fini(&s->learner);
    if (!r)
        r = add_pieces(pager);
    if (!r)
        note_stretches(pager);
    s->by_plan = true;
    s->reserve = plan->cache + plan->buffers;
    s->plan++;
    if (!r)
        r = prepare_begin(pager, drv);
    if (r)
        return r;
    open_windows(pager, drv);
    s->link = weigh_link(s, drv);
    return 0;
}

/* Of what the plan streams, in tensors of at least so many bytes, how much is on this card. */
static uint64_t bytes_there(const struct pager *pager, uint64_t least)
{
    uint64_t there = 0;

    EACH_TENSOR(pager, range, offset, bytes)
    there += bytes >= least ? bytes : 0;
    return there;
}

static uint64_t bytes_wanted(uint64_t least)
{
    const struct planfile *plan = recognise_plan();
    uint64_t wanted = 0;

    for (uint32_t i = 0; i < plan->n_tensors; i++) {
        const struct planfile_tensor *tensor = &plan->tensors[i];

        if (tensor->tier != PLANFILE_IN_PLACE && tensor->bytes >= least && is_main(plan, i))
            wanted += tensor->bytes;
    }
    return wanted;
}

static bool may_start(const struct pager *pager)
{
    return recognise_plan() && !pager->planned.refuted && pager->planned.attempts < ATTEMPTS &&
           pagers.config.engine == ENGINE_STREAM && recognise_sum().tensors != 0;
}

static void tell(const struct pager *pager)
{
    const struct planfile *plan = recognise_plan();
    struct recognised sum = recognise_sum();

    log_info("device %d: %.1f %% of the plan's bytes were recognised, %.1f %% by their size alone",
             pager->device, 100.0 * (double)sum.bytes / (double)plan->weights,
             100.0 * (double)sum.by_size / (double)plan->weights);
}

bool planned_start(struct pager *pager, const struct driver *drv)
{
    struct streaming *s;
    uint64_t wanted;
    int r;

    if (!may_start(pager))
        return false;
    s = prepare_streaming(pager);
    wanted = bytes_wanted(0);
    if (!s || s->state != STREAMING_LEARNING || !wanted ||
        bytes_there(pager, 0) < wanted - wanted / ENOUGH_SHARE)
        return false;
    if (!card_enter(pager, drv, &s->transfer))
        return false;
    pager->planned.attempts++;
    r = begin(pager, drv);
    if (r) {
        log_info("the plan cannot be followed now: error %d; the pass is learned", -r);
        prepare_end(pager, drv, true);
        prepare_observation(pager, true);
    } else {
        tell(pager);
        tally_look(pager, drv);
    }
    card_leave(drv);
    return !r;
}

/* Somebody wants it elsewhere. */
static bool is_misplaced(const struct block *block)
{
    enum tier tier = block_tier(block);

    return tier == TIER_DEVICE ? block_is_pinned(block, TIER_HOST)
                               : block_is_pinned(block, TIER_DEVICE);
}

/* What came when it streamed already was placed without knowing what it would be: once all has come
 * the plan begins anew, if it has to. */
static void look_at_pinned(struct pager *pager)
{
    bool misplaced = false;

    pager->planned.has_pinned = true;
    for (struct range *range = residency.ranges; range && !misplaced; range = range->next) {
        for (uint32_t i = 0; range->pager == pager && i < range->n_blocks; i++)
            misplaced |= is_misplaced(&range->blocks[i]);
    }
    if (misplaced)
        streaming_more_room(pager);
}

void planned_uploaded(struct pager *pager, const struct driver *drv)
{
    uint64_t paged = atomic_load_explicit(&pagers.small, memory_order_relaxed);

    if (!recognise_has_pinned())
        return;
    if (!pager->planned.has_pinned)
        look_at_pinned(pager);
    if (may_start(pager) && pager->planned.attempts == 0 &&
        bytes_there(pager, paged) >= bytes_wanted(paged))
        (void)planned_start(pager, drv);
}

bool planned_is_read(const struct extent *extent)
{
    return recognise_covers(extent->range, extent->address - extent->range->base);
}
