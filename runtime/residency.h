/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The residency map: which addresses are ours, and where each of their blocks has its home.
 *
 * A range is one allocation of the program: consecutive slots of the space, each a block with one
 * physical chunk. An array over the slots of the space leads to it from any address inside, which
 * launches and copies follow for every word they see; a list has all that are live.
 *
 * Locking: writers hold the pager's lock. residency_block() takes none: ranges are recycled, never
 * returned to the heap, so a reader that races with a free sees some range, and only stamps or
 * skips it. Nothing but prediction and the splitting of copies rests on such a read, and a copy of
 * a range that is being freed is an error of the program.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "runtime/driver.h"
#include "runtime/backing.h"
#include "runtime/pool.h"
#include "runtime/space.h"
#include "runtime/util.h"

struct pager;

/* What the user's plan says of the tensors in a block. */
enum block_plan {
    BLOCK_FREE = 1,      /* one may lie anywhere, */
    BLOCK_ON_HOST = 2,   /* one is pinned to host memory, */
    BLOCK_ON_DEVICE = 4, /* and one to the device, which all in the block goes by */
};

struct block {
    struct range *range; /* set once: blocks live in their range */
    uint32_t index;
    _Atomic uint8_t tier;      /* enum tier */
    atomic_bool takes_turns;   /* launches read copies of it */
    bool escaped;              /* its address was uploaded: kernels may write it unseen */
    uint8_t plan;              /* enum block_plan, of all tensors in it */
    uint64_t bytes;            /* of its chunk; less than a slot in the last block only */
    struct chunk *chunk;       /* NULL only before the range is published */
    _Atomic uint64_t last_use; /* residency_now() of the last launch or copy that named it */
    uint64_t needed;           /* pager: number of the request it was last needed by */
    uint64_t launch;           /* cold: number of the last launch that reached it */
    uint32_t piece;            /* streaming: one more than its number in the plan, or 0 */
    uint32_t page;             /* one more than its page in the spill file, or 0; see cold.h */
    uint64_t digest;           /* of what that page holds, as digest.h has it */
    bool was_away;             /* there has been a copy of it in host memory */
    uint32_t rewrites;         /* streaming: plans that it has ended by being written after all */
    uint32_t looks;            /* experts: launches that are in its heat, */
    double heat;               /* bytes that one reads of it, on average */
    struct chunk *shadow;      /* host memory with what was there when it came to the device, */
    uint64_t shadow_digest;    /* and the digest of that; NULL for most */
};

/* Offsets in a range, sorted, without 0. */
struct marks {
    uint64_t *at;
    uint32_t n;
    uint32_t capacity;
};

enum {
    RANGE_OBSERVED = (int)0x80000000, /* in n_away: launches look into it, resident or not */
};

enum range_state {
    RANGE_LIVE,
    RANGE_FREEING, /* freed in stream order; mapped until the stream gets there */
};

struct range {
    CUdeviceptr base;
    uint64_t bytes;        /* that the program asked for */
    uint64_t mapped_bytes; /* of all chunks */
    uint64_t id;           /* never used twice */
    struct pager *pager;
    CUcontext ctx;        /* that was current when it was allocated */
    CUmemoryPool mempool; /* that the program named, NULL for cuMemAlloc */
    enum range_state state;
    bool planned;   /* tensors of the user's plan were recognised in it */
    uint64_t aside; /* lap in which it was first named beside the pass, or 0; see side.h */
    uint32_t n_blocks;
    uint32_t n_slots;        /* of the space; one more than blocks where there is room for it */
    uint32_t capacity;       /* of blocks[]; a power of two */
    _Atomic uint32_t n_away; /* blocks whose home is not device memory, and RANGE_OBSERVED */
    struct marks marks;      /* where buffers were seen to begin, by uploads and by launches */
    struct marks uploads;    /* by uploads alone */
    struct backing_uploads sources; /* what came from files */
    bool escaped;                   /* its address lies in memory somewhere: it is touched unseen */
    struct marks named; /* by launches alone: an upload may well be a part of a buffer */
    struct range *prev; /* while RANGE_LIVE */
    struct range *next; /* the same, and of those to be used again */
    struct block blocks[];
};

