/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Device address space: one large reservation, handed out in slots of one chunk each.
 *
 * Addresses are never mapped here, only owned. The whole process has one space, so that "is this
 * word an address of ours" is one subtraction, one shift and one comparison.
 */

#include <stdint.h>
#include "runtime/driver.h"

struct space {
    uint64_t base;
    uint64_t slot_bytes;
    uint64_t n_slots;
    struct space_hole *holes; /* free runs, by address, never adjacent */
    size_t n_holes;
    size_t capacity;
    size_t n_runs; /* handed out */
};

/* Reserves `bytes`, or the largest half, quarter, ... of it that the driver grants. `slot_bytes` is
 * a power of two. -ENOMEM when not even `least_bytes` can be had. */
int space_init(struct space *space, const struct driver *drv, uint64_t bytes, uint64_t least_bytes,
               uint64_t slot_bytes);
/* Locking for both: the caller's. -ENOSPC when no run of `n_slots` is free; -ENOMEM. */
int space_take(struct space *space, uint64_t n_slots, CUdeviceptr *out_address);
/* Never fails: room for one more hole was reserved by space_take(). */
void space_give(struct space *space, uint64_t address, uint64_t n_slots);
/* Gives the reservation back; nothing may be mapped in it. Accepts a zeroed space. */
void space_fini(struct space *space, const struct driver *drv);
