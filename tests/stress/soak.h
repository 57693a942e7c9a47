/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Rounds of the same work in one process, for some time. One thread.
 */

#include <stdbool.h>
#include <stdint.h>
#include "tests/sim/sim.h"

void soak_begin(uint64_t minutes);

/* After each round, when all that it allocated is freed: whether there is to be another one. A line
 * a minute goes to standard output. What has grown since the first quarter of the time, or NULL. */
bool soak_goes_on(void (*stats_now)(struct sim_stats *), const char **out_grown);
