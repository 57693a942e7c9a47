/* SPDX-License-Identifier: MIT */
#pragma once

/* A plan for the library, from what was judged: see runtime/planfile.h. */

#include <stddef.h>

#include "planner/strategy.h"
#include "runtime/planfile.h"

/* The fastest way that fits and that the library goes by itself; NULL when there is none. */
const struct strategy_result *draft_choose(const struct strategies *strategies);

/*
 * Places every tensor as `way` would, and reads the first bytes of each. `functions`: those that
 * are known to be harmless, NULL for none. 0 and a plan to be freed, or -errno and one line in
 * `error`: -ESTALE for a file that has changed, -EINVAL for a model of which there is no file,
 * -ENOMEM, or what reading gave.
 */
int draft_make(struct strategy_case *c, const struct strategy_result *way, struct text name,
               const struct roll *functions, char *error, size_t error_size, struct planfile **out);

/* To a file of that name, which is there with all of the plan or not at all: see outfile.h. 0 or
 * -errno. */
int draft_write(const struct planfile *plan, const char *path);
