/* SPDX-License-Identifier: MIT */
/* Programs of several components: one that is read again and again, and others between. */
#include "tests/stress/stage.h"

#include <stdlib.h>

enum {
    ENCODER = 4, /* tensors */
    DECODER = 2,
    STEPS = 4, /* of an image */
    BUFFER = 2 * STAGE_PAGE,
    DECODERS_AT = TENSORS, /* in the table */
};

static CUdeviceptr encoder;
static CUdeviceptr decoder;
static CUdeviceptr buffer;

static CUdeviceptr load(uint32_t tensors, uint64_t seed)
{
    CUdeviceptr at = stage_alloc((uint64_t)tensors * TENSOR);

    for (uint32_t i = 0; i < tensors; i++)
        stage_fill(at + (uint64_t)i * TENSOR, TENSOR, seed + i);
    return at;
}

static void load_decoder(void)
{
    decoder = load(DECODER, 2000);
    for (uint32_t i = 0; i < DECODER && !getenv("PASSES_SPILL"); i++) {
        CUdeviceptr at = decoder + (uint64_t)i * TENSOR;

        MUST(cuMemcpyHtoD_v2(stage.table + (DECODERS_AT + i) * sizeof(at), &at, sizeof(at)));
    }
}

static void start(void)
{
    stage_open();
    encoder = load(ENCODER, 1000);
    stage_load_model();
    load_decoder();
    passes_are_about(MODEL + (ENCODER + DECODER) * (uint64_t)TENSOR);
}

static void start_without_decoder(void)
{
    stage_open();
    encoder = load(ENCODER, 1000);
    stage_load_model();
    decoder = 0;
    passes_are_about(MODEL + (ENCODER + DECODER) * (uint64_t)TENSOR);
}

static uint32_t stop(void)
{
    MUST(cuMemFree_v2(encoder));
    MUST(cuMemFree_v2(decoder));
    return stage_stop();
}

static void read(CUdeviceptr at, uint32_t tensors)
{
    for (uint32_t i = 0; i < tensors; i++)
        LAUNCH(READ, stage.sum, at + (uint64_t)i * TENSOR, TENSOR);
}

static void image(uint32_t number)
{
    if (number % STEPS == 0)
        read(encoder, ENCODER);
    read_tensors();
    if (number % STEPS == STEPS - 1)
        read(decoder, DECODER);
}

/* As many steps as it happens, an encoder that is left out, one that is read twice, a decoder that
 * is read from its end. */
static void uneven(uint32_t number)
{
    static const uint32_t encodes = 1 << 0 | 1 << 5 | 1 << 11 | 1 << 15 | 1 << 17 | 1 << 21;
    static const uint32_t decodes = 1 << 4 | 1 << 8 | 1 << 10 | 1 << 14 | 1 << 20;

    if (encodes >> number & 1)
        read(encoder, ENCODER);
    if (number == 15)
        read(encoder, ENCODER);
    read_tensors();
    for (uint32_t i = DECODER; number == 14 && i-- > 0;)
        LAUNCH(READ, stage.sum, decoder + (uint64_t)i * TENSOR, TENSOR);
    if (decodes >> number & 1)
        read(decoder, DECODER);
}

/* The decoder's weights are another's, by launches, before it is read and while it is. */
static void written(uint32_t number)
{
    image(number);
    if (number % STEPS != STEPS - 2)
        return;
    LAUNCH(WRITE, decoder + number % DECODER * (uint64_t)TENSOR, TENSOR, number);
    if (number % 2)
        read(decoder, DECODER);
}

/* The same by a copy, and of the encoder. */
static void replaced(uint32_t number)
{
    if (number % STEPS || number < 2 * STEPS)
        return;
    for (uint32_t i = 0; i < TENSOR / 8; i += 512)
        ((uint64_t *)stage.pinned)[i] = number * 77 + i;
    MUST(cuMemcpyHtoD_v2(encoder + number / STEPS % ENCODER * (uint64_t)TENSOR, stage.pinned,
                         TENSOR));
}

/* Who reads the decoder writes the model, through an address in memory. */
static void writes_model(uint32_t number)
{
    image(number);
    if (number % STEPS == STEPS - 1)
        LAUNCH(WRITE_VIA, stage.table, number % TENSORS, 4096, number);
}

/* The decoder itself is written so, from the third image on. */
static void written_via(uint32_t number)
{
    if (number % STEPS == 0)
        read(encoder, ENCODER);
    read_tensors();
    if (number % STEPS != STEPS - 1)
        return;
    read(decoder, DECODER);
    if (number > 2 * STEPS)
        LAUNCH(WRITE_VIA, stage.table, DECODERS_AT + number % DECODER, 4096, number);
    read(decoder, DECODER);
}

/* The same function reads the decoder, and now and then writes to it. */
static void written_later(uint32_t number)
{
    if (number % STEPS == 0)
        read(encoder, ENCODER);
    read_tensors();
    for (uint32_t i = 0; i < DECODER && number % STEPS == STEPS - 1; i++)
        LAUNCH(WRITE_LATER, stage.sum, decoder + (uint64_t)i * TENSOR, TENSOR, stage.counter);
}

/* A decoder that comes with the first image that has to be decoded, and goes with the third; it
 * writes to a buffer that there is only then. */
static void read_if_there(uint32_t number)
{
    if (number % STEPS == 0)
        read(encoder, ENCODER);
    read_tensors();
    if (number % STEPS != STEPS - 1 || !decoder)
        return;
    read(decoder, DECODER);
    LAUNCH(WRITE, buffer, BUFFER, number);
    LAUNCH(READ, stage.sum, buffer, BUFFER);
}

static void come_and_go(uint32_t number)
{
    if (number == STEPS - 2 || number == 4 * STEPS) {
        load_decoder();
    } else if (number == 3 * STEPS) {
        MUST(cuMemFree_v2(decoder));
        decoder = 0;
    }
    if (number % STEPS == STEPS - 2)
        buffer = stage_alloc(BUFFER);
    if (number % STEPS == STEPS - 1)
        MUST(cuMemFree_v2(buffer));
}

const struct passes_program programs_with_phases[] = {
    {"images", 20, start, image, NULL, false, stop, true, false, false, true},
    {"images_uneven", 22, start, uneven, NULL, false, stop, true, false},
    {"images_written", 24, start, written, NULL, false, stop, true, false, false, true},
    {"images_replaced", 24, start, image, replaced, false, stop, true, false, false, true},
    {"images_write_model", 20, start, writes_model, NULL, false, stop, true, false},
    {"images_written_via", 20, start, written_via, NULL, false, stop, true, false, false, true},
    {"images_written_later", 28, start, written_later, NULL, false, stop, true, false},
    {"images_loaded_late", 24, start_without_decoder, read_if_there, come_and_go, true, stop, true,
     false},
    {NULL},
};
