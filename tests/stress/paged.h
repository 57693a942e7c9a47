/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the suites here share: the shim linked in, in front of the simulated driver.
 */

#include <criterion/criterion.h>
#include <stdlib.h>
#include "runtime/stats.h"
#include "tests/sim_test.h"

/* Homes move by age, unless it is said otherwise. A card of `vram` and `ram` of host memory to page
 * it to; what is set already stays. */
static inline CUcontext start_paged(const char *vram, const char *ram)
{
    setenv("SIM_VRAM", vram, 0);
    setenv("VRAMSHIM_VRAM", "100%", 0);
    setenv("VRAMSHIM_RAM", ram, 0);
    setenv("VRAMSHIM_SMALL", "64KiB", 0);
    setenv("VRAMSHIM_ENGINE", "lru", 0);
    return start();
}

/* Behind every test: with the context goes what the test left. */
static inline void stop_paged(void)
{
    sim_fail_clear();
    (void)cuDevicePrimaryCtxReset_v2(0);
}

static inline CUdeviceptr alloc(size_t bytes)
{
    CUdeviceptr at;

    ok(cuMemAlloc_v2(&at, bytes));
    return at;
}

static inline CUdeviceptr alloc_async(size_t bytes, CUstream stream)
{
    CUdeviceptr at;

    ok(cuMemAllocAsync(&at, bytes, stream));
    return at;
}

static inline CUstream new_stream(void)
{
    CUstream stream;

    ok(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    return stream;
}

/* Every gauge is at zero, those of the pools too: they keep nothing once nothing is in use. */
static inline void expect_nothing_paged(void)
{
    for (int i = 0; i < COUNTER_COUNT; i++)
        if (counter_is_gauge(i))
            cr_expect_eq(atomic_load(&stats_counters[i]), 0, "%s", counter_name(i));
}

/* Nor anything else on any card, when the program has given back what was its own. */
static inline void expect_nothing_left(void)
{
    struct sim_stats now = stats_now();

    expect_nothing_paged();
    cr_expect_eq(now.device_used, 0);
    cr_expect_eq(now.host_used, 0);
    cr_expect_eq(now.mappings, 0);
    cr_expect_eq(now.handles, 0);
    cr_expect_eq(now.streams, 0);
    cr_expect_eq(now.events, 0);
    cr_expect_leq(now.reservations, 1);
}
