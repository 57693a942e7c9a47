/* SPDX-License-Identifier: MIT */
#pragma once

/* The names that --strategy takes: rows of strategies.def and of presets.def. */

#include <stddef.h>

#define PRESET_NONE "none" /* the program as it is, without the library */

/* The strategy that a name stands for, PRESET_NONE among them; NULL when nothing is called so. */
const char *preset_strategy(const char *name);

/* The name somebody may have meant. */
const char *preset_nearest(const char *name);

/* All names, with commas between them. Returns `out`. */
const char *preset_names(char *out, size_t size);
