/* SPDX-License-Identifier: MIT */
/*
 * Graphs that live among all else a thread does: recorded from streams or built node by node,
 * launched again and again while homes move, changed, and forgotten before their buffers are.
 *
 * A graph is known as a row of steps whose effect is that of doing them in order: what it runs at
 * the same time touches different buffers. Where a driver may refuse a change, as real programs do,
 * the graph is instantiated anew.
 */
#include "tests/stress/churn.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECE_MAX = 16 << 10,
    CHUNK_BYTES = 2 << 20, /* the least there are; a node that is built does not cross one */
};

static atomic_uint_fast64_t host_calls;

static void call_host(void *unused)
{
    (void)unused;
    atomic_fetch_add(&host_calls, 1);
}

static struct buffer *buffer_at(struct worker *worker, CUdeviceptr at)
{
    for (size_t i = 0; i < worker->n_buffers; i++)
        if (worker->buffers[i].at == at)
            return &worker->buffers[i];
    churn_die(worker, "a graph uses a buffer that is gone");
}

static CUdeviceptr step_to(const struct step *step)
{
    return step->to + step->to_offset;
}

static CUdeviceptr step_from(const struct step *step)
{
    return step->from + step->from_offset;
}

static size_t until_chunk_end(CUdeviceptr address, size_t bytes)
{
    size_t most = CHUNK_BYTES - address % CHUNK_BYTES;

    return bytes < most ? bytes : most;
}

static bool reads(const struct step *step)
{
    return step->kind == STEP_MIX || step->kind == STEP_COPY || step->kind == STEP_SCRATCH;
}

static enum step_kind any_kind(struct worker *worker, bool built)
{
    static const enum step_kind kinds[] = {STEP_MIX,  STEP_MIX,    STEP_MIX,     STEP_FILL,
                                           STEP_COPY, STEP_UPLOAD, STEP_SCRATCH, STEP_HOST};
    enum step_kind kind = kinds[random_below(&worker->random, sizeof(kinds) / sizeof(kinds[0]))];

    if ((kind == STEP_HOST && !worker->world->options.host_nodes) ||
        (kind == STEP_SCRATCH && (built || !random_chance(&worker->random, 25))))
        kind = STEP_MIX;
    return kind;
}

/* New operands for a step of that kind: two different buffers. */
static void step_aim(struct worker *worker, struct step *step, bool built)
{
    struct buffer *to = buffer_any(worker);
    struct buffer *from = buffer_other(worker, to);
    size_t bytes = PIECE_MAX;

    if (!from)
        from = to;
    bytes = to->bytes < bytes ? to->bytes : bytes;
    bytes = from->bytes < bytes ? from->bytes : bytes;
    bytes = random_spread(&worker->random, bytes);
    step->to = to->at;
    step->from = from->at;
    step->to_offset = random_below(&worker->random, to->bytes - bytes + 1);
    step->from_offset = random_below(&worker->random, from->bytes - bytes + 1);
    step->key = (uint32_t)random_next(&worker->random);
    if (built)
        bytes = until_chunk_end(step_to(step), until_chunk_end(step_from(step), bytes));
    step->bytes = bytes;
}

static void mix_params_of(const struct step *step, void **params, struct mix_params *mix)
{
    *mix = (struct mix_params){step_to(step), step_from(step), step->bytes, step->key};
    params[0] = &mix->to;
    params[1] = &mix->from;
    params[2] = &mix->n;
    params[3] = &mix->key;
}

