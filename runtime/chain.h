/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Under a plan of the user: launches that may write anything, and copies that are made after them,
 * in the order in which they come, on the device. The host waits for neither.
 *
 * A launch that joins waits for all copies that were begun before it, and copies that are begun
 * later wait for it. Between being given out and being given to the driver it is *open*: then
 * nobody can wait for it but by a safe point.
 *
 * Locking: the pager's, but for chain_ended(). The streaming context is current.
 */

#include <stdbool.h>
#include <stdint.h>
#include "runtime/driver.h"
#include "runtime/redirect.h"
#include "runtime/transfer.h"

enum {
    CHAIN_SPARES = 8,
};

struct chain {
    CUevent fence; /* behind all copies so far */
    CUevent spare[CHAIN_SPARES];
    uint32_t n_spare;
    uint32_t n_open; /* launches */
};

/* The launch has been looked into and will be made. False: it cannot join, and the caller has to
 * see to the order. */
bool chain_join(struct chain *chain, const struct driver *drv, struct transfer *transfer,
                struct redirect *redirect);

/* It was given to the driver, whatever of ours still follows in its stream. */
void chain_ended(const struct driver *drv, struct redirect *redirect);

/* Later copies wait for it. False: they would not. */
bool chain_follow(struct chain *chain, const struct driver *drv, struct transfer *transfer,
                  struct redirect *redirect);

/* The plan is over that it was given out under. */
void chain_forsake(const struct driver *drv, struct redirect *redirect);

/* Nothing of it is in flight. `alive`: the context still is. */
void chain_fini(struct chain *chain, const struct driver *drv, bool alive);
