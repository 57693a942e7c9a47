/* SPDX-License-Identifier: MIT */
/*
 * A host chunk is mapped at its alias all its life, a device chunk only at the home's address. So
 * the copy out goes home -> alias before the home is remapped, and the copy in goes alias -> home
 * after it. In either direction the old chunk keeps the bytes until the new home is known to be
 * right, so that every failure can be undone by mapping the old chunk again.
 */
#include "runtime/move.h"

#include "runtime/log.h"
#include "runtime/stats.h"
#include "runtime/vmm.h"

enum {
    BATCH = 64,        /* blocks copied before one wait */
    SHADOWS_LEAVE = 8, /* part of the host tier that shadows are not to take */
};

void move_drop_shadow(struct pool *pools, const struct driver *drv, struct block *block)
{
    if (!block->shadow)
        return;
    stats_sub(shadow_bytes, block->bytes);
    pool_give(&pools[TIER_HOST], drv, block->shadow);
    block->shadow = NULL;
}

static struct chunk *chunk_for(struct mover *mover, enum tier tier, const struct block *block)
{
    struct chunk *chunk = NULL;
    int r = pool_take(&mover->pools[tier], mover->drv, block->bytes, &chunk);

    if (r < 0)
        log_debug("cannot take a chunk: error %d; a block stays where it is", -r);
    return r ? NULL : chunk;
}

static int map_home(struct mover *mover, const struct block *block, const struct chunk *chunk)
{
    return vmm_map(mover->drv, block_address(block), block->bytes, chunk->handle, mover->access);
}

/* Maps the block's own chunk again after a move that failed. */
static void restore_home(struct mover *mover, const struct block *block)
{
    if (vmm_restore(mover->drv, block_address(block), block->bytes, block->chunk->handle,
                    mover->access))
        log_error("cannot map %llu bytes back at 0x%llx after a failed move; the program will "
                  "see an illegal address there",
                  (unsigned long long)block->bytes, (unsigned long long)block_address(block));
}

/* Maps `chunk` where the block's own chunk is mapped now; on failure that one is mapped again. */
static int remap_home(struct mover *mover, struct block *block, const struct chunk *chunk)
{
    int r = vmm_unmap(mover->drv, block_address(block), block->bytes);

    if (r)
        return r;
    r = map_home(mover, block, chunk);
    if (r)
        restore_home(mover, block);
    return r;
}

/* What the old home was is its shadow from now on, or nothing. */
static void leave(struct mover *mover, struct block *block, enum tier tier)
{
    struct pool *pool = &mover->pools[tier];

    if (!mover->shadows || tier != TIER_HOST || pool_room(pool) < pool->budget / SHADOWS_LEAVE) {
        pool_give(pool, mover->drv, block->chunk);
        return;
    }
    block->shadow = block->chunk;
    stats_add(shadow_bytes, block->bytes);
}

static void settle(struct mover *mover, struct block *block, enum tier tier, struct chunk *chunk)
{
    enum tier before = block_tier(block);
    struct range *range = block->range;

    block->was_away |= before == TIER_HOST;
    leave(mover, block, before);
    block->chunk = chunk;
    atomic_store_explicit(&block->tier, tier, memory_order_relaxed);
    if (tier == TIER_DEVICE) {
        atomic_fetch_sub_explicit(&range->n_away, 1, memory_order_relaxed);
        stats_sub(host_bytes, block->bytes);
        stats_add(device_bytes, block->bytes);
        stats_add(chunks_to_device, 1);
        stats_add(bytes_to_device, block->bytes);
    } else {
        atomic_fetch_add_explicit(&range->n_away, 1, memory_order_relaxed);
        stats_sub(device_bytes, block->bytes);
        stats_add(host_bytes, block->bytes);
        stats_add(chunks_to_host, 1);
        stats_add(bytes_to_host, block->bytes);
        stats_add(bytes_to_host_first, block->was_away ? 0 : block->bytes);
        block->was_away = true;
    }
}

static void give_all(struct mover *mover, enum tier tier, struct chunk **chunks, size_t from,
                     size_t to)
{
    for (size_t i = from; i < to; i++)
        pool_give(&mover->pools[tier], mover->drv, chunks[i]);
}

/* Host memory with what the block holds, or is about to hold; NULL when there is none. */
static struct chunk *copy_out(struct mover *mover, struct block *block)
{
    struct chunk *chunk = block->shadow;

    if (chunk && mover->shadows) {
        stats_sub(shadow_bytes, block->bytes);
        block->shadow = NULL;
        return chunk;
    }
    chunk = chunk_for(mover, TIER_HOST, block);
    if (chunk && transfer_copy(mover->transfer, mover->drv, chunk->alias, block_address(block),
                               block->bytes)) {
        pool_give(&mover->pools[TIER_HOST], mover->drv, chunk);
        return NULL;
    }
    return chunk;
}

static size_t batch_to_host(struct mover *mover, struct block *const *blocks, size_t n)
{
    struct chunk *chunks[BATCH];
    size_t copied = 0;
    size_t moved = 0;

    for (; copied < n; copied++) {
        chunks[copied] = copy_out(mover, blocks[copied]);
        if (!chunks[copied])
            break;
    }
    if (transfer_wait(mover->transfer, mover->drv) == 0) {
        for (; moved < copied; moved++) {
            if (remap_home(mover, blocks[moved], chunks[moved]))
                break;
            settle(mover, blocks[moved], TIER_HOST, chunks[moved]);
        }
    }
    give_all(mover, TIER_HOST, chunks, moved, copied);
    return moved;
}

static size_t batch_to_device(struct mover *mover, struct block *const *blocks, size_t n)
{
    struct chunk *chunks[BATCH];
    size_t mapped = 0;
    int r = 0;

    for (; mapped < n && !r; mapped++) {
        struct block *block = blocks[mapped];

        chunks[mapped] = chunk_for(mover, TIER_DEVICE, block);
        if (!chunks[mapped])
            break;
        if (remap_home(mover, block, chunks[mapped])) {
            pool_give(&mover->pools[TIER_DEVICE], mover->drv, chunks[mapped]);
            break;
        }
        r = transfer_copy(mover->transfer, mover->drv, block_address(block), block->chunk->alias,
                          block->bytes);
    }
    if (!r)
        r = transfer_wait(mover->transfer, mover->drv);
    if (!r) {
        for (size_t i = 0; i < mapped; i++)
            settle(mover, blocks[i], TIER_DEVICE, chunks[i]);
        return mapped;
    }

    (void)transfer_wait(mover->transfer, mover->drv);
    for (size_t i = 0; i < mapped; i++) {
        if (vmm_unmap(mover->drv, block_address(blocks[i]), blocks[i]->bytes) == 0)
            restore_home(mover, blocks[i]);
    }
    give_all(mover, TIER_DEVICE, chunks, 0, mapped);
    return 0;
}

static size_t in_batches(struct mover *mover, struct block *const *blocks, size_t n,
                         size_t (*batch)(struct mover *, struct block *const *, size_t))
{
    size_t moved = 0;

    while (moved < n) {
        size_t want = n - moved < BATCH ? n - moved : BATCH;
        size_t got = batch(mover, blocks + moved, want);

        moved += got;
        if (got < want)
            break;
    }
    return moved;
}

size_t move_to_host(struct mover *mover, struct block *const *blocks, size_t n)
{
    return in_batches(mover, blocks, n, batch_to_host);
}

size_t move_to_device(struct mover *mover, struct block *const *blocks, size_t n)
{
    return in_batches(mover, blocks, n, batch_to_device);
}