static void capture_step(struct worker *worker, struct step *step, CUstream stream)
{
    struct mix_params mix;
    CUdeviceptr scratch;
    void *params[4];

    switch (step->kind) {
    case STEP_MIX:
        mix_params_of(step, params, &mix);
        CHECK(worker, cuLaunchKernel, worker->world->kernels.mix, 1, 1, 1, 32, 1, 1, 0, stream,
              params, NULL);
        break;
    case STEP_FILL:
        CHECK(worker, cuMemsetD8Async, step_to(step), (unsigned char)step->key, step->bytes,
              stream);
        break;
    case STEP_COPY:
        CHECK(worker, cuMemcpyDtoDAsync, step_to(step), step_from(step), step->bytes, stream);
        break;
    case STEP_UPLOAD:
        CHECK(worker, cuMemcpyHtoDAsync, step_to(step), worker->graph_host, step->bytes, stream);
        break;
    case STEP_SCRATCH:
        CHECK(worker, cuMemAllocAsync, &scratch, step->bytes, stream);
        CHECK(worker, cuMemcpyDtoDAsync, scratch, step_from(step), step->bytes, stream);
        CHECK(worker, cuMemcpyDtoDAsync, step_to(step), scratch, step->bytes, stream);
        CHECK(worker, cuMemFreeAsync, scratch, stream);
        break;
    case STEP_HOST:
        CHECK(worker, cuLaunchHostFunc, stream, call_host, NULL);
        break;
    }
}

static bool touch(const struct step *a, const struct step *b)
{
    return a->to == b->to || (reads(a) && a->from == b->to) || (reads(b) && b->from == a->to);
}

static void follow(struct worker *worker, CUstream first, CUstream second, CUevent event)
{
    CHECK(worker, cuEventRecord, event, first);
    CHECK(worker, cuStreamWaitEvent, second, event, 0);
}

/* Only in a stream that does not block, and bound to this thread: other threads go on. */
static CUgraph capture(struct worker *worker, struct step *steps, size_t n)
{
    CUstream main_stream = worker->streams[STREAM_FREE];
    CUgraph graph;
    size_t i = 0;

    pthread_rwlock_rdlock(&worker->world->captures);
    CHECK(worker, cuStreamBeginCapture, main_stream,
          random_chance(&worker->random, 50) ? CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
                                             : CU_STREAM_CAPTURE_MODE_RELAXED);
    while (i < n) {
        if (i + 1 == n || touch(&steps[i], &steps[i + 1])) {
            capture_step(worker, &steps[i++], main_stream);
            continue;
        }
        follow(worker, main_stream, worker->side, worker->forks[0]);
        capture_step(worker, &steps[i++], worker->side);
        capture_step(worker, &steps[i++], main_stream);
        follow(worker, worker->side, main_stream, worker->forks[1]);
    }
    CHECK(worker, cuStreamEndCapture, main_stream, &graph);
    pthread_rwlock_unlock(&worker->world->captures);
    return graph;
}

static void build_step(struct worker *worker, CUgraph graph, struct step *step, CUgraphNode *before)
{
    CUDA_HOST_NODE_PARAMS host = {.fn = call_host};
    CUDA_MEMSET_NODE_PARAMS fill = {step_to(step), 0, step->key & 0xff, 1, step->bytes, 1};
    CUDA_KERNEL_NODE_PARAMS kernel = {worker->world->kernels.mix, 1, 1, 1, 32, 1, 1, 0};
    CUDA_MEMCPY3D copy = {
        .srcMemoryType = CU_MEMORYTYPE_DEVICE,
        .srcDevice = step_from(step),
        .dstMemoryType = CU_MEMORYTYPE_DEVICE,
        .dstDevice = step_to(step),
        .WidthInBytes = step->bytes,
        .Height = 1,
        .Depth = 1,
    };
    size_t n = *before != NULL;
    struct mix_params mix;
    void *params[4];

    switch (step->kind) {
    case STEP_FILL:
        CHECK(worker, cuGraphAddMemsetNode, &step->node, graph, before, n, &fill,
              worker->world->context);
        break;
    case STEP_UPLOAD:
        copy.srcMemoryType = CU_MEMORYTYPE_HOST;
        copy.srcHost = worker->graph_host;
        copy.srcDevice = 0;
        __attribute__((fallthrough));
    case STEP_COPY:
        CHECK(worker, cuGraphAddMemcpyNode, &step->node, graph, before, n, &copy,
              worker->world->context);
        break;
    case STEP_HOST:
        CHECK(worker, cuGraphAddHostNode, &step->node, graph, before, n, &host);
        break;
    default:
        mix_params_of(step, params, &mix);
        kernel.kernelParams = params;
        CHECK(worker, cuGraphAddKernelNode, &step->node, graph, before, n, &kernel);
    }
    *before = step->node;
}