struct residency {
    _Atomic uint64_t base; /* copies of the space's, so that one cache line serves a lookup */
    _Atomic uint32_t slot_shift;
    _Atomic uint64_t bytes; /* of all slots; 0 until there is a space */
    _Atomic(_Atomic(struct block *) *) slots;
    _Atomic uint64_t clock;
    _Atomic uint64_t on_disk; /* blocks */
    atomic_bool spills;       /* there is a disk tier */
    _Atomic uint64_t scanned; /* uploads of so many bytes, at most, are looked through */
    struct space space;
    struct range *ranges; /* that are live; utlist */
    struct range *recycled[32];
    uint64_t next_id;
};

extern struct residency residency;

/* Makes the space, once per process. `bytes` as in space_init(). Locking: the pager's. */
int residency_init(const struct driver *drv, uint64_t bytes, uint64_t least_bytes,
                   uint64_t slot_bytes);
/* Forgets everything without a driver call, for the child of a fork: what the parent's other
 * threads were changing at that moment is not looked at, nor freed. */
void residency_reset(void);

/* What a lookup needs, read once for many: it never changes after the space was made. */
struct residency_view {
    uint64_t base;
    uint64_t bytes; /* 0 until there is a space */
    uint32_t slot_shift;
    _Atomic(struct block *) *slots;
};

static inline struct residency_view residency_view(void)
{
    struct residency_view view;

    view.bytes = atomic_load_explicit(&residency.bytes, memory_order_acquire);
    view.base = atomic_load_explicit(&residency.base, memory_order_relaxed);
    view.slot_shift = atomic_load_explicit(&residency.slot_shift, memory_order_relaxed);
    view.slots = atomic_load_explicit(&residency.slots, memory_order_relaxed);
    return view;
}

/* What is in the slots of addresses that nobody has: may be stamped as any block, is never away. */
extern struct block residency_nobody;

/* False when `address` is in no slot; else *out is a block, or residency_nobody. */
static inline bool residency_view_slot(const struct residency_view *view, uint64_t address,
                                       struct block **out)
{
    uint64_t offset = address - view->base;

    if (offset >= view->bytes)
        return false;
    *out = atomic_load_explicit(&view->slots[offset >> view->slot_shift], memory_order_acquire);
    return true;
}

/* The block that `address` lies in, NULL when it is none of ours. Locking: none. Reads no more than
 * it must: most addresses that are asked about are not ours. */
static inline struct block *residency_block(uint64_t address)
{
    uint64_t bytes = atomic_load_explicit(&residency.bytes, memory_order_acquire);
    uint64_t offset = address - atomic_load_explicit(&residency.base, memory_order_relaxed);
    _Atomic(struct block *) *slots;
    struct block *block;

    if (offset >= bytes)
        return NULL;
    slots = atomic_load_explicit(&residency.slots, memory_order_relaxed);
    offset >>= atomic_load_explicit(&residency.slot_shift, memory_order_relaxed);
    block = atomic_load_explicit(&slots[offset], memory_order_acquire);
    return block == &residency_nobody ? NULL : block;
}

/* The LRU clock: a number per launch or copy. */
static inline uint64_t residency_tick(void)
{
    return atomic_fetch_add_explicit(&residency.clock, 1, memory_order_relaxed) + 1;
}

static inline void block_touch(struct block *block, uint64_t now)
{
    atomic_store_explicit(&block->last_use, now, memory_order_relaxed);
}

static inline enum tier block_tier(const struct block *block)
{
    return (enum tier)atomic_load_explicit(&block->tier, memory_order_relaxed);
}

static inline CUdeviceptr block_address(const struct block *block)
{
    return block->range->base + ((uint64_t)block->index << residency.slot_shift);
}

/* Whether somebody wants its home there, and nowhere else. */
static inline bool block_is_pinned(const struct block *block, enum tier tier)
{
    return tier == TIER_DEVICE ? block->plan & BLOCK_ON_DEVICE : block->plan == BLOCK_ON_HOST;
}

