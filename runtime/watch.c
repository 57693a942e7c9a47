/* SPDX-License-Identifier: MIT */
#include "runtime/watch.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>
#include "runtime/log.h"
#include "runtime/util.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t begun = PTHREAD_COND_INITIALIZER;
static struct watch *watches;
static bool looked_on; /* a thread does, or cannot be had */
static uint64_t stall_ms = WATCH_STALL_MS;

static struct timespec now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_REALTIME, &time);
    return time;
}

/* Not set by anybody, as the time of day is. */
static uint64_t now_ms(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static void tell(struct watch *watch)
{
    watch->told = true;
    log_warn(
        "thread %ld has been waiting for %llu s %s; if it never ends, that work waits for this "
        "program, and VRAMSHIM_ENGINE=none, which moves nothing, is the way around",
        watch->thread, (unsigned long long)((now_ms() - watch->since_ms) / 1000), watch->what);
}

/* Until the oldest wait may have stalled, or a quarter of that time. */
static void doze(void)
{
    struct timespec until = now();
    uint64_t ns = (uint64_t)until.tv_nsec + stall_ms * 1000000 / 4;

    until.tv_sec += (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    pthread_cond_timedwait(&begun, &lock, &until);
}

static void *look_on(void *nothing)
{
    struct watch *watch;

    pthread_mutex_lock(&lock);
    for (;;) {
        if (watches)
            doze();
        else
            pthread_cond_wait(&begun, &lock);
        DL_FOREACH(watches, watch)
        {
            if (!watch->told && now_ms() - watch->since_ms >= stall_ms)
                tell(watch);
        }
    }
    return nothing;
}

/* The program's signals are for its own threads. */
static void start(void)
{
    sigset_t all;
    sigset_t before;
    pthread_attr_t attributes;
    pthread_t thread;

    looked_on = true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attributes, look_on, NULL) != 0)
        log_debug("no thread can be had to look out for waits that do not end");
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void watch_begin(struct watch *watch, const char *what)
{
    *watch = (struct watch){.what = what, .since_ms = now_ms(), .thread = (long)gettid()};
    pthread_mutex_lock(&lock);
    if (unlikely(!looked_on))
        start();
    if (!watches)
        pthread_cond_signal(&begun);
    DL_APPEND(watches, watch);
    pthread_mutex_unlock(&lock);
}

void watch_end(struct watch *watch)
{
    pthread_mutex_lock(&lock);
    DL_DELETE(watches, watch);
    pthread_mutex_unlock(&lock);
    if (watch->told)
        log_warn("thread %ld waits no longer", watch->thread);
}

void watch_reset(void)
{
    pthread_mutex_init(&lock, NULL);
    pthread_cond_init(&begun, NULL);
    watches = NULL;
    looked_on = false;
}

void watch_set_stall(uint64_t ms)
{
    pthread_mutex_lock(&lock);
    stall_ms = ms;
    pthread_mutex_unlock(&lock);
}
