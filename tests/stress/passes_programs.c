/* SPDX-License-Identifier: MIT */
#include "tests/stress/passes.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/stats.h"
#include "runtime/util.h"
#include "tests/sim/sim.h"

enum {
    PAGE = 2 << 20,
    STEP = 64 << 10, /* a kernel is charged for all of it and looks at its first word */
    TENSORS_MAX = 64,
    TOUCHES_MAX = 1 << 16,
};

CUstream passes_stream;
static CUstream second_stream;
static struct passes_result result;
static bool is_started;
static CUmodule module;
static CUdeviceptr sums[2];  /* one for each stream */
static CUdeviceptr cache;    /* that is written all the time */
static CUdeviceptr pointers; /* to the tensors, in device memory */

static struct {
    CUdeviceptr at[TENSORS_MAX];
    uint64_t bytes[TENSORS_MAX];
    uint32_t n;
    CUdeviceptr slab;
    uint64_t slab_bytes;
} model;

void (*passes_on_error)(CUresult error, const char *call);

void passes_must(CUresult error, const char *call)
{
    if (error == CUDA_SUCCESS)
        return;
    if (passes_on_error)
        passes_on_error(error, call);
    fprintf(stderr, "passes: %s gives error %d\n", call, (int)error);
    exit(3);
}
#define MUST(call) passes_must(call, #call)

/* Kernels */

static void mix(uint64_t sum_at, uint64_t at, uint64_t bytes)
{
    uint32_t *sum = sim_kernel_access(sum_at, 4, 1);

    for (uint64_t done = 0; sum && done < bytes;) {
        uint64_t run = min_u64(STEP - (at + done) % STEP, bytes - done);
        const uint32_t *word = sim_kernel_access(at + done, run, 0);

        if (!word)
            return;
        *sum = *sum * 33 + *word;
        done += run;
    }
}

static void put(uint64_t at, uint64_t bytes, uint32_t value)
{
    for (uint64_t done = 0; done < bytes; done += STEP - (at + done) % STEP) {
        uint32_t *word = sim_kernel_access(at + done, 4, 1);

        if (!word)
            return;
        *word = value + (uint32_t)(done / STEP);
    }
}

struct four {
    uint64_t a, b, c, d;
};
static const size_t four_offsets[] = {0, 8, 16, 24};
static const size_t four_sizes[] = {8, 8, 8, 8};

/* read(sum, at, bytes, offset): the pointer may be anywhere, the offset leads to what is read. */
static void read_run(const void *params)
{
    const struct four *p = params;

    mix(p->a, p->b + p->d, p->c);
}

/* read_via(sum, pointers, index, bytes) */
static void read_via_run(const void *params)
{
    const struct four *p = params;
    const uint64_t *at = sim_kernel_access(p->b + 8 * p->c, 8, 0);

    if (at)
        mix(p->a, *at, p->d);
}

/* write(at, bytes, value, unused) */
static void write_run(const void *params)
{
    const struct four *p = params;

    put(p->a, p->b, (uint32_t)p->c);
}

/* write_via(pointers, index, bytes, value) */
static void write_via_run(const void *params)
{
    const struct four *p = params;
    const uint64_t *at = sim_kernel_access(p->a + 8 * p->b, 8, 0);

    if (at)
        put(*at, p->c, (uint32_t)p->d);
}

enum { READ, READ_VIA, WRITE, WRITE_VIA, KERNELS };
static const struct sim_native_kernel kernels[KERNELS] = {
    {"read", 4, four_offsets, four_sizes, read_run},
    {"read_via", 4, four_offsets, four_sizes, read_via_run},
    {"write", 4, four_offsets, four_sizes, write_run},
    {"write_via", 4, four_offsets, four_sizes, write_via_run},
};
static CUfunction functions[KERNELS];

static void launch_in(CUstream stream, int kernel, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    void *params[] = {&a, &b, &c, &d};

    MUST(cuLaunchKernel(functions[kernel], 1, 1, 1, 1, 1, 1, 0, stream, params, NULL));
}

static void launch(int kernel, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    launch_in(passes_stream, kernel, a, b, c, d);
}

static void read_tensor(uint32_t i)
{
    launch(READ, sums[0], model.at[i], model.bytes[i], 0);
}

