/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How allocations are cut into chunks. The planner predicts by the same rules.
 *
 * Pure; sizes in bytes.
 */

#include <stdint.h>

enum {
    CUT_LEAST_BLOCKS = 16, /* a budget is cut into at least so many, granularity permitting */
    CUT_SMALL_SHARE = 64,  /* and what is more than one of so many parts of it is paged */
};

/* A chunk, where the setting says `wanted`. */
static inline uint64_t cut_chunk(uint64_t wanted, uint64_t budget, uint64_t granularity)
{
    uint64_t bytes = granularity;

    while (bytes * 2 <= wanted && bytes * 2 * CUT_LEAST_BLOCKS <= budget)
        bytes *= 2;
    return bytes;
}

/* Smaller allocations are left to the driver. */
static inline uint64_t cut_small(uint64_t wanted, uint64_t budget)
{
    return budget / CUT_SMALL_SHARE < wanted ? budget / CUT_SMALL_SHARE : wanted;
}
