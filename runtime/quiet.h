/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Writing without the signals that it may raise: SIGPIPE of a pipe that nobody reads, SIGXFSZ of a
 * file that has reached the limit of the process. The program did not write, so it must not be
 * ended; write() fails all the same.
 *
 * Locking: none. Any thread; not to be nested.
 */

#include <signal.h>
#include <stddef.h>

struct quiet {
    sigset_t mask;    /* the thread's own */
    sigset_t pending; /* before */
};

void quiet_begin(struct quiet *quiet);
void quiet_end(const struct quiet *quiet);

/* One write(2), unless it is interrupted. Safe after fork; allocates nothing. */
void quiet_write(int fd, const char *text, size_t bytes);
