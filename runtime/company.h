/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Other processes of the same user that page on the same card: how much of it each of them has, and
 * how much it would use. Nothing is shared with processes of other users, and nothing that one of
 * them does is believed.
 *
 * Locking: its own; safe in any thread.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "runtime/util.h"

enum {
    COMPANY_MOST = 32,      /* processes that are seen on a card */
    COMPANY_EVERY_MS = 250, /* it is looked for changes of what others want */
    COMPANY_EVERY = 16,     /* calls the clock is looked at */
};

/* In bytes, as exact as a MiB. */
struct company_claim {
    uint64_t held;
    uint64_t wanted;
};

/* The file that all these processes open, for reading only. 0, also when it has been opened before,
 * or -errno, and then there is no company. */
int company_open(const char *path);
/* The file in which the code at this address is. */
int company_open_code(const void *code);

/* What the caller has and wants, for the others to see until it ends. `card` is the same in all
 * processes, `device` the caller's number for it. */
void company_tell(unsigned int device, const unsigned char card[16],
                  const struct company_claim *own);
/* What others have told of that card; nothing before company_tell(). */
size_t company_ask(unsigned int device, struct company_claim out[COMPANY_MOST]);

extern _Atomic unsigned int company_calls;

/* For calls that a program makes again and again: whether company_has_news() is to be asked now. */
static inline bool company_is_due(void)
{
    unsigned int calls = atomic_load_explicit(&company_calls, memory_order_relaxed) + 1;

    atomic_store_explicit(&company_calls, calls, memory_order_relaxed);
    return unlikely(calls % COMPANY_EVERY == 0);
}

/* Somebody has come or gone, or wants more or less, on whichever card. Looks only so often. */
bool company_has_news(void);

/* Before asking for what is new. */
void company_hear(void);

/* In the child of a fork, which has claimed nothing. */
void company_reset(void);
