/* SPDX-License-Identifier: MIT */
#pragma once

/* Options that were given and would do nothing. None is passed over in silence. */

#include <stdio.h>

#include "planner/options.h"

/* 0, or -EINVAL and one line in `error` when of two options one would be without effect. */
int idle_conflict(const struct options *options, char *error, size_t size);

/* A line for each that means nothing for what the model makes. */
void idle_print(const struct options *options, const struct subject *subject, FILE *out);
