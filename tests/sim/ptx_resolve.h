/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where the lanes of a warp access memory, for functions that are compiled for several CPUs: all of
 * it is to be inlined there.
 */

#include <assert.h>

#include "tests/sim/mmu.h"
#include "tests/sim/ptx_lanes.h"

#define PTX_INLINE static inline __attribute__((always_inline))

static_assert(sizeof(uint8_t *) == sizeof(uint64_t), "host pointers take the place of addresses");

PTX_INLINE struct ptx_stretch *ptx_stretch_of(struct ptx_launch_state *state, uint64_t address,
                                              bool write)
{
    return &state->cache[write][address / SIM_PAGE_BYTES % PTX_CACHE];
}

PTX_INLINE bool ptx_stretch_has(const struct ptx_stretch *stretch, uint64_t address,
                                unsigned int bytes)
{
    return address >= stretch->from && address <= stretch->last &&
           stretch->last - address >= bytes - 1;
}

/* The addresses that an instruction has; lanes that are not in `mask` get that of one that is. */
PTX_INLINE void ptx_addresses(const struct ptx_warp *warp, const struct ptx_insn *insn,
                              uint32_t mask, uint64_t at[PTX_LANES])
{
    uint64_t offset = (uint64_t)insn->imm;
    uint64_t first;

    if (insn->type2 == PTX_B32) {
        A(uint32_t);
        for (unsigned int lane = 0; lane < PTX_LANES; lane++)
            at[lane] = (uint32_t)(a[lane] + offset);
    } else {
        A(uint64_t);
        for (unsigned int lane = 0; lane < PTX_LANES; lane++)
            at[lane] = a[lane] + offset;
    }
    if (mask == PTX_ALL_LANES)
        return;
    first = at[__builtin_ctz(mask)];
    for (unsigned int lane = 0; lane < PTX_LANES; lane++)
        at[lane] = mask >> lane & 1 ? at[lane] : first;
}

/* Adds `delta` to all addresses if all are in [from, from + room] and aligned. *in_order: and they
 * follow each other. */
PTX_INLINE bool ptx_reach_all(uint64_t at[PTX_LANES], unsigned int bytes, uint64_t from,
                              uint64_t room, uint64_t delta, bool *in_order)
{
    uint64_t first = at[0];
    uint64_t low_bits = bytes - 1;
    uint64_t misses = 0;
    uint64_t gaps = 0;

    for (unsigned int lane = 0; lane < PTX_LANES; lane++) {
        misses |= (at[lane] - from > room) | (at[lane] & low_bits);
        gaps |= at[lane] - first - (uint64_t)lane * bytes;
    }
    if (misses)
        return false;
    for (unsigned int lane = 0; lane < PTX_LANES; lane++)
        at[lane] += delta;
    *in_order = !gaps;
    return true;
}

/* All active lanes in one known stretch of device memory, or all in shared memory. */
PTX_INLINE bool ptx_reach_together(struct ptx_warp *warp, const struct ptx_insn *insn,
                                   uint32_t mask, unsigned int bytes, bool write,
                                   uint64_t at[PTX_LANES], bool *in_order)
{
    const struct ptx_block *block = warp->block;
    struct ptx_stretch *stretch;

    if (insn->space == PTX_SPACE_SHARED)
        return block->shared_bytes >= bytes &&
               ptx_reach_all(at, bytes, 0, block->shared_bytes - bytes,
                             (uint64_t)(uintptr_t)block->shared, in_order);
    if (insn->space == PTX_SPACE_LOCAL || insn->space == PTX_SPACE_PARAM)
        return false;
    stretch = ptx_stretch_of(warp->launch, at[0], write);
    if (!ptx_stretch_has(stretch, at[0], bytes) ||
        !ptx_reach_all(at, bytes, stretch->from, stretch->last - stretch->from + 1 - bytes,
                       stretch->delta, in_order))
        return false;
    stretch->bytes += (uint64_t)bytes * (unsigned int)__builtin_popcount(mask);
    return true;
}

/* The same lane by lane; `at` holds addresses, and host pointers afterwards. PTX_STEP_STOP after a
 * fault. */
enum ptx_step ptx_reach_each(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask,
                             unsigned int bytes, bool write, uint64_t at[PTX_LANES]);

/*
 * Host pointers, as numbers, for each lane in `mask` to access `bytes` (a power of two) at
 * insn->src[0] + insn->imm. *in_order: all lanes are active and each one's bytes follow those of
 * the lane before. PTX_STEP_STOP after a fault.
 */
PTX_INLINE enum ptx_step ptx_reach(struct ptx_warp *warp, const struct ptx_insn *insn,
                                   uint32_t mask, unsigned int bytes, bool write,
                                   uint64_t at[PTX_LANES], bool *in_order)
{
    *in_order = false;
    ptx_addresses(warp, insn, mask, at);
    if (ptx_reach_together(warp, insn, mask, bytes, write, at, in_order)) {
        *in_order = *in_order && mask == PTX_ALL_LANES;
        return PTX_STEP_NEXT;
    }
    return ptx_reach_each(warp, insn, mask, bytes, write, at);
}
