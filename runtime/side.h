/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a program reads beside the pass, once in many laps of it: a text encoder before the steps of
 * an image, a decoder after them. Inside of streaming.h, while a plan runs.
 *
 * When memory that is away and not in the pass is named, what runs from there on until the pass
 * goes on is noted, between two digests of that memory. Then it becomes another phase of the pass,
 * and the plan is made anew with it, at the safe point of the second digest: what was read
 * in place this time takes turns the next time.
 *
 * Locking: the pager's.
 */

#include <stdbool.h>
#include <stdint.h>
#include "runtime/driver.h"

struct extents;
struct launch;
struct pager;
struct range;
struct streaming;

enum {
    SIDE_RANGES = 64, /* more are not noted */
};

/* A word of a launch that named such memory. */
struct side_touch {
    struct range *range; /* while its id is that */
    uint64_t id;
    CUdeviceptr address;
    CUfunction function;
    uint32_t word;
    uint32_t launch;
};

struct side {
    bool on;         /* one is being noted */
    bool refused;    /* none is, any more, under this plan */
    uint64_t newest; /* id of the last range that there was when the plan was made */
    uint64_t laps;   /* of plans before this one */
    uint32_t launch;
    uint64_t ranges[SIDE_RANGES]; /* ids of those that are noted */
    uint32_t n_ranges;
    struct side_touch *touches;
    uint32_t n;
    uint32_t capacity;
};

/* A plan begins to run; it is not one that was extended. */
void side_begin(struct streaming *s);
/* It is over. */
void side_end(struct streaming *s);

/* A launch while it runs. 0, or -errno when the plan cannot go on. */
int side_launch(struct pager *pager, const struct driver *drv, const struct launch *launch,
                const struct extents *extents);
