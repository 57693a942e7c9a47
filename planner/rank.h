/* SPDX-License-Identifier: MIT */
#pragma once

#include "planner/text.h"

/* Where in its block a tensor is read, judged by its name; names that say nothing are in the
 * middle. */
int rank_of(struct text name);
