/* SPDX-License-Identifier: MIT */
/*
 * The simulator's lock, threads, handles and fork behaviour.
 *
 * A forked child must not hang on a lock another thread held, so the lock is held across fork; a
 * child of an initialised process is marked and gets CUDA_ERROR_NOT_INITIALIZED from every call, as
 * on hardware.
 */
#include "tests/sim/core.h"

#include <pthread.h>
#include <stdlib.h>
#include <uthash.h>

#include "runtime/util.h"
#include "tests/sim/stream.h"

struct handle {
    const void *pointer;
    enum handle_kind kind;
    UT_hash_handle hh;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool initialised;
static bool forked;
static struct handle *handles;
static pthread_key_t thread_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint64_t n_threads;

void core_lock(void)
{
    pthread_mutex_lock(&lock);
}

void core_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

void core_wait(void)
{
    pthread_cond_wait(&changed, &lock);
}

void core_broadcast(void)
{
    pthread_cond_broadcast(&changed);
}

bool core_initialised(void)
{
    return initialised;
}

void core_set_initialised(void)
{
    initialised = true;
}

bool core_forked(void)
{
    return forked;
}

static void after_fork_in_child(void)
{
    forked = forked || initialised;
    pthread_cond_init(&changed, NULL);
    core_unlock();
}

static void thread_end(void *pointer)
{
    struct thread *thread = pointer;

    core_lock();
    stream_retire_thread(thread->id);
    core_unlock();
    free(thread);
}

static void core_start(void)
{
    if (pthread_key_create(&thread_key, thread_end) ||
        pthread_atfork(core_lock, core_unlock, after_fork_in_child)) {
        core_say("cannot set up thread state; aborting");
        abort();
    }
}

struct thread *core_thread(void)
{
    struct thread *thread;

    pthread_once(&once, core_start);
    thread = pthread_getspecific(thread_key);
    if (thread)
        return thread;
    thread = calloc(1, sizeof(*thread));
    if (!thread || pthread_setspecific(thread_key, thread)) {
        core_say("cannot set up thread state; aborting");
        abort();
    }
    thread->id = __atomic_add_fetch(&n_threads, 1, __ATOMIC_RELAXED);
    thread->capture_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
    return thread;
}

/* Frees the main thread's state, for which no key destructor runs. */
__attribute__((destructor)) static void core_stop(void)
{
    struct thread *thread;

    pthread_once(&once, core_start);
    thread = pthread_getspecific(thread_key);
    pthread_setspecific(thread_key, NULL);
    free(thread);
}

bool handle_add(const void *pointer, enum handle_kind kind)
{
    struct handle *handle = calloc(1, sizeof(*handle));

    if (!handle)
        return false;
    handle->pointer = pointer;
    handle->kind = kind;
    HASH_ADD_PTR(handles, pointer, handle);
    return true;
}

void handle_remove(const void *pointer)
{
    struct handle *handle = NULL;

    HASH_FIND_PTR(handles, &pointer, handle);
    if (handle) {
        HASH_DEL(handles, handle);
        free(handle);
    }
}

enum handle_kind handle_kind_of(const void *pointer)
{
    struct handle *handle = NULL;

    HASH_FIND_PTR(handles, &pointer, handle);
    return handle ? handle->kind : HANDLE_NONE;
}