static inline bool range_is_away(const struct range *range)
{
    return (atomic_load_explicit(&range->n_away, memory_order_relaxed) & ~RANGE_OBSERVED) != 0;
}

static inline void range_observe(struct range *range, bool on)
{
    if (on)
        atomic_fetch_or_explicit(&range->n_away, RANGE_OBSERVED, memory_order_relaxed);
    else
        atomic_fetch_and_explicit(&range->n_away, ~RANGE_OBSERVED, memory_order_relaxed);
}

/*
 * The range that `address` lies in while it is the program's, NULL otherwise; the exact-address
 * form finds it by its first byte only. Locking: the pager's.
 */
struct range *residency_range(uint64_t address);
struct range *residency_range_at(uint64_t base);

/* A range with `n_blocks` zeroed blocks at an address of its own, published nowhere. -ENOMEM. */
int range_take(uint64_t bytes, uint64_t granularity, struct range **out);
/* Makes it visible to lookups. */
void range_publish(struct range *range);
/* The program may not name it any more, but kernels in flight may still use it. */
void range_retract(struct range *range);
void range_restore(struct range *range); /* undoes range_retract() */
/* Gives the addresses back and recycles it. Its blocks hold no chunks any more. */
void range_give(struct range *range);

/* Remembers that a buffer begins at `address` inside `range`: an upload, or a launch says so. */
void range_mark(struct range *range, uint64_t address);
void range_name(struct range *range, uint64_t address);
/* Bytes from `address` to where the next buffer certainly begins: something was uploaded there, and
 * a launch named it. */
uint64_t range_certain_extent(const struct range *range, uint64_t address);
/* The buffer that begins at `address` may be written by kernels that nobody sees. */
void range_escape(struct range *range, uint64_t address);
/* Bytes from `address` to where the next known buffer begins, or the range ends. */
uint64_t range_extent(const struct range *range, uint64_t address);
/* The same, going by what launches named alone. */
uint64_t range_named_extent(const struct range *range, uint64_t address);

/* Whether launches read copies of one of these blocks of it. */
bool range_takes_turns(const struct range *range, uint32_t first, uint32_t last);

/* Whether a buffer is known to begin there. */
bool range_begins_at(const struct range *range, uint64_t address);

/* Whether anything is on the disk at all: what every call asks first. */
static inline bool residency_any_on_disk(void)
{
    return atomic_load_explicit(&residency.on_disk, memory_order_relaxed) != 0;
}

static inline bool residency_spills(void)
{
    return atomic_load_explicit(&residency.spills, memory_order_relaxed);
}

/* Bytes of the block that are the program's, and as many more as allocators round up by: what is
 * behind them is nobody's. */
static inline uint64_t block_used(const struct block *block)
{
    uint64_t begin = (uint64_t)block->index << residency.slot_shift;

    return min_u64(block->bytes, align_up(block->range->bytes - begin, 512));
}

/* Whether an upload of so many bytes may bring addresses that matter: see pager_scan(). */
static inline bool residency_scans(uint64_t bytes)
{
    return bytes <= atomic_load_explicit(&residency.scanned, memory_order_relaxed);
}

/* Whether the block at `address` is on the disk. Locking: none; inside the gate none goes there. */
static inline bool residency_is_on_disk(uint64_t address)
{
    const struct block *block = residency_any_on_disk() ? residency_block(address) : NULL;

    return block && block_tier(block) == TIER_DISK;
}

/* Whether launches may be reading copies of some of these bytes. Locking: none. */
bool residency_takes_turns(uint64_t address, uint64_t bytes);

/*
 * Bytes from `address`, at most `bytes`, that one driver call may copy or set: all of one tier, or
 * of one block that is on the disk. An address that is not ours goes as it is. Locking: none.
 */
uint64_t residency_run(uint64_t address, uint64_t bytes);

/* The same for one driver call that must stay right when homes move: all of one block. */
uint64_t residency_block_run(uint64_t address, uint64_t bytes);
