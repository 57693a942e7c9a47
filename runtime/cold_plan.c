/* SPDX-License-Identifier: MIT */
/*
 * What a plan keeps on the disk: what takes turns and has no room in host memory, first of all what
 * is read once in many passes. All else that it names comes back, at the safe point at which it is
 * made.
 */
#include <errno.h>
#include <stdlib.h>
#include "runtime/cold.h"
#include "runtime/log.h"
#include "runtime/prepare.h"
#include "runtime/stats.h"
#include "runtime/vmm.h"

enum {
    ROUNDS_MAX = 64,
    LEFT_FREE = 2,  /* slots of host memory, for what is named in another way than the plan knows */
    LEFT_SHARE = 8, /* part of it that is left free for what is no part of the plan, at most */
    ATTEMPTS = 4,   /* at a safe point without which the program is told that there is no memory */
};

/* Where the pieces are, as seen from where they should be. */
enum wish {
    WISH_RESIDENT,
    WISH_STREAMED, /* anywhere but on the device */
    WISH_SELDOM,   /* the same, and not in every pass */
    WISH_HOME,     /* mapped */
};

static enum wish wish_of(const struct streaming *s, const struct piece *piece)
{
    enum spread_class class = piece_class(s, piece);

    if (piece->stays)
        return WISH_RESIDENT;
    if (class == SPREAD_IDLE && !piece->block->range->escaped)
        return WISH_SELDOM;
    if (!piece_may_stream(s, piece))
        return WISH_HOME;
    return class == SPREAD_SELDOM ? WISH_SELDOM : WISH_STREAMED;
}

static size_t pick(const struct streaming *s, enum tier tier, enum wish wish, struct block **out)
{
    size_t n = 0;

    for (uint32_t i = 0; i < s->n_pieces; i++) {
        const struct piece *piece = &s->pieces[i];

        if (piece_is_there(piece) && block_tier(piece->block) == tier && wish_of(s, piece) == wish)
            out[n++] = piece->block;
    }
    return n;
}

static uint64_t bytes_of(struct block *const *blocks, size_t n)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += blocks[i]->bytes;
    return bytes;
}

/* Every so many-th of them first, so that those that stay lie between those that go. */
static void spread(struct block **blocks, size_t n, size_t wanted)
{
    for (size_t i = 0; i < wanted && i < n; i++) {
        size_t at = i * n / wanted;
        struct block *block = blocks[at];

        blocks[at] = blocks[i];
        blocks[i] = block;
    }
}

/* Of those that take turns in one memory, so many chunks: what is read in every pass first, or
 * last. */
static size_t pick_streamed(const struct streaming *s, enum tier tier, enum wish first, size_t most,
                            struct block **out)
{
    enum wish second = first == WISH_STREAMED ? WISH_SELDOM : WISH_STREAMED;
    size_t n = pick(s, tier, first, out);
    size_t more;

    spread(out, n, most);
    if (n >= most)
        return most;
    more = pick(s, tier, second, out + n);
    spread(out + n, more, most - n);
    return min_u64(n + more, most);
}

/* Moves streamed pieces from host memory to the disk until so much is free there. */
static size_t free_host(struct pager *pager, struct mover *mover, uint64_t bytes,
                        struct block **blocks)
{
    uint64_t room = pool_room(&pager->pools[TIER_HOST]);
    uint64_t slot = residency.space.slot_bytes;
    size_t wanted = room < bytes ? (bytes - room + slot - 1) / slot : 0;

    return cold_out(mover, blocks,
                    pick_streamed(pager->streaming, TIER_HOST, WISH_SELDOM, wanted, blocks));
}

/* One round of moves, each of which may make room for another. */
static size_t settle(struct pager *pager, struct mover *mover, struct block **blocks)
{
    const struct streaming *s = pager->streaming;
    size_t n = pick(s, TIER_DEVICE, WISH_HOME, blocks);
    size_t moved;

    moved = free_host(pager, mover, bytes_of(blocks, n), blocks);
    moved += move_to_host(mover, blocks, pick(s, TIER_DEVICE, WISH_HOME, blocks));
    n = pick(s, TIER_DISK, WISH_HOME, blocks);
    moved += free_host(pager, mover, bytes_of(blocks, n), blocks);
    moved += cold_in(pager, mover, blocks, pick(s, TIER_DISK, WISH_HOME, blocks), TIER_HOST);
    n = pick_streamed(s, TIER_DEVICE, WISH_STREAMED, s->n_pieces, blocks);
    moved += move_to_host(mover, blocks, n);
    n = pick_streamed(s, TIER_DEVICE, WISH_SELDOM, s->n_pieces, blocks);
    moved += cold_out(mover, blocks, n);
    moved += move_to_device(mover, blocks, pick(s, TIER_HOST, WISH_RESIDENT, blocks));
    moved += cold_in(pager, mover, blocks, pick(s, TIER_DISK, WISH_RESIDENT, blocks), TIER_DEVICE);
    return moved;
}

static bool is_away_beside(const struct streaming *s, const struct range *range)
{
    for (uint32_t i = 0; i < range->n_blocks; i++) {
        if (block_tier(&range->blocks[i]) == TIER_DISK && pieces_is_beside(s, &range->blocks[i]))
            return true;
    }
    return false;
}

