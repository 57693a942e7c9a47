/* SPDX-License-Identifier: MIT */
#pragma once

/* What vramshim-plan says, as text and as JSON. Nothing in it depends on the time or the locale. */

#include <stdbool.h>
#include <stdio.h>

#include "planner/report.h"
#include "planner/strategy.h"

struct answer {
    const char *path;          /* NULL for a model that is only imagined */
    const struct model *model; /* NULL for one of which only the size is known */
    const struct model *parts; /* beside it */
    size_t n_parts;
    const struct arch *arch;
    const struct strategy_case *given;
    const struct strategies *strategies;
    const struct machine_request *request;
    const char *plan; /* the file that the plan is written to; NULL: none is */
    bool compare, explain;
    const struct strategy_result *placed; /* the way by which pieces lie; NULL: by none */
    bool fits_unpinned;
    bool without; /* the library: asked for as a way to run the program */
};

void answer_print(const struct answer *answer, FILE *out);
/* 0, -EIO or -ENOMEM. */
int answer_print_json(const struct answer *answer, FILE *out);
