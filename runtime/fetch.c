/* SPDX-License-Identifier: MIT */
/*
 * Bringing what a launch names into device memory.
 *
 * A pointer says where an access begins, never where it ends. The extent taken is up to where the
 * next buffer was seen to begin, by an upload or another pointer; a guess that is too short costs
 * an access in place, one that is too long costs a move, neither is wrong.
 *
 * The extents of one launch are taken smallest first, as long as all of them together fit the
 * device budget: activations before weights. What does not fit stays where it is and is read in
 * place. Room is made by evicting what was used longest ago.
 */
#include <errno.h>
#include <stdlib.h>
#include "runtime/card.h"
#include "runtime/cold.h"
#include "runtime/evict.h"
#include "runtime/experts.h"
#include "runtime/gate.h"
#include "runtime/log.h"
#include "runtime/move.h"
#include "runtime/pager.h"
#include "runtime/room.h"
#include "runtime/streaming.h"

/* Of the launch that is looked into; under the lock. */
static struct reaches beyond;

struct wanted {
    struct block **blocks; /* away, to be moved in */
    size_t n;
    uint64_t bytes; /* of them */
    bool short_of;  /* some extent did not fit */
};

static void note_extent(void *context, const struct layout_word *word, uint64_t value)
{
    struct extents *extents = context;

    if (!residency_block(value))
        return;
    extents->more |= extents->n == EXTENTS_MAX;
    if (!extents->more)
        extents->list[extents->n++] = (struct extent){.address = value, .word = word};
}

/* Under the lock: addresses become extents; those that are nobody's live memory drop out. */
static void resolve(struct extents *extents)
{
    size_t n = 0;

    for (size_t i = 0; i < extents->n; i++) {
        CUdeviceptr address = extents->list[i].address;
        struct range *range = residency_range(address);

        if (!range)
            continue;
        range_name(range, address);
        extents->list[n] = extents->list[i];
        extents->list[n++].range = range;
    }
    extents->n = n;
    for (size_t i = 0; i < n; i++)
        extents->list[i].bytes = range_extent(extents->list[i].range, extents->list[i].address);
}

static int by_size(const void *left, const void *right)
{
    const struct extent *a = left;
    const struct extent *b = right;

    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? -1 : 1;
    return a->address < b->address ? -1 : a->address > b->address;
}

static struct block *first_block(const struct extent *extent)
{
    return &extent->range->blocks[extent_first(extent)];
}

static struct block *last_block(const struct extent *extent)
{
    return &extent->range->blocks[extent_last(extent)];
}

/* Bytes of the extent's blocks that this request has not counted yet. */
static uint64_t uncounted(const struct extent *extent, uint64_t request)
{
    uint64_t bytes = 0;

    for (const struct block *b = first_block(extent); b <= last_block(extent); b++)
        bytes += b->needed == request ? 0 : b->bytes;
    return bytes;
}

static int want_extent(struct wanted *wanted, const struct extent *extent, uint64_t request,
                       uint64_t now)
{
    size_t span = (size_t)(last_block(extent) - first_block(extent)) + 1;
    struct block **grown = realloc(wanted->blocks, (wanted->n + span) * sizeof(*grown));

    if (!grown)
        return -1;
    wanted->blocks = grown;
    for (struct block *block = first_block(extent); block <= last_block(extent); block++) {
        block_touch(block, now);
        if (block->needed == request)
            continue;
        block->needed = request;
        if (block_tier(block) != TIER_HOST)
            continue;
        if (block_is_pinned(block, TIER_HOST)) {
            wanted->short_of = true;
            continue;
        }
        wanted->blocks[wanted->n++] = block;
        wanted->bytes += block->bytes;
    }
    return 0;
}

static void choose(struct pager *pager, struct extents *extents, struct wanted *wanted)
{
    uint64_t now = atomic_load_explicit(&residency.clock, memory_order_relaxed);
    uint64_t request = ++pager->request;
    uint64_t room = pager->pools[TIER_DEVICE].budget;

    qsort(extents->list, extents->n, sizeof(*extents->list), by_size);
    for (size_t i = 0; i < extents->n; i++) {
        const struct extent *extent = &extents->list[i];
        uint64_t bytes;

        if (extent->range->pager != pager)
            continue;
        bytes = uncounted(extent, request);
        if (bytes > room || want_extent(wanted, extent, request, now)) {
            wanted->short_of |= range_is_away(extent->range);
            continue;
        }
        room -= bytes;
    }
}

