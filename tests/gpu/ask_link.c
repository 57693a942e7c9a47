/* SPDX-License-Identifier: MIT */
/*
 * How fast bytes go between host and card.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/gpu/card.h"
#include "tests/gpu/experiments.h"
#include "tests/gpu/link.h"
#include "tests/gpu/report.h"

static double rate(uint64_t bytes, double ms)
{
    return (double)bytes / ms / 1e6;
}

double link_rate(CUstream stream, CUdeviceptr to, CUdeviceptr from, uint64_t bytes)
{
    static struct stopwatch watch;
    double best = 0;

    for (int i = 0; i < 3; i++) {
        double now;

        stopwatch_start(&watch, stream);
        MUST(cu.cuMemcpyDtoDAsync_v2(to, from, bytes, stream));
        now = rate(bytes, stopwatch_ms(&watch));
        best = now > best ? now : best;
    }
    return best;
}

/* One copy, by whatever call suits what the addresses are. */
static double copy_rate(void *host, CUdeviceptr device, uint64_t bytes, bool up)
{
    static struct stopwatch watch;
    double best = 0;

    for (int i = 0; i < 3; i++) {
        double now;

        stopwatch_start(&watch, NULL);
        if (up)
            MUST(cu.cuMemcpyHtoDAsync_v2(device, host, bytes, NULL));
        else
            MUST(cu.cuMemcpyDtoHAsync_v2(host, device, bytes, NULL));
        now = rate(bytes, stopwatch_ms(&watch));
        best = now > best ? now : best;
    }
    return best;
}

/* Both directions at once, of pinned memory: what each gets. */
static double both_rate(void *host, CUdeviceptr up, CUdeviceptr down, uint64_t bytes)
{
    CUstream streams[2];
    uint64_t from;

    MUST(cu.cuStreamCreate(&streams[0], CU_STREAM_NON_BLOCKING));
    MUST(cu.cuStreamCreate(&streams[1], CU_STREAM_NON_BLOCKING));
    MUST(cu.cuCtxSynchronize());
    from = clock_ns();
    for (int i = 0; i < 4; i++) {
        MUST(cu.cuMemcpyHtoDAsync_v2(up, host, bytes / 2, streams[0]));
        MUST(cu.cuMemcpyDtoHAsync_v2((char *)host + bytes / 2, down, bytes / 2, streams[1]));
    }
    MUST(cu.cuStreamSynchronize(streams[0]));
    MUST(cu.cuStreamSynchronize(streams[1]));
    return rate(4 * (bytes / 2), (double)(clock_ns() - from) / 1e6);
}

static void ask_pinned(CUdeviceptr device, CUdeviceptr other, uint64_t bytes)
{
    void *pinned;

    MUST(cu.cuMemHostAlloc(&pinned, bytes, 0));
    memset(pinned, 1, bytes);
    report_figure(copy_rate(pinned, device, bytes, true), "GB/s", "pinned: to the card");
    report_figure(copy_rate(pinned, device, bytes, false), "GB/s", "pinned: to the host");
    report_figure(both_rate(pinned, device, other, bytes), "GB/s", "pinned: each, both at once");
    MUST(cu.cuMemFreeHost(pinned));
}

static void ask_pageable(CUdeviceptr device, uint64_t bytes)
{
    void *pageable = malloc(bytes);

    if (!pageable)
        report_die("no host memory");
    memset(pageable, 1, bytes);
    report_figure(copy_rate(pageable, device, bytes, true), "GB/s", "pageable: to the card");
    report_figure(copy_rate(pageable, device, bytes, false), "GB/s", "pageable: to the host");
    free(pageable);
}

/* Copies of 2 MiB: what small pieces cost. */
static double pieces_rate(CUstream stream, CUdeviceptr to, CUdeviceptr from, uint64_t bytes)
{
    struct stopwatch watch = {.from = NULL};
    uint64_t piece = 2 * MIB;

    stopwatch_start(&watch, stream);
    for (uint64_t at = 0; at < bytes; at += piece)
        MUST(cu.cuMemcpyDtoDAsync_v2(to + at, from + at, piece, stream));
    return rate(bytes, stopwatch_ms(&watch));
}

/* While a kernel reads device memory with the whole card, again and again. */
static double loaded_rate(CUstream stream, CUdeviceptr to, CUdeviceptr from, uint64_t bytes,
                          CUdeviceptr other)
{
    CUstream busy;
    double got;

    MUST(cu.cuStreamCreate(&busy, CU_STREAM_NON_BLOCKING));
    kernel_launch(KERNEL_READ, card.blocks, busy, other, bytes / 16, card.sum, scaled(400, 2));
    got = link_rate(stream, to, from, bytes);
    MUST(cu.cuStreamSynchronize(busy));
    return got;
}

/* The very copies the library makes: both sides are mapped memory. */
static void ask_mapped(CUdeviceptr device, CUdeviceptr other, uint64_t bytes)
{
    CUdeviceptr host = range_new(bytes);
    CUstream stream;

    MUST(cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    range_map(host, bytes, physical_new(&card.on_host, bytes));
    MUST(cu.cuMemsetD8_v2(host, 1, bytes));
    report_figure(link_rate(stream, device, host, bytes), "GB/s", "host-located: to the card");
    report_figure(link_rate(stream, host, device, bytes), "GB/s", "host-located: to the host");
    report_figure(pieces_rate(stream, device, host, bytes), "GB/s",
                  "host-located: to the card, in pieces of 2 MiB");
    report_figure(loaded_rate(stream, device, host, bytes, other), "GB/s",
                  "host-located: to the card, beside a kernel");
}

void experiment_link(void)
{
    uint64_t bytes;
    CUdeviceptr device, other;
    CUstream stream;
    double share;

    card_open();
    bytes = scaled(512 * MIB, 16 * MIB);
    device = range_new(bytes);
    range_map(device, bytes, physical_new(&card.on_device, bytes));
    MUST(cu.cuMemAlloc_v2(&other, bytes));
    MUST(cu.cuMemsetD8_v2(other, 1, bytes));
    MUST(cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    ask_pinned(device, other, bytes);
    ask_pageable(device, bytes);
    report_figure(link_rate(stream, device, other, bytes), "GB/s", "on the card");
    card_need_host_memory();
    ask_mapped(device, other, bytes);
    share = report_value(0, "host-located: to the card") / report_value(1, "pinned: to the card");
    report_figure(share, "", "host-located over pinned, to the card");
    report_verdict(share >= 0.95 ? VERDICT_CONFIRMED : VERDICT_REFUTED,
                   "copies from host-located memory reach %.0f %% of copies from pinned memory",
                   100 * share);
}
