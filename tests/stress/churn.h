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
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "tests/stress/kernels.h"
#include "tests/stress/random.h"

enum {
    BUFFERS_MAX = 256,
    DOWNLOADS_MAX = 32,
    EVENTS_MAX = 8,
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
};

struct world {
    struct options options;
    CUdevice device;
    CUcontext context;
    CUmemoryPool pool;
    struct kernels kernels;
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
};

/* Ends the program with one line that tells how to repeat the run. */
__attribute__((noreturn, format(printf, 2, 3))) void churn_die(const struct worker *worker,
                                                               const char *format, ...);
void churn_check(const struct worker *worker, CUresult result, const char *call);
#define CHECK(worker, call, ...) churn_check(worker, call(__VA_ARGS__), #call)

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

/* questions.c */
void ask_some(struct worker *worker);
void wait_some(struct worker *worker);
void stream_replace(struct worker *worker);
