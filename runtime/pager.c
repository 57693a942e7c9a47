/* SPDX-License-Identifier: MIT */
/*
 * Allocating never moves anything: a new range takes device memory while there is room and pinned
 * host memory after that. Moving is left to the launches, which know what they need (fetch.c).
 *
 * Freeing needs no safe point: no work in flight uses the range any more, so nobody minds when it
 * is unmapped. What cannot be unmapped yet, because a stream has not got there or a capture is
 * open, waits in the card's list of pending frees and is reclaimed by later calls.
 */
#include "runtime/pager.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>
#include "runtime/card.h"
#include "runtime/cold.h"
#include "runtime/company.h"
#include "runtime/experts.h"
#include "runtime/log.h"
#include "runtime/origin.h"
#include "runtime/planned.h"
#include "runtime/recognise.h"
#include "runtime/room.h"
#include "runtime/stats.h"
#include "runtime/streaming.h"
#include "runtime/tally.h"
#include "runtime/vmm.h"

void pager_setup(const struct config *config)
{
    pthread_mutex_lock(&pagers.lock);
    pagers.config = *config;
    atomic_store(&pagers.small, config->small);
    if (config->plan.name[0])
        recognise_open(config->plan.name);
    pthread_mutex_unlock(&pagers.lock);
}

bool pager_is_small(uint64_t bytes)
{
    return bytes < atomic_load_explicit(&pagers.small, memory_order_relaxed);
}

static int begin_on_disk(struct block *block)
{
    block->chunk = NULL;
    if (cold_room() < residency.space.slot_bytes)
        return POOL_E_FULL;
    cold_begin(block);
    return 0;
}

/* A chunk for a new block. The last chunk of host memory is left for moves, which need one spare to
 * swap with. */
static int chunk_for(struct pager *pager, const struct driver *drv, enum tier tier,
                     struct block *block)
{
    uint64_t spare = tier == TIER_HOST ? residency.space.slot_bytes : 0;

    if (spare && pool_room(&pager->pools[TIER_HOST]) < block->bytes + spare)
        return POOL_E_FULL;
    return pool_take(&pager->pools[tier], drv, block->bytes, &block->chunk);
}

/* Where both memories are full the block begins on the disk. */
static int back_block(struct pager *pager, const struct driver *drv, struct block *block,
                      enum tier wanted)
{
    enum tier tier = wanted;
    int r = chunk_for(pager, drv, tier, block);

    if (r) {
        tier = wanted == TIER_DEVICE ? TIER_HOST : TIER_DEVICE;
        r = chunk_for(pager, drv, tier, block);
        if (r)
            return r == POOL_E_FULL ? begin_on_disk(block) : r;
    }
    r = vmm_map(drv, block_address(block), block->bytes, block->chunk->handle, &pager->access);
    if (r) {
        pool_give(&pager->pools[tier], drv, block->chunk);
        block->chunk = NULL;
        return r;
    }
    atomic_store_explicit(&block->tier, tier, memory_order_relaxed);
    if (tier == TIER_DEVICE) {
        stats_add(device_bytes, block->bytes);
    } else {
        stats_add(host_bytes, block->bytes);
        atomic_fetch_add_explicit(&block->range->n_away, 1, memory_order_relaxed);
    }
    return 0;
}

/* 0, POOL_E_FULL or -errno; on failure nothing is left behind. */
static int range_new(struct pager *pager, const struct driver *drv, uint64_t bytes,
                     struct range **out)
{
    struct planned_homes homes;
    struct range *range;
    int r;

    if (align_up(bytes, pager->granularity) >
        pool_room(&pager->pools[TIER_DEVICE]) + pool_room(&pager->pools[TIER_HOST]) + cold_room())
        return POOL_E_FULL;
    r = range_take(bytes, pager->granularity, &range);
    if (r)
        return r;
    stats_add(paged_ranges, 1);
    stats_add(paged_bytes, range->mapped_bytes);
    planned_homes_init(&homes, pager, bytes);
    for (uint32_t i = 0; i < range->n_blocks && !r; i++)
        r = back_block(pager, drv, &range->blocks[i],
                       planned_is_away(&homes, i) ? TIER_HOST : TIER_DEVICE);
    planned_homes_fini(&homes);
    if (r)
        card_unmap(pager, drv, range);
    else
        *out = range;
    return r;
}

