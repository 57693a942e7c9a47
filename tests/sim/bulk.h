/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Copies and fills of a card's memory.
 *
 * They are memmove() and memset(), but for TSan, which would look at each byte and take ten times
 * as long as the copy: it is told of one byte in a kilobyte, enough to see that two of them, or one
 * and the program, are at the same memory at once.
 */

#include <stddef.h>
#include <stdint.h>

void bulk_copy(uint8_t *to, const uint8_t *from, size_t bytes);
void bulk_fill(uint8_t *to, uint8_t value, size_t bytes);