/* Models */

static void load_module(void)
{
    MUST(cuModuleLoadData(&module, "SIM-NATIVE\n.version 0"));
    for (int i = 0; i < KERNELS; i++)
        MUST(cuModuleGetFunction(&functions[i], module, kernels[i].name));
}

static CUdeviceptr allocate_written(uint64_t bytes)
{
    CUdeviceptr at;

    MUST(cuMemAlloc_v2(&at, bytes));
    MUST(cuMemsetD8_v2(at, 0, bytes));
    result.written += align_up(bytes, PAGE);
    return at;
}

static void fill(CUdeviceptr at, uint64_t bytes, uint32_t seed)
{
    for (uint64_t done = 0; done < bytes; done += STEP - (at + done) % STEP) {
        uint32_t word = (uint32_t)((seed + done / STEP + 1) * 2654435761u);

        MUST(cuMemcpyHtoD_v2(at + done, &word, sizeof(word)));
    }
}

static void add_tensor(CUdeviceptr at, uint64_t bytes)
{
    model.at[model.n] = at;
    model.bytes[model.n] = bytes;
    fill(at, bytes, 1000 * model.n);
    passes_have_loaded(at, bytes);
    result.weights += bytes;
    model.n++;
}

static void make_pointers(void)
{
    MUST(cuMemAlloc_v2(&pointers, TENSORS_MAX * sizeof(uint64_t)));
    MUST(cuMemcpyHtoD_v2(pointers, model.at, model.n * sizeof(model.at[0])));
}

/* Tensors with allocations of their own, of 1.5 to 4 MiB. */
static void start_tensors(void)
{
    for (uint32_t i = 0; i < 16; i++) {
        uint64_t bytes = (3 + i % 6) * (PAGE / 4);
        CUdeviceptr at;

        MUST(cuMemAlloc_v2(&at, bytes));
        add_tensor(at, bytes);
    }
    cache = allocate_written(PAGE);
    make_pointers();
}

/* One allocation, cut without regard for chunks. */
static void start_slab(void)
{
    uint64_t at = 0;

    model.slab_bytes = 20 * PAGE;
    MUST(cuMemAlloc_v2(&model.slab, model.slab_bytes));
    for (uint32_t i = 0; at < model.slab_bytes; i++) {
        uint64_t bytes = min_u64(1300 * KIB + 256 * (i % 5) * KIB, model.slab_bytes - at);

        add_tensor(model.slab + at, bytes);
        at += bytes;
    }
    cache = allocate_written(PAGE);
    make_pointers();
}

static void read_all(uint32_t number)
{
    (void)number;
    for (uint32_t i = 0; i < model.n; i++)
        read_tensor(i);
}

/* With a cache that grows by a row a pass, and activations. */
static void decode_pass(uint32_t number)
{
    for (uint32_t i = 0; i < model.n; i++) {
        if (i % 4 == 1) {
            launch(WRITE, cache + (uint64_t)(i % 8) * STEP, STEP, number * 100 + i, 0);
            launch(READ, sums[0], cache, PAGE, 0);
        }
        read_tensor(i);
    }
}

/* Some tensors are only ever reached through pointers in device memory. */
static void via_pass(uint32_t number)
{
    (void)number;
    for (uint32_t i = 0; i < model.n; i++) {
        if (i % 3)
            read_tensor(i);
        else
            launch(READ_VIA, sums[0], pointers, i, model.bytes[i]);
    }
}

/* The pointer that is given lies before the tensor, or behind it, near and far. */
static void edges_pass(uint32_t number)
{
    static const int64_t away[] = {64, -64, 512 << 10, -(512 << 10), 3 << 20, -(5 << 20), 9 << 20};

    (void)number;
    for (uint32_t i = 0; i < model.n; i++) {
        uint64_t at = model.at[i] + (uint64_t)away[i % 7];

        if (at - model.slab >= model.slab_bytes)
            at = model.at[i];
        launch(READ, sums[0], at, model.bytes[i], model.at[i] - at);
    }
}

/* All kernels are given the begin of the slab. */
static void base_pass(uint32_t number)
{
    (void)number;
    for (uint32_t i = 0; i < model.n; i++)
        launch(READ, sums[0], model.slab, model.bytes[i], model.at[i] - model.slab);
}

