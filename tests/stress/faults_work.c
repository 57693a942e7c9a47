/* SPDX-License-Identifier: MIT */
/*
 * See faults.h. A call that fails does nothing, or, where the shim made several of one, some of it:
 * each byte then is what it was or what it should have become. That is checked, and the bytes are
 * written again so that what follows is known.
 */
#include "tests/stress/faults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/stats.h"
#include "tests/sim/sim.h"
#include "tests/stress/kernels.h"

enum {
    BUFFERS = 7,                           /* the last is small, the one before comes late */
    BUFFER_BYTES = (2 << 20) + (64 << 10), /* into a second chunk */
    SHORT_BYTES = (2 << 20) - 4096,
    SMALL_BYTES = 4096,
    ATTEMPTS = 3, /* of a call that must not be left undone */
};

struct buffer {
    CUdeviceptr at; /* 0: not allocated */
    size_t bytes;
    uint8_t *model;
    bool stream_ordered;
};

struct program {
    CUresult injected;
    struct report *report;
    bool failed; /* some call did */
    jmp_buf end;
    CUdevice device;
    CUcontext context;
    struct kernels kernels;
    CUstream stream;
    CUevent event;
    struct buffer buffers[BUFFERS];
    uint8_t *host;
    uint8_t *after;
};

__attribute__((noreturn, format(printf, 3, 4))) static void
give_up(struct program *program, enum outcome outcome, const char *format, ...)
{
    va_list args;

    program->report->outcome = outcome;
    va_start(args, format);
    vsnprintf(program->report->detail, sizeof(program->report->detail), format, args);
    va_end(args);
    longjmp(program->end, 1);
}

static const char *error_name(CUresult result)
{
    const char *name = NULL;

    return cuGetErrorName(result, &name) == CUDA_SUCCESS && name ? name : "an unknown error";
}

/* True when the call did what it says. */
static bool did(struct program *program, CUresult result, const char *call)
{
    if (result == CUDA_SUCCESS)
        return true;
    program->failed = true;
    if (result != program->injected && result != CUDA_ERROR_OUT_OF_MEMORY)
        give_up(program, OUTCOME_OTHER_ERROR, "%s gives %s", call, error_name(result));
    if (result == CUDA_ERROR_OUT_OF_MEMORY && result != program->injected &&
        strncmp(call, "cuMemAlloc", 10) != 0)
        give_up(program, OUTCOME_OTHER_ERROR, "%s gives %s", call, error_name(result));
    return false;
}

#define DID(program, call, ...) did(program, call(__VA_ARGS__), #call)

