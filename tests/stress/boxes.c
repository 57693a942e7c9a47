/* SPDX-License-Identifier: MIT */
/*
 * Copies of boxes, in two and three dimensions, between host memory and buffers and between
 * buffers. Pitches are sometimes so wide that a few rows spread over all of a large buffer.
 */
#include "tests/stress/churn.h"

#include <stdlib.h>
#include <string.h>

enum {
    WIDTH_MAX = 4096,
    BOX_BYTES_MAX = 128 << 10,
};

struct box {
    size_t width;
    size_t height;
    size_t depth;
};

/* Where a box lies in a piece of linear memory. */
struct place {
    struct buffer *buffer; /* NULL: host memory */
    uint8_t *model;        /* of the buffer, or the host memory itself */
    size_t offset;         /* of the first plane's first row */
    size_t pitch;
    size_t rows; /* of a plane */
    size_t x, y, z;
};

static size_t place_byte(const struct place *place, size_t row, size_t plane)
{
    return place->offset + ((place->z + plane) * place->rows + place->y + row) * place->pitch +
           place->x;
}

/* All that the driver may look at begins at `offset` and has this many bytes. */
static size_t place_bytes(const struct place *place, const struct box *box)
{
    return place_byte(place, box->height - 1, box->depth - 1) + box->width - place->offset;
}

static struct box any_box(struct worker *worker, size_t most, bool deep)
{
    struct box box = {.depth = 1};

    most = most < BOX_BYTES_MAX ? most : BOX_BYTES_MAX;
    box.width = random_spread(&worker->random, most < WIDTH_MAX ? most : WIDTH_MAX);
    box.height = random_spread(&worker->random, most / box.width);
    if (deep)
        box.depth = random_spread(&worker->random, most / (box.width * box.height));
    return box;
}

static void any_pitch(struct worker *worker, const struct box *box, size_t most,
                      struct place *place)
{
    size_t all_rows = box->height * box->depth;

    place->pitch = box->width + random_below(&worker->random, 64);
    place->rows = box->height + (box->depth > 1 ? random_below(&worker->random, 3) : 0);
    if (random_chance(&worker->random, 40) && most / all_rows > place->pitch)
        place->pitch = random_between(&worker->random, place->pitch, most / all_rows);
    place->x = random_below(&worker->random, place->pitch - box->width + 1);
    place->y = random_below(&worker->random, place->rows - box->height + 1);
    place->z = 0;
}

/* False when the box does not fit so: too unlucky to try again. */
static bool place_in_buffer(struct worker *worker, const struct box *box, struct buffer *buffer,
                            struct place *out)
{
    size_t needed;

    *out = (struct place){.buffer = buffer, .model = buffer->model};
    any_pitch(worker, box, buffer->bytes, out);
    needed = place_bytes(out, box);
    if (needed > buffer->bytes)
        return false;
    out->offset = random_below(&worker->random, buffer->bytes - needed + 1);
    return true;
}

static bool place_in_host(struct worker *worker, const struct box *box, struct place *out)
{
    size_t bytes;

    *out = (struct place){.buffer = NULL};
    any_pitch(worker, box, 2 * BOX_BYTES_MAX, out);
    bytes = place_bytes(out, box);
    if (bytes > 1 << 20)
        return false;
    out->model = arena_take(worker, bytes);
    return true;
}

static void model_copy(const struct place *to, const struct place *of, const struct box *box)
{
    for (size_t plane = 0; plane < box->depth; plane++)
        for (size_t row = 0; row < box->height; row++)
            memcpy(to->model + place_byte(to, row, plane), of->model + place_byte(of, row, plane),
                   box->width);
}

static CUmemorytype type_of(struct worker *worker, const struct place *place)
{
    if (random_chance(&worker->random, 20))
        return CU_MEMORYTYPE_UNIFIED;
    return place->buffer ? CU_MEMORYTYPE_DEVICE : CU_MEMORYTYPE_HOST;
}

static CUdeviceptr address_of(const struct place *place)
{
    return (place->buffer ? place->buffer->at : (CUdeviceptr)(uintptr_t)place->model) +
           place->offset;
}

