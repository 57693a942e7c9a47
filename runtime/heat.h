/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which pieces of sparsely read memory are worth a place on the device, by what is read of them.
 *
 * Pure. A swap costs a copy, and what was learned from a few passes is not quite right: two pieces
 * change places only when the difference between them pays for it soon.
 */

#include <stdbool.h>
#include <stdint.h>

struct heat_piece {
    double heat; /* bytes read of it in a pass, on average, late passes counting more */
    uint64_t bytes;
    bool resident; /* in: is; out: should be */
};

/* The average after one more pass, `passes` before it. */
double heat_after(double heat, uint32_t passes, double bytes);

/*
 * Changes `resident` of at most `most` pairs, a piece that goes and one that comes in its place, or
 * of pieces that `room` more bytes are enough for. Returns how many come.
 */
uint32_t heat_swap(struct heat_piece *pieces, uint32_t n, uint64_t room, uint32_t most);
