/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The same for the same bytes, on every machine: XXH3 of 64 bits. Compiled by itself, so that it is
 * fast under sanitizers, too. Locking: none.
 */

#include <stddef.h>
#include <stdint.h>

uint64_t checksum(const void *bytes, size_t n);