/* What the driver once had no more of is not asked for at every allocation, but asked for again
 * before one is refused. */
static bool pools_forgive(struct pager *pager)
{
    bool any = false;

    for (int tier = 0; tier < POOL_TIERS; tier++) {
        any |= pager->pools[tier].budget < pager->pools[tier].ceiling;
        pool_forgive(&pager->pools[tier]);
    }
    return any;
}

/* Memory for it, before the disk is used, or it is refused. */
static void drop_what_is_spare(struct pager *pager, const struct driver *drv, uint64_t bytes)
{
    uint64_t room = pool_room(&pager->pools[TIER_DEVICE]) + pool_room(&pager->pools[TIER_HOST]);

    if (room < align_up(bytes, pager->granularity) + residency.space.slot_bytes)
        (void)experts_drop_shadows(pager, drv);
}

static int alloc_locked(const struct driver *drv, uint64_t bytes, CUmemoryPool mempool,
                        CUdeviceptr *out)
{
    struct pager *pager;
    struct range *range;
    CUcontext ctx;
    int r = card_current(drv, &ctx, &pager);

    if (r)
        return r;
    if (!card_transfer(pager, ctx))
        return PAGER_E_NATIVE;
    (void)card_reclaim(pager, drv, false);
    drop_what_is_spare(pager, drv, bytes);
    do
        r = range_new(pager, drv, bytes, &range);
    while (r == POOL_E_FULL && !pager_capture_is_open() && card_reclaim(pager, drv, true));
    if (r == POOL_E_FULL && pools_forgive(pager))
        r = range_new(pager, drv, bytes, &range);

    if (r == POOL_E_FULL || r == -ENOMEM) {
        stats_add(out_of_memory, 1);
        return -ENOMEM;
    }
    if (r) {
        log_debug("cannot page an allocation of %llu bytes: error %d; left to the driver",
                  (unsigned long long)bytes, -r);
        return PAGER_E_NATIVE;
    }
    range->pager = pager;
    range->ctx = ctx;
    range->mempool = mempool;
    range_observe(range, pager->observed || residency_spills());
    range_publish(range);
    stats_add(allocations, 1);
    tally_look(pager, drv);
    *out = range->base;
    return 0;
}

int pager_alloc(const struct driver *drv, uint64_t bytes, CUmemoryPool mempool, CUdeviceptr *out)
{
    struct own_calls own;
    int r;

    if (!bytes || bytes > UINT64_MAX / 2)
        return PAGER_E_NATIVE;
    pthread_mutex_lock(&pagers.lock);
    own = own_calls_begin(drv);
    r = alloc_locked(drv, bytes, mempool, out);
    own_calls_end(drv, &own);
    pthread_mutex_unlock(&pagers.lock);
    return r;
}

/* What the same stream was given to free before, of the same size, is free for it already. */
static bool revive(const struct driver *drv, uint64_t bytes, CUmemoryPool mempool, CUstream stream,
                   CUdeviceptr *out)
{
    struct pager *pager;
    CUcontext ctx;

    if (card_current(drv, &ctx, &pager))
        return false;
    for (struct pending **at = &pager->pending; *at; at = &(*at)->next) {
        struct pending *pending = *at;
        struct range *range = pending->range;

        if (pending->later || !stream || pending->stream != stream || pending->ctx != ctx ||
            range->mempool != mempool || range->mapped_bytes != align_up(bytes, pager->granularity))
            continue;
        *at = pending->next;
        ticket_fini(drv, &pending->ticket);
        free(pending);
        stats_sub(pending_frees, 1);
        streaming_renew(pager, range);
        recognise_forget(range);
        range->bytes = bytes;
        range->id = ++residency.next_id;
        range->marks.n = 0;
        range->named.n = 0;
        range_restore(range);
        stats_add(allocations, 1);
        *out = range->base;
        return true;
    }
    return false;
}

