/* SPDX-License-Identifier: MIT */
/*
 * Both sides sleep on a futex of the word they wait for to change: those outside on `state`, the
 * closer on `inside`. The order of the two sequentially consistent operations in gate_enter()
 * (count myself, then look) against those in gate_close() (close, then count) means that either the
 * closer sees the one entering or the one entering sees the gate closed.
 */
#include "runtime/gate.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct gate gate_process;

static void futex_wait(_Atomic uint32_t *word, uint32_t expected, const struct timespec *timeout)
{
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout, NULL, 0);
}

static void futex_wake_all(_Atomic uint32_t *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void gate_wait(void)
{
    uint32_t state;

    do {
        gate_leave();
        while ((state = atomic_load(&gate_process.state)) & GATE_CLOSED)
            futex_wait(&gate_process.state, state, NULL);
        atomic_fetch_add(&gate_process.inside, 1);
    } while (atomic_load(&gate_process.state) & GATE_CLOSED);
}

static int (*_Atomic holder)(void);

void gate_set_holder(int (*bring)(void))
{
    atomic_store(&holder, bring);
}

int gate_enter_unknown(void)
{
    uint32_t state;

    while ((state = atomic_load(&gate_process.state)) & (GATE_CLOSED | GATE_HELD)) {
        int (*bring)(void) = atomic_load(&holder);
        int r;

        if (state & GATE_CLOSED) {
            gate_wait();
            continue;
        }
        gate_leave();
        r = bring ? bring() : 0;
        if (r)
            return r;
        atomic_fetch_add(&gate_process.inside, 1);
    }
    /* Not before: whoever sees the count must find the submission inside, or behind it. */
    if (gate_is_watched())
        gate_note_unknown();
    return 0;
}

static void set(uint32_t flag, bool on)
{
    if (on)
        atomic_fetch_or(&gate_process.state, flag);
    else
        atomic_fetch_and(&gate_process.state, ~flag);
}

void gate_watch(bool on)
{
    set(GATE_WATCHED, on);
}

void gate_hold_unknown(bool on)
{
    set(GATE_HELD, on);
}

void gate_wake_closer(void)
{
    futex_wake_all(&gate_process.inside);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

bool gate_close(unsigned int patience_ms)
{
    const struct timespec nap = {.tv_nsec = 10 * 1000 * 1000};
    uint64_t deadline_ms = now_ms() + patience_ms;
    uint32_t inside;

    atomic_fetch_or(&gate_process.state, GATE_CLOSED);
    while ((inside = atomic_load(&gate_process.inside)) != 0) {
        if (now_ms() >= deadline_ms) {
            gate_open();
            return false;
        }
        futex_wait(&gate_process.inside, inside, &nap);
    }
    return true;
}

void gate_open(void)
{
    atomic_fetch_and(&gate_process.state, ~(uint32_t)GATE_CLOSED);
    futex_wake_all(&gate_process.state);
}

void gate_reset(void)
{
    atomic_store(&gate_process.inside, 0);
    atomic_store(&gate_process.state, 0);
    atomic_store(&gate_process.captures, 0);
}
