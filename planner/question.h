/* SPDX-License-Identifier: MIT */
#pragma once

/* What is asked of vramshim-plan: options, and the files and the machine that they name. */

#include <stdbool.h>
#include <stddef.h>

#include "planner/options.h"
#include "planner/strategy.h"
#include "runtime/roll.h"

/* All that is known, and who owns what of it. Begins all zero, but for the options. */
struct question {
    struct options options;
    struct inputs inputs;
    struct model model, parts[INPUTS_MAX];
    size_t n_parts;
    bool without; /* the library */
    struct arch imagined;
    const struct arch *arch;
    struct subject subject;
    struct strategy_case given;
    struct strategies strategies; /* the answers */
    char headroom[40];            /* as --vram has it */
    char *pins[TEXTS_MAX];        /* taken apart */
    char figures[3][24];          /* of a report, as options have them; */
    struct roll functions;        /* and what else it knows */
    char *reported;               /* the name of its model; NULL without one */
};

/* Opens and looks at what the options name. 0, or an exit status after a message. */
int question_take(struct question *question);
void question_fini(struct question *question);
