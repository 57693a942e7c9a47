/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the simulator counts, and the log of pages that kernels touched.
 */

#include "tests/sim/memory.h"
#include "tests/sim/sim.h"

/* The fields that only grow, and the live counts that no other module keeps. */
extern struct sim_stats counters;

/* `page` is the page-table entry, NULL for pinned host memory. Locking: none; thread-safe. */
void touch_note(uint64_t launch, uint64_t page_base, bool write, bool on_host, struct page *page);
/* Puts what the launch touched in the order of pages. */
void touch_sort(uint64_t launch);
