/* SPDX-License-Identifier: MIT */
#pragma once

/* What a model file holds, for a person and for programs. Every text of the file is escaped. */

#include <jansson.h>
#include <stdio.h>

#include "planner/model.h"

/* Name, architecture, size. */
void report_print(const char *path, const struct model *model, FILE *out);
/* Another input beside the model, in one line. */
void report_print_part(const struct model *model, FILE *out);
/* What its bytes are: by type, by role. */
void report_print_shares(const struct model *model, FILE *out);

/* The same as an object; a new reference, NULL when memory is short. */
json_t *report_json(const char *path, const struct model *model);
json_t *report_part_json(const struct model *model);
