/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Streams as queues of work, and what orders them.
 *
 * Work is done when its marker is. A piece of work runs when it is at the head of its stream and
 * the markers it depends on are done; in lazy mode nobody runs it before somebody waits for it,
 * asks about it, or too much is queued. A marker only ever depends on markers made before it, so
 * running dependencies on demand ends.
 */

#include "tests/sim/clock.h"
#include "tests/sim/context.h"

struct marker {
    unsigned int refs;
    uint64_t id; /* counts up from 1 */
    bool done;
    struct stream *stream; /* valid until done */
    uint64_t time_ns;      /* of virtual time, at which it was done */
};
struct marker *marker_get(struct marker *marker); /* NULL is fine */
void marker_put(struct marker *marker);           /* NULL is fine */
struct marker *marker_new(void);
void marker_finish(struct marker *marker, uint64_t time_ns);
/* Runs what it takes, or waits for the thread that is running it. */
void marker_wait(struct marker *marker);

struct task;

struct work {
    struct work *next;
    struct stream *stream;
    struct marker *marker;
    struct marker **deps;
    size_t n_deps;
    void (*run)(struct work *work); /* NULL: nothing to do, as in a wait */
    /* Whether run() would return at once; NULL: it always does. One that does not waits in run().
     */
    bool (*ready)(const struct work *work);
    void (*drop)(
        struct work *work); /* releases the payload, run or not; NULL: nothing to release */
    /* Moves the payload into the description of a node; NULL: cannot be in a graph. */
    CUresult (*record)(struct work *work, struct task *out);
    struct cost cost;  /* the engine from the beginning, the rest by run() */
    uint64_t ready_ns; /* it cannot begin before */
    uint64_t begin_ns; /* known when it runs */
    uint64_t end_ns;
};
/* `bytes` is the size of the payload struct, whose first member is the struct work. */
void *work_new(size_t bytes, void (*run)(struct work *), void (*drop)(struct work *));
void work_free(struct work *work);
/* Does what the work is, unless its context is broken, and books it. For stream_step(), and for
 * work in work. */
void work_execute(struct work *work);
/* Makes the work wait for a marker; NULL and done markers are fine. */
CUresult work_depend(struct work *work, struct marker *marker);

enum stream_kind { STREAM_CREATED, STREAM_DEFAULT_LEGACY, STREAM_DEFAULT_THREAD };

struct stream {
    struct stream *next; /* in its context */
    struct context *context;
    enum stream_kind kind;
    unsigned int flags;
    int priority;
    uint64_t thread_id; /* of STREAM_DEFAULT_THREAD */
    bool destroyed;     /* freed once drained */
    bool running;       /* a thread is running its head, perhaps without the lock */
    struct work *head;
    struct work **tail;
    size_t n_pending;
    uint64_t end_ns;         /* of the last work that ran */
    struct marker *last;     /* of the newest work; NULL when none was ever submitted */
    struct capture *capture; /* NULL unless capturing */
};

/* A program's stream argument in the calling thread's mode; INVALID_HANDLE, or its sticky error. */
CUresult stream_resolve(CUstream handle, struct context *current, struct stream **out);
struct stream *stream_new(struct context *context, enum stream_kind kind, unsigned int flags,
                          int priority);
void stream_destroy(struct stream *stream);
void stream_free_all(struct context *context);
/* Takes the work, also when it fails. On a capturing stream it is recorded instead of run. */
CUresult stream_submit(struct stream *stream, struct work *work);
/* Runs the oldest work of a stream that has some and is not running already. */
void stream_step(struct stream *stream);
/* Runs one piece of work, of the stream or of what it waits for, that does not have to wait itself;
 * false when there is none. */
bool stream_progress(struct stream *stream);
/* The same for any stream there is. */
bool stream_progress_any(void);
bool stream_is_idle(const struct stream *stream);
/* The calling thread waits for the marker, and its clock with it. */
void stream_host_wait(struct marker *marker);
/* In timed order: runs what begins first of all that can, if it begins by `until_ns`. */
bool stream_run_first(uint64_t until_ns);
/* Waits for everything submitted so far; returns the context's sticky error. */
CUresult stream_wait(struct stream *stream);
/* Drops everything queued, marking it done. */
void stream_abandon(struct stream *stream);
/* The default streams of a thread that has ended. */
void stream_retire_thread(uint64_t thread_id);
/* Pageable bytes held by queued copies; taking many makes streams run. */
void stream_note_snapshot(int64_t bytes);
