/* SPDX-License-Identifier: MIT */
/*
 * Moving in: read, compare the checksum, map, copy, wait. The block is on the disk until it is
 * known to be in memory. Bytes travel by way of two buffers: while one is copied to a home, the
 * disk works on the other.
 */
#include "runtime/cold_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "runtime/backing.h"
#include "runtime/experts.h"
#include "runtime/pager.h"
#include "runtime/stats.h"
#include "runtime/vmm.h"

enum {
    RESERVE = 2,        /* slots, */
    RESERVE_FROM = 16,  /* of so many or more */
    ATTEMPTS = 4,       /* at making room: somebody else may take it; and at a safe point */
    PATIENCE_MS = 2000, /* for a host function of the program to return */
};

/* The last chunk of host memory is left for moves. */
static uint64_t host_room(const struct pager *pager)
{
    uint64_t room = pool_room(&pager->pools[TIER_HOST]);
    uint64_t spare = residency.space.slot_bytes;

    return room > spare ? room - spare : 0;
}

/* In whole slots: what is left of either memory besides is no use for a block. */
static uint64_t room_for_homes(const struct pager *pager)
{
    uint64_t slot = residency.space.slot_bytes;

    return align_down(pool_room(&pager->pools[TIER_DEVICE]), slot) +
           align_down(host_room(pager), slot);
}

/* Waited for while a host function of the program runs. */
static bool may_drain_soon(void)
{
    for (int waited = 0; waited < PATIENCE_MS && !card_may_drain(); waited++) {
        if (card_capture_is_open() || atomic_load(&pagers.value_waits))
            return false;
        usleep(1000);
    }
    return card_may_drain();
}

/* A safe point. Without it the program is told that there is no memory, so a thread that is slow to
 * submit what it has begun to, on a machine with much to do, is waited for longer than elsewhere.
 */
static bool enter(struct pager *pager, const struct driver *drv, struct transfer **out)
{
    for (int attempt = 0; attempt < ATTEMPTS && may_drain_soon(); attempt++) {
        if (streaming_pause(pager, drv, out))
            return true;
    }
    return false;
}

/* Made free with the rest, for a time when there can be no safe point. */
static uint64_t reserve(const struct pager *pager)
{
    uint64_t slot = residency.space.slot_bytes;

    return pager->pools[TIER_HOST].budget / slot >= RESERVE_FROM ? RESERVE * slot : 0;
}

/* While a plan runs, of what is no part of it; so the plan need not end. */
static bool make_room_beside(struct pager *pager, const struct driver *drv, struct mover *mover,
                             uint64_t bytes)
{
    uint64_t evicted;

    if (!streaming_is_running(pager) || !card_enter(pager, drv, &mover->transfer))
        return false;
    evicted = cold_evict(pager, mover, TIER_HOST, bytes, 0, CARD_LEAVE_BESIDE);
    card_leave(drv);
    return evicted >= bytes;
}

static bool make_room(struct pager *pager, const struct driver *drv, uint64_t bytes)
{
    struct mover mover = {.drv = drv, .pools = pager->pools, .access = &pager->access};
    uint64_t room = room_for_homes(pager);
    uint64_t evicted = 0;

    if (room < bytes && experts_drop_shadows(pager, drv))
        room = room_for_homes(pager);
    if (room >= bytes)
        return true;
    if (make_room_beside(pager, drv, &mover, bytes - room))
        return true;
    room = room_for_homes(pager);
    bytes += reserve(pager);
    if (!enter(pager, drv, &mover.transfer))
        return false;
    for (int tier = TIER_HOST; tier >= TIER_DEVICE && room + evicted < bytes; tier--)
        evicted += cold_evict(pager, &mover, (enum tier)tier, bytes - room - evicted, 0,
                              CARD_LEAVE_FOR_DISK);
    card_leave(drv);
    return evicted > 0;
}

static int read_begin(struct block *block, char *buffer, struct disk_request *request)
{
    struct spill *spill = &pagers.cold.spill;

    *request = (struct disk_request){.result = 0};
    if (!block->page || backing_is(block->page - 1))
        return 0;
    *request = spill_request(spill, block->page - 1, false, buffer, block->bytes);
    disk_start(&spill->disk, request);
    return 0;
}

