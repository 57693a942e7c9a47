/* SPDX-License-Identifier: MIT */
#pragma once

/* A model placed phase by phase, and what that comes to. */

#include "planner/strategy.h"

/* How a phase is to be placed. */
struct phases_way {
    bool may_stream, cache, all_away;
    bool whole_experts; /* experts are treated as dense */
    uint64_t ring;
};

/* The phases, added up. */
struct phases_total {
    struct placement placement; /* of the main phase */
    uint64_t written, written_error;
    uint64_t peak;  /* written and placed, of the phase that takes most */
    uint64_t host;  /* bytes that have their home there, at most */
    uint64_t held;  /* bytes of residents, of all phases */
    uint64_t moved; /* of them, what makes way for some phase */
    double seconds, computing, copying, reading; /* per pass of the main phase */
    const char *computing_bound;
    bool fits;
    uint64_t short_by;
};

/* Places every phase. `keep`, if not NULL, receives the tiers. 0 or -ENOMEM. */
int phases_run(struct strategy_case *c, const struct phases_way *way, struct place_piece *keep,
               struct phases_total *out);
