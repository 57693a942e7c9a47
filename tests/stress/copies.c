/* SPDX-License-Identifier: MIT */
/*
 * One-dimensional copies of every kind.
 */
#include "tests/stress/churn.h"

#include <stdlib.h>
#include <string.h>

enum {
    PIECE_MAX = 256 << 10,
};

/* A piece of a buffer: mostly short, now and then all of it. */
static size_t any_piece(struct worker *worker, const struct buffer *buffer, size_t most,
                        size_t *out_from)
{
    size_t limit = buffer->bytes < most ? buffer->bytes : most;
    size_t bytes = random_spread(&worker->random, limit);

    if (random_chance(&worker->random, 3))
        bytes = limit;
    *out_from = random_below(&worker->random, buffer->bytes - bytes + 1);
    return bytes;
}

static void scribble(struct worker *worker, uint8_t *at, size_t bytes)
{
    uint64_t word = 0;

    for (size_t i = 0; i < bytes; i += sizeof(word)) {
        word = i % 64 ? word * 0x100000001b3u + i : random_next(&worker->random);
        memcpy(at + i, &word, bytes - i < sizeof(word) ? bytes - i : sizeof(word));
    }
}

static void upload(struct worker *worker)
{
    struct buffer *to = buffer_any(worker);
    bool pinned = random_chance(&worker->random, 50);
    enum stream_index stream = any_stream(worker);
    size_t from;
    size_t bytes =
        any_piece(worker, to, random_chance(&worker->random, 3) ? 4 << 20 : PIECE_MAX, &from);
    uint8_t *host = pinned ? arena_take(worker, bytes) : malloc(bytes);

    scribble(worker, host, bytes);
    memcpy(to->model + from, host, bytes);
    switch (random_below(&worker->random, 4)) {
    case 0:
        worker->doing = "cuMemcpyHtoD";
        buffer_order(worker, to, STREAM_DEFAULT);
        CHECK(worker, cuMemcpyHtoD, to->at + from, host, bytes);
        break;
    case 1:
        worker->doing = "cuMemcpy to the device";
        buffer_order(worker, to, STREAM_DEFAULT);
        CHECK(worker, cuMemcpy, to->at + from, (CUdeviceptr)(uintptr_t)host, bytes);
        break;
    default:
        worker->doing = "cuMemcpyHtoDAsync";
        buffer_order(worker, to, stream);
        CHECK(worker, cuMemcpyHtoDAsync, to->at + from, host, bytes, worker->streams[stream]);
    }
    if (!pinned)
        free(host);
}

static void download(struct worker *worker)
{
    struct buffer *of = buffer_any(worker);
    bool pageable = random_chance(&worker->random, 30);
    enum stream_index stream = any_stream(worker);
    size_t from;
    size_t bytes = any_piece(worker, of, PIECE_MAX, &from);
    uint8_t *host = pageable ? malloc(bytes) : arena_take(worker, bytes);

    worker->doing = "cuMemcpyDtoHAsync";
    buffer_order(worker, of, stream);
    if (random_chance(&worker->random, 80))
        CHECK(worker, cuMemcpyDtoHAsync, host, of->at + from, bytes, worker->streams[stream]);
    else
        CHECK(worker, cuMemcpyAsync, (CUdeviceptr)(uintptr_t)host, of->at + from, bytes,
              worker->streams[stream]);
    download_expect(worker, host, of->model + from, bytes, stream, pageable);
}

static void submit_between(struct worker *worker, CUdeviceptr to, CUdeviceptr from, size_t bytes,
                           enum stream_index stream)
{
    CUcontext context = worker->world->context;

    switch (random_below(&worker->random, 3)) {
    case 0:
        worker->doing = "cuMemcpyDtoDAsync";
        CHECK(worker, cuMemcpyDtoDAsync, to, from, bytes, worker->streams[stream]);
        break;
    case 1:
        worker->doing = "cuMemcpyAsync";
        CHECK(worker, cuMemcpyAsync, to, from, bytes, worker->streams[stream]);
        break;
    default:
        worker->doing = "cuMemcpyPeerAsync";
        CHECK(worker, cuMemcpyPeerAsync, to, context, from, context, bytes,
              worker->streams[stream]);
    }
}

static void submit_between_waiting(struct worker *worker, CUdeviceptr to, CUdeviceptr from,
                                   size_t bytes)
{
    CUcontext context = worker->world->context;

    switch (random_below(&worker->random, 3)) {
    case 0:
        worker->doing = "cuMemcpyDtoD";
        CHECK(worker, cuMemcpyDtoD, to, from, bytes);
        break;
    case 1:
        worker->doing = "cuMemcpy";
        CHECK(worker, cuMemcpy, to, from, bytes);
        break;
    default:
        worker->doing = "cuMemcpyPeer";
        CHECK(worker, cuMemcpyPeer, to, context, from, context, bytes);
    }
}

static void between(struct worker *worker, struct buffer *to, size_t to_from, struct buffer *of,
                    size_t of_from, size_t bytes)
{
    enum stream_index stream =
        random_chance(&worker->random, 30) ? STREAM_DEFAULT : any_stream(worker);

    buffer_order(worker, to, stream);
    buffer_order(worker, of, stream);
    if (stream == STREAM_DEFAULT)
        submit_between_waiting(worker, to->at + to_from, of->at + of_from, bytes);
    else
        submit_between(worker, to->at + to_from, of->at + of_from, bytes, stream);
    memcpy(to->model + to_from, of->model + of_from, bytes);
}

static void copy_between(struct worker *worker)
{
    struct buffer *to = buffer_any(worker);
    struct buffer *of = buffer_other(worker, to);
    size_t bytes;
    size_t to_from;

    if (!of)
        return;
    bytes =
        any_piece(worker, to, random_chance(&worker->random, 5) ? to->bytes : PIECE_MAX, &to_from);
    bytes = bytes < of->bytes ? bytes : of->bytes;
    between(worker, to, to_from, of, random_below(&worker->random, of->bytes - bytes + 1), bytes);
}

/* From the first half of a buffer to its second. */
static void copy_within(struct worker *worker)
{
    struct buffer *buffer = buffer_any(worker);
    size_t half = buffer->bytes / 2;
    size_t bytes;

    if (!half)
        return;
    bytes = random_spread(&worker->random, half < PIECE_MAX ? half : PIECE_MAX);
    between(worker, buffer, half + random_below(&worker->random, half - bytes + 1), buffer,
            random_below(&worker->random, half - bytes + 1), bytes);
}

void copy_some(struct worker *worker)
{
    switch (random_below(&worker->random, 8)) {
    case 0:
    case 1:
    case 2:
        upload(worker);
        break;
    case 3:
    case 4:
        download(worker);
        break;
    case 5:
    case 6:
        copy_between(worker);
        break;
    default:
        copy_within(worker);
    }
}