/* For calls without which nothing works: tried again, for an injected error comes once. */
#define MUST(program, call, ...)                                                                   \
    do {                                                                                           \
        int attempt = 0;                                                                           \
                                                                                                   \
        while (!DID(program, call, __VA_ARGS__))                                                   \
            if (++attempt == ATTEMPTS)                                                             \
                give_up(program, OUTCOME_OTHER_ERROR, #call " fails again and again");             \
    } while (0)

static void compare(struct program *program, const struct buffer *buffer, const uint8_t *after)
{
    MUST(program, cuStreamSynchronize, program->stream);
    MUST(program, cuMemcpyDtoH, program->host, buffer->at, buffer->bytes);
    if (memcmp(program->host, buffer->model, buffer->bytes) == 0)
        return;
    for (size_t i = 0; i < buffer->bytes; i++) {
        if (program->host[i] == buffer->model[i] || (after && program->host[i] == after[i]))
            continue;
        give_up(program, OUTCOME_WRONG_DATA, "buffer %td has 0x%02x at offset %zu, not 0x%02x",
                buffer - program->buffers, program->host[i], i, buffer->model[i]);
    }
}

/* An operation that turns buffer's model into program->after is done, or failed on the way. */
static void settle(struct program *program, struct buffer *buffer, bool done)
{
    if (!done) {
        compare(program, buffer, program->after);
        MUST(program, cuMemcpyHtoD, buffer->at, program->after, buffer->bytes);
    }
    memcpy(buffer->model, program->after, buffer->bytes);
}

static void begin(struct program *program, const struct buffer *buffer)
{
    memcpy(program->after, buffer->model, buffer->bytes);
}

/* Contents of a new buffer are known only once all of it is written. */
static void fill_new(struct program *program, struct buffer *buffer, uint8_t value)
{
    memset(buffer->model, value, buffer->bytes);
    for (size_t i = 0; i < buffer->bytes; i += 509)
        buffer->model[i] = (uint8_t)(i / 509);
    MUST(program, cuMemcpyHtoDAsync, buffer->at, buffer->model, buffer->bytes, program->stream);
    MUST(program, cuStreamSynchronize, program->stream);
}

static void allocate(struct program *program, size_t index, size_t bytes, bool stream_ordered)
{
    struct buffer *buffer = &program->buffers[index];
    bool done;

    buffer->bytes = bytes;
    buffer->stream_ordered = stream_ordered;
    if (stream_ordered)
        done = DID(program, cuMemAllocAsync, &buffer->at, bytes, program->stream);
    else
        done = DID(program, cuMemAlloc, &buffer->at, bytes);
    if (!done) {
        buffer->at = 0;
        return;
    }
    fill_new(program, buffer, (uint8_t)(index * 17 + 3));
}

static void release(struct program *program, size_t index)
{
    struct buffer *buffer = &program->buffers[index];

    if (!buffer->at)
        return;
    if (buffer->stream_ordered)
        MUST(program, cuMemFreeAsync, buffer->at, program->stream);
    else
        MUST(program, cuMemFree, buffer->at);
    buffer->at = 0;
}

static void launch(struct program *program, size_t to, size_t from, size_t offset)
{
    struct buffer *target = &program->buffers[to];
    struct buffer *source = &program->buffers[from];
    struct mix_params p = {.n = 3000, .key = (uint32_t)(to + 7 * from)};
    void *params[] = {&p.to, &p.from, &p.n, &p.key};

    if (!target->at || !source->at)
        return;
    p.to = target->at + offset;
    p.from = source->at + offset;
    begin(program, target);
    for (size_t i = offset; i < offset + p.n; i++)
        program->after[i] = mix_byte(target->model[i], source->model[i], p.key);
    settle(program, target,
           DID(program, cuLaunchKernel, program->kernels.mix, 1, 1, 1, 32, 1, 1, 0, program->stream,
               params, NULL));
}

static void copy(struct program *program, size_t to, size_t from)
{
    struct buffer *target = &program->buffers[to];
    struct buffer *source = &program->buffers[from];
    size_t bytes = (1 << 20) + 300;

    if (!target->at || !source->at)
        return;
    begin(program, target);
    memcpy(program->after + 100, source->model + 1000000, bytes);
    settle(program, target,
           DID(program, cuMemcpyDtoDAsync, target->at + 100, source->at + 1000000, bytes,
               program->stream));
    MUST(program, cuStreamSynchronize, program->stream);
}

/* 64 rows that reach from one chunk into the next. */
static void copy_rows(struct program *program, size_t to, size_t from)
{
    struct buffer *target = &program->buffers[to];
    struct buffer *source = &program->buffers[from];
    CUDA_MEMCPY2D rows = {
        .srcMemoryType = CU_MEMORYTYPE_DEVICE,
        .srcDevice = source->at,
        .srcPitch = 33000,
        .dstMemoryType = CU_MEMORYTYPE_DEVICE,
        .dstDevice = target->at,
        .dstPitch = 33000,
        .WidthInBytes = 1000,
        .Height = 64,
    };

    if (!target->at || !source->at)
        return;
    begin(program, target);
    for (size_t row = 0; row < rows.Height; row++)
        memcpy(program->after + row * 33000, source->model + row * 33000, 1000);
    MUST(program, cuStreamSynchronize, program->stream);
    settle(program, target, DID(program, cuMemcpy2D, &rows));
    MUST(program, cuStreamSynchronize, CU_STREAM_LEGACY);
}

static void fill(struct program *program, size_t to)
{
    struct buffer *target = &program->buffers[to];

    if (!target->at)
        return;
    begin(program, target);
    memset(program->after + 5000, 0x3c, 2100000);
    settle(program, target,
           DID(program, cuMemsetD8Async, target->at + 5000, 0x3c, 2100000, program->stream));
    MUST(program, cuStreamSynchronize, program->stream);
}

static void call_nothing(void *unused)
{
    (void)unused;
}

/* A kernel and a host function, built; nothing comes of it when a call fails. */
static bool build_graph(struct program *program, CUgraph graph, struct mix_params *p)
{
    void *params[] = {&p->to, &p->from, &p->n, &p->key};
    CUDA_KERNEL_NODE_PARAMS kernel = {program->kernels.mix, 1, 1, 1, 32, 1, 1, 0, params};
    CUDA_HOST_NODE_PARAMS host = {.fn = call_nothing};
    CUgraphNode nodes[2];

    return DID(program, cuGraphAddKernelNode, &nodes[0], graph, NULL, 0, &kernel) &&
           DID(program, cuGraphAddHostNode, &nodes[1], graph, &nodes[0], 1, &host);
}

/* The same kernel and a memset over two chunks, captured into the graph. */
static bool capture_graph(struct program *program, CUgraph graph, struct mix_params *p,
                          CUdeviceptr filled)
{
    void *params[] = {&p->to, &p->from, &p->n, &p->key};
    bool done;

    if (!DID(program, cuStreamBeginCaptureToGraph, program->stream, graph, NULL, NULL, 0,
             CU_STREAM_CAPTURE_MODE_RELAXED))
        return false;
    done = DID(program, cuLaunchKernel, program->kernels.mix, 1, 1, 1, 32, 1, 1, 0, program->stream,
               params, NULL) &&
           DID(program, cuMemsetD8Async, filled, 0x5a, 8192, program->stream);
    MUST(program, cuStreamEndCapture, program->stream, &graph);
    return done;
}

static void launch_graph(struct program *program, CUgraph graph, struct buffer *target)
{
    CUgraphExec exec;

    if (!DID(program, cuGraphInstantiate, &exec, graph, 0))
        return;
    (void)DID(program, cuGraphUpload, exec, program->stream);
    settle(program, target, DID(program, cuGraphLaunch, exec, program->stream));
    MUST(program, cuGraphExecDestroy, exec);
}

static void use_graph(struct program *program, size_t to, size_t from, bool captured)
{
    struct buffer *target = &program->buffers[to];
    struct buffer *source = &program->buffers[from];
    struct mix_params p = {target->at, source->at, 3000, 77};
    size_t border = (2 << 20) - 4096;
    CUgraph graph;

    if (!target->at || !source->at)
        return;
    MUST(program, cuGraphCreate, &graph, 0);
    begin(program, target);
    for (size_t i = 0; i < p.n; i++)
        program->after[i] = mix_byte(target->model[i], source->model[i], p.key);
    if (captured)
        memset(program->after + border, 0x5a, 8192);
    if (captured ? capture_graph(program, graph, &p, target->at + border)
                 : build_graph(program, graph, &p))
        launch_graph(program, graph, target);
    MUST(program, cuGraphDestroy, graph);
}

static void ask(struct program *program)
{
    size_t free_bytes, total_bytes, bytes;
    CUdeviceptr base;
    unsigned int type;

    (void)DID(program, cuMemGetInfo, &free_bytes, &total_bytes);
    if (!program->buffers[0].at)
        return;
    if (DID(program, cuMemGetAddressRange, &base, &bytes, program->buffers[0].at + 9) &&
        base != program->buffers[0].at)
        give_up(program, OUTCOME_WRONG_DATA, "the address range begins elsewhere");
    (void)DID(program, cuPointerGetAttribute, &type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
              program->buffers[0].at);
}

static void start(struct program *program)
{
    const char *why = NULL;

    MUST(program, cuInit, 0);
    MUST(program, cuDeviceGet, &program->device, 0);
    MUST(program, cuDevicePrimaryCtxRetain, &program->context, program->device);
    MUST(program, cuCtxSetCurrent, program->context);
    MUST(program, cuStreamCreate, &program->stream, CU_STREAM_NON_BLOCKING);
    MUST(program, cuEventCreate, &program->event, CU_EVENT_DISABLE_TIMING);
    MUST(program, kernels_open, &program->kernels, &why);
}

static void finish(struct program *program)
{
    for (size_t i = 0; i < BUFFERS; i++)
        if (program->buffers[i].at)
            compare(program, &program->buffers[i], NULL);
    for (size_t i = 0; i < BUFFERS; i++)
        release(program, i);
    MUST(program, cuCtxSynchronize);
    MUST(program, cuEventDestroy, program->event);
    MUST(program, cuStreamDestroy, program->stream);
    kernels_close(&program->kernels);
    MUST(program, cuDevicePrimaryCtxRelease, program->device);
}

static void use_memory(struct program *program)
{
    for (size_t i = 0; i < BUFFERS - 2; i++)
        allocate(program, i, BUFFER_BYTES, i % 3 == 1);
    allocate(program, BUFFERS - 1, SMALL_BYTES, false);
    for (size_t i = 0; i < BUFFERS - 2; i++)
        launch(program, i, (i + 1) % (BUFFERS - 2), i % 2 ? 2 << 20 : 1000);
    copy(program, 0, 3);
    copy_rows(program, 4, 2);
    fill(program, 3);
    ask(program);
    use_graph(program, 2, 3, true);
    use_graph(program, 0, 2, true);
    MUST(program, cuEventRecord, program->event, program->stream);
    release(program, 1);
    allocate(program, 1, BUFFER_BYTES, true); /* the same memory, by the order of the stream */
    /* The launch is still to run, in a chunk to which the next allocation does not reach. */
    launch(program, 4, 0, 2 << 20);
    release(program, 4);
    allocate(program, 5, SHORT_BYTES, false);
    release(program, 0);
    allocate(program, 0, BUFFER_BYTES, false);
    allocate(program, 4, BUFFER_BYTES - 9999, true);
    for (size_t i = 0; i < BUFFERS - 1; i++)
        launch(program, (i + 2) % (BUFFERS - 1), i, 2090000);
    use_graph(program, 3, 0, false);
    MUST(program, cuEventSynchronize, program->event);
}

/* Ends with the contexts, and by it everything, gone; one buffer goes without being freed. */
static void use_again(struct program *program)
{
    start(program);
    allocate(program, 0, BUFFER_BYTES, false);
    allocate(program, 1, BUFFER_BYTES, true);
    launch(program, 0, 1, 0);
    if (program->buffers[1].at)
        compare(program, &program->buffers[1], NULL);
    program->buffers[1].at = 0;
    finish(program);
}

static void look_for_left_overs(struct program *program)
{
    struct sim_stats now;

    sim_get_stats(&now);
    if (now.illegal_addresses)
        give_up(program, OUTCOME_WRONG_DATA, "%llu accesses to illegal addresses",
                (unsigned long long)now.illegal_addresses);
    if (now.device_used || now.host_used || now.mappings || now.handles || now.reservations > 1)
        give_up(program, OUTCOME_LEFT_OVER,
                "device %llu, host %llu bytes, %llu mappings, %llu handles, %llu reservations",
                (unsigned long long)now.device_used, (unsigned long long)now.host_used,
                (unsigned long long)now.mappings, (unsigned long long)now.handles,
                (unsigned long long)now.reservations);
    for (int i = 0; i < COUNTER_COUNT; i++)
        if (counter_is_gauge(i) && atomic_load(&stats_counters[i]))
            give_up(program, OUTCOME_LEFT_OVER, "%s is %llu", counter_name(i),
                    (unsigned long long)atomic_load(&stats_counters[i]));
}

void faults_work(CUresult injected, struct report *report)
{
    static struct program program;

    program = (struct program){.injected = injected, .report = report};
    program.host = malloc(BUFFER_BYTES);
    program.after = malloc(BUFFER_BYTES);
    for (size_t i = 0; i < BUFFERS; i++)
        program.buffers[i].model = malloc(BUFFER_BYTES);
    if (setjmp(program.end))
        return;
    start(&program);
    use_memory(&program);
    finish(&program);
    use_again(&program);
    report->outcome = program.failed ? OUTCOME_DRIVER_ERROR : OUTCOME_SUCCESS;
    look_for_left_overs(&program);
}
