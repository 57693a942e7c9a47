/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Memory of the C library that is refused once. For programs linked with
 *
 *   -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup
 *
 * It is the shim in the program that is refused; the program's own sources are compiled with
 * program_malloc for malloc and so on, which are not counted. Locking: its own.
 */

#include <stdint.h>

/* The nth request from now on (1 is the next) is refused; 0 for none. */
void memory_fail(uint64_t nth);
/* Requests since the last memory_fail(). */
uint64_t memory_requests(void);
