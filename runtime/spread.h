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

/*
 * Chooses residents of together at most `budget` bytes: the written first, then those that are
 * visited most, then a share of the others, as even as that of long buffers allows, and of those
 * that are visited seldom, then the hottest of the sparse, then the idle.
 * What more memory leaves resident is at least as many bytes. Returns their bytes.
 */
uint64_t spread_residents(struct spread_piece *pieces, uint32_t n, uint64_t budget);
