/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the shared object exports in the driver's place: one function per HOOK and GATE row, and one
 * per twin.
 */

#include <stddef.h>

struct entry {
    const char *symbol; /* the exported name, twin suffix included */
    void *address;      /* our function of that name, never another library's */
};

/* In the order of the rows, a twin right behind its plain call. */
extern const struct entry entry_list[];
extern const size_t entry_count;
