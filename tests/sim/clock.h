/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Virtual time, in whole nanoseconds: one clock per host thread, stream and engine.
 *
 * A piece of work begins when it has been submitted, what it waits for has ended, and its engine is
 * free; it ends after its cost, which its run function says. Waiting for it moves the waiting
 * thread's clock. Nothing here ever looks at the machine's clock.
 */

#include "tests/sim/core.h"

enum engine {
    ENGINE_NONE, /* takes no time: events, waits, host functions */
    ENGINE_COMPUTE,
    ENGINE_H2D,
    ENGINE_D2H,
    ENGINE_D2D,
    ENGINE_COUNT,
};

/* What a piece of work takes; filled in while it runs. */
struct cost {
    enum engine engine;  /* known when it is submitted */
    uint64_t ns;         /* beside the bytes */
    uint64_t bytes;      /* by that engine's bandwidth */
    uint64_t link_bytes; /* that a kernel reads or writes in host memory */
    bool pageable;
    bool in_graph;
};

/* The calling thread's clock. */
uint64_t clock_host(void);
void clock_charge(uint64_t ns);
/* The calling thread has waited for something that ended at `ns`. */
void clock_wait_until(uint64_t ns);

/* When work could begin on its engine, `ready_ns` being when it may; changes nothing. */
uint64_t clock_begin(int device, enum engine engine, uint64_t ready_ns);
/* Books the work on its engine. Returns when it ends. */
uint64_t clock_book(int device, const struct cost *cost, uint64_t ready_ns);

/* What a driver call costs its thread, by the profile; called once for each. */
void clock_charge_call(const char *symbol);
/* Calls whose price depends on bytes. */
enum priced {
    PRICE_RESERVE,
    PRICE_CREATE_DEVICE,
    PRICE_CREATE_HOST,
    PRICE_MAP,
    PRICE_ACCESS,
    PRICE_UNMAP,
    PRICE_RELEASE,
    PRICE_ALLOCATE,
    PRICE_FREE,
    PRICE_PIN,
    PRICE_UNPIN,
    PRICE_COUNT,
};
void clock_charge_priced(enum priced what, uint64_t bytes);