static uint64_t longest_buffer(const struct range *range)
{
    uint64_t longest = range_named_extent(range, range->base);

    for (uint32_t i = 0; i < range->named.n; i++)
        longest = max_u64(longest, range_named_extent(range, range->base + range->named.at[i]));
    return longest;
}

/* For what is no part of the plan: that it can be brought back, a buffer at a time, without ending
 * the plan. */
static uint64_t left_free(const struct pager *pager)
{
    uint64_t slot = residency.space.slot_bytes;
    uint64_t most = pager->pools[TIER_HOST].budget / LEFT_SHARE;
    uint64_t bytes = 0;

    for (const struct range *range = residency.ranges; range; range = range->next) {
        if (range->pager == pager && is_away_beside(pager->streaming, range))
            bytes = max_u64(bytes, longest_buffer(range) + slot);
    }
    return LEFT_FREE * slot + align_up(min_u64(bytes, most), slot);
}

/* What of host memory is left over saves reading, the more so what is read in every pass. */
static void fill_host(struct pager *pager, struct mover *mover, struct block **blocks)
{
    uint64_t left = left_free(pager);
    const struct streaming *s = pager->streaming;
    uint64_t slot = residency.space.slot_bytes;
    uint64_t room, wanted;
    size_t often = pick(s, TIER_DISK, WISH_STREAMED, blocks);
    size_t seldom = pick(s, TIER_HOST, WISH_SELDOM, blocks);

    (void)cold_out(mover, blocks, min_u64(often, seldom));
    room = pool_room(&pager->pools[TIER_HOST]);
    wanted = room > left + slot ? (room - left) / slot - 1 : 0;
    (void)cold_in(pager, mover, blocks, pick_streamed(s, TIER_DISK, WISH_STREAMED, wanted, blocks),
                  TIER_HOST);
}

int cold_settle(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;
    struct mover mover = {
        .drv = drv, .pools = pager->pools, .transfer = s->transfer, .access = &pager->access};
    struct block **blocks = calloc(s->n_pieces, sizeof(struct block *));
    int rounds = 0;
    size_t left;

    if (!blocks)
        return -ENOMEM;
    while (settle(pager, &mover, blocks) && ++rounds < ROUNDS_MAX)
        ;
    (void)free_host(pager, &mover, left_free(pager), blocks);
    fill_host(pager, &mover, blocks);
    left = pick(s, TIER_DISK, WISH_HOME, blocks);
    free(blocks);
    if (left)
        log_debug("%zu chunks cannot be on the disk, and have no room elsewhere", left);
    return left ? -ENOSPC : 0;
}

/* The slot that was last filled with the piece; NULL when it is another's by now. */
static struct slot *slot_of(const struct streaming *s, const struct piece *piece)
{
    struct slot *slot;

    if (!piece || piece->turn < 0 || !s->ring.n_turns)
        return NULL;
    slot = &s->ring.slots[s->ring.turns[piece->turn].slot];
    if (!slot->from_disk || s->ring.turns[slot->turn].piece != s->ring.turns[piece->turn].piece)
        return NULL;
    return slot;
}

/* At a safe point: what a launch has written to the copy of a page is only there. */
void cold_rescue(struct pager *pager, const struct driver *drv)
{
    struct streaming *s = pager->streaming;

    if (!s->ring.waits || (!s->unsure && !guard_noticed(&s->guard)))
        return;
    for (uint32_t i = 0; i < s->n_pieces; i++) {
        struct piece *piece = &s->pieces[i];
        struct slot *slot = slot_of(s, piece);

        if (!slot || !slot->at || block_tier(piece->block) != TIER_DISK ||
            (!s->unsure && guard_flag(&s->guard, i) == GUARD_SILENT))
            continue;
        if (cold_take_over(pager, drv, s->transfer, piece->block, slot->at))
            log_error("what was written to %llu bytes at 0x%llx has no room in memory; who needs "
                      "them fails",
                      (unsigned long long)piece->block->bytes,
                      (unsigned long long)block_address(piece->block));
    }
}

/* Launches that read copies of these are done, and have not written to them; or the plan is over.
 */
int cold_settle_copies(struct pager *pager, const struct driver *drv, struct block *const *blocks,
                       size_t n)
{
    struct streaming *s = pager->streaming;
    struct transfer *transfer;
    bool unclear;

    if (!s || !s->ring.n_slots || !s->ring.waits)
        return 0;
    unclear = s->state != STREAMING_RUNNING || s->unsure;
    for (size_t i = 0; i < n; i++) {
        const struct slot *slot = slot_of(s, piece_of(s, blocks[i]));

        if (!slot || (!slot->pins && !slot->was_used))
            continue;
        if (!card_may_drain())
            return -ENOMEM;
        unclear |= slot->pins || drv->cuEventSynchronize(slot->used) != CUDA_SUCCESS;
    }
    if (!unclear && !guard_noticed(&s->guard))
        return 0;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (!streaming_make_way(pager, drv, &transfer))
            continue;
        card_leave(drv);
        return 0;
    }
    return -ENOMEM;
}

void cold_came_back(struct pager *pager, const struct block *block)
{
    struct streaming *s = pager->streaming;

    if (!s || !block->piece || !s->ring.n_turns)
        return;
    for (uint32_t i = 0; i < s->ring.n_turns; i++) {
        struct turn *turn = &s->ring.turns[i];

        if (turn->piece == block->piece - 1)
            turn->source = block->chunk->alias ? block->chunk->alias : block_address(block);
    }
}
