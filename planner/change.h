/* SPDX-License-Identifier: MIT */
#pragma once

#include "planner/strategy.h"

/* The smallest change that makes a row fit that does not: options to add, into result->change. What
 * is written there was tried. 0 or -ENOMEM. */
int change_find(struct strategy_case *c, size_t row, struct strategy_result *result);

/* The most tokens (LANGUAGE, ENCODER) with which a row other than advice fits; 0: none. */
int change_max_context(struct strategy_case *c, uint64_t *out);
/* The same for sequences or images at once. */
int change_max_batch(struct strategy_case *c, uint64_t *out);
/* The same for pixels on each side of an image. */
int change_max_resolution(struct strategy_case *c, uint64_t *out);
