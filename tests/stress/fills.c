/* SPDX-License-Identifier: MIT */
/*
 * Memsets of every width, of runs and of rectangles.
 */
#include "tests/stress/churn.h"

#include <string.h>

enum {
    FILL_MAX = 256 << 10,
};

struct fill {
    struct buffer *buffer;
    size_t from; /* bytes, a multiple of the element */
    size_t pitch;
    size_t width; /* elements */
    size_t height;
    size_t element;
    uint32_t value;
};

static void model_fill(const struct fill *fill)
{
    for (size_t row = 0; row < fill->height; row++)
        for (size_t i = 0; i < fill->width; i++)
            memcpy(fill->buffer->model + fill->from + row * fill->pitch + i * fill->element,
                   &fill->value, fill->element);
}

static void submit_run(struct worker *worker, const struct fill *fill, CUstream stream)
{
    CUdeviceptr at = fill->buffer->at + fill->from;

    if (fill->element == 1)
        CHECK(worker, cuMemsetD8Async, at, (unsigned char)fill->value, fill->width, stream);
    else if (fill->element == 2)
        CHECK(worker, cuMemsetD16Async, at, (unsigned short)fill->value, fill->width, stream);
    else
        CHECK(worker, cuMemsetD32Async, at, fill->value, fill->width, stream);
}

static void submit_run_waiting(struct worker *worker, const struct fill *fill)
{
    CUdeviceptr at = fill->buffer->at + fill->from;

    if (fill->element == 1)
        CHECK(worker, cuMemsetD8, at, (unsigned char)fill->value, fill->width);
    else if (fill->element == 2)
        CHECK(worker, cuMemsetD16, at, (unsigned short)fill->value, fill->width);
    else
        CHECK(worker, cuMemsetD32, at, fill->value, fill->width);
}

static void submit_rows(struct worker *worker, const struct fill *fill, CUstream stream)
{
    CUdeviceptr at = fill->buffer->at + fill->from;

    if (fill->element == 1)
        CHECK(worker, cuMemsetD2D8Async, at, fill->pitch, (unsigned char)fill->value, fill->width,
              fill->height, stream);
    else if (fill->element == 2)
        CHECK(worker, cuMemsetD2D16Async, at, fill->pitch, (unsigned short)fill->value, fill->width,
              fill->height, stream);
    else
        CHECK(worker, cuMemsetD2D32Async, at, fill->pitch, fill->value, fill->width, fill->height,
              stream);
}

static void submit_rows_waiting(struct worker *worker, const struct fill *fill)
{
    CUdeviceptr at = fill->buffer->at + fill->from;

    if (fill->element == 1)
        CHECK(worker, cuMemsetD2D8, at, fill->pitch, (unsigned char)fill->value, fill->width,
              fill->height);
    else if (fill->element == 2)
        CHECK(worker, cuMemsetD2D16, at, fill->pitch, (unsigned short)fill->value, fill->width,
              fill->height);
    else
        CHECK(worker, cuMemsetD2D32, at, fill->pitch, fill->value, fill->width, fill->height);
}

/* False when the buffer is too small for one element. */
static bool any_fill(struct worker *worker, struct fill *fill)
{
    struct buffer *buffer = buffer_any(worker);
    size_t element = (size_t)1 << random_below(&worker->random, 3);
    size_t elements = buffer->bytes / element;
    size_t most = random_chance(&worker->random, 3) ? elements : FILL_MAX / element;

    if (!elements)
        return false;
    *fill = (struct fill){
        .buffer = buffer,
        .height = 1,
        .element = element,
        .width = random_spread(&worker->random, elements < most ? elements : most),
        .value = (uint32_t)random_next(&worker->random),
    };
    fill->from = element * random_below(&worker->random, elements - fill->width + 1);
    return true;
}

/* Turns a run into rows: narrower ones, spread over what comes behind it. */
static void into_rows(struct worker *worker, struct fill *fill)
{
    size_t elements = (fill->buffer->bytes - fill->from) / fill->element;
    size_t pitch, most;

    if (fill->width > 512)
        fill->width = random_between(&worker->random, 1, 512);
    pitch = fill->width + random_below(&worker->random, 64);
    if (random_chance(&worker->random, 40))
        pitch = random_between(&worker->random, pitch, pitch + elements / 3);
    most = (elements - fill->width) / pitch + 1;
    fill->height = random_spread(&worker->random, most < 256 ? most : 256);
    fill->pitch = pitch * fill->element;
}

void fill_some(struct worker *worker)
{
    bool rows = random_chance(&worker->random, 30);
    bool waiting = random_chance(&worker->random, 40);
    enum stream_index stream = waiting ? STREAM_DEFAULT : any_stream(worker);
    struct fill fill;

    if (!any_fill(worker, &fill))
        return;
    if (rows)
        into_rows(worker, &fill);
    worker->doing = rows ? "memset of rows" : "memset";
    buffer_order(worker, fill.buffer, stream);
    if (rows && waiting)
        submit_rows_waiting(worker, &fill);
    else if (rows)
        submit_rows(worker, &fill, worker->streams[stream]);
    else if (waiting)
        submit_run_waiting(worker, &fill);
    else
        submit_run(worker, &fill, worker->streams[stream]);
    model_fill(&fill);
}