/* Its own last use, or that of the buffer that began in an earlier block and reaches into it. */
static uint64_t effective_use(const struct range *range, uint32_t index, uint32_t *mark)
{
    uint64_t start = (uint64_t)index << residency.slot_shift;
    uint64_t owner = 0;

    while (*mark < range->marks.n && range->marks.at[*mark] <= start)
        (*mark)++;
    if (*mark)
        owner = range->marks.at[*mark - 1] >> residency.slot_shift;
    return max_u64(atomic_load_explicit(&range->blocks[index].last_use, memory_order_relaxed),
                   atomic_load_explicit(&range->blocks[owner].last_use, memory_order_relaxed));
}

/* Whether the block may be moved out. */
static bool may_go(const struct block *block, enum tier tier, uint64_t except,
                   enum card_leave_for to)
{
    const struct range *range = block->range;

    if (block_tier(block) != tier || (except && block->needed == except))
        return false;
    if (to == CARD_LEAVE_BESIDE && !pieces_is_beside(range->pager->streaming, block))
        return false;
    return to == CARD_LEAVE_FOR_HOST || (!range->escaped && block->launch != range->pager->launch);
}

static size_t candidates_of(const struct range *range, enum tier tier, uint64_t except,
                            enum card_leave_for to, struct evict_candidate *out)
{
    uint32_t mark = 0;
    size_t n = 0;

    if (to == CARD_LEAVE_BESIDE && range_takes_turns(range, 0, range->n_blocks - 1))
        return 0;
    for (uint32_t i = 0; i < range->n_blocks; i++) {
        struct block *block = (struct block *)&range->blocks[i];
        uint64_t last_use = effective_use(range, i, &mark);

        if (!may_go(block, tier, except, to))
            continue;
        if (tier == TIER_DEVICE && block_is_pinned(block, TIER_DEVICE))
            last_use = UINT64_MAX;
        out[n++] =
            (struct evict_candidate){.block = block, .last_use = last_use, .bytes = block->bytes};
    }
    return n;
}

static size_t count_blocks(const struct pager *pager)
{
    size_t n = 0;

    for (struct range *range = residency.ranges; range; range = range->next)
        n += range->pager == pager ? range->n_blocks : 0;
    return n;
}

size_t card_oldest(struct pager *pager, enum tier tier, uint64_t bytes, uint64_t except,
                   enum card_leave_for to, struct block ***out)
{
    size_t all = count_blocks(pager);
    struct evict_candidate *candidates = calloc(all + 1, sizeof(*candidates));
    size_t n = 0;

    *out = calloc(all + 1, sizeof(**out));
    for (struct range *range = residency.ranges; range && candidates && *out; range = range->next) {
        if (range->pager == pager)
            n += candidates_of(range, tier, except, to, candidates + n);
    }
    n = evict_choose(candidates, n, bytes);
    for (size_t i = 0; i < n; i++)
        (*out)[i] = candidates[i].block;
    free(candidates);
    return n;
}

uint64_t card_evict(struct pager *pager, const struct driver *drv, struct transfer *transfer,
                    uint64_t bytes, uint64_t except)
{
    struct mover mover = {drv, pager->pools, transfer, &pager->access};
    uint64_t room = pool_room(&pager->pools[TIER_HOST]);
    struct block **victims;
    uint64_t evicted = 0;
    size_t n;

    if (residency_spills() && room < bytes)
        (void)cold_evict(pager, &mover, TIER_HOST, bytes - room, except, CARD_LEAVE_FOR_DISK);
    n = card_oldest(pager, TIER_DEVICE, bytes, except, CARD_LEAVE_FOR_HOST, &victims);
    n = move_to_host(&mover, victims, n);
    for (size_t i = 0; i < n; i++)
        evicted += victims[i]->bytes;
    free(victims);
    return evicted;
}

/* Rounds of making room and filling it: when the host tier is nearly full too, what one round moves
 * in gives the next one the room to move out. */
static void bring_in(struct pager *pager, const struct driver *drv, struct transfer *transfer,
                     struct wanted *wanted)
{
    struct mover mover = {drv, pager->pools, transfer, &pager->access};
    size_t done = 0;

    while (done < wanted->n) {
        uint64_t room = pool_room(&pager->pools[TIER_DEVICE]);
        uint64_t evicted = 0;
        size_t moved;

        if (room < wanted->bytes)
            evicted = card_evict(pager, drv, transfer, wanted->bytes - room, pager->request);
        moved = move_to_device(&mover, wanted->blocks + done, wanted->n - done);
        for (size_t i = 0; i < moved; i++)
            wanted->bytes -= wanted->blocks[done + i]->bytes;
        done += moved;
        if (!moved && (!evicted || room >= wanted->blocks[done]->bytes))
            break;
    }
    wanted->short_of |= done < wanted->n;
}

/* Moves homes by age. */
static bool fetch_on(struct pager *pager, const struct driver *drv, struct extents *extents)
{
    struct wanted wanted = {0};
    struct transfer *transfer;

    choose(pager, extents, &wanted);
    if (wanted.n) {
        if (streaming_make_way(pager, drv, &transfer)) {
            bring_in(pager, drv, transfer, &wanted);
            card_leave(drv);
        } else {
            wanted.short_of = true;
        }
    }
    free(wanted.blocks);
    return !wanted.short_of;
}

