/* SPDX-License-Identifier: MIT */
/*
 * Both signals are sent to the thread that writes. So they are blocked in it, and those that have
 * come meanwhile are taken before they are let through again.
 */
#include "runtime/quiet.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

static const int signals[] = {SIGPIPE, SIGXFSZ};

#define N_SIGNALS (sizeof(signals) / sizeof(signals[0]))

void quiet_begin(struct quiet *quiet)
{
    sigset_t blocked;

    sigemptyset(&blocked);
    for (size_t i = 0; i < N_SIGNALS; i++)
        sigaddset(&blocked, signals[i]);
    sigpending(&quiet->pending);
    pthread_sigmask(SIG_BLOCK, &blocked, &quiet->mask);
}

static void take(int number)
{
    const struct timespec at_once = {0};
    sigset_t one;

    sigemptyset(&one);
    sigaddset(&one, number);
    while (sigtimedwait(&one, NULL, &at_once) < 0 && errno == EINTR)
        ;
}

void quiet_end(const struct quiet *quiet)
{
    int saved = errno;

    for (size_t i = 0; i < N_SIGNALS; i++) {
        if (!sigismember(&quiet->pending, signals[i]))
            take(signals[i]);
    }
    pthread_sigmask(SIG_SETMASK, &quiet->mask, NULL);
    errno = saved;
}

void quiet_write(int fd, const char *text, size_t bytes)
{
    struct quiet quiet;

    quiet_begin(&quiet);
    while (write(fd, text, bytes) < 0 && errno == EINTR)
        ;
    quiet_end(&quiet);
}
