/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which homes to give up: a policy. It takes facts and returns a choice; it calls nothing, locks
 * nothing and allocates nothing.
 */

#include <stddef.h>
#include <stdint.h>

struct block;

struct evict_candidate {
    struct block *block;
    uint64_t last_use; /* larger is more recent */
    uint64_t bytes;
};

/*
 * Puts the least recently used candidates first and returns how many of them it takes to reach
 * `bytes`; `n` when even all do not reach it. Of equal ages the lower address goes first.
 */
size_t evict_choose(struct evict_candidate *candidates, size_t n, uint64_t bytes);