static CUgraph build(struct worker *worker, struct step *steps, size_t n)
{
    CUgraphNode before = NULL;
    CUgraph graph;

    CHECK(worker, cuGraphCreate, &graph, 0);
    for (size_t i = 0; i < n; i++)
        build_step(worker, graph, &steps[i], &before);
    return graph;
}

static bool has_scratch(const struct recorded *recorded)
{
    for (size_t i = 0; i < recorded->n; i++)
        if (recorded->steps[i].kind == STEP_SCRATCH)
            return true;
    return false;
}

/* Sometimes the graph becomes a part of another, or a copy of it is used. */
static CUgraph wrap(struct worker *worker, struct recorded *recorded)
{
    CUgraph graph = recorded->graph;
    CUgraphNode node;
    CUgraph other;

    if (has_scratch(recorded) || !random_chance(&worker->random, 25))
        return graph;
    recorded->wrapped = true;
    if (random_chance(&worker->random, 50)) {
        CHECK(worker, cuGraphClone, &other, graph);
    } else {
        CHECK(worker, cuGraphCreate, &other, 0);
        CHECK(worker, cuGraphAddChildGraphNode, &node, other, NULL, 0, graph);
    }
    CHECK(worker, cuGraphDestroy, graph);
    return other;
}

static CUgraph make(struct worker *worker, struct recorded *recorded)
{
    return recorded->built ? build(worker, recorded->steps, recorded->n)
                           : capture(worker, recorded->steps, recorded->n);
}

static void record(struct worker *worker)
{
    struct recorded *recorded = &worker->graphs[worker->n_graphs];

    *recorded = (struct recorded){.built = random_chance(&worker->random, 40)};
    recorded->n = 1 + random_below(&worker->random, STEPS_MAX);
    for (size_t i = 0; i < recorded->n; i++) {
        recorded->steps[i].kind = any_kind(worker, recorded->built);
        step_aim(worker, &recorded->steps[i], recorded->built);
    }
    recorded->graph = make(worker, recorded);
    recorded->graph = wrap(worker, recorded);
    CHECK(worker, cuGraphInstantiate, &recorded->exec, recorded->graph, 0);
    worker->n_graphs++;
}

static void forget(struct worker *worker, struct recorded *recorded)
{
    CHECK(worker, cuGraphExecDestroy, recorded->exec);
    CHECK(worker, cuGraphDestroy, recorded->graph);
    *recorded = worker->graphs[--worker->n_graphs];
}

static void model_step(struct worker *worker, const struct step *step)
{
    uint8_t *to = buffer_at(worker, step->to)->model + step->to_offset;
    const uint8_t *from = buffer_at(worker, step->from)->model + step->from_offset;

    switch (step->kind) {
    case STEP_MIX:
        for (size_t i = 0; i < step->bytes; i++)
            to[i] = mix_byte(to[i], from[i], step->key);
        break;
    case STEP_FILL:
        memset(to, (int)(step->key & 0xff), step->bytes);
        break;
    case STEP_UPLOAD:
        memcpy(to, worker->graph_host, step->bytes);
        break;
    case STEP_HOST:
        worker->host_calls++;
        break;
    default:
        memmove(to, from, step->bytes);
    }
}

/* What a buffer holds after a launch that failed: of each byte, what one of the steps left. */
struct remains {
    struct buffer *buffer;
    uint8_t *got;
    uint8_t *known;
};

