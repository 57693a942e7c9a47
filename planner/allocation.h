/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What weights take of the device beyond their bytes. In large buffers that is nothing to speak of;
 * a program that allocates every tensor by itself pays for each: what is small is left to the
 * driver, beside the budget, and all others are rounded up to what physical memory comes in.
 */

#include "planner/strategy.h"

/* Whether the driver keeps it. */
bool allocation_is_small(const struct strategy_case *c, const struct place_piece *piece);

/* What paged tensors are rounded up to, each; 0: they lie in large buffers. */
uint64_t allocation_unit(const struct strategy_case *c);

/* All that is paged, rounded. */
uint64_t allocation_paged(const struct strategy_case *c);

/* Of what may be paged, what a phase writes takes: nothing, when all of it is small. */
uint64_t allocation_written(const struct strategy_case *c, size_t phase);

/* Device memory that the driver takes for all that is small. 0 or -ENOMEM. */
int allocation_small(const struct strategy_case *c, uint64_t *out);
