/* SPDX-License-Identifier: MIT */
/*
 * Exact LRU. For a program that reads more than fits in the same order again and again this is the
 * worst order there is: every block is evicted just before it is needed. It is right for what has
 * no repeating order, and for components that go cold.
 */
#include "runtime/evict.h"

#include <stdlib.h>

static int by_age(const void *left, const void *right)
{
    const struct evict_candidate *a = left;
    const struct evict_candidate *b = right;

    if (a->last_use != b->last_use)
        return a->last_use < b->last_use ? -1 : 1;
    return a->block < b->block ? -1 : a->block > b->block;
}

size_t evict_choose(struct evict_candidate *candidates, size_t n, uint64_t bytes)
{
    uint64_t sum = 0;
    size_t chosen = 0;

    if (!bytes || !n)
        return 0;
    qsort(candidates, n, sizeof(*candidates), by_age);
    while (chosen < n && sum < bytes)
        sum += candidates[chosen++].bytes;
    return chosen;
}
