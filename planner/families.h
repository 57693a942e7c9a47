/* SPDX-License-Identifier: MIT */
#pragma once

/* Kinds of image models: the rows of families.def. */

#include "planner/text.h"

struct family {
    const char *name;
    const char *class; /* prefix of the class's name in a diffusers folder */
    double factor;
};

/* NULL: there is none. */
const struct family *family_find(const char *name);
const struct family *family_of_class(struct text class);
