/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a header of the runtime library states, measured by a compiler: one table of the stand-in's
 * header, and one of the toolkit's.
 */

#include <stddef.h>

struct abi_row {
    const char *name;
    long long value; /* of a constant; where a member begins */
    size_t bytes;    /* of a type or member, 0 for a constant */
};

struct abi_prototype {
    const char *name;
    int matches;
};

extern const struct abi_row abi_own[];
extern const struct abi_row abi_toolkit[];
extern const size_t abi_count;

extern const struct abi_prototype abi_prototypes[];
extern const size_t abi_prototype_count;
