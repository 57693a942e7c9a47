/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Reads so many bytes, or as many as there are up to the end. 0 or -errno. Locking: none. */
int file_read(int fd, void *out, size_t size, size_t *out_got);

/* Whether it can be read past the page cache; true where that cannot be tried. A folder is asked
 * with O_TMPFILE | O_RDWR, for files that would be made in it. Locking: none. */
bool file_is_direct(const char *path, int flags);
