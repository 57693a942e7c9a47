/* SPDX-License-Identifier: MIT */
#pragma once

/* What a pass takes of a program that places the model by itself: see engines.def. Pure. */

#include "planner/strategy.h"

struct engine_run {
    uint64_t
        away; /* of everything, what has no room on the device; 0: nothing is to be offloaded */
    uint64_t host, pinned;
    double seconds;
    const char *bound;
};

/* `device`: seconds of a pass of which everything is on the device, and what bounds it. */
void engine_run(const struct strategy_case *c, double device, const char *bound,
                struct engine_run *out);
