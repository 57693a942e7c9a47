/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * JSON text, taken apart as it goes by: nothing is built, nothing is allocated, and nothing recurs,
 * so that a header of many MiB from an enemy costs no more than to read it once. Small files that
 * are looked into here and there (config.json) are better off with jansson.
 *
 * Strict as RFC 8259 is. The first thing wrong stays in `wrong`; after it every function gives
 * false. Strings have their escapes resolved where they lie: the text is written to.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "planner/text.h"

struct scan {
    char *text;
    size_t size;
    size_t at;
    bool fresh;        /* in an object or array of which nothing was taken yet */
    const char *wrong; /* NULL: nothing so far; static */
    size_t wrong_at;
};

enum {
    SCAN_MAX_DEPTH = 64,
};

/* Enters an object, whose keys are then taken one by one, each followed by its value; false behind
 * the last one. while (scan_key(s, &key)) ... */
bool scan_object(struct scan *scan);
bool scan_key(struct scan *scan, struct text *out);

/* The same for an array: true when an item follows, which is to be taken. */
bool scan_array(struct scan *scan);
bool scan_item(struct scan *scan);

/* Values. The string is valid UTF-8, and may have any character in it. */
bool scan_text(struct scan *scan, struct text *out);
bool scan_u64(struct scan *scan, uint64_t *out);
bool scan_skip(struct scan *scan);

/* Nothing follows but white space. */
bool scan_end(struct scan *scan);

/* Says that something is wrong with what begins at `at`, unless something was before; gives false.
 */
bool scan_fail(struct scan *scan, size_t at, const char *why);
