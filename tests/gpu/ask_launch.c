/* SPDX-License-Identifier: MIT */
/*
 * What a program pays at its own calls: launches, the first of a kernel, and frees. Asked once more
 * under the preload library, with the same words.
 */
#include <stdlib.h>

#include "tests/gpu/card.h"
#include "tests/gpu/experiments.h"
#include "tests/gpu/report.h"

enum { LAUNCHES = 20000, PARAMETERS = 16 };

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void report_launches(const char *name, double *ns, size_t n)
{
    qsort(ns, n, sizeof(*ns), by_value);
    report_figure(ns[n / 2], "ns", "%s, median", name);
    report_figure(ns[n - 1 - n / 100], "ns", "%s, p99", name);
}

/* Launches whose parameters all point into one allocation. */
static void ask_launches(CUstream stream, enum kernel kernel, CUdeviceptr memory, const char *name)
{
    static double ns[LAUNCHES];
    uint64_t values[PARAMETERS];
    void *params[PARAMETERS];
    size_t n = scaled(LAUNCHES, 300);

    for (unsigned int i = 0; i < PARAMETERS; i++) {
        values[i] = memory + i * MIB;
        params[i] = &values[i];
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t from = clock_ns();

        MUST(cu.cuLaunchKernel(card.kernels[kernel], 1, 1, 1, 32, 1, 1, 0, stream, params, NULL));
        ns[i] = (double)(clock_ns() - from);
        if (i % 64 == 63)
            MUST(cu.cuStreamSynchronize(stream));
    }
    report_launches(name, ns, n);
}

/* The first launch of each of many functions: a module's, loaded anew each time. */
static void ask_first(CUstream stream, CUdeviceptr memory)
{
    enum { FIRST = 32 };
    double ns[FIRST];
    uint64_t value = memory;
    void *params[] = {&value, &value, &value, &value};

    for (int i = 0; i < FIRST; i++) {
        CUfunction function;
        CUmodule module;
        uint64_t from;

        MUST(cu.cuModuleLoadData(&module, kernels_text));
        MUST(cu.cuModuleGetFunction(&function, module, kernel_names[KERNEL_NOTHING]));
        from = clock_ns();
        MUST(cu.cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, stream, params, NULL));
        ns[i] = (double)(clock_ns() - from);
        MUST(cu.cuStreamSynchronize(stream));
        MUST(cu.cuModuleUnload(module));
    }
    report_launches("first launch of a kernel", ns, FIRST);
}

void experiment_launch(void)
{
    CUdeviceptr memory;
    CUstream stream;

    card_open();
    MUST(cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    MUST(cu.cuMemAlloc_v2(&memory, 32 * MIB));
    ask_launches(stream, KERNEL_NOTHING, memory, "launch with 4 pointers");
    ask_launches(stream, KERNEL_MANY, memory, "launch with 16 pointers");
    ask_first(stream, memory);
    report_verdict(VERDICT_MEASURED, "a launch with 16 pointers takes %.0f ns, p99 %.0f ns",
                   report_value(0, "launch with 16 pointers, median"),
                   report_value(0, "launch with 16 pointers, p99"));
}

/* Whether the call that frees came back only when the work of another stream was over. */
static bool free_waits(CUstream stream, double ms)
{
    CUdeviceptr memory;
    uint64_t from;
    double us;

    MUST(cu.cuMemAlloc_v2(&memory, 32 * MIB));
    MUST(cu.cuCtxSynchronize());
    kernel_busy(stream, ms);
    from = clock_ns();
    MUST(cu.cuMemFree_v2(memory));
    us = (double)(clock_ns() - from) / 1e3;
    report_figure(us / 1e3, "ms", "cuMemFree beside a kernel of %.0f ms", ms);
    MUST(cu.cuStreamSynchronize(stream));
    return us > 500 * ms;
}

/* Memory that is freed in stream order behind a slow reader, and taken again at once: what the
 * reader read must be what it was given. */
static bool is_free_in_order(CUstream stream, CUstream other, double ms, uint64_t bytes)
{
    CUdeviceptr first, second;
    uint64_t digest;

    MUST(cu.cuMemsetD8_v2(card.sum, 0, 8));
    MUST(cu.cuCtxSynchronize());
    MUST(cu.cuMemAllocAsync(&first, bytes, stream));
    kernel_launch(KERNEL_FILL, card.blocks, stream, first, bytes / 16, 21, 0);
    kernel_busy(stream, ms);
    if (card.simulated) /* what keeps it busy adds to the sum, too */
        MUST(cu.cuMemsetD8Async(card.sum, 0, 8, stream));
    kernel_read(stream, first, bytes);
    MUST(cu.cuMemFreeAsync(first, stream));
    MUST(cu.cuMemAllocAsync(&second, bytes, other));
    kernel_launch(KERNEL_FILL, card.blocks, other, second, bytes / 16, 22, 0);
    MUST(cu.cuStreamSynchronize(other));
    MUST(cu.cuStreamSynchronize(stream));
    MUST(cu.cuMemcpyDtoH_v2(&digest, card.sum, 8));
    MUST(cu.cuMemFreeAsync(second, other));
    MUST(cu.cuCtxSynchronize());
    return digest == fill_digest(bytes, 21);
}

void experiment_frees(void)
{
    double ms;
    bool waits, same, other;
    CUstream streams[2];

    card_open();
    ms = card.simulated ? 2 : 60;
    MUST(cu.cuStreamCreate(&streams[0], CU_STREAM_NON_BLOCKING));
    MUST(cu.cuStreamCreate(&streams[1], CU_STREAM_NON_BLOCKING));
    waits = free_waits(streams[0], ms);
    same = is_free_in_order(streams[0], streams[0], ms, 4 * MIB);
    other = is_free_in_order(streams[0], streams[1], ms, 4 * MIB);
    report_figure(waits, "", "cuMemFree waits for other streams");
    report_figure(same, "", "freed in order, taken again in the same stream");
    report_figure(other, "", "freed in order, taken again in another stream");
    report_verdict(waits && same && other ? VERDICT_CONFIRMED : VERDICT_REFUTED,
                   "cuMemFree %s; what was freed in order was read before it was %s",
                   waits ? "waits" : "does not wait",
                   same && other ? "given away" : "given away or not: wrong bytes");
}
