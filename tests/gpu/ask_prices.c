/* SPDX-License-Identifier: MIT */
/*
 * What mapping calls cost their thread: medians, by size and kind of memory, with nothing else
 * going on and beside kernels and copies; and a line fitted to them, so much for a call and for
 * each MiB.
 */
#include <stdlib.h>

#include "tests/gpu/card.h"
#include "tests/gpu/experiments.h"
#include "tests/gpu/link.h"
#include "tests/gpu/report.h"

enum step { CREATE, MAP, ACCESS, UNMAP, RELEASE, STEPS, MOST = 16 };
static const char *const step_names[STEPS] = {"create", "map", "access", "unmap", "release"};

enum { DEVICE, HOST, KINDS };
static const char *const kind_names[KINDS] = {"device", "host"};

static const uint64_t sizes[] = {2, 4, 8, 16, 32, 64, 128, 256};

/* What runs beside the calls: a kernel that reads the card's memory, and copies. */
static struct load {
    CUstream kernels, copies;
    CUdeviceptr read, to;
    void *from;
    uint64_t bytes;
} load;

static void load_init(void)
{
    load.bytes = scaled(256 * MIB, 1 * MIB);
    MUST(cu.cuStreamCreate(&load.kernels, CU_STREAM_NON_BLOCKING));
    MUST(cu.cuStreamCreate(&load.copies, CU_STREAM_NON_BLOCKING));
    MUST(cu.cuMemAlloc_v2(&load.read, load.bytes));
    MUST(cu.cuMemAlloc_v2(&load.to, load.bytes));
    MUST(cu.cuMemHostAlloc(&load.from, load.bytes, 0));
    MUST(cu.cuMemsetD8_v2(load.read, 1, load.bytes));
}

