/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a driver header states, measured by a compiler. There is one table of our own header and one
 * of the toolkit's, row by row the same.
 */

#include <stddef.h>

enum abi_kind {
    ABI_CONSTANT, /* value */
    ABI_TYPE,     /* size in bytes */
    ABI_MEMBER,   /* place and size in bytes */
};

struct abi_row {
    enum abi_kind kind;
    const char *name;
    long long value; /* or place */
    size_t size;
};

/* What a plain name stands for, by default and with per-thread default streams. */
struct abi_name {
    const char *plain;
    const char *meaning;
};

/* Whether a row of driver_calls.def has the types that the header declares. */
struct abi_prototype {
    const char *symbol;
    int plain_matches;
    int twin_matches; /* 1 where there is no twin */
};

extern const struct abi_row abi_own[];
extern const struct abi_row abi_toolkit[];
extern const size_t abi_count;

extern const struct abi_name abi_own_legacy[];
extern const struct abi_name abi_own_per_thread[];
extern const struct abi_name abi_toolkit_legacy[];
extern const struct abi_name abi_toolkit_per_thread[];
extern const size_t abi_name_count;

extern const struct abi_prototype abi_prototypes[];
extern const size_t abi_prototype_count;
