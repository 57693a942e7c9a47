/* SPDX-License-Identifier: MIT */
/*
 * Moving out: copy, wait, checksum, write, and only when the page is written unmap. Bytes travel by
 * way of two buffers: while one is copied from a home, the disk works on the other.
 */
#include "runtime/cold_parts.h"

#include <errno.h>
#include <stdlib.h>
#include "runtime/backing.h"
#include "runtime/checksum.h"
#include "runtime/digest.h"
#include "runtime/log.h"
#include "runtime/stats.h"
#include "runtime/vmm.h"

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

    if (!backing_make(&block->range->sources, at, buffer, block->bytes, sum, cold_scratch(), &page))
        return false;
    cold_give_page(block);
    block->page = page + 1;
    block->digest = digest_bytes(buffer, block_used(block), 0);
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
    sum = checksum(buffer, block->bytes);
    leaving->block = block;
    leaving->request = (struct disk_request){.result = 0};
    if (same_as_on_disk(block, sum))
        return 0;
    if (is_in_a_file(block, buffer, sum))
        return 0;
    if (block->page && backing_is(block->page - 1))
        cold_give_page(block);
    if (!block->page)
        r = cold_take_page(block);
    if (r) {
        leaving->block = NULL;
        return r;
    }
    ahead_drop(&pagers.cold.ahead, block->page - 1);
    spill->sums[block->page - 1] = sum;
    block->digest = digest_bytes(buffer, block_used(block), 0);
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
        cold_give_page(block);
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
    cold_count(block, true);
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
            r = leave_begin(mover, blocks[i], cold_bounce(i), turn);
    }
    if (r == -ENOSPC)
        log_debug("the spill file has no room left");
    return gone;
}

uint64_t cold_evict(struct pager *pager, struct mover *mover, enum tier tier, uint64_t bytes,
                    uint64_t except, enum card_leave_for to)
{
    struct block **victims;
    size_t n = card_oldest(pager, tier, bytes, except, to, &victims);
    uint64_t evicted = 0;

    n = cold_out(mover, victims, n);
    for (size_t i = 0; i < n; i++)
        evicted += victims[i]->bytes;
    free(victims);
    return evicted;
}
