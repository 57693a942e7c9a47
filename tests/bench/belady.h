/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Pages that have to be brought in while the sequence from `from` on is read, by a card of
 * `capacity` pages that has read what is before it. `best`: evicting what is used again last
 * (Belady's minimum), else what was used longest ago. Pages are any numbers. -1: no memory.
 */
int64_t belady_misses(const uint64_t *pages, size_t n, size_t from, size_t capacity, int best);
