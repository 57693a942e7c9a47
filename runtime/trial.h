/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * First launches, by a plan of the user. Nothing was learned of any function then; so the first
 * launch of each that would read copies reads in place instead, and is timed. One that takes less
 * time than copying would reads little of what it is given, or only notes where that is, and is
 * left to read in place for good. Inside of streaming.h.
 *
 * Locking: the pager's.
 */

#include "runtime/streaming.h"

enum trial_verdict {
    TRIAL_FIRST,    /* nothing is known: this launch is the one */
    TRIAL_COPY,     /* it reads all that it is given */
    TRIAL_IN_PLACE, /* it does not */
};

enum trial_verdict trial_find(const struct streaming *s, CUfunction function);

/* The launch is the first, if nothing else need run meanwhile; it is going to read so many bytes in
 * place. Drains the device. */
void trial_begin(struct pager *pager, const struct driver *drv, const struct launch *launch,
                 uint64_t bytes, struct redirect *redirect);
/* It was given to the driver. Waits for it. */
void trial_launched(struct streaming *s, const struct driver *drv, struct redirect *redirect);

/* `alive`: the context still is. */
void trials_forget(struct streaming *s, const struct driver *drv, bool alive);
