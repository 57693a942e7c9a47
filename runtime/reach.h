/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a launch may touch beside the buffers that it is given pointers to: asked while there is a
 * disk tier, because what is there cannot be touched unforeseen.
 *
 * Two ways are looked for. A number among the parameters may lead from one buffer to another: one
 * that, added to a pointer or taken from it, gives where another buffer of the same allocation
 * begins or ends, is taken for such a way, until it once leads out of the allocation, where no
 * program goes. And addresses may lie in the buffers that it is given: what the first launches of
 * each function find there is read before they are made, and functions that do find some are asked
 * every time.
 *
 * Locking: the pager's.
 */

#include <stdbool.h>
#include <stdint.h>
#include "runtime/driver.h"
#include "runtime/redirect.h"
#include "runtime/residency.h"

enum {
    REACHES_MAX = 256,
};

struct reached_place {
    struct range *range;
    CUdeviceptr address;
    uint64_t bytes; /* 0: as far as from a pointer */
    bool optional;  /* there is reason to believe that it is not touched */
    bool beyond;    /* what the launch names */
};

struct reaches {
    size_t n;
    bool more;         /* there are others that are not in the list */
    uint64_t farthest; /* bytes: the largest number that stays within an allocation */
    struct reached_place list[REACHES_MAX];
};

struct extents;

/* Adds where numbers lead. */
void reach_by_numbers(const struct launch *launch, const struct extents *extents,
                      struct reaches *reaches);

/* Whether the function's buffers have to be looked into. */
bool reach_is_asked(const struct launch *launch);
/* Does that, and adds what their addresses lead to. What the launch names is in memory. Waits for
 * all that the launch itself would wait for. 0, also when there is no time for it and the function
 * never had any; -EAGAIN when it had. */
int reach_by_addresses(const struct driver *drv, const struct launch *launch,
                       struct reaches *reaches);

/* New addresses have come into memory: functions are looked at anew. */
void reach_expect_addresses(void);

/* Whether something of it is on the disk, or takes turns with what is. */
bool reach_leads_away(const struct reaches *reaches);

/* In the child of a fork, or when handles have other meanings. */
void reach_forget(void);