static int read_end(struct block *block, char *buffer, struct disk_request *request)
{
    struct spill *spill = &pagers.cold.spill;
    int r;

    if (!block->page)
        return 0;
    if (backing_is(block->page - 1)) {
        r = backing_read(block->page - 1, buffer);
        goto count;
    }
    r = disk_finish(&spill->disk, request);
    if (r)
        spill_blame(spill, request);
    else
        r = spill_verify(spill, block->page - 1, buffer, block->bytes);

count:
    if (r)
        stats_add(disk_errors, 1);
    else
        stats_add(bytes_read, block->bytes);
    return r == -EBADMSG ? r : r ? -EIO : 0;
}

/* `where`: TIER_COUNT for whichever has room. */
static int chunk_for(struct pager *pager, const struct driver *drv, struct block *block,
                     enum tier where, enum tier *out)
{
    int r = POOL_E_FULL;

    for (int tier = TIER_DEVICE; tier < POOL_TIERS && r == POOL_E_FULL; tier++) {
        if ((where != TIER_COUNT && (int)where != tier) ||
            (tier == TIER_HOST && host_room(pager) < block->bytes))
            continue;
        r = pool_take(&pager->pools[tier], drv, block->bytes, &block->chunk);
        if (!r)
            *out = (enum tier)tier;
    }
    return r;
}

/* What a block that is brought back is filled with. */
struct filling {
    const char *buffer; /* NULL: */
    CUdeviceptr from;   /* 0: nothing, for it holds nothing yet */
};

static int copy_home(const struct driver *drv, struct transfer *transfer, struct block *block,
                     const struct filling *filling)
{
    CUdeviceptr home = block_address(block);
    int r = transfer_ready(transfer, drv);

    if (!r && filling->buffer)
        r = driver_errno(
            drv->cuMemcpyHtoDAsync_v2(home, filling->buffer, block->bytes, transfer->stream));
    else if (!r && filling->from)
        r = transfer_copy(transfer, drv, home, filling->from, block->bytes);
    return r ? r : transfer_wait(transfer, drv);
}

static int map_and_fill(struct pager *pager, const struct driver *drv, struct transfer *transfer,
                        struct block *block, const struct filling *filling)
{
    int r = vmm_map(drv, block_address(block), block->bytes, block->chunk->handle, &pager->access);

    if (r)
        return r;
    r = copy_home(drv, transfer, block, filling);
    if (r)
        (void)vmm_unmap(drv, block_address(block), block->bytes);
    return r;
}

static int place(struct pager *pager, const struct driver *drv, struct transfer *transfer,
                 struct block *block, enum tier where, const struct filling *filling)
{
    enum tier tier;
    int r = chunk_for(pager, drv, block, where, &tier);

    if (r) {
        block->chunk = NULL;
        return r < 0 ? r : -ENOMEM;
    }
    r = map_and_fill(pager, drv, transfer, block, filling);
    if (r) {
        pool_give(&pager->pools[tier], drv, block->chunk);
        block->chunk = NULL;
        return r;
    }
    cold_count(block, false);
    atomic_store_explicit(&block->tier, tier, memory_order_relaxed);
    if (tier == TIER_DEVICE) {
        atomic_fetch_sub_explicit(&block->range->n_away, 1, memory_order_relaxed);
        stats_add(device_bytes, block->bytes);
    } else {
        stats_add(host_bytes, block->bytes);
    }
    stats_add(chunks_from_disk, block->page != 0);
    cold_came_back(pager, block);
    return 0;
}

/* Brings in as many of them as there is room for; how many is added to *done. */
static int bring(struct pager *pager, const struct driver *drv, struct transfer *transfer,
                 struct block *const *blocks, size_t n, enum tier where, size_t *done)
{
    struct disk_request requests[BOUNCES];
    size_t started = 0;
    int r = 0;

    for (size_t i = 0; i < n && (!r || i < started); i++) {
        for (; !r && started < n && started < i + BOUNCES; started++)
            r = read_begin(blocks[started], cold_bounce(started), &requests[started % BOUNCES]);
        if (r) {
            if (blocks[i]->page)
                (void)disk_finish(&pagers.cold.spill.disk, &requests[i % BOUNCES]);
            continue;
        }
        r = read_end(blocks[i], cold_bounce(i), &requests[i % BOUNCES]);
        if (!r) {
            struct filling filling = {.buffer = blocks[i]->page ? cold_bounce(i) : NULL};

            r = place(pager, drv, transfer, blocks[i], where, &filling);
        }
        *done += !r;
    }
    return r;
}

size_t cold_in(struct pager *pager, struct mover *mover, struct block *const *blocks, size_t n,
               enum tier tier)
{
    uint64_t room = tier == TIER_HOST ? host_room(pager) : pool_room(&pager->pools[tier]);
    size_t fit = 0;
    size_t done = 0;

