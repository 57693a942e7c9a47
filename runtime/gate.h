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
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "runtime/util.h"

struct gate {
    _Atomic uint32_t inside;
    _Atomic uint32_t closed;
};

extern struct gate gate_process;

void gate_wake_closer(void);

static inline void gate_leave(void)
{
    uint32_t before = atomic_fetch_sub(&gate_process.inside, 1);

    if (unlikely(before == 1 && atomic_load(&gate_process.closed)))
        gate_wake_closer();
}

/* True and inside, or false when it is closed; then gate_enter_refused() must follow, which waits.
 */
static inline bool gate_try_enter(void)
{
    atomic_fetch_add(&gate_process.inside, 1);
    return likely(!atomic_load(&gate_process.closed));
}

void gate_enter_refused(void);

static inline void gate_enter(void)
{
    if (!gate_try_enter())
        gate_enter_refused();
}

/* Locking: the caller holds the pager's lock, so there is one closer at a time. False, and the gate
 * open, when somebody stayed inside for `patience_ms`. */
bool gate_close(unsigned int patience_ms);
void gate_open(void);

/* In the child of a fork: nobody is inside and it is open. */
void gate_reset(void);
