/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The gate between the program's submissions and the moving of homes.
 *
 * Every call that gives work to the device passes through it: gate_enter(), the driver's call,
 * gate_leave(). While it is closed nobody is inside, so after one more drain of the device no work
 * of the program is in flight: a safe point. Entering an open gate costs two atomic operations and
 * no lock. A thread must not enter twice. The gate is one per process.
 *
 * gate_close() waits for those inside, who may be in a blocking copy; it gives up after a while
 * rather than risk waiting for a copy that waits for a submission held back here.
 *
 * A watched gate also counts submissions whose effect nobody has looked into. One that holds them
 * has something done before each, which may refuse it.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "runtime/util.h"

enum {
    GATE_CLOSED = 1,
    GATE_WATCHED = 2,
    GATE_HELD = 4,
};

struct gate {
    _Atomic uint32_t inside;
    _Atomic uint32_t state;   /* GATE_* */
    _Atomic uint64_t unknown; /* submissions of unknown effect, since it is watched */
    _Atomic int captures;     /* open ones, in any thread: a wait for a context would break them */
};

extern struct gate gate_process;

void gate_wake_closer(void);

/* None begins while the caller holds the pager's lock. */
static inline bool gate_capture_is_open(void)
{
    return atomic_load_explicit(&gate_process.captures, memory_order_relaxed) > 0;
}

static inline void gate_leave(void)
{
    uint32_t before = atomic_fetch_sub(&gate_process.inside, 1);

    if (unlikely(before == 1 && atomic_load(&gate_process.state) & GATE_CLOSED))
        gate_wake_closer();
}

/* Counted as inside, the gate being closed: returns when it is open. */
void gate_wait(void);

/* For submissions whose effect the pager has been told of, or may not have any. */
static inline void gate_enter(void)
{
    atomic_fetch_add(&gate_process.inside, 1);
    if (unlikely(atomic_load(&gate_process.state) & GATE_CLOSED))
        gate_wait();
}

/* For all others: false when gate_enter_unknown() must follow, which waits, or only counts. */
static inline bool gate_try_enter(void)
{
    atomic_fetch_add(&gate_process.inside, 1);
    return likely(!atomic_load(&gate_process.state));
}

/* 0, or why not: what the holder says. Then the gate was not entered. */
int gate_enter_unknown(void);

static inline bool gate_is_watched(void)
{
    return atomic_load(&gate_process.state) & GATE_WATCHED;
}

/* Inside a gate that was entered as known: it is not, after all. */
static inline void gate_note_unknown(void)
{
    atomic_fetch_add(&gate_process.unknown, 1);
}

void gate_watch(bool on);

/* `bring` is called outside the gate, without any lock, until nothing is held any more. */
void gate_set_holder(int (*bring)(void));
void gate_hold_unknown(bool on);

static inline uint64_t gate_unknown(void)
{
    return atomic_load(&gate_process.unknown);
}

/* Locking: the caller holds the pager's lock, so there is one closer at a time. False, and the gate
 * open, when somebody stayed inside for `patience_ms`. */
bool gate_close(unsigned int patience_ms);
void gate_open(void);

/* In the child of a fork: nobody is inside and it is open. */
void gate_reset(void);
