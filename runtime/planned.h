/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Doing as the plan says: homes at allocation, and streaming from the first launch on.
 *
 * Locking: the pager's.
 */

#include "runtime/card.h"
#include "runtime/streaming.h"

/* Which blocks of an allocation that is being made stay in device memory. */
struct planned_homes {
    uint32_t n;
    bool *stays; /* by block; NULL: the plan says nothing of it */
};

/* For an allocation of so many bytes. On failure, too, what the plan does not say is not there. */
void planned_homes_init(struct planned_homes *homes, struct pager *pager, uint64_t bytes);
void planned_homes_fini(struct planned_homes *homes);

static inline bool planned_is_away(const struct planned_homes *homes, uint32_t block)
{
    return homes->stays && block < homes->n && !homes->stays[block];
}

/* Something was uploaded: when that was the last of the plan, streaming is made ready. */
void planned_uploaded(struct pager *pager, const struct driver *drv);

/* Begins to stream by the plan, if enough of it is there. True when it did. */
bool planned_start(struct pager *pager, const struct driver *drv);

/* Whether the launch's parameter points to a tensor of the plan, which is only read. */
bool planned_is_read(const struct extent *extent);
