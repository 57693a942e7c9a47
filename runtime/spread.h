/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which pieces of a pass stay on the device, and how the rest takes turns there.
 *
 * With B bytes of residents, a pass over W bytes has to move W - B, whichever they are; but when it
 * can do so while the device computes depends on where they lie. Spread evenly in the order of
 * execution, each streamed piece has a resident one's time to arrive in. Of buffers that are much
 * longer than others a smaller share is streamed, since a launch wants all of that at once: what it
 * takes to hold it would be missing everywhere else. Sources: Belady's minimum for cyclic reads,
 * and docs/design.md.
 *
 * Pure. Arrays are the caller's, in order of execution.
 */

#include <stdbool.h>
#include <stdint.h>

enum spread_class {
    SPREAD_STREAMED, /* visited once in a pass and never written */
    SPREAD_AGAIN,    /* visited more than once in a pass: staying saves as many copies */
    SPREAD_WRITTEN,  /* may not be away: it would have to be written back; or is always in use */
    SPREAD_SELDOM,   /* as streamed, but once in many passes */
    SPREAD_SPARSE,   /* read in place: nobody knows where, but by its heat */
    SPREAD_IDLE,     /* not in the pass */
};

struct spread_piece {
    uint64_t bytes;
    uint64_t length; /* bytes of the longest buffer that it is part of, or 0: of itself */
    enum spread_class class;
    double heat;   /* of a sparse one: bytes read of it in a pass; 0 when that is not known */
    bool resident; /* out */
};

/* Buffers of one length, or of nearly the same place in the order. */
struct spread_kind {
    uint64_t length; /* bytes of one */
    uint64_t bytes;  /* of all of them */
};

/* How much of buffers is away. */
struct spread_share {
    uint64_t usual; /* 2^-32 of their bytes, */
    uint64_t most;  /* but of one buffer no more than so many 2^-20 bytes */
};

/* Adds a buffer to the kinds, of which there are *n; there is room for another one. */
void spread_add(struct spread_kind *kinds, uint32_t *n, uint64_t length, uint64_t bytes);
/* When so many bytes of buffers are away, all of which are streamed. */
struct spread_share spread_share(const struct spread_kind *kinds, uint32_t n, uint64_t away);
/* Of one buffer of this length, then. */
uint64_t spread_away(const struct spread_share *share, uint64_t length);

enum {
    SPREAD_LEAST_SLOTS = 2,
    SPREAD_SOME_SLOTS = 3, /* so that something arrives while two chunks are read at once */
};

/* Bytes of a ring by which a launch reads what takes `chunks`, while as much arrives. Of a budget
 * that is for residents, too, it takes no more than a share, but for `slots`, one of the above. */
uint64_t spread_ring_for(uint64_t chunks, uint64_t budget, uint64_t chunk, uint64_t slots);
/* The ring that buffers take of which `room` bytes may stay, and no more than the budget holds
 * beside it: the more memory there is the smaller, up to its share. 0 when all of them stay. */
uint64_t spread_ring(const struct spread_kind *kinds, uint32_t n, uint64_t room, uint64_t budget,
                     uint64_t chunk);

/*
 * Chooses residents of together at most `budget` bytes: the written first, then those that are
 * visited most, then a share of the others, as even as that of long buffers allows, and of those
 * that are visited seldom, then the hottest of the sparse, then the idle.
 * What more memory leaves resident is at least as many bytes. Returns their bytes.
 */
uint64_t spread_residents(struct spread_piece *pieces, uint32_t n, uint64_t budget);
