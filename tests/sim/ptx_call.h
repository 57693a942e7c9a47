/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Calls, while they run.
 *
 * A kernel has one set of registers for each device function, and its local memory is a stack of
 * frames for each lane. A call of a function that the lane is in already (recursion) first puts the
 * function's registers aside, on a stack of the lane's own; they come back when it returns.
 */

#include "tests/sim/ptx_lanes.h"

/* What a lane of a place holds, at most 8 bytes of it. */
uint64_t ptx_place_value(const struct ptx_warp *warp, const struct ptx_place *place,
                         unsigned int lane);
/* Where a place in local memory is; NULL for a register. */
uint8_t *ptx_place_memory(const struct ptx_warp *warp, const struct ptx_place *place,
                          unsigned int lane);
void ptx_place_set(struct ptx_warp *warp, const struct ptx_place *place, unsigned int lane,
                   uint64_t value);

/* Host pointer to what a lane accesses at a generic address; NULL after a fault, which is recorded.
 * insn->src[0] is a slot of 64 bits for the address. */
void *ptx_generic_pointer(struct ptx_warp *warp, const struct ptx_insn *insn, unsigned int lane,
                          uint64_t address, unsigned int bytes, bool write);

/* Forgets all calls, as a block begins or ends; frees what they needed. */
void ptx_calls_fini(struct ptx_warp *warp);
