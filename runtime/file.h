/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

/* Reads so many bytes, or as many as there are up to the end. 0 or -errno. Locking: none. */
int file_read(int fd, void *out, size_t size, size_t *out_got);