    while (fit < n && room >= blocks[fit]->bytes)
        room -= blocks[fit++]->bytes;
    (void)bring(pager, mover->drv, mover->transfer, blocks, fit, tier, &done);
    return done;
}

int cold_take_over(struct pager *pager, const struct driver *drv, struct transfer *transfer,
                   struct block *block, CUdeviceptr from)
{
    struct mover mover = {
        .drv = drv, .pools = pager->pools, .transfer = transfer, .access = &pager->access};
    struct filling filling = {.from = from};
    int r;

    block->launch = ++pager->launch;
    if (room_for_homes(pager) < block->bytes)
        (void)cold_evict(pager, &mover, TIER_HOST, residency.space.slot_bytes, 0,
                         CARD_LEAVE_FOR_DISK);
    r = place(pager, drv, transfer, block, TIER_COUNT, &filling);
    /* Whatever the page says now is not what the program wrote. */
    if (r && block->page && backing_is(block->page - 1))
        backing_spoil(block->page - 1);
    else if (r && block->page)
        pagers.cold.spill.sums[block->page - 1] ^= UINT64_MAX;
    return r;
}

static size_t those_on_disk(struct block *const *blocks, size_t n, struct block **out)
{
    size_t there = 0;

    for (size_t i = 0; i < n; i++) {
        if (block_tier(blocks[i]) == TIER_DISK)
            out[there++] = blocks[i];
    }
    return there;
}

/* Making room ends a plan, which may bring some of them back itself. Where the disk is full it is
 * made for as many at a time as there are pages left. */
static int bring_all(struct pager *pager, const struct driver *drv, struct block **blocks, size_t n)
{
    size_t least = n + 1;
    int r = 0;

    for (int attempt = 0; attempt < ATTEMPTS && (n = those_on_disk(blocks, n, blocks)); attempt++) {
        size_t done = 0;

        attempt = n < least ? 0 : attempt;
        least = n < least ? n : least;
        if (!make_room(pager, drv, n * residency.space.slot_bytes))
            return -ENOMEM;
        n = those_on_disk(blocks, n, blocks);
        if (!pager->contexts || drv->cuCtxPushCurrent_v2(pager->contexts->ctx) != CUDA_SUCCESS)
            return -EIO;
        r = bring(pager, drv, pager->contexts, blocks, n, TIER_COUNT, &done);
        driver_pop_context(drv);
        if (r && r != -ENOMEM)
            return r;
    }
    return those_on_disk(blocks, n, blocks) ? -ENOMEM : 0;
}

int cold_need(struct pager *pager, const struct driver *drv, struct block *const *blocks, size_t n)
{
    struct block **there = calloc(n + 1, sizeof(struct block *));
    struct own_calls own;
    size_t n_there;
    int r;

    if (!there)
        return -ENOMEM;
    n_there = those_on_disk(blocks, n, there);
    own = own_calls_begin(drv);
    r = n_there ? cold_settle_copies(pager, drv, there, n_there) : 0;
    /* That may have brought some back. */
    if (!r)
        r = bring_all(pager, drv, there, those_on_disk(there, n_there, there));
    own_calls_end(drv, &own);
    free(there);
    return r;
}

/* Of one card: what is needed at the same time must not make room for each other. */
static int bring_pair(const struct driver *drv, struct block *const *blocks, size_t n)
{
    struct pager *pager = blocks[0]->range->pager;
    uint64_t launch = ++pager->launch;

    for (size_t i = 0; i < n; i++)
        blocks[i]->launch = launch;
    return cold_need(pager, drv, blocks, n);
}

CUresult pager_bring(const struct driver *drv, CUdeviceptr to, CUdeviceptr from)
{
    const CUdeviceptr addresses[] = {to, from};
    struct block *blocks[ARRAY_SIZE(addresses)];
    size_t n = 0;
    int r = 0;

    pthread_mutex_lock(&pagers.lock);
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
        if (residency_range(addresses[i]))
            blocks[n++] = residency_block(addresses[i]);
    }
    if (n == 2 && blocks[0]->range->pager != blocks[1]->range->pager) {
        r = bring_pair(drv, &blocks[1], 1);
        n = 1;
    }
    if (n && !r)
        r = bring_pair(drv, blocks, n);
    pthread_mutex_unlock(&pagers.lock);
    return n ? cold_result(r) : CUDA_ERROR_INVALID_VALUE;
}
