/* SPDX-License-Identifier: MIT */
#pragma once

/* What guides tell people with such a card to do with image models, judged: rows of guides.def. */

#include <stdio.h>

#include "planner/strategy.h"

/* Nothing for other models, and for cards that no guide speaks of. */
void guide_print(const struct strategy_case *c, const struct strategies *all, FILE *out);
