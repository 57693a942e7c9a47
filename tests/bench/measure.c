/* SPDX-License-Identifier: MIT */
#include "tests/bench/measure.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/stats.h"
#include "runtime/util.h"
#include "tests/bench/belady.h"
#include "tests/sim/sim.h"

enum {
    PROBE = 64 << 20, /* bytes by which the link is measured */
    FOLLOWED = 4,     /* last passes whose touches are followed */
    TOUCHES_MAX = 1 << 22,
};

static void must(CUresult result, const char *what)
{
    if (result == CUDA_SUCCESS)
        return;
    fprintf(stderr, "bench: %s gives error %d\n", what, (int)result);
    exit(1);
}
#define MUST(call) must(call, #call)

static double measure_link(void)
{
    CUdeviceptr to;
    uint64_t from_ns;
    uint64_t ns;
    void *from;

    MUST(cuMemHostAlloc(&from, PROBE, 0));
    MUST(cuMemAlloc_v2(&to, PROBE));
    MUST(cuMemcpyHtoD_v2(to, from, PROBE));
    from_ns = sim_clock_now();
    MUST(cuMemcpyHtoDAsync_v2(to, from, PROBE, program_stream));
    MUST(cuStreamSynchronize(program_stream));
    ns = sim_clock_now() - from_ns;
    MUST(cuMemFree_v2(to));
    MUST(cuMemFreeHost(from));
    return (double)PROBE * 1e9 / (double)ns;
}

static CUgraphExec capture(const struct program *program)
{
    CUgraphExec exec;
    CUgraph graph;

    MUST(cuStreamBeginCapture_v2(program_stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    program_captured = true;
    program->pass(0);
    program_captured = false;
    MUST(cuStreamEndCapture(program_stream, &graph));
    MUST(cuGraphInstantiateWithFlags(&exec, graph, 0));
    MUST(cuGraphDestroy(graph));
    return exec;
}

static void one_pass(const struct program *program, CUgraphExec exec, uint32_t number)
{
    if (program->decide)
        program->decide();
    if (!exec) {
        program->pass(number);
        return;
    }
    MUST(cuGraphLaunch(exec, program_stream));
    MUST(cuStreamSynchronize(program_stream));
    sim_clock_charge(30000);
}

uint32_t steady_passes(const struct measured *measured)
{
    uint32_t half = measured->passes / 2;

    return measured->passes > 20 ? half - half % measured->round : 3;
}

/* By the passes up to the steady ones, and then these; in pages that are as large as chunks. */
static void follow(const struct measure_options *options, size_t from, struct measured *out)
{
    struct sim_touch *touches = calloc(TOUCHES_MAX, sizeof(*touches));
    uint64_t *pages = calloc(TOUCHES_MAX, sizeof(*pages));
    uint64_t page_bytes = program_scale * 2 * MIB;
    size_t n = sim_touches(touches, TOUCHES_MAX);

    if (!touches || !pages || n > TOUCHES_MAX)
        exit(1);
    for (size_t i = 0; i < n; i++)
        pages[i] = touches[i].page / page_bytes;
    for (uint32_t i = 0; i < options->n_ratios; i++) {
        size_t capacity =
            (size_t)(((double)out->weights / options->ratios[i] + (double)out->written) /
                     (double)page_bytes);

        out->least[i] =
            (uint64_t)belady_misses(pages, n, from, capacity, 1) * page_bytes / steady_passes(out);
        out->by_age[i] =
            (uint64_t)belady_misses(pages, n, from, capacity, 0) * page_bytes / steady_passes(out);
    }
    free(pages);
    free(touches);
}

void measure(const struct program *program, const struct measure_options *options,
             struct measured *out)
{
    bool follows = options->n_ratios > 0;
    CUgraphExec exec = NULL;
    size_t steady_from = 0;
    CUcontext context;

    *out = (struct measured){
        .passes = program->passes, .round = program->round, .window = program->window};
    MUST(cuInit(0));
    MUST(cuDevicePrimaryCtxRetain(&context, 0));
    MUST(cuCtxSetCurrent(context));
    programs_init();
    out->link = measure_link();
    program->start();
    out->weights = program_weights;
    out->written = program_written;
    if (options->graph)
        exec = capture(program);
    for (uint32_t i = 0; i < out->passes; i++) {
        struct sim_stats before;
        struct sim_stats after;
        uint64_t from_ns = sim_clock_now();
        uint64_t only = stats_get(bytes_to_host_first);

        if (follows && i + 2 * steady_passes(out) == out->passes)
            sim_touch_log(1);
        if (follows && i + steady_passes(out) == out->passes)
            steady_from = sim_touches(NULL, 0);
        sim_get_stats(&before);
        one_pass(program, exec, i);
        sim_get_stats(&after);
        out->pass_ns[i] = sim_clock_now() - from_ns;
        out->device_most = after.device_most;
        out->in_place = after.kernel_bytes_host - before.kernel_bytes_host;
        out->pass_up[i] = after.bytes_to_device - before.bytes_to_device + out->in_place;
        out->pass_down[i] = after.bytes_to_host - before.bytes_to_host;
        out->pass_only[i] = stats_get(bytes_to_host_first) - only;
    }
    if (follows)
        follow(options, steady_from, out);
    MUST(cuDevicePrimaryCtxRelease_v2(0));
}
