/* SPDX-License-Identifier: MIT */

/* Facts about PTX types, from the one table in the header. */

#include <stdint.h>
#include <string.h>

#include "tests/sim/ptx_type.h"

static const struct {
    const char *name;
    uint8_t bytes;
    char sort;
} types[PTX_TYPE_COUNT] = {[PTX_NONE] = {"", 0, ' '},
#define TYPE(id, name, bits, sort) [PTX_##id] = {name, bits / 8, sort},
                           PTX_TYPES(TYPE)
#undef TYPE
};

enum ptx_type ptx_type_find(const char *text, size_t length)
{
    for (int type = PTX_NONE + 1; type < PTX_TYPE_COUNT; type++) {
        if (strlen(types[type].name) == length && !memcmp(types[type].name, text, length))
            return (enum ptx_type)type;
    }
    return PTX_NONE;
}

const char *ptx_type_name(enum ptx_type type)
{
    return types[type].name;
}

unsigned int ptx_type_bytes(enum ptx_type type)
{
    return types[type].bytes;
}

bool ptx_type_is_signed(enum ptx_type type)
{
    return types[type].sort == 's';
}

bool ptx_type_is_float(enum ptx_type type)
{
    return types[type].sort == 'f';
}
