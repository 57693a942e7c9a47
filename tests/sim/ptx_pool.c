/* SPDX-License-Identifier: MIT */

/*
 * Threads for kernels: started when first needed, asleep when not.
 *
 * They are detached and take no signals, which are the program's. Nobody waits for them at exit:
 * asleep they hold nothing.
 */

#include <pthread.h>
#include <signal.h>

#include "tests/sim/ptx_grid.h"

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wanted_some;
    pthread_cond_t left_all;
    bool taken;
    unsigned int n_threads;
    unsigned int n_wanted; /* threads that may still come */
    unsigned int n_inside;
    void (*run)(void *argument);
    void *argument;
} pool = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .wanted_some = PTHREAD_COND_INITIALIZER,
    .left_all = PTHREAD_COND_INITIALIZER,
};

static void *thread_main(void *unused)
{
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        while (!pool.n_wanted)
            pthread_cond_wait(&pool.wanted_some, &pool.lock);
        pool.n_wanted--;
        pool.n_inside++;
        pthread_mutex_unlock(&pool.lock);
        pool.run(pool.argument);
        pthread_mutex_lock(&pool.lock);
        if (!--pool.n_inside)
            pthread_cond_signal(&pool.left_all);
    }
    return unused;
}

/* The parent's threads are not here, whatever they were doing. */
static void after_fork_in_child(void)
{
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.wanted_some, NULL);
    pthread_cond_init(&pool.left_all, NULL);
    pool.taken = false;
    pool.n_threads = 0;
    pool.n_wanted = 0;
    pool.n_inside = 0;
}

static void watch_fork(void)
{
    pthread_atfork(NULL, NULL, after_fork_in_child);
}

static bool thread_start(void)
{
    pthread_attr_t attributes;
    sigset_t all;
    sigset_t before;
    pthread_t thread;
    bool started;

    if (pthread_attr_init(&attributes))
        return false;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    started = !pthread_create(&thread, &attributes, thread_main, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (started)
        pthread_setname_np(thread, "sim-kernel");
    return started;
}

bool ptx_pool_start(unsigned int n, void (*run)(void *argument), void *argument)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    bool taken;

    pthread_once(&once, watch_fork);
    pthread_mutex_lock(&pool.lock);
    taken = pool.taken;
    if (!taken) {
        pool.taken = true;
        pool.run = run;
        pool.argument = argument;
        while (pool.n_threads < n && thread_start())
            pool.n_threads++;
        pool.n_wanted = n;
        if (n == 1)
            pthread_cond_signal(&pool.wanted_some);
        else
            pthread_cond_broadcast(&pool.wanted_some);
    }
    pthread_mutex_unlock(&pool.lock);
    return !taken;
}

void ptx_pool_finish(void)
{
    pthread_mutex_lock(&pool.lock);
    pool.n_wanted = 0;
    while (pool.n_inside)
        pthread_cond_wait(&pool.left_all, &pool.lock);
    pool.taken = false;
    pthread_mutex_unlock(&pool.lock);
}