static void remains_compare(const struct remains *remains)
{
    for (size_t i = 0; i < remains->buffer->bytes; i++)
        remains->known[i] |= remains->got[i] == remains->buffer->model[i];
}

static void remains_open(struct worker *worker, struct buffer *buffer, struct remains *remains)
{
    *remains = (struct remains){buffer, malloc(buffer->bytes), calloc(1, buffer->bytes)};
    if (!remains->got || !remains->known)
        churn_die(worker, "no host memory to compare %zu bytes", buffer->bytes);
    CHECK(worker, cuMemcpyDtoH, remains->got, buffer->at, buffer->bytes);
    remains_compare(remains);
}

/* What is there is the truth from now on. */
static void remains_close(struct worker *worker, struct remains *remains)
{
    struct buffer *buffer = remains->buffer;
    uint8_t *unknown = memchr(remains->known, 0, buffer->bytes);

    if (unknown)
        churn_die(worker, "a launch that failed left 0x%02x at offset %td of 0x%llx",
                  remains->got[unknown - remains->known], unknown - remains->known,
                  (unsigned long long)buffer->at);
    memcpy(buffer->model, remains->got, buffer->bytes);
    free(remains->got);
    free(remains->known);
}

/* The stream in which a launch failed may have nothing in it that others would wait for by
 * themselves.
 */
static void leave_stream(struct worker *worker, const struct recorded *recorded)
{
    for (size_t i = 0; i < recorded->n; i++) {
        buffer_order_by_event(worker, buffer_at(worker, recorded->steps[i].to), STREAM_DEFAULT);
        buffer_order_by_event(worker, buffer_at(worker, recorded->steps[i].from), STREAM_DEFAULT);
    }
}

/* Of a graph that is launched piece by piece some may have run. */
static void launch_failed(struct worker *worker, struct recorded *recorded)
{
    struct remains remains[STEPS_MAX];
    size_t n = 0;

    leave_stream(worker, recorded);
    for (size_t i = 0; i < recorded->n; i++) {
        struct buffer *buffer = buffer_at(worker, recorded->steps[i].to);
        size_t same = 0;

        while (same < n && remains[same].buffer != buffer)
            same++;
        if (same == n)
            remains_open(worker, buffer, &remains[n++]);
    }
    for (size_t i = 0; i < recorded->n; i++) {
        model_step(worker, &recorded->steps[i]);
        for (size_t j = 0; j < n; j++)
            remains_compare(&remains[j]);
    }
    for (size_t j = 0; j < n; j++)
        remains_close(worker, &remains[j]);
}

static void launch(struct worker *worker, struct recorded *recorded)
{
    enum stream_index stream = any_stream(worker);
    CUresult result;

    for (size_t i = 0; i < recorded->n; i++) {
        buffer_order(worker, buffer_at(worker, recorded->steps[i].to), stream);
        buffer_order(worker, buffer_at(worker, recorded->steps[i].from), stream);
    }
    if (random_chance(&worker->random, 10) && !has_scratch(recorded))
        CHECK(worker, cuGraphUpload, recorded->exec, worker->streams[stream]);
    result = cuGraphLaunch(recorded->exec, worker->streams[stream]);
    if (churn_was_injected(worker, result)) {
        launch_failed(worker, recorded);
        return;
    }
    if (result == CUDA_ERROR_OUT_OF_MEMORY && has_scratch(recorded)) {
        worker->refused++;
        leave_stream(worker, recorded);
        return;
    }
    churn_check(worker, result, "cuGraphLaunch");
    for (size_t i = 0; i < recorded->n; i++)
        model_step(worker, &recorded->steps[i]);
}

/* The same steps on other memory. The nodes of an executable graph stay those that it was made of.
 */