int pager_alloc_async(const struct driver *drv, uint64_t bytes, CUmemoryPool mempool,
                      CUstream stream, CUdeviceptr *out)
{
    bool revived;

    pthread_mutex_lock(&pagers.lock);
    revived = bytes && revive(drv, bytes, mempool, stream, out);
    pthread_mutex_unlock(&pagers.lock);
    return revived ? 0 : pager_alloc(drv, bytes, mempool, out);
}

/* 0, or why a free is refused. Under the lock. */
static int find_for_free(CUdeviceptr address, struct range **out)
{
    struct range *range = residency_range_at(address);

    if (!range)
        return residency_block(address) ? -EINVAL : PAGER_E_NATIVE;
    *out = range;
    return 0;
}

int pager_free(const struct driver *drv, CUdeviceptr address)
{
    struct own_calls own;
    struct pager *pager;
    struct range *range;
    int r;

    pthread_mutex_lock(&pagers.lock);
    own = own_calls_begin(drv);
    r = find_for_free(address, &range);
    if (!r) {
        pager = range->pager;
        range_retract(range);
        card_unmap(pager, drv, range);
        streaming_reclaim(pager, drv);
        (void)card_reclaim(pager, drv, false);
    }
    own_calls_end(drv, &own);
    pthread_mutex_unlock(&pagers.lock);
    return r;
}

static void pending_append(struct pager *pager, struct pending *pending)
{
    struct pending **end = &pager->pending;

    while (*end)
        end = &(*end)->next;
    *end = pending;
    stats_add(pending_frees, 1);
}

static int free_async_locked(const struct driver *drv, CUdeviceptr address, CUstream stream,
                             CUstream identity, bool later)
{
    struct pending *pending;
    struct range *range;
    int r = find_for_free(address, &range);

    if (r)
        return r;
    pending = calloc(1, sizeof(*pending));
    if (!pending)
        return -ENOMEM;
    *pending =
        (struct pending){.range = range, .ctx = range->ctx, .stream = identity, .later = later};
    if (!later) {
        r = ticket_take(drv, stream, &pending->ticket);
        if (r)
            goto free_pending;
    }
    range_retract(range);
    pending_append(range->pager, pending);
    return 0;

free_pending:
    free(pending);
    return r;
}

int pager_free_async(const struct driver *drv, CUdeviceptr address, CUstream stream,
                     CUstream identity)
{
    struct own_calls own;
    int r;

    pthread_mutex_lock(&pagers.lock);
    own = own_calls_begin(drv);
    r = free_async_locked(drv, address, stream, identity, false);
    own_calls_end(drv, &own);
    pthread_mutex_unlock(&pagers.lock);
    return r;
}

int pager_free_later(const struct driver *drv, CUdeviceptr address)
{
    int r;

    pthread_mutex_lock(&pagers.lock);
    r = free_async_locked(drv, address, NULL, NULL, true);
    pthread_mutex_unlock(&pagers.lock);
    return r;
}

bool pager_describe(CUdeviceptr address, struct pager_allocation *out)
{
    struct range *range;

    if (!residency_block(address))
        return false;
    pthread_mutex_lock(&pagers.lock);
    range = residency_range(address);
    if (range)
        *out = (struct pager_allocation){
            .base = range->base,
            .bytes = range->bytes,
            .id = range->id,
            .ctx = range->ctx,
            .device = range->pager->device,
            .mempool = range->mempool,
        };
    pthread_mutex_unlock(&pagers.lock);
    return range != NULL;
}

