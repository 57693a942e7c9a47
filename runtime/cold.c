/* SPDX-License-Identifier: MIT */
/*
 * Bytes travel by way of two pinned buffers: while one is copied to or from a home, the disk works
 * on the other. They are our own memory, registered with the driver, rather than the driver's: what
 * the kernel still reads into must not go with a context.
 *
 * Moving out: copy, wait, checksum, write, and only when the page is written unmap. Moving in:
 * read, compare the checksum, map, copy, wait. In both the block is in its old place until it is
 * known to be in the new one.
 */
#include "runtime/cold.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "runtime/digest.h"
#include "runtime/experts.h"
#include "runtime/gate.h"
#include "runtime/log.h"
#include "runtime/backing.h"
#include "runtime/pager.h"
#include "runtime/stats.h"
#include "runtime/vmm.h"

enum {
    WISH = 7, /* times as much as there is memory */
    BOUNCES = 2,
    AHEAD_SHARE = 8,    /* part of host memory that is read into ahead, at most */
    RESERVE = 2,        /* slots, */
    RESERVE_FROM = 16,  /* of so many or more */
    ESCAPED_SHARE = 4,  /* part of memory that is for what stays there, at most */
    ATTEMPTS = 4,       /* at making room: somebody else may take it */
    PATIENCE_MS = 2000, /* for a host function of the program to return */
};

static char *bounce(size_t i)
{
    return pagers.cold.bounces + i % BOUNCES * pagers.cold.bounce_bytes;
}

/* As large as one of them, behind all others. */
static char *scratch(void)
{
    return pagers.cold.bounces + (BOUNCES + pagers.cold.ahead.n) * pagers.cold.bounce_bytes;
}

static bool open_bounces(const struct driver *drv, uint64_t slot_bytes, uint32_t n_ahead)
{
    struct ahead *ahead = &pagers.cold.ahead;
    uint64_t bytes = (BOUNCES + n_ahead + 1) * slot_bytes;
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return false;
    /* Without it copies only are slower. */
    if (!drv->cuMemHostRegister_v2 ||
        drv->cuMemHostRegister_v2(memory, bytes, CU_MEMHOSTREGISTER_PORTABLE) != CUDA_SUCCESS)
        log_info("the buffers between memory and disk cannot be pinned; copies take longer");
    pagers.cold.bounces = memory;
    pagers.cold.bounce_bytes = slot_bytes;
    *ahead = (struct ahead){.spill = &pagers.cold.spill, .n = n_ahead};
    for (uint32_t i = 0; i < n_ahead; i++)
        ahead->buffers[i].memory = (char *)memory + (BOUNCES + i) * slot_bytes;
    return true;
}

static int bring_for_unknown(void)
{
    int r;

    pthread_mutex_lock(&pagers.lock);
    r = cold_all(pagers.cold.drv);
    pthread_mutex_unlock(&pagers.lock);
    return (int)cold_result(r);
}

uint64_t cold_open(const struct driver *drv, uint64_t slot_bytes, uint64_t host_budget)
{
    uint64_t n_ahead = max_u64(min_u64(host_budget / slot_bytes / AHEAD_SHARE, AHEAD_MAX), 1);
    struct cold *cold = &pagers.cold;
    struct spill_options options = {
        .directory = pagers.config.spill_dir.name,
        .budget = pagers.config.spill,
        .force = pagers.config.spill_force,
        .root = "",
    };

    if (cold->tried)
        return 0;
    cold->tried = true;
    if (!options.directory[0] || spill_open(&cold->spill, &options, slot_bytes))
        return 0;
    if (!open_bounces(drv, slot_bytes, (uint32_t)n_ahead)) {
        spill_close(&cold->spill);
        return 0;
    }
    cold->drv = drv;
    gate_set_holder(bring_for_unknown);
    atomic_store(&residency.spills, true);
    return (BOUNCES + n_ahead + 1) * slot_bytes;
}

uint64_t cold_wish(uint64_t memory)
{
    return pagers.config.spill_dir.name[0] ? WISH * memory : 0;
}

void cold_reset(void)
{
    spill_abandon(&pagers.cold.spill);
    memset(&pagers.cold, 0, sizeof(pagers.cold));
    atomic_store(&residency.spills, false);
    atomic_store(&residency.on_disk, 0);
}

uint64_t cold_room(void)
{
    const struct spill *spill = &pagers.cold.spill;
    uint64_t held = atomic_load(&residency.on_disk) * residency.space.slot_bytes;

    return spill->budget > held ? spill->budget - held : 0;
}

