/* SPDX-License-Identifier: MIT */
/*
 * Copies and memsets of a range that is host-located, or that crosses from device to host memory.
 * One that breaks the context costs its own row: the rest goes on in another process.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/gpu/card.h"
#include "tests/gpu/experiments.h"
#include "tests/gpu/report.h"

enum {
    BYTES = 128 << 10,
    SEED = 5,
    VALUE = 0x5a,
};

/* Where: the range that is asked about, the host's buffers, and other device memory. */
struct place {
    CUdeviceptr at, other;
    void *pinned, *pageable;
    CUstream stream;
};

static CUresult h_to_d(const struct place *p)
{
    return cu.cuMemcpyHtoD_v2(p->at, p->pageable, BYTES);
}
static CUresult h_to_d_async(const struct place *p)
{
    return cu.cuMemcpyHtoDAsync_v2(p->at, p->pinned, BYTES, p->stream);
}
static CUresult h_to_d_pageable(const struct place *p)
{
    return cu.cuMemcpyHtoDAsync_v2(p->at, p->pageable, BYTES, p->stream);
}
static CUresult d_to_h(const struct place *p)
{
    return cu.cuMemcpyDtoH_v2(p->pageable, p->at, BYTES);
}
static CUresult d_to_h_async(const struct place *p)
{
    return cu.cuMemcpyDtoHAsync_v2(p->pinned, p->at, BYTES, p->stream);
}
static CUresult d_to_d_in(const struct place *p)
{
    return cu.cuMemcpyDtoD_v2(p->at, p->other, BYTES);
}
static CUresult d_to_d_in_async(const struct place *p)
{
    return cu.cuMemcpyDtoDAsync_v2(p->at, p->other, BYTES, p->stream);
}
static CUresult d_to_d_out_async(const struct place *p)
{
    return cu.cuMemcpyDtoDAsync_v2(p->other, p->at, BYTES, p->stream);
}
static CUresult plain_in(const struct place *p)
{
    return cu.cuMemcpy(p->at, p->other, BYTES);
}
static CUresult plain_out_async(const struct place *p)
{
    return cu.cuMemcpyAsync(p->other, p->at, BYTES, p->stream);
}
static CUresult plain_from_host(const struct place *p)
{
    return cu.cuMemcpyAsync(p->at, (CUdeviceptr)(uintptr_t)p->pinned, BYTES, p->stream);
}
static CUresult pitched_in(const struct place *p)
{
    CUDA_MEMCPY2D copy = {
        .srcMemoryType = CU_MEMORYTYPE_HOST,
        .srcHost = p->pinned,
        .srcPitch = BYTES / 2,
        .dstMemoryType = CU_MEMORYTYPE_DEVICE,
        .dstDevice = p->at,
        .dstPitch = BYTES / 2,
        .WidthInBytes = BYTES / 2,
        .Height = 2,
    };

    return cu.cuMemcpy2DAsync_v2(&copy, p->stream);
}
static CUresult set_bytes(const struct place *p)
{
    return cu.cuMemsetD8_v2(p->at, VALUE, BYTES);
}
static CUresult set_words(const struct place *p)
{
    return cu.cuMemsetD32_v2(p->at, VALUE * 0x01010101u, BYTES / 4);
}
static CUresult set_bytes_async(const struct place *p)
{
    return cu.cuMemsetD8Async(p->at, VALUE, BYTES, p->stream);
}
static CUresult set_pitched(const struct place *p)
{
    return cu.cuMemsetD2D8_v2(p->at, BYTES / 2, VALUE, BYTES / 2, 2);
}

/* What the call leaves where: the fill of the other side at the range, or a value, or the range's
 * fill at the other side. */
enum effect { INTO, SET, TO_DEVICE, TO_PINNED, TO_PAGEABLE };

static const struct copy {
    const char *name;
    enum effect effect;
    CUresult (*call)(const struct place *place);
} copies[] = {
    {"cuMemcpyHtoD", INTO, h_to_d},
    {"cuMemcpyHtoDAsync", INTO, h_to_d_async},
    {"cuMemcpyHtoDAsync, pageable", INTO, h_to_d_pageable},
    {"cuMemcpyDtoH", TO_PAGEABLE, d_to_h},
    {"cuMemcpyDtoHAsync", TO_PINNED, d_to_h_async},
    {"cuMemcpyDtoD into", INTO, d_to_d_in},
    {"cuMemcpyDtoDAsync into", INTO, d_to_d_in_async},
    {"cuMemcpyDtoDAsync from", TO_DEVICE, d_to_d_out_async},
    {"cuMemcpy into", INTO, plain_in},
    {"cuMemcpyAsync from", TO_DEVICE, plain_out_async},
    {"cuMemcpyAsync of pinned memory", INTO, plain_from_host},
    {"cuMemcpy2DAsync into", INTO, pitched_in},
    {"cuMemsetD8", SET, set_bytes},
    {"cuMemsetD32", SET, set_words},
    {"cuMemsetD8Async", SET, set_bytes_async},
    {"cuMemsetD2D8", SET, set_pitched},
};

