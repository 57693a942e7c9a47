/* SPDX-License-Identifier: MIT */
#include "planner/preset.h"

#include <stdio.h>
#include <string.h>

#include "runtime/nearest.h"
#include "runtime/util.h"

static const struct {
    const char *name, *strategy;
} rows[] = {
#define STRATEGY(name, kind, judge, number, quality, help) {name, name},
#include "planner/strategies.def"
#define PRESET(name, strategy, whose) {name, strategy},
#include "planner/presets.def"
};

const char *preset_strategy(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            return *rows[i].strategy ? rows[i].strategy : PRESET_NONE;
    return NULL;
}

const char *preset_nearest(const char *name)
{
    const char *names[ARRAY_SIZE(rows)];

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        names[i] = rows[i].name;
    return nearest_choice(name, names, ARRAY_SIZE(rows));
}

const char *preset_names(char *out, size_t size)
{
    size_t used = 0;

    *out = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(rows) && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", rows[i].name);
    return out;
}
