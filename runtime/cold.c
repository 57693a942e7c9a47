/* SPDX-License-Identifier: MIT */
/*
 * What the parts share: the spill file, the buffers on the way to it, pages, and who is on the
 * disk.
 *
 * The buffers are our own memory, registered with the driver, rather than the driver's: what the
 * kernel still reads into must not go with a context.
 */
#include "runtime/cold_parts.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include "runtime/backing.h"
#include "runtime/gate.h"
#include "runtime/log.h"
#include "runtime/pager.h"
#include "runtime/stats.h"

enum {
    WISH = 7,        /* times as much as there is memory */
    AHEAD_SHARE = 8, /* part of host memory that is read into ahead, at most */
};

char *cold_bounce(size_t i)
{
    return pagers.cold.bounces + i % BOUNCES * pagers.cold.bounce_bytes;
}

char *cold_scratch(void)
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
    atomic_store(&residency.scanned, UINT64_MAX);
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
    uint64_t held = (atomic_load(&residency.on_disk) + TURNING) * residency.space.slot_bytes;

    return spill->budget > held ? spill->budget - held : 0;
}

void cold_count(struct block *block, bool there)
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
    cold_count(block, true);
}

static void page_give(uint32_t page)
{
    if (backing_is(page))
        backing_free(page);
    else
        spill_give(&pagers.cold.spill, page);
}

void cold_give_page(struct block *block)
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
        cold_count(block, false);
    cold_give_page(block);
}

/* Pages of blocks that are back in memory serve to save a write. Gives one up. */
static bool give_up_page(void)
{
    for (struct range *range = residency.ranges; range; range = range->next) {
        for (uint32_t i = 0; i < range->n_blocks; i++) {
            struct block *block = &range->blocks[i];

            if (block->page && !backing_is(block->page - 1) && block_tier(block) != TIER_DISK) {
                cold_give_page(block);
                return true;
            }
        }
    }
    return false;
}

int cold_take_page(struct block *block)
{
    uint32_t page;
    int r = spill_take(&pagers.cold.spill, &page);

    if (r == -ENOSPC && give_up_page())
        r = spill_take(&pagers.cold.spill, &page);
    if (!r)
        block->page = page + 1;
    return r;
}

uint64_t cold_memory(const struct pager *pager)
{
    uint64_t host = pager->pools[TIER_HOST].budget;
    uint64_t spare = residency.space.slot_bytes;

    return pager->pools[TIER_DEVICE].budget + (host > spare ? host - spare : 0);
}

uint64_t cold_bytes_of(struct block *const *blocks, size_t n)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += blocks[i]->bytes;
    return bytes;
}

CUresult cold_result(int r)
{
    if (!r)
        return CUDA_SUCCESS;
    return r == -ENOMEM ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_OPERATING_SYSTEM;
}
