/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A list of functions of device code by what they are from run to run: a digest of the image that a
 * function was loaded from, and its name in that. In a file, a line each:
 *
 *   function DIGEST "NAME"
 *
 * They stand in the order of digests, then names, and none stands there twice. Pure. Locking: the
 * caller's.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "runtime/fields.h"

enum {
    ROLL_MAX = 1 << 16, /* functions; names are at most FIELDS_TEXT_MAX bytes */
};

struct roll_entry {
    char *name;
    uint64_t digest; /* never 0 */
};

struct roll {
    struct roll_entry *list;
    uint32_t n, room;
};

/* 0, if it was there before as well; -E2BIG when there are too many, or the name is too long;
 * -ENOMEM. */
int roll_add(struct roll *roll, uint64_t digest, const char *name);
void roll_remove(struct roll *roll, uint64_t digest, const char *name);
bool roll_has(const struct roll *roll, uint64_t digest, const char *name);
/* All of another one. 0 or -errno as above, then some are there. */
int roll_add_all(struct roll *roll, const struct roll *other);
void roll_fini(struct roll *roll);

/* What follows the word "function" in a line. 0; -EINVAL, and *out_what says what is wrong;
 * -ENOMEM.
 */
int roll_take(struct roll *roll, struct fields *line, const char **out_what);
void roll_print(const struct roll *roll, FILE *out);