static void load_go_on(void)
{
    if (!load.bytes)
        return;
    if (cu.cuStreamQuery(load.kernels) == CUDA_SUCCESS)
        kernel_launch(KERNEL_READ, card.blocks, load.kernels, load.read, load.bytes / 16, card.sum,
                      scaled(64, 1));
    if (cu.cuStreamQuery(load.copies) == CUDA_SUCCESS) {
        for (int i = 0; i < 4; i++)
            MUST(cu.cuMemcpyHtoDAsync_v2(load.to, load.from, load.bytes, load.copies));
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, unsigned int n)
{
    qsort(values, n, sizeof(*values), by_value);
    return values[n / 2];
}

/* Microseconds of an evaluated call that MUST work. */
#define TIMED(call)                                                                                \
    ({                                                                                             \
        uint64_t from_ns;                                                                          \
        load_go_on();                                                                              \
        from_ns = clock_ns();                                                                      \
        MUST(call);                                                                                \
        (double)(clock_ns() - from_ns) / 1e3;                                                      \
    })

/* Every piece is mapped twice: the first time a new page table may be paid for. */
static void ask_size(const CUmemAllocationProp *where, uint64_t bytes, unsigned int n,
                     double (*us)[STEPS])
{
    CUmemGenericAllocationHandle handles[MOST];
    double all[STEPS][MOST];
    CUdeviceptr at = range_new(n * bytes);

    for (unsigned int i = 0; i < n; i++)
        all[CREATE][i] = TIMED(cu.cuMemCreate(&handles[i], bytes, where, 0));
    for (int again = 0; again < 2; again++) {
        for (unsigned int i = 0; i < n; i++)
            all[MAP][i] = TIMED(cu.cuMemMap(at + i * bytes, bytes, 0, handles[i], 0));
        for (unsigned int i = 0; i < n; i++)
            all[ACCESS][i] = TIMED(cu.cuMemSetAccess(at + i * bytes, bytes, &card.access, 1));
        for (unsigned int i = 0; i < n; i++)
            all[UNMAP][i] = TIMED(cu.cuMemUnmap(at + i * bytes, bytes));
    }
    for (unsigned int i = 0; i < n; i++)
        all[RELEASE][i] = TIMED(cu.cuMemRelease(handles[i]));
    MUST(cu.cuMemAddressFree(at, n * bytes));
    for (int step = 0; step < STEPS; step++)
        (*us)[step] = median(all[step], n);
}

/* The line through what was measured, by least squares of relative errors: small ones count too. */
static void fit(const double *mib, const double *us, unsigned int n, double *per_call,
                double *per_mib)
{
    double w = 0, x = 0, y = 0, xx = 0, xy = 0, det;

    for (unsigned int i = 0; i < n; i++) {
        double weight = us[i] > 0 ? 1 / (us[i] * us[i]) : 1;

        w += weight;
        x += weight * mib[i];
        y += weight * us[i];
        xx += weight * mib[i] * mib[i];
        xy += weight * mib[i] * us[i];
    }
    det = w * xx - x * x;
    *per_mib = det != 0 ? (w * xy - x * y) / det : 0;
    *per_call = w != 0 ? (y - *per_mib * x) / w : 0;
}

static void ask_kind(int kind, const uint64_t *mib, unsigned int n_sizes)
{
    const CUmemAllocationProp *where = kind == HOST ? &card.on_host : &card.on_device;
    double us[ARRAY_SIZE(sizes)][STEPS], x[ARRAY_SIZE(sizes)], y[ARRAY_SIZE(sizes)];

    for (unsigned int i = 0; i < n_sizes; i++) {
        uint64_t n = scaled(512, 128) / mib[i];

        ask_size(where, mib[i] * MIB, (unsigned int)max_u64(2, min_u64(n, MOST)), &us[i]);
        for (int step = 0; step < STEPS; step++)
            report_figure(us[i][step], "us", "%s, %s, %llu MiB", kind_names[kind], step_names[step],
                          (unsigned long long)mib[i]);
        x[i] = (double)mib[i];
    }
    for (int step = 0; step < STEPS; step++) {
        double per_call, per_mib;

        for (unsigned int i = 0; i < n_sizes; i++)
            y[i] = us[i][step];
        fit(x, y, n_sizes, &per_call, &per_mib);
        report_figure(per_call, "us", "%s, %s, for a call", kind_names[kind], step_names[step]);
        report_figure(per_mib, "us", "%s, %s, for each MiB", kind_names[kind], step_names[step]);
    }
}

/* What a streamed chunk would cost if its home were remapped into the ring and back, in GB/s. */
static double ceiling(uint64_t mib)
{
    double us = 0;

    for (int kind = 0; kind < KINDS; kind++) {
        for (int step = MAP; step <= UNMAP; step++)
            us += report_value(0, "%s, %s, %llu MiB", kind_names[kind], step_names[step],
                               (unsigned long long)mib);
    }
    return (double)(mib * MIB) / us / 1e3;
}

static double link_of_card(void)
{
    uint64_t bytes = scaled(256 * MIB, 16 * MIB);
    CUdeviceptr device = range_new(bytes), host = range_new(bytes);
    CUstream stream;

    MUST(cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    range_map(device, bytes, physical_new(&card.on_device, bytes));
    range_map(host, bytes, physical_new(&card.on_host, bytes));
    return link_rate(stream, device, host, bytes);
}

static void ask_sizes(const uint64_t *mib, unsigned int n)
{
    double link = link_of_card();
    double small, best = 0;

    for (int kind = 0; kind < KINDS; kind++)
        ask_kind(kind, mib, n);
    for (unsigned int i = 0; i < n; i++) {
        report_figure(ceiling(mib[i]) / link, "", "remapping both ways over the link, %llu MiB",
                      (unsigned long long)mib[i]);
        if (mib[i] <= 64 && ceiling(mib[i]) > best)
            best = ceiling(mib[i]);
    }
    small = ceiling(2);
    report_verdict(small < 1.5 * link ? VERDICT_CONFIRMED : VERDICT_REFUTED,
                   "remapping by 2 MiB could feed %.2f of the link, by chunks up to 64 MiB %.2f; "
                   "below 1.5 it is out for streaming",
                   small / link, best / link);
}

void experiment_prices(void)
{
    static const uint64_t simulated[] = {2, 16, 64};

    card_open();
    card_need_host_memory();
    if (card.simulated)
        ask_sizes(simulated, ARRAY_SIZE(simulated));
    else
        ask_sizes(sizes, ARRAY_SIZE(sizes));
}

void experiment_prices_busy(void)
{
    static const uint64_t few[] = {2, 16, 64};

    card_open();
    card_need_host_memory();
    load_init();
    ask_sizes(few, scaled(3, 2));
    MUST(cu.cuCtxSynchronize());
}

/* Sixteen pieces, device and host memory in turn, mapped; one call for all of them, or one for
 * each. */
static double ask_batch(CUdeviceptr at, const CUmemGenericAllocationHandle *handles, uint64_t bytes,
                        bool one_call, CUresult *result)
{
    double us;
    uint64_t from;

    for (uint64_t i = 0; i < MOST; i++)
        MUST(cu.cuMemMap(at + i * bytes, bytes, 0, handles[i], 0));
    from = clock_ns();
    if (one_call)
        *result = cu.cuMemSetAccess(at, MOST * bytes, &card.access, 1);
    for (uint64_t i = 0; i < MOST && !one_call; i++)
        MUST(cu.cuMemSetAccess(at + i * bytes, bytes, &card.access, 1));
    us = (double)(clock_ns() - from) / 1e3;
    report_figure(us / MOST, "us", "access, a piece, %s", one_call ? "one call" : "a call each");
    from = clock_ns();
    if (one_call && *result == CUDA_SUCCESS)
        *result = cu.cuMemUnmap(at, MOST * bytes);
    if (!one_call || *result != CUDA_SUCCESS) {
        for (uint64_t i = 0; i < MOST; i++)
            MUST(cu.cuMemUnmap(at + i * bytes, bytes));
    }
    us += (double)(clock_ns() - from) / 1e3;
    report_figure((double)(clock_ns() - from) / 1e3 / MOST, "us", "unmap, a piece, %s",
                  one_call ? "one call" : "a call each");
    return us;
}

void experiment_batch(void)
{
    CUmemGenericAllocationHandle handles[MOST];
    CUresult result = CUDA_SUCCESS;
    double each, together;
    uint64_t bytes = 2 * MIB;
    CUdeviceptr at;

    card_open();
    card_need_host_memory();
    at = range_new(MOST * bytes);
    for (int i = 0; i < MOST; i++)
        handles[i] = physical_new(i % 2 ? &card.on_host : &card.on_device, bytes);
    each = ask_batch(at, handles, bytes, false, &result);
    together = ask_batch(at, handles, bytes, true, &result);
    report_figure((double)result, "", "result of one call for all");
    if (result != CUDA_SUCCESS)
        report_verdict(VERDICT_REFUTED, "one call for all is refused: %s", error_name(result));
    else
        report_verdict(VERDICT_CONFIRMED, "one call for %d pieces takes %.2f of a call for each",
                       MOST, together / each);
}
