/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The memory of a pool: segments of device memory cut into blocks.
 *
 * A block is idle (its last owner's free has happened), in use, or pending (its free is queued).
 * Who may have an idle or a pending block is what the pool's three reuse attributes decide. A
 * segment whose blocks are all idle can be given back to the card.
 */

#include "tests/sim/memory.h"
#include "tests/sim/stream.h"

enum reuse {
    REUSE_EVENTS,        /* another stream's, which an event or a wait orders before this point */
    REUSE_OPPORTUNISTIC, /* another stream's, which happens to be over */
    REUSE_DEPENDENCIES,  /* another stream's, by waiting for its free */
    REUSE_COUNT,
};

struct block;
struct segment;

struct pool {
    struct pool *next; /* all pools */
    int device;
    bool is_default;
    bool destroyed;     /* freed with its last allocation */
    uint64_t max_bytes; /* of `reserved`; 0: no limit of its own */
    uint64_t reserved;
    uint64_t reserved_high;
    uint64_t used; /* allocated and not yet freed, in the order of the calls */
    uint64_t used_high;
    size_t n_allocations; /* structs that refer to the pool */
    uint64_t release_threshold;
    int reuse[REUSE_COUNT];
    uint8_t readable; /* a bit per device, as in struct page */
    uint8_t writable;
    struct segment *segments;
};

/*
 * Memory for an allocation that `work` will begin in its stream; `work` may be made to wait. The
 * allocation's range.bytes says how much; base and `segment` are written. OUT_OF_MEMORY.
 */
CUresult pool_take(struct pool *pool, struct stream *stream, struct work *work,
                   struct allocation *allocation);
/* The stream reaches the allocation, or its free. Taking back is right at any time. */
void pool_open(struct allocation *allocation);
void pool_close(struct allocation *allocation);
/* The free has been queued in `stream` and is over when `freed` is done. */
void pool_note_free(struct allocation *allocation, struct stream *stream, struct marker *freed);
/* Gives idle segments back until no more than `keep` bytes are reserved. */
void pool_trim(struct pool *pool, uint64_t keep);
/* Everything that is over may be had by any stream; what exceeds the threshold is given back. */
void pool_note_synchronised(struct pool *pool);
void pool_set_access(struct pool *pool, int device, bool read, bool write);