/* Weights that are written every few passes, in ways that may be seen coming and others. */
static void kernel_updates_pass(uint32_t number)
{
    for (uint32_t i = 0; i < model.n; i++) {
        read_tensor(i);
        if (number % 3 == 2 && i % 4 == 0)
            launch(WRITE, model.at[i], model.bytes[i], number, 0);
        if (number % 3 == 2 && i % 8 == 0)
            read_tensor(i);
    }
}

static void via_updates_pass(uint32_t number)
{
    for (uint32_t i = 0; i < model.n; i++) {
        read_tensor(i);
        if (number % 3 == 0 && i % 4 == 0)
            launch(WRITE_VIA, pointers, (i + 5) % model.n, STEP, number * 7);
    }
}

static uint32_t *host_words;

static void start_host_updates(void)
{
    start_tensors();
    MUST(cuMemHostAlloc((void **)&host_words, 4096, 0));
    memset(host_words, 0, 4096);
}

static void CUDA_CB write_host_words(void *number)
{
    for (uint32_t i = 0; i < 16; i++)
        host_words[i] += (uint32_t)(uintptr_t)number + i;
}

/* A host function writes what a copy brings to a weight. */
static void host_updates_pass(uint32_t number)
{
    for (uint32_t i = 0; i < model.n; i++) {
        read_tensor(i);
        if (number % 4 != 3 || i != 5)
            continue;
        MUST(cuLaunchHostFunc(passes_stream, write_host_words, (void *)(uintptr_t)number));
        for (uint32_t k = 0; k < model.n; k += 3)
            MUST(cuMemcpyHtoDAsync_v2(model.at[k], &host_words[k], 4, passes_stream));
    }
}

static void memsets_pass(uint32_t number)
{
    for (uint32_t i = 0; i < model.n; i++) {
        read_tensor(i);
        if (number % 4 == 3 && i % 3 == 0)
            MUST(cuMemsetD32Async(model.at[(i + 1) % model.n], number, 16, passes_stream));
        if (number % 5 == 4 && i % 6 == 0)
            MUST(cuMemcpyDtoDAsync_v2(model.at[(i + 2) % model.n], model.at[i], PAGE / 2,
                                      passes_stream));
    }
}

static void copies_between(uint32_t number)
{
    uint32_t word = number * 77;

    if (number % 3 == 1)
        MUST(cuMemcpyHtoD_v2(model.at[number % model.n] + STEP, &word, sizeof(word)));
}

/* A cache that is written with the same bytes for some passes. */
static void same_then_other_pass(uint32_t number)
{
    for (uint32_t i = 0; i < model.n; i++) {
        if (i % 4 == 2)
            launch(WRITE, model.at[i] + STEP, STEP, number < 7 ? 5 : number, 0);
        read_tensor(i);
    }
}

static void realloc_pass(uint32_t number)
{
    for (uint32_t i = 0; i < model.n; i++) {
        read_tensor(i);
        if (number % 4 == 3 && i % 5 == 0) {
            MUST(cuStreamSynchronize(passes_stream));
            MUST(cuMemFree_v2(model.at[i]));
            MUST(cuMemAlloc_v2(&model.at[i], model.bytes[i]));
            fill(model.at[i], model.bytes[i], number + i);
            read_tensor(i);
        }
    }
}

static uint32_t dice_state = 7;

static uint32_t dice(uint32_t n)
{
    dice_state = dice_state * 1664525 + 1013904223;
    return (dice_state >> 8) % n;
}

static void random_pass(uint32_t number)
{
    for (uint32_t i = 0; i < model.n; i++)
        read_tensor(number < 5 ? i : dice(model.n));
}

/* One tensor that is larger than any ring. */
static void start_large(void)
{
    CUdeviceptr at;

    MUST(cuMemAlloc_v2(&at, 16 * PAGE));
    add_tensor(at, 16 * PAGE);
    for (uint32_t i = 0; i < 8; i++) {
        MUST(cuMemAlloc_v2(&at, PAGE));
        add_tensor(at, PAGE);
    }
    cache = allocate_written(PAGE);
}

