/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A program that does everything to device memory that a program may, at random, and knows at any
 * time what must be in it: every buffer has a plain copy in host memory on which the same operation
 * is done. It uses the driver as anybody does and knows nothing of the shim.
 *
 * A thread owns its buffers, so its copies of them need no lock. Its work goes to several streams;
 * an operation first makes its stream wait for the one that used the buffer last, by event or by
 * the rules of the default stream.
 */

#include <cuda.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "tests/stress/kernels.h"
#include "tests/stress/random.h"

enum {
    BUFFERS_MAX = 256,
    DOWNLOADS_MAX = 32,
    EVENTS_MAX = 8,
    GRAPHS_MAX = 6,
    STEPS_MAX = 8,
};

/* Streams by what they are; the first is stream 0 in the caller's mode. */
enum stream_index {
    STREAM_DEFAULT,
    STREAM_NAMED_LEGACY,
    STREAM_NAMED_THREAD,
    STREAM_BLOCKING,
    STREAM_FREE, /* non-blocking */
    STREAM_INDEX_COUNT,
};

struct options {
    uint64_t seed;
    uint64_t operations; /* of all threads together */
    unsigned int threads;
    uint64_t live_bytes; /* of a thread, about */
    uint64_t big_bytes;  /* the largest allocation */
    bool may_refuse;     /* allocations may fail for want of memory */
    bool host_nodes;     /* graphs call host functions */
    uint64_t minutes;    /* to go on for, 0: one round */
    unsigned int faults; /* one of so many calls of each name fails; 0: none */
};

struct world {
    struct options options;
    CUdevice device;
    CUcontext context;
    bool primary; /* of its device */
    CUmemoryPool pool;
    struct kernels kernels;
    pthread_rwlock_t captures; /* held for reading while one is open, which a wait would break */
};

struct buffer {
    CUdeviceptr at;
    size_t bytes;
    uint8_t *model;
    enum stream_index last; /* whose work used it last */
    bool stream_ordered;
};

/* A copy to host memory under way, and what it must bring. */
struct download {
    uint8_t *got;
    uint8_t *expected;
    size_t bytes;
    enum stream_index stream;
    bool pageable; /* `got` is its own memory, not the arena's */
};

enum step_kind {
    STEP_MIX,
    STEP_FILL,
    STEP_COPY,
    STEP_UPLOAD,  /* from memory whose contents never change */
    STEP_SCRATCH, /* a copy by way of memory that the graph allocates and frees */
    STEP_HOST,
};

/* What a graph does to buffers, of which it knows the addresses. */
struct step {
    enum step_kind kind;
    CUdeviceptr to;
    CUdeviceptr from;
    size_t to_offset;
    size_t from_offset;
    size_t bytes;
    uint32_t key;
    CUgraphNode node; /* of one that was built */
};

struct recorded {
    CUgraph graph;
    CUgraphExec exec;
    struct step steps[STEPS_MAX];
    size_t n;
    bool built;   /* node by node, not captured */
    bool wrapped; /* the nodes are not those of the steps */
};

struct worker {
    struct world *world;
    unsigned int number;
    uint64_t operation; /* running number */
    const char *doing;  /* for messages */
    struct random random;
    CUstream streams[STREAM_INDEX_COUNT];
    CUevent events[EVENTS_MAX];
    unsigned int next_event;
    struct buffer buffers[BUFFERS_MAX];
    size_t n_buffers;
    uint64_t live_bytes;
    uint8_t *arena; /* pinned */
    size_t arena_used;
    struct download downloads[DOWNLOADS_MAX];
    size_t n_downloads;
    uint64_t refused; /* allocations, for want of memory */
    struct recorded graphs[GRAPHS_MAX];
    size_t n_graphs;
    CUstream side;
    CUevent forks[2];
    uint8_t *graph_host; /* pinned, never changed */
    uint64_t host_calls; /* that graphs must have made */
    unsigned int failed; /* times that the call under way has failed */
    uint64_t faults;     /* that calls of this thread ended with */
};

/* Ends the program with one line that tells how to repeat the run. */
__attribute__((noreturn, format(printf, 2, 3))) void churn_die(const struct worker *worker,
                                                               const char *format, ...);
void churn_check(const struct worker *worker, CUresult result, const char *call);
/* True when the call ended with an error that was injected, in which case it must not have done
 * anything and is to be made again; ends the program at any other error. */
bool churn_again(struct worker *worker, CUresult result, const char *call);
/* Whether `result` is an error that was injected into the call that gave it. */
bool churn_was_injected(struct worker *worker, CUresult result);
#define CHECK(worker, call, ...)                                                                   \
    do {                                                                                           \
    } while (churn_again(worker, call(__VA_ARGS__), #call))

/* buffers.c */
struct buffer *buffer_any(struct worker *worker);
/* Another than `other`, if there is one; else NULL. */
struct buffer *buffer_other(struct worker *worker, const struct buffer *other);
/* Makes what follows in `stream` wait for all that used the buffer. */
void buffer_order(struct worker *worker, struct buffer *buffer, enum stream_index stream);
/* The same where no rule of the default stream may be relied on. */
void buffer_order_by_event(struct worker *worker, struct buffer *buffer, enum stream_index stream);
enum stream_index any_stream(struct worker *worker);
void buffer_new(struct worker *worker);
void buffer_free(struct worker *worker, struct buffer *buffer);
void buffer_verify(struct worker *worker, struct buffer *buffer, size_t from, size_t bytes);
void buffer_verify_some(struct worker *worker);

/* host.c: memory for asynchronous copies, and what came back. */
uint8_t *arena_take(struct worker *worker, size_t bytes);
void download_expect(struct worker *worker, uint8_t *got, const uint8_t *expected, size_t bytes,
                     enum stream_index stream, bool pageable);
/* The stream has been waited for. */
void downloads_settle(struct worker *worker, enum stream_index stream);
void downloads_settle_all(struct worker *worker);

/* copies.c, boxes.c, fills.c, launches.c: each does one random operation. */
void copy_some(struct worker *worker);
void copy_some_box(struct worker *worker);
void fill_some(struct worker *worker);
void launch_some(struct worker *worker);

/* graphs.c */
void graphs_open(struct worker *worker);
void graphs_close(struct worker *worker);
void graph_some(struct worker *worker);
/* Destroys the graphs that use it. */
void graphs_forget_buffer(struct worker *worker, const struct buffer *buffer);
/* Host functions that graphs of all threads have called. */
uint64_t graphs_host_calls(void);

/* questions.c */
/* Waits for the context, which no capture survives: for the others to have none open. */
void wait_for_context(struct worker *worker);
void ask_some(struct worker *worker);
void wait_some(struct worker *worker);
void stream_replace(struct worker *worker);
