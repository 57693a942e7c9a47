/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Address ranges in order: which of them holds an address, where there is room for another.
 *
 * A range is embedded as the first member of what it describes and belongs to its holder. Ranges of
 * one list never overlap.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct range {
    uint64_t base;
    uint64_t bytes;
};

struct ranges {
    struct range **items;
    size_t n;
    size_t capacity;
};

/* False when memory ran out. The caller has checked that nothing overlaps. */
bool ranges_insert(struct ranges *ranges, struct range *range);
void ranges_remove(struct ranges *ranges, const struct range *range);
/* The range that holds `address`; NULL when none does. */
void *ranges_find(const struct ranges *ranges, uint64_t address);
bool ranges_overlap(const struct ranges *ranges, uint64_t base, uint64_t bytes);
/* The nearest range by distance from its ends; NULL when there is none at all. */
void *ranges_nearest(const struct ranges *ranges, uint64_t address);
/* First gap of `bytes` within [low, high), aligned; 0 when there is none. */
uint64_t ranges_gap(const struct ranges *ranges, uint64_t low, uint64_t high, uint64_t bytes,
                    uint64_t alignment);
