/* SPDX-License-Identifier: MIT */
/*
 * Start, fork and exit.
 *
 * Fork. The driver's state does not survive it: in the child of a process that has initialised CUDA
 * every driver call fails, and ours must only pass that on. So the child retires the routes.
 * Whether CUDA was initialised is remembered from cuInit(): asking the driver while forking could
 * wait for a lock that its own fork handler holds. A fork before that leaves a child that may use
 * CUDA as any process may; it gets fresh locks.
 *
 * Exit. Nothing is torn down: other libraries' destructors, and threads still running, go on
 * calling the driver through us. The summary and the report are written when our own destructors
 * run.
 */

#include "interpose/life.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/auxv.h>
#include <sys/types.h>
#include <unistd.h>
#include "interpose/route.h"
#include "runtime/gate.h"
#include "runtime/log.h"
#include "runtime/pager.h"
#include "runtime/stats.h"
#include "runtime/tally.h"

enum {
    NOBODY = 0,
    STARTED = -1,
};

/* The process whose thread is starting, or one of the above. */
static _Atomic pid_t starter = NOBODY;
static struct config config;
static atomic_bool cuda_is_used;

static void in_child(void)
{
    if (atomic_load(&cuda_is_used))
        route_retire();
    gate_reset();
    pager_reset_after_fork();
}

void life_cuda_started(void)
{
    atomic_store_explicit(&cuda_is_used, true, memory_order_relaxed);
}

static void print_settings(void)
{
    int fd = log_open();

    config_print(fd, &config, environ);
    close(fd);
}

/* Of a program that has more rights than who runs it (set-uid) nothing may be changed, and no file
 * written that somebody named. The loader preloads nothing there but from its own folders. */
static bool is_privileged(void)
{
    return getauxval(AT_SECURE) != 0;
}

static void start(void)
{
    config_load(&config, is_privileged() ? NULL : environ);
    config.disable |= is_privileged();
    log_setup(config.log, config.log_file.name);
    if (config.verbose)
        print_settings();
    if (config.disable)
        return;
    pager_setup(&config);
    if (pthread_atfork(NULL, NULL, in_child) != 0)
        log_warn("cannot watch for forks; a child that uses CUDA after its parent may fail");
}

const struct config *life_start(void)
{
    pid_t seen = atomic_load_explicit(&starter, memory_order_acquire);
    pid_t self = seen == STARTED ? 0 : getpid();

    while (seen != STARTED) {
        /* Another process's thread can only be one that our parent had: it is not here. */
        if (seen != self && atomic_compare_exchange_strong(&starter, &seen, self)) {
            start();
            atomic_store_explicit(&starter, STARTED, memory_order_release);
            break;
        }
        sched_yield();
        seen = atomic_load_explicit(&starter, memory_order_acquire);
    }
    return &config;
}

__attribute__((destructor)) static void at_exit(void)
{
    int fd;

    if (!route_table(STREAM_LEGACY))
        return;
    if (config.report.name[0])
        tally_write(config.report.name);
    if (!config.summary)
        return;
    fd = log_open();
    stats_print(fd);
    close(fd);
}