/* The block is on the disk from now on, or no longer. */
static void count(struct block *block, bool there)
{
    if (there) {
        atomic_fetch_add(&residency.on_disk, 1);
        stats_add(disk_bytes, block->bytes);
        gate_hold_unknown(true);
    } else {
        stats_sub(disk_bytes, block->bytes);
        if (atomic_fetch_sub(&residency.on_disk, 1) == 1)
            gate_hold_unknown(false);
    }
}

void cold_begin(struct block *block)
{
    block->page = 0;
    atomic_store_explicit(&block->tier, TIER_DISK, memory_order_relaxed);
    atomic_fetch_add_explicit(&block->range->n_away, 1, memory_order_relaxed);
    count(block, true);
}

static void page_give(uint32_t page)
{
    if (backing_is(page))
        backing_free(page);
    else
        spill_give(&pagers.cold.spill, page);
}

static void give_page(struct block *block)
{
    if (block->page)
        ahead_drop(&pagers.cold.ahead, block->page - 1);
    if (block->page)
        page_give(block->page - 1);
    block->page = 0;
}

void cold_forget(struct block *block)
{
    if (block_tier(block) == TIER_DISK)
        count(block, false);
    give_page(block);
}

/* Pages of blocks that are back in memory serve to save a write. Gives one up. */
static bool give_up_page(void)
{
    for (struct range *range = residency.ranges; range; range = range->next) {
        for (uint32_t i = 0; i < range->n_blocks; i++) {
            struct block *block = &range->blocks[i];

            if (block->page && !backing_is(block->page - 1) && block_tier(block) != TIER_DISK) {
                give_page(block);
                return true;
            }
        }
    }
    return false;
}

static int take_page(struct block *block)
{
    uint32_t page;
    int r = spill_take(&pagers.cold.spill, &page);

    if (r == -ENOSPC && give_up_page())
        r = spill_take(&pagers.cold.spill, &page);
    if (!r)
        block->page = page + 1;
    return r;
}

/* One block that is on its way out. */
struct leaving {
    struct block *block; /* NULL: none */
    struct disk_request request;
};

static bool same_as_on_disk(const struct block *block, uint64_t sum)
{
    if (!block->page)
        return false;
    return backing_is(block->page - 1) ? backing_checksum(block->page - 1) == sum
                                       : pagers.cold.spill.sums[block->page - 1] == sum;
}

/* Then it has a page from now on. The buffer that is compared with is for reading ahead: at a safe
 * point nobody does. */
static bool is_in_a_file(struct block *block, const char *buffer, uint64_t sum)
{
    uint64_t at = (uint64_t)block->index << residency.slot_shift;
    uint32_t page;

    if (!backing_make(&block->range->sources, at, buffer, block->bytes, sum, scratch(), &page))
        return false;
    give_page(block);
    block->page = page + 1;
    block->digest = digest_bytes(buffer, block->bytes);
    return true;
}

/* Takes its bytes to the bounce, and begins to write them if the disk does not have them. */
static int leave_begin(struct mover *mover, struct block *block, char *buffer,
                       struct leaving *leaving)
{
    struct spill *spill = &pagers.cold.spill;
    uint64_t sum;
    int r = transfer_ready(mover->transfer, mover->drv);

    if (!r)
        r = driver_errno(mover->drv->cuMemcpyDtoHAsync_v2(buffer, block_address(block),
                                                          block->bytes, mover->transfer->stream));
    if (!r)
        r = transfer_wait(mover->transfer, mover->drv);
    if (r)
        return r;
    sum = spill_checksum(buffer, block->bytes);
    leaving->block = block;
    leaving->request = (struct disk_request){.result = 0};
    if (same_as_on_disk(block, sum))
        return 0;
    if (is_in_a_file(block, buffer, sum))
        return 0;
    if (block->page && backing_is(block->page - 1))
        give_page(block);
    if (!block->page)
        r = take_page(block);
    if (r) {
        leaving->block = NULL;
        return r;
    }
    ahead_drop(&pagers.cold.ahead, block->page - 1);
    spill->sums[block->page - 1] = sum;
    block->digest = digest_bytes(buffer, block->bytes);
    leaving->request = spill_request(spill, block->page - 1, true, buffer, block->bytes);
    disk_start(&spill->disk, &leaving->request);
    stats_add(bytes_written, block->bytes);
    return 0;
}

