/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Counters of this process; the rows are in counters.def. Relaxed atomics, any thread.
 */

#include <stdatomic.h>
#include <stdint.h>

enum counter {
#define COUNTER(name, kind, unit, help) COUNTER_##name,
#include "runtime/counters.def"
    COUNTER_COUNT,
};

extern _Atomic uint64_t stats_counters[COUNTER_COUNT];

#define stats_add(name, n)                                                                         \
    atomic_fetch_add_explicit(&stats_counters[COUNTER_##name], (n), memory_order_relaxed)
#define stats_sub(name, n)                                                                         \
    atomic_fetch_sub_explicit(&stats_counters[COUNTER_##name], (n), memory_order_relaxed)
#define stats_get(name) atomic_load_explicit(&stats_counters[COUNTER_##name], memory_order_relaxed)

const char *counter_name(enum counter counter);
/* True for a GAUGE. */
int counter_is_gauge(enum counter counter);

/* One line per counter, "vramshim: name value"; zero totals are left out. Writes with write(2). */
void stats_print(int fd);
