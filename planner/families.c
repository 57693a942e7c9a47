/* SPDX-License-Identifier: MIT */
#include "planner/families.h"

#include <string.h>

#include "runtime/util.h"

static const struct family families[] = {
#define FAMILY(name, class, factor) {name, class, factor},
#include "planner/families.def"
};

const struct family *family_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(families); i++)
        if (strcmp(name, families[i].name) == 0)
            return &families[i];
    return NULL;
}

const struct family *family_of_class(struct text class)
{
    for (size_t i = 0; i < ARRAY_SIZE(families); i++)
        if (text_begins(class, families[i].class))
            return &families[i];
    return NULL;
}
