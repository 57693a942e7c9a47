/* SPDX-License-Identifier: MIT */
/*
 * What a program asks about its memory, and how it waits.
 */
#include "tests/stress/churn.h"

static void ask_range(struct worker *worker, const struct buffer *buffer, size_t inside)
{
    CUdeviceptr base;
    size_t bytes;

    CHECK(worker, cuMemGetAddressRange, &base, &bytes, buffer->at + inside);
    if (base != buffer->at || bytes < buffer->bytes)
        churn_die(worker, "0x%llx of %zu bytes is said to be 0x%llx of %zu bytes",
                  (unsigned long long)buffer->at, buffer->bytes, (unsigned long long)base, bytes);
}

static void ask_attributes(struct worker *worker, const struct buffer *buffer, size_t inside)
{
    CUpointer_attribute attributes[] = {CU_POINTER_ATTRIBUTE_CONTEXT,
                                        CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL};
    unsigned int type = 0;
    CUcontext context = NULL;
    int device = -1;
    void *values[] = {&context, &device};

    CHECK(worker, cuPointerGetAttribute, &type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
          buffer->at + inside);
    CHECK(worker, cuPointerGetAttributes, 2, attributes, values, buffer->at + inside);
    if (type != CU_MEMORYTYPE_DEVICE || device != worker->world->device)
        churn_die(worker, "0x%llx is said to be memory of type %u on device %d",
                  (unsigned long long)buffer->at, type, device);
    if (context != worker->world->context && !buffer->stream_ordered)
        churn_die(worker, "0x%llx is said to be of another context",
                  (unsigned long long)buffer->at);
}

void ask_some(struct worker *worker)
{
    const struct buffer *buffer = buffer_any(worker);
    size_t inside = random_below(&worker->random, buffer->bytes);
    size_t free_bytes, total_bytes;

    worker->doing = "question";
    switch (random_below(&worker->random, 3)) {
    case 0:
        ask_range(worker, buffer, inside);
        break;
    case 1:
        ask_attributes(worker, buffer, inside);
        break;
    default:
        CHECK(worker, cuMemGetInfo, &free_bytes, &total_bytes);
        if (free_bytes > total_bytes)
            churn_die(worker, "%zu of %zu bytes are free", free_bytes, total_bytes);
    }
}

void wait_for_context(struct worker *worker)
{
    pthread_rwlock_wrlock(&worker->world->captures);
    CHECK(worker, cuCtxSynchronize);
    pthread_rwlock_unlock(&worker->world->captures);
    downloads_settle_all(worker);
}

static void poll_stream(struct worker *worker, enum stream_index stream)
{
    CUresult result = cuStreamQuery(worker->streams[stream]);

    if (result == CUDA_ERROR_NOT_READY || churn_again(worker, result, "cuStreamQuery"))
        return;
    downloads_settle(worker, stream);
}

static void wait_for_event(struct worker *worker, enum stream_index stream)
{
    CUevent event = worker->events[worker->next_event++ % EVENTS_MAX];

    CHECK(worker, cuEventRecord, event, worker->streams[stream]);
    CHECK(worker, cuEventSynchronize, event);
    downloads_settle(worker, stream);
}

void wait_some(struct worker *worker)
{
    enum stream_index stream = any_stream(worker);

    worker->doing = "wait";
    switch (random_below(&worker->random, 8)) {
    case 0:
        wait_for_context(worker);
        break;
    case 1:
    case 2:
        poll_stream(worker, stream);
        break;
    case 3:
        wait_for_event(worker, stream);
        break;
    default:
        CHECK(worker, cuStreamSynchronize, worker->streams[stream]);
        downloads_settle(worker, stream);
    }
}

/* Destroys a stream that may still have work and makes another, which may get the same handle. */
void stream_replace(struct worker *worker)
{
    bool blocks = random_chance(&worker->random, 50);
    enum stream_index stream = blocks ? STREAM_BLOCKING : STREAM_FREE;

    worker->doing = "new stream";
    for (size_t i = 0; i < worker->n_buffers; i++)
        if (worker->buffers[i].last == stream)
            buffer_order_by_event(worker, &worker->buffers[i], STREAM_DEFAULT);
    for (size_t i = 0; i < worker->n_downloads; i++) {
        if (worker->downloads[i].stream != stream)
            continue;
        CHECK(worker, cuStreamSynchronize, worker->streams[stream]);
        break;
    }
    downloads_settle(worker, stream);
    CHECK(worker, cuStreamDestroy, worker->streams[stream]);
    CHECK(worker, cuStreamCreate, &worker->streams[stream],
          blocks ? CU_STREAM_DEFAULT : CU_STREAM_NON_BLOCKING);
}