/* The page is written: the block has no chunk any more. */
static int leave_end(struct mover *mover, struct leaving *leaving)
{
    struct block *block = leaving->block;
    enum tier before = block_tier(block);
    int r = 0;

    leaving->block = NULL;
    if (leaving->request.bytes)
        r = disk_finish(&pagers.cold.spill.disk, &leaving->request);
    if (r) {
        stats_add(disk_errors, 1);
        spill_blame(&pagers.cold.spill, &leaving->request);
        give_page(block);
        return r;
    }
    pagers.cold.spill.failing = false;
    r = vmm_unmap(mover->drv, block_address(block), block->bytes);
    if (r)
        return r;
    move_drop_shadow(mover->pools, mover->drv, block);
    pool_give(&mover->pools[before], mover->drv, block->chunk);
    block->chunk = NULL;
    atomic_store_explicit(&block->tier, TIER_DISK, memory_order_relaxed);
    if (before == TIER_DEVICE) {
        atomic_fetch_add_explicit(&block->range->n_away, 1, memory_order_relaxed);
        stats_sub(device_bytes, block->bytes);
    } else {
        stats_sub(host_bytes, block->bytes);
    }
    count(block, true);
    stats_add(chunks_to_disk, 1);
    return 0;
}

size_t cold_out(struct mover *mover, struct block *const *blocks, size_t n)
{
    struct leaving leaving[BOUNCES] = {0};
    size_t gone = 0;
    int r = 0;

    for (size_t i = 0; i < n + BOUNCES; i++) {
        struct leaving *turn = &leaving[i % BOUNCES];

        if (turn->block) {
            int ended = leave_end(mover, turn);

            gone += !ended && !r;
            r = r ? r : ended;
        }
        if (i < n && !r)
            r = leave_begin(mover, blocks[i], bounce(i), turn);
    }
    if (r == -ENOSPC)
        log_debug("the spill file has no room left");
    return gone;
}

uint64_t cold_evict(struct pager *pager, struct mover *mover, enum tier tier, uint64_t bytes,
                    uint64_t except)
{
    struct block **victims;
    size_t n = card_oldest(pager, tier, bytes, except, true, &victims);
    uint64_t evicted = 0;

    n = cold_out(mover, victims, n);
    for (size_t i = 0; i < n; i++)
        evicted += victims[i]->bytes;
    free(victims);
    return evicted;
}

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

/* A safe point, waited for while a host function of the program runs. */
static bool enter(struct pager *pager, const struct driver *drv, struct transfer **out)
{
    for (int waited = 0; waited < PATIENCE_MS && !card_may_drain(); waited++) {
        if (card_capture_is_open() || atomic_load(&pagers.value_waits))
            return false;
        usleep(1000);
    }
    return streaming_pause(pager, drv, out);
}