/* False when some of what the launch names is read in place. */
static bool provide(struct pager *pager, const struct driver *drv, const struct launch *launch,
                    struct extents *extents, const struct reaches *reaches, struct redirect **out,
                    int *error)
{
    (void)card_reclaim(pager, drv, false);
    room_follow(pager, drv);
    *error = streaming_is_running(pager) ? 0 : cold_launch(pager, drv, extents, reaches);
    if (*error)
        return false;
    switch (pagers.config.engine) {
    case ENGINE_STREAM:
        if (streaming_launch(pager, drv, launch, extents, out))
            return true;
        __attribute__((fallthrough));
    case ENGINE_LRU:
        return fetch_on(pager, drv, extents);
    case ENGINE_NONE:
        break;
    }
    return false;
}

uint32_t pager_look_slowly(const struct layout *layout, void *const *kernel_params,
                           void *const *extra, uint64_t now)
{
    struct pager_look look = {.view = residency_view(), .now = now};

    layout_scan(layout, kernel_params, extra, pager_look_at, &look);
    return look.away;
}

static bool is_away(const uint64_t *addresses, size_t n)
{
    struct pager_look look = {.view = residency_view(), .now = residency_tick()};

    for (size_t i = 0; i < n; i++)
        pager_look_at(&look, NULL, addresses[i]);
    return look.away;
}

bool pager_wants_pieces(const uint64_t *addresses, size_t n, uint32_t n_kernels)
{
    bool wants = false;

    if (pager_capture_is_open())
        return false;
    if (residency_any_on_disk())
        return true;
    if (pagers.config.engine != ENGINE_STREAM || !is_away(addresses, n))
        return false;
    pthread_mutex_lock(&pagers.lock);
    for (size_t i = 0; i < n && !wants; i++) {
        struct range *range = residency_range(addresses[i]);

        wants = range && range->pager->state == CARD_PAGED &&
                streaming_wants_pieces(range->pager, n_kernels);
    }
    pthread_mutex_unlock(&pagers.lock);
    return wants;
}

static bool names_memory_of(const struct pager *pager, const struct extents *extents)
{
    for (size_t i = 0; i < extents->n; i++) {
        if (extents->list[i].range->pager == pager)
            return true;
    }
    return false;
}

/* Sees to it that nothing the launch reaches is on the disk, on any card. */
static int bring_named(const struct driver *drv, const struct extents *extents,
                       const struct reaches *reaches)
{
    int r = 0;

    if (!residency_spills())
        return 0;
    for (int i = 0; i < DEVICES_MAX && !r; i++) {
        if (pagers.cards[i].state == CARD_PAGED &&
            (names_memory_of(&pagers.cards[i], extents) || reaches->n))
            r = cold_launch(&pagers.cards[i], drv, extents, reaches);
    }
    return r;
}

/* The same, when the copies that it was to read of some are gone. */
static int bring_unstaged(const struct driver *drv, struct extents *extents,
                          const struct reaches *reaches)
{
    for (size_t i = 0; i < extents->n; i++)
        extents->list[i].staged = false;
    return bring_named(drv, extents, reaches);
}

/* The context has an error of its own, which the launch will be told. */
static bool is_broken(const struct driver *drv, const struct launch *launch)
{
    struct ticket ticket;
    int r;

    if (pager_capture_is_open())
        return false;
    r = ticket_take(drv, launch->stream, &ticket);
    if (!r)
        ticket_fini(drv, &ticket);
    return r && r != -ENOMEM;
}

/* From here to the launch nobody may reach a safe point: the windows would be closed, what was
 * noted of the launch would be taken for what it had done, and what it names could go to the disk.
 */
static struct redirect *enter_for(const struct driver *drv, const struct launch *launch,
                                  struct redirect *redirect, int error)
{
    if (error && is_broken(drv, launch))
        error = 0;
    if (!redirect && (error || gate_is_watched() || residency_spills()))
        redirect = redirect_nowhere(launch);
    if (!redirect)
        return NULL;
    redirect->refused = cold_result(error);
    gate_enter();
    return redirect;
}

/* Under the lock: what the launch may touch beside what it names. Some of that comes back for it,
 * so that it can be looked into. */
static int look_further(const struct driver *drv, const struct launch *launch,
                        const struct extents *extents, struct reaches *out)
{
    int r = 0;

    out->n = 0;
    out->more = false;
    out->farthest = 0;
    if (!residency_any_on_disk())
        return 0;
    if (!layout_known(launch->layout))
        return cold_all(drv);
    reach_by_numbers(launch, extents, out);
    if (!reach_is_asked(launch))
        return 0;
    r = bring_named(drv, extents, out);
    if (!r)
        r = reach_by_addresses(drv, launch, out);
    return r == -EAGAIN ? cold_all(drv) : r;
}

