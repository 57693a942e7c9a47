/* SPDX-License-Identifier: MIT */
/* Programs that read a few parts of stacks, which numbers in device memory name. */
#include "tests/stress/stage.h"

#include <stddef.h>
#include <string.h>

enum {
    LAYERS = 6,
    PARTS = LOOK_UP_PARTS,
    USED = LOOK_UPS,
    PART = 3 * (STAGE_PAGE / 4),
    STACK = PARTS * PART,
    DENSE = STAGE_PAGE,
    LAYER = DENSE + STACK,
    KNOWN = 24,       /* passes by which it is known what is read */
    IDS_AWAY = 4096,  /* where the numbers are that nobody looks at */
    IDS_BYTES = 8192, /* of a layer */
};

static CUdeviceptr ids;   /* of all layers */
static uint32_t ids_from; /* bytes into them: where a kernel looks */
static int32_t host_ids[LAYERS][USED];
static uint32_t dice_state;

static uint32_t dice(uint32_t n)
{
    dice_state = dice_state * 1664525 + 1013904223;
    return (dice_state >> 8) % n;
}

static CUdeviceptr stack_at(uint32_t layer)
{
    return stage.weights + (uint64_t)layer * LAYER + DENSE;
}

static CUdeviceptr ids_at(uint32_t layer)
{
    return ids + (uint64_t)layer * IDS_BYTES;
}

static bool is_chosen(uint32_t layer, uint32_t n, int32_t part)
{
    for (uint32_t i = 0; i < n; i++) {
        if (host_ids[layer][i] == part)
            return true;
    }
    return false;
}

/* Most from a third of the parts, which is another one in each layer and phase. */
static void choose(uint32_t phase)
{
    for (uint32_t layer = 0; layer < LAYERS; layer++) {
        for (uint32_t i = 0; i < USED; i++) {
            uint32_t hot = (dice(PARTS / 3) + (layer + phase) * (PARTS / 3)) % PARTS;
            int32_t part = (int32_t)(dice(8) ? hot : dice(PARTS));

            while (is_chosen(layer, i, part))
                part = (part + 1) % PARTS;
            host_ids[layer][i] = part;
        }
    }
}

static void put_ids(uint32_t from)
{
    for (uint32_t layer = 0; layer < LAYERS; layer++)
        MUST(cuMemcpyHtoD(ids_at(layer) + from, host_ids[layer], sizeof(host_ids[layer])));
}

static void route(uint32_t number)
{
    (void)number;
    choose(0);
    put_ids(0);
}

/* A copy: a kernel would say by its parameter that a buffer begins there. */
static void load_bytes(CUdeviceptr at, uint32_t bytes, uint32_t seed)
{
    static uint32_t words[DENSE / sizeof(uint32_t)];

    for (uint32_t i = 0; i < bytes / sizeof(words[0]); i++)
        words[i] = (seed + i) * 2654435761u;
    MUST(cuMemcpyHtoD(at, words, bytes));
}

static void load_layers(void)
{
    stage.weights = stage_alloc((uint64_t)LAYERS * LAYER);
    for (uint32_t layer = 0; layer < LAYERS; layer++) {
        load_bytes(stack_at(layer) - DENSE, DENSE, 100 + layer);
        passes_have_loaded(stack_at(layer) - DENSE, DENSE);
        for (uint32_t part = 0; part < PARTS; part++)
            load_bytes(stack_at(layer) + (uint64_t)part * PART, PART, 1000 + layer * PARTS + part);
        passes_have_loaded(stack_at(layer), STACK);
    }
}

static void start(void)
{
    stage_open();
    dice_state = 7;
    load_layers();
    /* Too small to be paged. */
    ids = stage_alloc((uint64_t)LAYERS * IDS_BYTES);
    MUST(cuMemsetD8(ids, 0, (uint64_t)LAYERS * IDS_BYTES));
    route(0);
    passes_are_about((uint64_t)LAYERS * LAYER);
}

static uint32_t stop(void)
{
    MUST(cuMemFree(ids));
    return stage_stop();
}

