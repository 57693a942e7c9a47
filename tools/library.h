/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

#define LIBRARY_NAME "libvramshim.so"

/* The preload library: `given`, or where that is NULL the one built, installed, or copied with this
 * program. 0 and its real path; -ENOENT and one line in `why`. */
int library_find(const char *given, char *out, size_t size, char *why, size_t why_size);
