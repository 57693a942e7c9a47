/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The spelling somebody may have meant: edit distance, letter case aside, a swap of two neighbours
 * counted once. Allocates nothing.
 */

#include <stddef.h>

/* Words longer than this are compared by their beginning. */
#define NEAREST_MAX 64

unsigned int nearest_distance(const char *a, const char *b);

/* The choice with the smallest distance from `word`, the first of equals; NULL without choices. */
const char *nearest_choice(const char *word, const char *const *choices, size_t n_choices);
