/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The library with eyes: what it foresees of launches is held against what they do. What is looked
 * for is chosen with LOOK_FOR, and found in lines of JSON at the end of the file LOOK_FILE.
 *
 *   named    of how many allocations a launch names something, and where in them
 *   touched  whether a launch touches what was not foreseen
 *   escapes  whether a redirected launch leaves an address that it was redirected to in memory
 *
 * What is not foreseen to be touched is taken away before a launch: if it is touched, the context
 * breaks. The program then ends with LOOK_FAULT, and the function is in the file. When it is run
 * again, launches of that are left alone.
 *
 * Captured launches are looked at for what they name alone, launches of graphs not at all.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "runtime/pager.h"
#include "runtime/table.h"

enum { LOOK_FAULT = 86 };

/* What is known of a function. */
struct seen {
    CUfunction function;
    char name[256];
    uint64_t launches;
    uint64_t redirected; /* of these */
    bool guilty;         /* did what is looked for */
    UT_hash_handle hh;
};

/* One thing to look for. All are called with look_lock held. */
struct look {
    const char *name;
    bool resident; /* launches that all is on the card for are looked into too */
    /* Before a launch; inside the gate if it is redirected. True when `after`, which is outside, is
     * to follow it, and nothing else to be looked at until then. */
    bool (*before)(const struct driver *drv, const struct launch *launch,
                   const struct redirect *redirect, struct seen *seen);
    void (*after)(const struct driver *drv, const struct launch *launch, struct seen *seen);
    void (*print)(FILE *out); /* members of the line, each with a comma before it */
};

extern const struct look look_named, look_touched, look_escapes;

enum { LOOK_WORDS_MAX = 128 };

/* Of a launch's words those that name paged memory. */
struct look_words {
    size_t n;
    CUdeviceptr at[LOOK_WORDS_MAX];
};
void look_words(const struct launch *launch, struct look_words *out);

/* What was found so far, as a line of the file. */
void look_write(void);
