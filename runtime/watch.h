/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Tells of waits that do not end. Where the library waits for the driver, as it must before memory
 * moves, work that itself waits for the program would hang both; a line then says who waits for
 * what.
 *
 * The thread that looks on starts with the first wait and sleeps while there is none. Locking: its
 * own; safe in any thread.
 */

#include <stdbool.h>
#include <stdint.h>

enum { WATCH_STALL_MS = 10000 }; /* until a wait is told of, once */

struct watch {
    const char *what; /* is waited for: "for ..." */
    uint64_t since_ms;
    long thread;
    bool told;
    struct watch *prev;
    struct watch *next;
};

/* The calling thread begins to wait; `watch` is the caller's until watch_end(). */
void watch_begin(struct watch *watch, const char *what);
void watch_end(struct watch *watch);

/* The value of a call that waits. */
#define WATCHED(what, call)                                                                        \
    ({                                                                                             \
        struct watch watch_;                                                                       \
        __auto_type result_ = (watch_begin(&watch_, what), (call));                                \
                                                                                                   \
        watch_end(&watch_);                                                                        \
        result_;                                                                                   \
    })

/* In the child of a fork, whose parent's threads are not there. */
void watch_reset(void);

/* For tests: another time than WATCH_STALL_MS. */
void watch_set_stall(uint64_t ms);