static void submit_2d(struct worker *worker, const struct place *to, const struct place *of,
                      const struct box *box, enum stream_index stream)
{
    CUDA_MEMCPY2D copy = {
        .srcXInBytes = of->x,
        .srcY = of->y,
        .srcMemoryType = type_of(worker, of),
        .srcHost = (void *)(uintptr_t)address_of(of),
        .srcDevice = address_of(of),
        .srcPitch = of->pitch,
        .dstXInBytes = to->x,
        .dstY = to->y,
        .dstMemoryType = type_of(worker, to),
        .dstHost = (void *)(uintptr_t)address_of(to),
        .dstDevice = address_of(to),
        .dstPitch = to->pitch,
        .WidthInBytes = box->width,
        .Height = box->height,
    };

    worker->doing = "copy of a rectangle";
    if (stream != STREAM_DEFAULT)
        CHECK(worker, cuMemcpy2DAsync, &copy, worker->streams[stream]);
    else if (random_chance(&worker->random, 50))
        CHECK(worker, cuMemcpy2DUnaligned, &copy);
    else
        CHECK(worker, cuMemcpy2D, &copy);
}

static void submit_3d(struct worker *worker, const struct place *to, const struct place *of,
                      const struct box *box, enum stream_index stream)
{
    CUDA_MEMCPY3D copy = {
        .srcXInBytes = of->x,
        .srcY = of->y,
        .srcZ = of->z,
        .srcMemoryType = type_of(worker, of),
        .srcHost = (void *)(uintptr_t)address_of(of),
        .srcDevice = address_of(of),
        .srcPitch = of->pitch,
        .srcHeight = of->rows,
        .dstXInBytes = to->x,
        .dstY = to->y,
        .dstZ = to->z,
        .dstMemoryType = type_of(worker, to),
        .dstHost = (void *)(uintptr_t)address_of(to),
        .dstDevice = address_of(to),
        .dstPitch = to->pitch,
        .dstHeight = to->rows,
        .WidthInBytes = box->width,
        .Height = box->height,
        .Depth = box->depth,
    };

    worker->doing = "copy of a box";
    if (stream != STREAM_DEFAULT)
        CHECK(worker, cuMemcpy3DAsync, &copy, worker->streams[stream]);
    else
        CHECK(worker, cuMemcpy3D, &copy);
}

/* What of host memory around the box must stay as it was is compared too. */
static void expect_in_host(struct worker *worker, const struct place *to, const struct place *of,
                           const struct box *box, enum stream_index stream)
{
    size_t bytes = place_bytes(to, box);
    uint8_t *expected = malloc(bytes);
    struct place copy = *to;

    memset(expected, 0x5a, bytes);
    copy.model = expected;
    model_copy(&copy, of, box);
    download_expect(worker, to->model, expected, bytes, stream, false);
    free(expected);
}

void copy_some_box(struct worker *worker)
{
    struct buffer *to = buffer_any(worker);
    struct buffer *of = buffer_other(worker, to);
    bool deep = random_chance(&worker->random, 40);
    uint64_t kind = random_below(&worker->random, 3); /* up, down, between */
    enum stream_index stream =
        random_chance(&worker->random, 30) ? STREAM_DEFAULT : any_stream(worker);
    struct place to_place, of_place;
    struct box box;

    if (!of)
        return;
    box = any_box(worker, to->bytes < of->bytes ? to->bytes : of->bytes, deep);
    if (!(kind == 1 ? place_in_host(worker, &box, &to_place)
                    : place_in_buffer(worker, &box, to, &to_place)) ||
        !(kind == 0 ? place_in_host(worker, &box, &of_place)
                    : place_in_buffer(worker, &box, of, &of_place)))
        return;

    if (kind == 0)
        for (size_t i = 0; i < place_bytes(&of_place, &box); i++)
            of_place.model[i] = (uint8_t)(i * 7 + worker->operation);
    if (kind != 1)
        buffer_order(worker, to, stream);
    if (kind != 0)
        buffer_order(worker, of, stream);
    if (kind == 1)
        memset(to_place.model, 0x5a, place_bytes(&to_place, &box));
    if (deep)
        submit_3d(worker, &to_place, &of_place, &box, stream);
    else
        submit_2d(worker, &to_place, &of_place, &box, stream);
    if (kind == 1)
        expect_in_host(worker, &to_place, &of_place, &box, stream);
    else
        model_copy(&to_place, &of_place, &box);
}
