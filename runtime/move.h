/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Moving homes between tiers: copy, unmap, map.
 *
 * Both calls need a safe point: the gate closed, no work of the program in flight in any context of
 * the device, and the pager's lock held. They move blocks in order until something is full or
 * fails, and return how many were moved; those are whole and right, the rest are untouched.
 * `transfer`'s context is current.
 */

#include <stdbool.h>
#include <stddef.h>
#include "runtime/residency.h"
#include "runtime/transfer.h"
#include "runtime/vmm.h"

struct mover {
    const struct driver *drv;
    struct pool *pools; /* by enum tier */
    struct transfer *transfer;
    const struct vmm_access *access; /* to homes */
    bool shadows; /* what comes to the device leaves one, room permitting; and those of what goes
                   * are as good as its home, says the caller */
};

size_t move_to_host(struct mover *mover, struct block *const *blocks, size_t n);
size_t move_to_device(struct mover *mover, struct block *const *blocks, size_t n);

/* Gives the block's shadow back, if it has one. Needs no safe point. */
void move_drop_shadow(struct pool *pools, const struct driver *drv, struct block *block);
