/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A model and a budget as text for a person, or as JSON for a program. Text from the file is
 * escaped. Nothing here depends on the time or the terminal, so reports can be compared.
 */

#include <stdio.h>

#include "planner/fit.h"
#include "planner/model.h"

struct report {
    const char *path;
    const struct model *model;
    struct budget budget;
    struct fit fit;
    const char *vram_text; /* as the user wrote it; NULL when not given */
    const char *ram_text;
};

void report_print(const struct report *report, FILE *out);

/* -ENOMEM or -EIO when it could not be written. */
int report_print_json(const struct report *report, FILE *out);
