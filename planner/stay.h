/* SPDX-License-Identifier: MIT */
#pragma once

/* How many bytes of each piece stay on the device, as the library has it. */

#include "planner/strategy.h"

/* Places the pieces as the strategy of that name would, and gives each its tier and what stays of
 * it. 0 or -ENOMEM. */
int stay_choose(struct strategy_case *c, const char *strategy);
