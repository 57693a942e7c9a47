/* SPDX-License-Identifier: MIT */
/*
 * Buffers: allocated in each of the ways there are, filled at once so that all of their contents
 * are known, compared with their model, and freed in each of the ways there are.
 */
#include "tests/stress/churn.h"

#include <stdlib.h>
#include <string.h>

struct buffer *buffer_any(struct worker *worker)
{
    return &worker->buffers[random_below(&worker->random, worker->n_buffers)];
}

struct buffer *buffer_other(struct worker *worker, const struct buffer *other)
{
    size_t skip = random_below(&worker->random, worker->n_buffers);

    for (size_t i = 0; i < worker->n_buffers; i++) {
        struct buffer *buffer = &worker->buffers[(skip + i) % worker->n_buffers];

        if (buffer != other)
            return buffer;
    }
    return NULL;
}

enum stream_index any_stream(struct worker *worker)
{
    return random_below(&worker->random, STREAM_INDEX_COUNT);
}

static enum stream_index meaning(enum stream_index stream)
{
#ifdef CUDA_API_PER_THREAD_DEFAULT_STREAM
    return stream == STREAM_DEFAULT ? STREAM_NAMED_THREAD : stream;
#else
    return stream == STREAM_DEFAULT ? STREAM_NAMED_LEGACY : stream;
#endif
}

/* The legacy stream and those that block wait for each other without being told. */
static bool waits_by_itself(enum stream_index first, enum stream_index second)
{
    first = meaning(first);
    second = meaning(second);
    if (first == second)
        return true;
    if (first != STREAM_NAMED_LEGACY && second != STREAM_NAMED_LEGACY)
        return false;
    return first != STREAM_FREE && second != STREAM_FREE;
}

void buffer_order_by_event(struct worker *worker, struct buffer *buffer, enum stream_index stream)
{
    CUevent event = worker->events[worker->next_event++ % EVENTS_MAX];

    CHECK(worker, cuEventRecord, event, worker->streams[buffer->last]);
    CHECK(worker, cuStreamWaitEvent, worker->streams[stream], event, 0);
    buffer->last = stream;
}

void buffer_order(struct worker *worker, struct buffer *buffer, enum stream_index stream)
{
    if (waits_by_itself(buffer->last, stream) && random_chance(&worker->random, 90))
        buffer->last = stream;
    else
        buffer_order_by_event(worker, buffer, stream);
}

static size_t any_size(struct worker *worker)
{
    uint64_t big = worker->world->options.big_bytes;
    uint64_t kind = random_below(&worker->random, 100);

    if (kind < 30)
        return random_between(&worker->random, 1, 4096);
    if (kind < 55)
        return random_between(&worker->random, 4096, 1 << 20);
    if (kind < 97 || big <= 6 << 20)
        return random_between(&worker->random, 1 << 20, 6 << 20);
    return random_between(&worker->random, 6 << 20, big);
}

static CUresult alloc_pitched(size_t wanted, CUdeviceptr *out, size_t *out_bytes)
{
    size_t width = wanted < 4096 ? wanted : 512 + wanted % 3585; /* a row takes 512 bytes */
    size_t height = wanted / width;
    size_t pitch;
    CUresult result = cuMemAllocPitch(out, &pitch, width, height, 4);

    if (result == CUDA_SUCCESS)
        *out_bytes = pitch * height;
    return result;
}