/* While some stream is captured nothing can be looked into, but not all launches are captured. */
static struct redirect *submit_unseen(const struct driver *drv, const struct launch *launch)
{
    struct extents extents = {.n = 0};
    struct redirect *redirect;
    int error;

    if ((!gate_is_watched() && !residency_spills()) || pager_is_captured(drv, launch->stream))
        return NULL;
    layout_scan(launch->layout, launch->kernel_params, launch->extra, note_extent, &extents);
    pthread_mutex_lock(&pagers.lock);
    resolve(&extents);
    error = look_further(drv, launch, &extents, &beyond);
    if (!error)
        error = bring_named(drv, &extents, &beyond);
    redirect = enter_for(drv, launch, NULL, error);
    pthread_mutex_unlock(&pagers.lock);
    if (gate_is_watched())
        gate_note_unknown();
    return redirect;
}

struct redirect *pager_unknown_launch(const struct driver *drv, const struct launch *launch)
{
    struct redirect *redirect;

    if (!residency_spills() || pager_is_captured(drv, launch->stream))
        return NULL;
    pthread_mutex_lock(&pagers.lock);
    redirect = enter_for(drv, launch, NULL, cold_all(drv));
    pthread_mutex_unlock(&pagers.lock);
    if (gate_is_watched())
        gate_note_unknown();
    return redirect;
}

/* True when all that the launch names is near. */
static bool provide_all(const struct driver *drv, const struct launch *launch,
                        struct extents *extents, const struct reaches *reaches,
                        struct redirect **out, int *error)
{
    bool watched = launch->layout->excused;
    bool whole = true;

    for (int i = 0; i < DEVICES_MAX && !*out && !*error; i++) {
        struct pager *pager = &pagers.cards[i];

        if (pager->state == CARD_PAGED &&
            (names_memory_of(pager, extents) || (watched && pager->streaming)))
            whole &= provide(pager, drv, launch, extents, reaches, out, error);
    }
    return whole;
}

/* Copies have no neighbours where these were on the disk when it was mapped where to read them: the
 * launch is given homes, and what it does to them nobody looks at. */
static bool goes_astray(const struct reaches *reaches)
{
    return reaches->n && reach_leads_away(reaches);
}

struct redirect *pager_fetch(const struct driver *drv, const struct launch *launch)
{
    struct extents extents = {.n = 0};
    struct redirect *redirect = NULL;
    bool whole = true;
    bool astray;
    int error;

    if (pager_capture_is_open())
        return submit_unseen(drv, launch);
    layout_scan(launch->layout, launch->kernel_params, launch->extra, note_extent, &extents);

    pthread_mutex_lock(&pagers.lock);
    resolve(&extents);
    error = look_further(drv, launch, &extents, &beyond);
    astray = !error && goes_astray(&beyond) && gate_is_watched();
    if (!error && !astray)
        whole = provide_all(drv, launch, &extents, &beyond, &redirect, &error);
    if (!error && redirect && goes_astray(&beyond)) {
        redirect_restore(redirect, launch);
        astray = true;
        error = bring_unstaged(drv, &extents, &beyond);
    }
    if (!error)
        error = bring_named(drv, &extents, &beyond);
    if (redirect && !streaming_still_reads(redirect)) {
        if (redirect->ended)
            chain_forsake(drv, redirect);
        redirect_free(redirect);
        redirect = NULL;
        error = bring_unstaged(drv, &extents, &beyond);
    }
    redirect = enter_for(drv, launch, redirect, error);
    pthread_mutex_unlock(&pagers.lock);
    if (astray)
        gate_note_unknown();
    if (!whole)
        stats_add(launches_in_place, 1);
    return redirect;
}

void pager_check(const struct driver *drv, struct redirect *redirect)
{
    redirect->unguarded =
        redirect->n_entries && !redirect->fresh &&
        guard_check(redirect->guard, drv, redirect->stream, redirect->entries, redirect->n_entries);
}

void pager_guard(const struct driver *drv, struct redirect *redirect)
{
    experts_behind(drv, redirect);
    chain_ended(drv, redirect);
    redirect->unguarded |=
        redirect->n_entries && guard_launch(redirect->guard, drv, redirect->stream,
                                            redirect->entries, redirect->n_entries);
}

void pager_launched(const struct driver *drv, struct redirect *redirect)
{
    if (redirect->pager) {
        pthread_mutex_lock(&pagers.lock);
        streaming_launched(drv, redirect);
        pthread_mutex_unlock(&pagers.lock);
    }
    redirect_free(redirect);
}
