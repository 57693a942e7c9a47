/* SPDX-License-Identifier: MIT */
#include "planner/engine_table.h"

#include <string.h>

#include "runtime/util.h"

static const struct engine_row rows[] = {
#define ENGINE(name, offload, offload_flags, story, flags)                                         \
    {name, ENGINE_OFFLOAD_##offload, offload_flags, story, flags},
#include "planner/engines.def"
};

const struct engine_row *engine_row_at(size_t index)
{
    return index < ARRAY_SIZE(rows) ? &rows[index] : NULL;
}

const struct engine_row *engine_row_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}
