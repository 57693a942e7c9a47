/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The disk tier: homes that are in the spill file, when both memories are full.
 *
 * A block there has no chunk and no mapping, so everything that could touch it has to bring it back
 * first: launches and copies that name it, by name; submissions that nobody has looked into bring
 * back everything there is. A range whose address was seen in memory never goes there. Bringing
 * back needs no safe point, for nobody uses an address where nothing is mapped; making room for it
 * does.
 *
 * A block keeps its page when it is back. Whether it still has the same bytes is looked at when it
 * is to go again, and then nothing is written.
 *
 * Results: 0, -ENOMEM when there is no room for it in memory, -EIO or -EBADMSG when the disk does
 * not give back what it was given, which has been said. Nothing is lost or made up then: the block
 * stays where it is, and who needs it fails.
 *
 * Locking: the pager's, unless said otherwise.
 */

#include <stdbool.h>
#include <stdint.h>
#include "runtime/card.h"
#include "runtime/move.h"
#include "runtime/reach.h"
#include "runtime/streaming.h"

/* When a card is looked at: opens the disk tier, once, if the settings ask for it. Bytes of pinned
 * host memory that it takes. */
uint64_t cold_open(const struct driver *drv, uint64_t slot_bytes, uint64_t host_budget);
/* Before that: how much it may come to hold, beside so much memory. */
uint64_t cold_wish(uint64_t memory);
/* In the child of a fork. */
void cold_reset(void);

/* Bytes of new homes that it has room for. */
uint64_t cold_room(void);
/* A new block begins there: it holds nothing yet, and takes no page before it does. */
void cold_begin(struct block *block);
/* The block is no more. */
void cold_forget(struct block *block);

/* At a safe point: moves homes out, in order, until something is full or fails; how many. */
size_t cold_out(struct mover *mover, struct block *const *blocks, size_t n);
/* The same for the least recently used ones whose home is in `tier`, until `bytes` are free. */
uint64_t cold_evict(struct pager *pager, struct mover *mover, enum tier tier, uint64_t bytes,
                    uint64_t except, enum card_leave_for to);

/* At a safe point: brings back what there is room for in that memory, in order; how many. */
size_t cold_in(struct pager *pager, struct mover *mover, struct block *const *blocks, size_t n,
               enum tier tier);
/* At a safe point: the block's bytes are at `from`, not on the disk. */
int cold_take_over(struct pager *pager, const struct driver *drv, struct transfer *transfer,
                   struct block *block, CUdeviceptr from);

/* runtime/cold_plan.c: homes of a plan, at the safe point at which it is made. -ENOSPC when not all
 * that it cannot stream is in memory. */
int cold_settle(struct pager *pager, const struct driver *drv);
/* When it ends: before the ring goes. */
void cold_rescue(struct pager *pager, const struct driver *drv);
/* Before blocks of a plan that is running are brought back. */
int cold_settle_copies(struct pager *pager, const struct driver *drv, struct block *const *blocks,
                       size_t n);
/* Behind it. */
void cold_came_back(struct pager *pager, const struct block *block);

/* Brings them back, into whichever memory has room. `n` may be more than are on the disk. Makes
 * room by moving out what is not of the card's current launch. */
int cold_need(struct pager *pager, const struct driver *drv, struct block *const *blocks, size_t n);
/* The same for all that a launch names on the card and that is not read elsewhere, and for what
 * else it reaches. */
int cold_launch(struct pager *pager, const struct driver *drv, const struct extents *extents,
                const struct reaches *reaches);
/* Everything of every card. */
int cold_all(const struct driver *drv);

/* What the program is told. */
CUresult cold_result(int r);
