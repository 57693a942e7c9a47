/* SPDX-License-Identifier: MIT */
/*
 * Reading host memory in place: by kind of memory, by how much of it there is, by pattern, alone
 * and beside copies. Shares of what a copy of the same memory reaches.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/gpu/card.h"
#include "tests/gpu/experiments.h"
#include "tests/gpu/link.h"
#include "tests/gpu/report.h"

enum pattern { WHOLE, WORDS, SECTORS, ROWS, PATTERNS };
static const struct {
    const char *name;
    enum kernel kernel;
} patterns[PATTERNS] = {
    [WHOLE] = {"16 bytes a lane", KERNEL_READ},
    [WORDS] = {"4 bytes a lane", KERNEL_STEP},
    [SECTORS] = {"4 of 128 bytes", KERNEL_STEP},
    [ROWS] = {"rows of 128 bytes, anywhere", KERNEL_ROWS},
};

static struct load {
    CUstream stream;
    CUdeviceptr to;
    void *from;
    uint64_t bytes;
} load;

/* Useful bytes in a second, 10^9 of them. */
static double read_rate(CUstream stream, CUdeviceptr at, uint64_t bytes, enum pattern pattern)
{
    static const uint64_t steps[PATTERNS] = {[WORDS] = 4, [SECTORS] = 128};
    static struct stopwatch watch;
    uint64_t useful = bytes;

    stopwatch_start(&watch, stream);
    if (pattern == WHOLE) {
        kernel_read(stream, at, bytes);
    } else if (pattern == ROWS) {
        useful = bytes / 8;
        kernel_launch(KERNEL_ROWS, card.blocks, stream, at, bytes / 128, card.sum, useful / 128);
    } else {
        useful = bytes / steps[pattern] * 4;
        kernel_launch(KERNEL_STEP, card.blocks, stream, at, bytes / steps[pattern], card.sum,
                      steps[pattern]);
    }
    return (double)useful / stopwatch_ms(&watch) / 1e6;
}

static void ask_memory(CUstream stream, const char *kind, CUdeviceptr at, uint64_t bytes,
                       double link)
{
    for (int i = 0; i < PATTERNS; i++) {
        double got;

        (void)read_rate(stream, at, min_u64(bytes, 16 * MIB), (enum pattern)i);
        got = read_rate(stream, at, bytes, (enum pattern)i);
        report_figure(got, "GB/s", "%s, %s", kind, patterns[i].name);
        report_figure(got / link, "", "over the link: %s, %s", kind, patterns[i].name);
    }
}

/* Host-located memory of so many bytes, mapped in pieces as the library does. */
static CUdeviceptr host_located(uint64_t bytes)
{
    uint64_t piece = min_u64(bytes, 64 * MIB);
    CUdeviceptr at = range_new(bytes);

    for (uint64_t done = 0; done < bytes; done += piece)
        range_map(at + done, piece, physical_new(&card.on_host, piece));
    MUST(cu.cuMemsetD8_v2(at, 1, bytes));
    return at;
}

static void ask_footprints(CUstream stream, CUdeviceptr at, uint64_t most, double link)
{
    for (uint64_t bytes = most / 16; bytes <= most; bytes *= 4) {
        double got = read_rate(stream, at, bytes, WHOLE);

        report_figure(got / link, "", "over the link: host-located, %llu MiB in order",
                      (unsigned long long)(bytes / MIB));
        got = read_rate(stream, at, bytes, ROWS);
        report_figure(got / link, "", "over the link: host-located, %llu MiB by rows",
                      (unsigned long long)(bytes / MIB));
    }
}

static void ask_beside_copies(CUstream stream, CUdeviceptr at, uint64_t bytes, double link)
{
    struct stopwatch watch = {.from = NULL};
    unsigned int copies = 8;
    double got;

    stopwatch_start(&watch, load.stream);
    for (unsigned int i = 0; i < copies; i++)
        MUST(cu.cuMemcpyHtoDAsync_v2(load.to, load.from, load.bytes, load.stream));
    got = read_rate(stream, at, bytes, WHOLE);
    report_figure(got / link, "", "over the link: host-located, beside copies");
    got = (double)(copies * load.bytes) / stopwatch_ms(&watch) / 1e6;
    report_figure(got / link, "", "over the link: those copies");
}

static void ask_other_kinds(CUstream stream, uint64_t bytes, double link)
{
    void *pinned, *registered;
    CUdeviceptr at;

    MUST(cu.cuMemHostAlloc(&pinned, bytes, CU_MEMHOSTALLOC_DEVICEMAP));
    memset(pinned, 1, bytes);
    MUST(cu.cuMemHostGetDevicePointer_v2(&at, pinned, 0));
    ask_memory(stream, "cuMemHostAlloc", at, bytes, link);
    MUST(cu.cuMemFreeHost(pinned));
    registered = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (registered == MAP_FAILED ||
        cu.cuMemHostRegister_v2(registered, bytes, CU_MEMHOSTREGISTER_DEVICEMAP) != CUDA_SUCCESS)
        return;
    MUST(cu.cuMemHostGetDevicePointer_v2(&at, registered, 0));
    ask_memory(stream, "registered", at, bytes, link);
    MUST(cu.cuMemHostUnregister(registered));
    munmap(registered, bytes);
}

/* What the machine says is free; where a group of processes has less, the driver will say so. */
static uint64_t available_memory(void)
{
    return (uint64_t)sysconf(_SC_AVPHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void load_init(uint64_t bytes)
{
    load.bytes = bytes;
    MUST(cu.cuMemAlloc_v2(&load.to, bytes));
    MUST(cu.cuMemHostAlloc(&load.from, bytes, 0));
    MUST(cu.cuStreamCreate(&load.stream, CU_STREAM_NON_BLOCKING));
}

void experiment_reads(void)
{
    uint64_t most, bytes;
    CUdeviceptr device, host;
    CUstream stream;
    double link, share;

    card_open();
    card_need_host_memory();
    most = scaled(min_u64(8 * GIB, align_down(available_memory() / 4, 256 * MIB)), 16 * MIB);
    if (!most)
        report_skip("too little host memory");
    bytes = scaled(512 * MIB, 4 * MIB);
    MUST(cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    MUST(cu.cuMemAlloc_v2(&device, bytes));
    MUST(cu.cuMemsetD8_v2(device, 1, bytes));
    load_init(bytes);
    host = host_located(most);
    link = link_rate(stream, device, host, bytes);
    report_figure(link, "GB/s", "link, by copying");
    ask_memory(stream, "host-located", host, bytes, link);
    ask_footprints(stream, host, most, link);
    ask_beside_copies(stream, host, bytes, link);
    ask_memory(stream, "device", device, bytes, link);
    ask_other_kinds(stream, bytes, link);
    share = report_value(0, "over the link: host-located, %llu MiB in order",
                         (unsigned long long)(most / MIB));
    report_verdict(share >= 0.3 ? VERDICT_CONFIRMED : VERDICT_REFUTED,
                   "of %llu MiB, reading in place reaches %.2f of the link; below 0.3 misses would "
                   "have to be staged",
                   (unsigned long long)(most / MIB), share);
}