static CUresult alloc_somehow(struct worker *worker, struct buffer *buffer)
{
    CUstream stream;

    buffer->last = STREAM_DEFAULT;
    buffer->stream_ordered = false;
    switch (random_below(&worker->random, 8)) {
    case 0:
        worker->doing = "cuMemAllocPitch";
        return alloc_pitched(buffer->bytes, &buffer->at, &buffer->bytes);
    case 1:
    case 2:
        worker->doing = "cuMemAllocAsync";
        buffer->stream_ordered = true;
        buffer->last = any_stream(worker);
        stream = worker->streams[buffer->last];
        return cuMemAllocAsync(&buffer->at, buffer->bytes, stream);
    case 3:
        worker->doing = "cuMemAllocFromPoolAsync";
        buffer->stream_ordered = true;
        buffer->last = any_stream(worker);
        stream = worker->streams[buffer->last];
        return cuMemAllocFromPoolAsync(&buffer->at, buffer->bytes, worker->world->pool, stream);
    default:
        worker->doing = "cuMemAlloc";
        return cuMemAlloc(&buffer->at, buffer->bytes);
    }
}

static void fill_whole(struct worker *worker, struct buffer *buffer)
{
    uint8_t value = (uint8_t)random_next(&worker->random);

    CHECK(worker, cuMemsetD8Async, buffer->at, value, buffer->bytes, worker->streams[buffer->last]);
    memset(buffer->model, value, buffer->bytes);
}

void buffer_new(struct worker *worker)
{
    struct buffer buffer = {.bytes = any_size(worker)};
    CUresult result;

    if (worker->n_buffers == BUFFERS_MAX)
        return;
    result = alloc_somehow(worker, &buffer);
    if (churn_was_injected(worker, result) ||
        (result == CUDA_ERROR_OUT_OF_MEMORY && worker->world->options.may_refuse)) {
        worker->refused++;
        if (worker->n_buffers)
            buffer_free(worker, buffer_any(worker));
        return;
    }
    churn_check(worker, result, worker->doing);
    buffer.model = malloc(buffer.bytes);
    if (!buffer.model)
        churn_die(worker, "no host memory for a model of %zu bytes", buffer.bytes);
    fill_whole(worker, &buffer);
    worker->live_bytes += buffer.bytes;
    worker->buffers[worker->n_buffers++] = buffer;
}

void buffer_free(struct worker *worker, struct buffer *buffer)
{
    enum stream_index stream;

    graphs_forget_buffer(worker, buffer);
    if (random_chance(&worker->random, 30))
        buffer_verify(worker, buffer, 0, buffer->bytes);
    worker->doing = "free";
    if (buffer->stream_ordered && random_chance(&worker->random, 75)) {
        stream = any_stream(worker);
        buffer_order(worker, buffer, stream);
        CHECK(worker, cuMemFreeAsync, buffer->at, worker->streams[stream]);
    } else {
        /* The driver waits for memory of its cuMemAlloc, and for no other. */
        if (buffer->stream_ordered)
            CHECK(worker, cuStreamSynchronize, worker->streams[buffer->last]);
        CHECK(worker, cuMemFree, buffer->at);
    }
    worker->live_bytes -= buffer->bytes;
    free(buffer->model);
    *buffer = worker->buffers[--worker->n_buffers];
}

void buffer_verify(struct worker *worker, struct buffer *buffer, size_t from, size_t bytes)
{
    uint8_t *got = malloc(bytes);

    worker->doing = "verify";
    if (!got)
        churn_die(worker, "no host memory to compare %zu bytes", bytes);
    buffer_order(worker, buffer, STREAM_DEFAULT);
    CHECK(worker, cuMemcpyDtoH, got, buffer->at + from, bytes);
    for (size_t i = 0; memcmp(got, buffer->model + from, bytes) != 0; i++) {
        if (got[i] != buffer->model[from + i])
            churn_die(worker,
                      "buffer at 0x%llx of %zu bytes has 0x%02x at offset %zu instead of 0x%02x",
                      (unsigned long long)buffer->at, buffer->bytes, got[i], from + i,
                      buffer->model[from + i]);
    }
    free(got);
}

void buffer_verify_some(struct worker *worker)
{
    struct buffer *buffer = buffer_any(worker);
    size_t bytes = random_spread(&worker->random, buffer->bytes);

    buffer_verify(worker, buffer, random_below(&worker->random, buffer->bytes - bytes + 1), bytes);
}