static void *read_odd(void *context)
{
    CUcontext current = context;

    MUST(cuCtxSetCurrent(current));
    for (uint32_t i = 1; i < model.n; i += 2)
        launch_in(second_stream, READ, sums[1], model.at[i], model.bytes[i], 0);
    return NULL;
}

static void threads_pass(uint32_t number)
{
    CUcontext current;
    pthread_t thread;

    (void)number;
    MUST(cuCtxGetCurrent(&current));
    if (pthread_create(&thread, NULL, read_odd, current))
        exit(1);
    for (uint32_t i = 0; i < model.n; i += 2)
        read_tensor(i);
    pthread_join(thread, NULL);
    MUST(cuStreamSynchronize(second_stream));
}

/* Functions get other handles, and perhaps each other's. */
static void reload_between(uint32_t number)
{
    if (number % 4 != 3)
        return;
    MUST(cuModuleUnload(module));
    load_module();
}

static void more_memory_between(uint32_t number)
{
    static CUdeviceptr more;

    if (more)
        MUST(cuMemFree_v2(more));
    MUST(cuMemAlloc_v2(&more, (1 + number % 3) * PAGE));
    fill(more, PAGE, number);
    launch(READ, sums[0], more, PAGE, 0);
    launch(WRITE, more, PAGE, number, 0);
    launch(READ, sums[0], more, PAGE, 0);
    MUST(cuStreamSynchronize(passes_stream));
}

/* Two halves that take turns in an uneven way. */
static void turns_pass(uint32_t number)
{
    uint32_t half = model.n / 2;
    uint32_t from = number % 4 == 3 ? half : 0;

    for (uint32_t i = 0; i < half; i++)
        read_tensor(from + i);
}

static void fresh_start(void)
{
    MUST(cuStreamCreate(&passes_stream, CU_STREAM_NON_BLOCKING));
    MUST(cuStreamCreate(&second_stream, CU_STREAM_NON_BLOCKING));
    load_module();
    for (int i = 0; i < 2; i++) {
        MUST(cuMemAlloc_v2(&sums[i], 4));
        MUST(cuMemsetD32_v2(sums[i], 0, 1));
    }
}

static void add_up(void)
{
    for (int i = 0; i < 2; i++) {
        uint32_t sum;

        MUST(cuMemcpyDtoH_v2(&sum, sums[i], sizeof(sum)));
        result.sum = result.sum * 31 + sum;
    }
}

/* What was in it is gone, and so is all that a plan held. */
static void reset_between(uint32_t number)
{
    CUcontext context;

    if (number % 6 != 5)
        return;
    add_up();
    MUST(cuDevicePrimaryCtxReset_v2(0));
    MUST(cuDevicePrimaryCtxRetain(&context, 0));
    MUST(cuCtxSetCurrent(context));
    memset(&model, 0, sizeof(model));
    result.weights = result.written = result.n_tensors = 0;
    fresh_start();
    start_tensors();
}

const struct passes_program passes_programs[] = {
    {"tensors", 10, start_tensors, read_all, NULL, false},
    {"slab", 10, start_slab, read_all, NULL, false},
    {"decode", 12, start_tensors, decode_pass, NULL, false},
    {"decode-slab", 12, start_slab, decode_pass, NULL, false},
    {"pointers", 10, start_tensors, via_pass, NULL, false},
    {"edges", 10, start_slab, edges_pass, NULL, false},
    {"base", 10, start_slab, base_pass, NULL, false},
    {"kernel-updates", 14, start_tensors, kernel_updates_pass, NULL, false},
    {"pointer-updates", 14, start_slab, via_updates_pass, NULL, false},
    {"host-updates", 14, start_host_updates, host_updates_pass, NULL, false},
    {"memsets", 14, start_slab, memsets_pass, NULL, false},
    {"copies", 14, start_slab, read_all, copies_between, false},
    {"same-then-other", 14, start_slab, same_then_other_pass, NULL, false},
    {"realloc", 14, start_tensors, realloc_pass, NULL, true},
    {"random", 12, start_slab, random_pass, NULL, false},
    {"large", 10, start_large, read_all, NULL, false},
    {"threads", 12, start_slab, threads_pass, NULL, true},
    {"reload", 14, start_slab, read_all, reload_between, false},
    {"more-memory", 14, start_tensors, read_all, more_memory_between, false},
    {"turns", 20, start_tensors, turns_pass, NULL, false},
    {"reset", 14, start_tensors, decode_pass, reset_between, true},
    {NULL},
};