enum { HOST_ONLY, ACROSS, PLACES };
static const char *const place_names[PLACES] = {"host", "across"};

static void open_place(struct place *place, int where)
{
    uint64_t piece = card.unit;
    CUdeviceptr base = range_new(2 * piece);

    range_map(base, piece, physical_new(&card.on_device, piece));
    range_map(base + piece, piece, physical_new(&card.on_host, piece));
    place->at = where == ACROSS ? base + piece - BYTES / 2 : base + piece;
    MUST(cu.cuMemAlloc_v2(&place->other, BYTES));
    MUST(cu.cuMemHostAlloc(&place->pinned, BYTES, 0));
    place->pageable = malloc(BYTES);
    if (!place->pageable)
        report_die("no host memory");
    MUST(cu.cuStreamCreate(&place->stream, CU_STREAM_NON_BLOCKING));
}

/* The range is filled with one seed, everything else with the next one. */
static void prepare(struct place *place)
{
    memory_fill(place->other, BYTES, SEED + 1);
    MUST(cu.cuMemcpyDtoH_v2(place->pinned, place->other, BYTES));
    memcpy(place->pageable, place->pinned, BYTES);
    memory_fill(place->at, BYTES, SEED);
    MUST(cu.cuCtxSynchronize());
}

static uint64_t host_digest(const void *buffer)
{
    CUdeviceptr at;
    uint64_t digest;

    MUST(cu.cuMemAlloc_v2(&at, BYTES));
    MUST(cu.cuMemcpyHtoD_v2(at, buffer, BYTES));
    digest = memory_digest(at, BYTES);
    MUST(cu.cuMemFree_v2(at));
    return digest;
}

static bool is_right(const struct place *place, enum effect effect)
{
    uint8_t *set;

    switch (effect) {
    case INTO:
        return memory_digest(place->at, BYTES) == fill_digest(BYTES, SEED + 1);
    case TO_DEVICE:
        return memory_digest(place->other, BYTES) == fill_digest(BYTES, SEED);
    case TO_PINNED:
        return host_digest(place->pinned) == fill_digest(BYTES, SEED);
    case TO_PAGEABLE:
        return host_digest(place->pageable) == fill_digest(BYTES, SEED);
    default:
        set = malloc(BYTES);
        if (!set)
            report_die("no host memory");
        memset(set, VALUE, BYTES);
        return memory_digest(place->at, BYTES) == host_digest(set);
    }
}

/* What a row says: 1 right, 0 refused, -1 wrong; -2, left by one that broke its context. */
static void ask(struct place *place, int where, const struct copy *copy)
{
    double said = 0;

    prepare(place);
    if (copy->call(place) == CUDA_SUCCESS) {
        MUST(cu.cuCtxSynchronize());
        said = is_right(place, copy->effect) ? 1 : -1;
    }
    report_figure(said, "", "%s: %s", place_names[where], copy->name);
}

/* From the row that `argument` points to on. */
static int copies_part(const void *argument)
{
    size_t from = *(const size_t *)argument;
    struct place places[PLACES];

    card_open();
    card_need_host_memory();
    for (int i = 0; i < PLACES; i++)
        open_place(&places[i], i);
    for (size_t i = from; i < PLACES * ARRAY_SIZE(copies); i++) {
        int where = (int)(i / ARRAY_SIZE(copies));

        ask(&places[where], where, &copies[i % ARRAY_SIZE(copies)]);
    }
    return 0;
}

/* A row that has no figure yet. */
static size_t next_row(void)
{
    for (size_t i = 0; i < PLACES * ARRAY_SIZE(copies); i++) {
        if (report_value(-9, "%s: %s", place_names[i / ARRAY_SIZE(copies)],
                         copies[i % ARRAY_SIZE(copies)].name) == -9)
            return i;
    }
    return PLACES * ARRAY_SIZE(copies);
}

static unsigned int count(int where, double value)
{
    unsigned int n = 0;

    for (size_t i = 0; i < ARRAY_SIZE(copies); i++)
        n += report_value(-9, "%s: %s", place_names[where], copies[i].name) == value;
    return n;
}

void experiment_copies(void)
{
    size_t row = 0;
    bool good;

    while (row < PLACES * ARRAY_SIZE(copies)) {
        size_t from = row;

        (void)part_run(copies_part, &from, 20);
        row = next_row();
        if (row == PLACES * ARRAY_SIZE(copies))
            break;
        report_figure(-2, "", "%s: %s", place_names[row / ARRAY_SIZE(copies)],
                      copies[row % ARRAY_SIZE(copies)].name);
        row++;
    }
    good = count(HOST_ONLY, 1) == ARRAY_SIZE(copies) && !count(ACROSS, -1) && !count(ACROSS, -2);
    report_verdict(good ? VERDICT_CONFIRMED : VERDICT_REFUTED,
                   "of %zu calls, %u are right on host-located memory, and across the border %u "
                   "right, %u refused, %u wrong, %u break the context",
                   ARRAY_SIZE(copies), count(HOST_ONLY, 1), count(ACROSS, 1), count(ACROSS, 0),
                   count(ACROSS, -1), count(ACROSS, -2));
}