static void read_layers(uint32_t number)
{
    (void)number;
    for (uint32_t layer = 0; layer < LAYERS; layer++) {
        LAUNCH(READ, stage.sum, stack_at(layer) - DENSE, DENSE);
        LAUNCH(LOOK_UP, stage.sum, stack_at(layer), ids_at(layer), (uint64_t)ids_from << 32 | PART);
    }
}

/* Other parts all of a sudden, and again soon. */
static void route_anew(uint32_t number)
{
    choose(number < KNOWN ? 0 : number / 6);
    put_ids(0);
}

/* Numbers that name nothing are among them. */
static void route_nowhere(uint32_t number)
{
    static const int32_t nowhere[] = {-1, PARTS, 1 << 30, -(1 << 20)};

    choose(0);
    for (uint32_t layer = 0; layer < LAYERS; layer++) {
        if (dice(3) == 0)
            host_ids[layer][dice(USED)] = nowhere[(number + layer) % 4];
    }
    put_ids(0);
}

/* What the kernel is given are positions; what it reads is named elsewhere. */
static void route_elsewhere(uint32_t number)
{
    ids_from = IDS_AWAY;
    choose(0);
    put_ids(ids_from);
    choose(number);
    put_ids(0);
}

/* The same, but only once it was believed. */
static void route_elsewhere_later(uint32_t number)
{
    route(number);
    if (number < KNOWN)
        return;
    route_elsewhere(number);
}

/* The numbers are in memory that is paged itself, and written besides. */
static void start_in_activations(void)
{
    start();
    MUST(cuMemFree(ids));
    ids = stage_alloc(STAGE_PAGE);
    MUST(cuMemsetD8(ids, 0, STAGE_PAGE));
    route(0);
    passes_also_write(STAGE_PAGE);
}

static void write_and_read_layers(uint32_t number)
{
    LAUNCH(WRITE, ids + STAGE_PAGE / 2, 64 << 10, number);
    read_layers(number);
}

static void update_part(uint32_t way, uint32_t layer, uint32_t part, uint32_t number)
{
    CUdeviceptr at = stack_at(layer) + (uint64_t)part * PART;
    uint64_t word = number * 77;

    switch (way) {
    case 0:
        LAUNCH(WRITE_AT, stack_at(layer), (uint64_t)part * PART, PART, number);
        break;
    case 1:
        MUST(cuMemcpyHtoD(at + PART - sizeof(word), &word, sizeof(word)));
        break;
    case 2:
        MUST(cuMemcpyHtoD(stage.table, &at, sizeof(at)));
        LAUNCH(WRITE_VIA, stage.table, 0, PART, number);
        break;
    default:
        MUST(cuMemsetD32Async(at, number, 2, passes_stream));
    }
    MUST(cuStreamSynchronize(passes_stream));
}

/* Hot parts and cold ones, in ways of all kinds. */
static void route_and_update(uint32_t number)
{
    route_anew(number);
    if (number < KNOWN / 2 || number % 3)
        return;
    for (uint32_t i = 0; i < 4; i++)
        update_part((number / 3 + i) % 4, dice(LAYERS), dice(PARTS), number * 10 + i);
}

/* Another model at the same place. */
static void route_and_load(uint32_t number)
{
    route(number);
    if (number != KNOWN + 5)
        return;
    MUST(cuMemFree(stage.weights));
    load_layers();
}

const struct passes_program programs_with_experts[] = {
    {"experts", 32, start, read_layers, route, false, stop, false, false, true},
    {"experts_changing", 50, start, read_layers, route_anew, false, stop, false, false, true},
    {"experts_nowhere", 32, start, read_layers, route_nowhere, false, stop, false, false, true},
    {"experts_elsewhere", 24, start, read_layers, route_elsewhere, false, stop, false, false},
    {"experts_later", 60, start, read_layers, route_elsewhere_later, false, stop, false, false,
     true},
    {"experts_paged", 32, start_in_activations, write_and_read_layers, route, false, stop, false,
     false, true},
    {"experts_updated", 40, start, read_layers, route_and_update, false, stop, false, false},
    {"experts_reloaded", 50, start, read_layers, route_and_load, false, stop, false, false, true},
    {NULL},
};