static void update(struct worker *worker, struct recorded *recorded)
{
    struct recorded before = *recorded;
    CUgraphExecUpdateResultInfo info;
    CUgraph graph;
    CUresult result;

    if (recorded->wrapped)
        return;
    for (size_t i = 0; i < recorded->n; i++)
        step_aim(worker, &recorded->steps[i], recorded->built);
    graph = make(worker, recorded);
    do
        result = cuGraphExecUpdate(recorded->exec, graph, &info);
    while (result != CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE &&
           churn_again(worker, result, "cuGraphExecUpdate"));
    if (result == CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE) {
        CHECK(worker, cuGraphExecDestroy, recorded->exec);
        CHECK(worker, cuGraphInstantiate, &recorded->exec, graph, 0);
        CHECK(worker, cuGraphDestroy, recorded->graph);
        recorded->graph = graph;
        return;
    }
    CHECK(worker, cuGraphDestroy, graph);
    for (size_t i = 0; i < recorded->n; i++)
        recorded->steps[i].node = before.steps[i].node;
}

/* One node of those that were built, if it is a kernel. */
static void change_node(struct worker *worker, struct recorded *recorded)
{
    struct step *step = &recorded->steps[random_below(&worker->random, recorded->n)];
    CUDA_KERNEL_NODE_PARAMS kernel = {worker->world->kernels.mix, 1, 1, 1, 32, 1, 1, 0};
    struct mix_params mix;
    void *params[4];

    if (!recorded->built || recorded->wrapped || step->kind != STEP_MIX)
        return;
    step_aim(worker, step, true);
    mix_params_of(step, params, &mix);
    kernel.kernelParams = params;
    CHECK(worker, cuGraphExecKernelNodeSetParams, recorded->exec, step->node, &kernel);
}

void graphs_forget_buffer(struct worker *worker, const struct buffer *buffer)
{
    worker->doing = "end of a graph";
    for (size_t i = worker->n_graphs; i-- > 0;) {
        struct recorded *recorded = &worker->graphs[i];
        bool uses = false;

        for (size_t s = 0; s < recorded->n; s++)
            uses |= recorded->steps[s].to == buffer->at || recorded->steps[s].from == buffer->at;
        if (uses)
            forget(worker, recorded);
    }
}

void graph_some(struct worker *worker)
{
    struct recorded *recorded;

    if (worker->n_graphs < GRAPHS_MAX &&
        (!worker->n_graphs || random_chance(&worker->random, 20))) {
        worker->doing = "recording of a graph";
        record(worker);
    }
    recorded = &worker->graphs[random_below(&worker->random, worker->n_graphs)];
    switch (random_below(&worker->random, 10)) {
    case 0:
        worker->doing = "update of a graph";
        update(worker, recorded);
        break;
    case 1:
        worker->doing = "change of a node";
        change_node(worker, recorded);
        break;
    default:
        break;
    }
    worker->doing = "launch of a graph";
    launch(worker, recorded);
}

void graphs_open(struct worker *worker)
{
    CHECK(worker, cuStreamCreate, &worker->side, CU_STREAM_NON_BLOCKING);
    for (int i = 0; i < 2; i++)
        CHECK(worker, cuEventCreate, &worker->forks[i], CU_EVENT_DISABLE_TIMING);
    CHECK(worker, cuMemHostAlloc, (void **)&worker->graph_host, PIECE_MAX, 0);
    for (size_t i = 0; i < PIECE_MAX; i++)
        worker->graph_host[i] = (uint8_t)random_next(&worker->random);
}

/* All that was launched has run. */
void graphs_close(struct worker *worker)
{
    while (worker->n_graphs)
        forget(worker, &worker->graphs[0]);
    CHECK(worker, cuStreamDestroy, worker->side);
    for (int i = 0; i < 2; i++)
        CHECK(worker, cuEventDestroy, worker->forks[i]);
    CHECK(worker, cuMemFreeHost, worker->graph_host);
}

uint64_t graphs_host_calls(void)
{
    return atomic_load(&host_calls);
}