/* The pass as a graph; the one before is updated to it where the driver takes that. */
static void run_captured(const struct passes_program *program, uint32_t number)
{
    static CUgraphExec exec;
    CUgraphExecUpdateResultInfo info;
    CUgraph graph;

    MUST(cuStreamBeginCapture_v2(passes_stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    program->pass(number);
    MUST(cuStreamEndCapture(passes_stream, &graph));
    if (exec && cuGraphExecUpdate_v2(exec, graph, &info) != CUDA_SUCCESS) {
        MUST(cuGraphExecDestroy(exec));
        exec = NULL;
    }
    if (!exec)
        MUST(cuGraphInstantiateWithFlags(&exec, graph, 0));
    MUST(cuGraphDestroy(graph));
    MUST(cuGraphLaunch(exec, passes_stream));
    if (number + 1 == program->passes) {
        MUST(cuStreamSynchronize(passes_stream));
        MUST(cuGraphExecDestroy(exec));
    }
}

void passes_are_about(uint64_t weights)
{
    result.weights = weights;
}

void passes_also_write(uint64_t bytes)
{
    result.written += bytes;
}

void passes_have_loaded(CUdeviceptr at, uint64_t bytes)
{
    uint8_t *copy;

    if (!is_started && result.n_tensors < PASSES_TENSORS_MAX)
        result.tensors[result.n_tensors++] = bytes;
    if (!getenv("VRAMSHIM_PLAN"))
        return;
    copy = malloc(bytes);
    if (!copy)
        exit(3);
    MUST(cuStreamSynchronize(passes_stream));
    MUST(cuMemcpyDtoH_v2(copy, at, bytes));
    MUST(cuMemcpyHtoD_v2(at, copy, bytes));
    free(copy);
}

static uint64_t launches_on_host(void)
{
    static struct sim_touch touches[TOUCHES_MAX];
    size_t n = min_u64(sim_touches(touches, TOUCHES_MAX), TOUCHES_MAX);
    uint64_t last = UINT64_MAX;
    uint64_t launches = 0;

    for (size_t i = 0; i < n; i++) {
        if (!touches[i].on_host || touches[i].launch == last)
            continue;
        last = touches[i].launch;
        launches++;
    }
    return launches;
}

static void run_pass(const struct passes_program *program, uint32_t number, bool graph)
{
    bool streams = stats_get(launches_redirected) > 0;

    sim_touch_log(streams);
    if (graph)
        run_captured(program, number);
    else
        program->pass(number);
    MUST(cuStreamSynchronize(passes_stream));
    result.surprises += streams ? launches_on_host() : 0;
    if (program->between)
        program->between(number);
}

/* What a program does not free itself is gone with the context. */
static bool is_left(void)
{
    for (int i = 0; i < COUNTER_COUNT; i++) {
        if (counter_is_gauge(i) && atomic_load(&stats_counters[i])) {
            fprintf(stderr, "passes: %s is not 0 at the end\n", counter_name(i));
            return true;
        }
    }
    return false;
}

uint64_t passes_faults(void)
{
    struct sim_stats stats;

    sim_get_stats(&stats);
    return stats.illegal_addresses;
}

struct passes_result passes_run(const struct passes_program *program, bool graph)
{
    CUcontext context;

    MUST(cuInit(0));
    MUST(cuDevicePrimaryCtxRetain(&context, 0));
    MUST(cuCtxSetCurrent(context));
    for (int i = 0; i < KERNELS; i++)
        sim_register_kernel(&kernels[i]);
    fresh_start();
    program->start();
    is_started = true;
    for (uint32_t i = 0; i < program->passes; i++)
        run_pass(program, i, graph);
    if (program->stop)
        result.sum = program->stop();
    else
        add_up();
    result.faults = passes_faults();
    result.redirected = stats_get(launches_redirected);
    result.swapped = stats_get(chunks_swapped);
    result.in_place = stats_get(launches_in_place);
    MUST(cuDevicePrimaryCtxReset_v2(0));
    result.left = is_left();
    return result;
}
