/* SPDX-License-Identifier: MIT */
/*
 * Bringing a piece of memory together in one tier, for calls that cannot be cut.
 *
 * The tier is the host's: there is always room for what comes from the device, as far as the budget
 * goes, and gathering one piece takes nothing apart that was gathered before. What uses the memory
 * brings it in again.
 */
#include <errno.h>
#include <stdlib.h>
#include "runtime/card.h"
#include "runtime/cold.h"
#include "runtime/move.h"
#include "runtime/pager.h"
#include "runtime/streaming.h"

/* The blocks of the piece that are here; their number, 0 when none is away. */
static size_t blocks_here(struct range *range, CUdeviceptr address, uint64_t bytes,
                          struct block **out)
{
    uint64_t first = (address - range->base) >> residency.slot_shift;
    uint64_t last = (address - range->base + bytes - 1) >> residency.slot_shift;
    size_t n = 0;

    for (uint64_t i = first; i <= last && i < range->n_blocks; i++)
        if (block_tier(&range->blocks[i]) == TIER_DEVICE)
            out[n++] = &range->blocks[i];
    return n <= last - first ? n : 0;
}

/* What of the piece is on the disk; its number. */
static size_t blocks_on_disk(struct range *range, CUdeviceptr address, uint64_t bytes,
                             struct block **out)
{
    uint64_t first = (address - range->base) >> residency.slot_shift;
    uint64_t last = (address - range->base + bytes - 1) >> residency.slot_shift;
    size_t n = 0;

    for (uint64_t i = first; i <= last && i < range->n_blocks; i++) {
        range->blocks[i].launch = range->pager->launch;
        if (block_tier(&range->blocks[i]) == TIER_DISK)
            out[n++] = &range->blocks[i];
    }
    return n;
}

/* Nothing of the piece is on the disk any more: 0, or why something is. */
static int bring(const struct driver *drv, struct range *range, CUdeviceptr address, uint64_t bytes)
{
    struct block **there = calloc(range->n_blocks, sizeof(*there));
    size_t n;
    int r;

    if (!there)
        return -ENOMEM;
    range->pager->launch++;
    n = blocks_on_disk(range, address, bytes, there);
    r = n ? cold_need(range->pager, drv, there, n) : 0;
    free(there);
    return r;
}

/* Whether what of the piece is in memory is in one tier. */
static bool gather(const struct driver *drv, struct range *range, CUdeviceptr address,
                   uint64_t bytes)
{
    struct pager *pager = range->pager;
    struct block **here = calloc(range->n_blocks, sizeof(*here));
    struct mover mover = {.drv = drv, .pools = pager->pools, .access = &pager->access};
    size_t n = here ? blocks_here(range, address, bytes, here) : 0;
    bool gathered = here && !n;

    if (n && streaming_make_way(pager, drv, &mover.transfer)) {
        gathered = move_to_host(&mover, here, n) == n;
        card_leave(drv);
    }
    free(here);
    return gathered;
}

int pager_gather(const struct driver *drv, CUdeviceptr address, uint64_t bytes)
{
    struct range *range;
    int r = 0;

    if (!bytes || !residency_block(address))
        return 0;
    pthread_mutex_lock(&pagers.lock);
    range = residency_range(address);
    if (range && residency_any_on_disk())
        r = bring(drv, range, address, bytes);
    if (range && !r)
        r = gather(drv, range, address, bytes);
    pthread_mutex_unlock(&pagers.lock);
    return r;
}