bool pager_give_way(const struct driver *drv, uint64_t bytes)
{
    struct transfer *transfer;
    struct own_calls own;
    struct pager *pager;
    CUcontext ctx;
    uint64_t given = 0;

    pthread_mutex_lock(&pagers.lock);
    own = own_calls_begin(drv);
    if (card_current(drv, &ctx, &pager))
        goto out;
    (void)card_reclaim(pager, drv, false);
    given = pager->pools[TIER_DEVICE].kept;
    if (given < bytes && streaming_make_way(pager, drv, &transfer)) {
        given += card_evict(pager, drv, transfer, bytes - given, 0);
        card_leave(drv);
    }
    pool_trim(&pager->pools[TIER_DEVICE], drv);

out:
    own_calls_end(drv, &own);
    pthread_mutex_unlock(&pagers.lock);
    return given > 0;
}

static struct plain_pool {
    CUmemoryPool pool;
    struct plain_pool *next;
} * plain_pools;

void pager_pool_made(CUmemoryPool pool)
{
    struct plain_pool *plain = calloc(1, sizeof(*plain));

    if (!plain)
        return;
    pthread_mutex_lock(&pagers.lock);
    plain->pool = pool;
    plain->next = plain_pools;
    plain_pools = plain;
    pthread_mutex_unlock(&pagers.lock);
}

void pager_pool_gone(CUmemoryPool pool)
{
    pthread_mutex_lock(&pagers.lock);
    for (struct plain_pool **at = &plain_pools; *at; at = &(*at)->next) {
        struct plain_pool *plain = *at;

        if (plain->pool == pool) {
            *at = plain->next;
            free(plain);
            break;
        }
    }
    pthread_mutex_unlock(&pagers.lock);
}

bool pager_pool_is_plain(const struct driver *drv, CUmemoryPool pool)
{
    struct plain_pool *plain;
    CUmemoryPool own;
    CUdevice device;

    if (drv->cuDeviceGetDefaultMemPool && drv->cuCtxGetDevice &&
        drv->cuCtxGetDevice(&device) == CUDA_SUCCESS &&
        drv->cuDeviceGetDefaultMemPool(&own, device) == CUDA_SUCCESS && own == pool)
        return true;
    pthread_mutex_lock(&pagers.lock);
    for (plain = plain_pools; plain && plain->pool != pool; plain = plain->next)
        ;
    pthread_mutex_unlock(&pagers.lock);
    return plain != NULL;
}

/* What a plan has found to be a tensor of its file need not be written to another one. */
static void note_origin(struct range *range, uint64_t offset, uint64_t bytes)
{
    struct origin origin;

    while (bytes && residency_spills() && origin_find(range, offset, bytes, &origin)) {
        backing_note_file(&range->sources, offset, origin.bytes, origin.fd, origin.offset);
        offset += origin.bytes;
        bytes -= origin.bytes;
    }
}

void pager_upload(const struct driver *drv, CUdeviceptr address, const void *source, uint64_t bytes)
{
    struct range *range;

    if (!residency_block(address))
        return;
    pthread_mutex_lock(&pagers.lock);
    range = residency_range(address);
    if (range) {
        range_mark(range, address);
        room_follow(range->pager, drv);
        if (recognise_upload(range, address - range->base, source, bytes))
            planned_uploaded(range->pager, drv);
        note_origin(range, address - range->base, bytes);
    }
    pthread_mutex_unlock(&pagers.lock);
}

void pager_hear(const struct driver *drv)
{
    if (!company_has_news())
        return;
    pthread_mutex_lock(&pagers.lock);
    room_hear(drv);
    pthread_mutex_unlock(&pagers.lock);
}

void pager_reclaim(const struct driver *drv)
{
    struct own_calls own;

    if (!atomic_load_explicit(&residency.bytes, memory_order_relaxed))
        return;
    pthread_mutex_lock(&pagers.lock);
    own = own_calls_begin(drv);
    for (int i = 0; i < DEVICES_MAX; i++) {
        (void)card_reclaim(&pagers.cards[i], drv, false);
        streaming_reclaim(&pagers.cards[i], drv);
    }
    own_calls_end(drv, &own);
    pthread_mutex_unlock(&pagers.lock);
}