/* Made free with the rest, for a time when there can be no safe point. */
static uint64_t reserve(const struct pager *pager)
{
    uint64_t slot = residency.space.slot_bytes;

    return pager->pools[TIER_HOST].budget / slot >= RESERVE_FROM ? RESERVE * slot : 0;
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
    bytes += reserve(pager);
    if (!enter(pager, drv, &mover.transfer))
        return false;
    for (int tier = TIER_HOST; tier >= TIER_DEVICE && room + evicted < bytes; tier--)
        evicted += cold_evict(pager, &mover, (enum tier)tier, bytes - room - evicted, 0);
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
    count(block, false);
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
            r = read_begin(blocks[started], bounce(started), &requests[started % BOUNCES]);
        if (r) {
            if (blocks[i]->page)
                (void)disk_finish(&pagers.cold.spill.disk, &requests[i % BOUNCES]);
            continue;
        }
        r = read_end(blocks[i], bounce(i), &requests[i % BOUNCES]);
        if (!r) {
            struct filling filling = {.buffer = blocks[i]->page ? bounce(i) : NULL};

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
        (void)cold_evict(pager, &mover, TIER_HOST, residency.space.slot_bytes, 0);
    r = place(pager, drv, transfer, block, TIER_COUNT, &filling);
    /* Whatever the page says now is not what the program wrote. */
    if (r && block->page && backing_is(block->page - 1))
        backing_spoil(block->page - 1);
    else if (r && block->page)
        pagers.cold.spill.sums[block->page - 1] ^= UINT64_MAX;
    return r;
}

static uint64_t bytes_of(struct block *const *blocks, size_t n)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += blocks[i]->bytes;
    return bytes;
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

/* Making room ends a plan, which may bring some of them back itself. */
static int bring_all(struct pager *pager, const struct driver *drv, struct block **blocks, size_t n)
{
    int r = 0;

    for (int attempt = 0; attempt < ATTEMPTS && (n = those_on_disk(blocks, n, blocks)); attempt++) {
        size_t done = 0;

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

static uint64_t memory_for_homes(const struct pager *pager)
{
    uint64_t host = pager->pools[TIER_HOST].budget;
    uint64_t spare = residency.space.slot_bytes;

    return pager->pools[TIER_DEVICE].budget + (host > spare ? host - spare : 0);
}

/* How far a launch is taken to reach from an address that it is given. */
typedef uint64_t reach_fn(const struct range *range, uint64_t address);

/* What of all that a launch may touch is brought back. */
struct ambition {
    reach_fn *bytes_from;
    uint64_t most;  /* from one address */
    bool whole_way; /* what lies between a pointer and where a number leads */
};

struct reached {
    struct block **blocks;
    size_t n;
    uint64_t bytes;
    bool any_on_disk;
};

/* Adds the blocks of an extent that the launch has not reached yet. */
static int reach_extent(const struct extent *extent, uint64_t launch, struct reached *reached)
{
    struct range *range = extent->range;
    uint32_t last = (uint32_t)min_u64(extent_last(extent), range->n_blocks - 1);
    uint32_t first = extent_first(extent);
    struct block **grown =
        realloc(reached->blocks, (reached->n + last - first + 1) * sizeof(*grown));

    if (!grown)
        return -ENOMEM;
    reached->blocks = grown;
    for (uint32_t i = first; i <= last; i++) {
        struct block *block = &range->blocks[i];

        if (block->launch == launch)
            continue;
        block->launch = launch;
        reached->blocks[reached->n++] = block;
        reached->bytes += block->bytes;
        reached->any_on_disk |= block_tier(block) == TIER_DISK;
    }
    return 0;
}

/* `bytes`: 0 for as far as from a pointer; that is never less than a buffer, if it is known to end
 * so soon that memory could hold it. */
static int reach_from(struct range *range, CUdeviceptr address, uint64_t bytes,
                      const struct ambition *ambition, struct reached *out)
{
    struct extent extent = {.range = range, .address = address, .bytes = bytes};
    uint64_t buffer = range_extent(range, address);

    if (!bytes)
        extent.bytes = min_u64(ambition->bytes_from(range, address), ambition->most);
    if (!bytes && buffer <= memory_for_homes(range->pager))
        extent.bytes = max_u64(extent.bytes, buffer);
    extent.bytes = max_u64(extent.bytes, 1);
    return reach_extent(&extent, range->pager->launch, out);
}

/* All blocks of the card that the launch reaches, each once. */
static int reach(struct pager *pager, const struct extents *extents, const struct reaches *reaches,
                 const struct ambition *ambition, struct reached *out)
{
    int r = 0;

    pager->launch++;
    *out = (struct reached){.n = 0};
    for (size_t i = 0; i < extents->n && !r; i++) {
        const struct extent *extent = &extents->list[i];

        if (extent->range->pager == pager && !extent->staged)
            r = reach_from(extent->range, extent->address, 0, ambition, out);
    }
    for (size_t i = 0; i < reaches->n && !r; i++) {
        const struct reached_place *place = &reaches->list[i];

        if (place->range->pager == pager && (!place->on_the_way || ambition->whole_way))
            r = reach_from(place->range, place->address, place->bytes, ambition, out);
    }
    return r;
}

/* -E2BIG, and nothing done, when it is more than there is memory for. */
static int bring_reached(struct pager *pager, const struct driver *drv,
                         const struct extents *extents, const struct reaches *reaches,
                         const struct ambition *ambition)
{
    struct reached reached;
    int r = reach(pager, extents, reaches, ambition, &reached);

    if (!r && reached.any_on_disk)
        r = reached.bytes > memory_for_homes(pager)
                ? -E2BIG
                : cold_need(pager, drv, reached.blocks, reached.n);
    free(reached.blocks);
    return r;
}

/*
 * As far as it certainly may reach, where there is memory for so much; else as far as is likely.
 * Before all that lies in a range has been named once, that is up to its end: then what comes
 * first, as much of it as there is memory for.
 */
int cold_launch(struct pager *pager, const struct driver *drv, const struct extents *extents,
                const struct reaches *reaches)
{
    static const struct ambition ambitions[] = {
        {range_certain_extent, UINT64_MAX, true},
        {range_certain_extent, UINT64_MAX, false},
        {range_named_extent, UINT64_MAX, true},
        {range_named_extent, UINT64_MAX, false},
    };
    static bool told;
    struct ambition least = {range_named_extent, memory_for_homes(pager), false};
    int r = -E2BIG;

    if (extents->more || reaches->more)
        return cold_all(drv);
    for (size_t i = 0; i < ARRAY_SIZE(ambitions) && (r == -E2BIG || r == -ENOMEM); i++)
        r = bring_reached(pager, drv, extents, reaches, &ambitions[i]);
    for (bool much = r == -E2BIG; much && least.most >= residency.space.slot_bytes;
         least.most /= 2) {
        r = bring_reached(pager, drv, extents, reaches, &least);
        much = r == -E2BIG || r == -ENOMEM;
    }
    if (r == -E2BIG && !told) {
        told = true;
        log_warn("a launch may touch more than memory has room for, by what it is given or finds "
                 "there; it is refused as out of memory");
    }
    return r == -E2BIG ? -ENOMEM : r;
}

static int all_of(struct pager *pager, const struct driver *drv)
{
    struct block **blocks = NULL;
    size_t n = 0;
    int r = 0;

    for (struct range *range = residency.ranges; range && !r; range = range->next) {
        struct block **grown;

        if (range->pager != pager)
            continue;
        grown = realloc(blocks, (n + range->n_blocks) * sizeof(*grown));
        if (!grown) {
            r = -ENOMEM;
            break;
        }
        blocks = grown;
        for (uint32_t i = 0; i < range->n_blocks; i++)
            blocks[n++] = &range->blocks[i];
    }
    /* Nothing may be moved out for it: it has to be there as well. */
    if (!r && bytes_of(blocks, n) > memory_for_homes(pager))
        r = -ENOMEM;
    if (!r)
        r = cold_need(pager, drv, blocks, n);
    free(blocks);
    return r;
}

int cold_all(const struct driver *drv)
{
    int r = 0;

    if (!residency_any_on_disk())
        return 0;
    for (int i = 0; i < DEVICES_MAX && !r; i++) {
        if (pagers.cards[i].state == CARD_PAGED)
            r = all_of(&pagers.cards[i], drv);
    }
    if (r == -ENOMEM)
        log_warn("something was submitted of which nobody knows what memory it uses, and not all "
                 "that is on the disk fits into memory; it is refused as out of memory");
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

static uint64_t bytes_escaped(const struct pager *pager)
{
    uint64_t bytes = 0;

    for (struct range *range = residency.ranges; range; range = range->next)
        bytes += range->pager == pager && range->escaped ? range->mapped_bytes : 0;
    return bytes;
}

/* From now on the range is in memory for good, as long as such ranges do not take too much of it.
 * Others come before launches that find their addresses. */
static void escape(const struct driver *drv, struct range *range)
{
    struct pager *pager = range->pager;
    struct block **blocks;

    if (range->escaped ||
        (bytes_escaped(pager) + range->mapped_bytes) * ESCAPED_SHARE > memory_for_homes(pager))
        return;
    range->escaped = true;
    blocks = calloc(range->n_blocks, sizeof(struct block *));
    if (!blocks)
        return;
    pager->launch++;
    for (uint32_t i = 0; i < range->n_blocks; i++) {
        blocks[i] = &range->blocks[i];
        blocks[i]->launch = pager->launch;
    }
    (void)cold_need(pager, drv, blocks, range->n_blocks);
    free(blocks);
}

void pager_note_source(CUdeviceptr to, const void *from, uint64_t n)
{
    struct range *range;

    if (!residency_block(to))
        return;
    pthread_mutex_lock(&pagers.lock);
    range = residency_range(to);
    if (range)
        backing_note(&range->sources, to - range->base, from, n);
    pthread_mutex_unlock(&pagers.lock);
}

void pager_scan(const struct driver *drv, const void *bytes, uint64_t n)
{
    const char *end = (const char *)bytes + n;
    uint64_t base = atomic_load_explicit(&residency.base, memory_order_relaxed);
    uint64_t size = atomic_load_explicit(&residency.bytes, memory_order_acquire);

    for (const char *at = bytes; at + sizeof(uint64_t) <= end; at += sizeof(uint64_t)) {
        struct range *range;
        uint64_t word;

        memcpy(&word, at, sizeof(word));
        if (likely(word - base >= size))
            continue;
        pthread_mutex_lock(&pagers.lock);
        range = residency_range(word);
        if (range) {
            reach_expect_addresses();
            escape(drv, range);
        }
        pthread_mutex_unlock(&pagers.lock);
    }
}

CUresult cold_result(int r)
{
    if (!r)
        return CUDA_SUCCESS;
    return r == -ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_OPERATING_SYSTEM;
}
