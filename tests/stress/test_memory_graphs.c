/* SPDX-License-Identifier: MIT */
/* Graphs over paged memory: right wherever it lies, and no obstacle to moving it. */
#include <pthread.h>
#include <unistd.h>
#include "runtime/gate.h"
#include "runtime/pager.h"
#include "tests/stress/paged.h"

TestSuite(memory_graphs, .timeout = 60, .fini = stop_paged);

#define BYTES (4 * PAGE)

static CUgraphExec instantiate(CUgraph graph)
{
    CUgraphExec exec;

    ok(cuGraphInstantiateWithFlags(&exec, graph, 0));
    return exec;
}

static void run(CUgraphExec exec, CUstream stream)
{
    ok(cuGraphLaunch(exec, stream));
    ok(cuStreamSynchronize(stream));
}

/* Uses a page of other memory, for which something else has to move out. */
static void use(const struct device_code *code, CUdeviceptr at, size_t bytes)
{
    for (size_t page = 0; page < bytes; page += PAGE)
        ok(launch_fill(code, at + page, 1, 1, NULL));
    ok(cuCtxSynchronize());
}

static bool is_mixed(CUdeviceptr at, size_t bytes)
{
    return residency_run(at, bytes) < bytes;
}

/* Brings the memory in, and then some of it out again. */
static void pull_apart(const struct device_code *code, CUdeviceptr at, CUdeviceptr pressure)
{
    use(code, at, PAGE);
    use(code, pressure, 3 * PAGE);
    cr_assert(is_mixed(at, BYTES));
}

/* Memory of which some is in either tier. */
static CUdeviceptr mixed_memory(const struct device_code *code, CUdeviceptr *pressure)
{
    CUdeviceptr at = alloc(BYTES);

    *pressure = alloc(3 * PAGE);
    pull_apart(code, at, *pressure);
    return at;
}

Test(memory_graphs, homes_move_between_launches_of_a_graph_that_uses_them)
{
    CUstream stream;
    struct device_code code;
    CUdeviceptr a, b;
    CUgraphExec exec;
    CUgraph graph;
    uint64_t moved;

    start_paged("8MiB", "64MiB");
    code = load_code();
    stream = new_stream();
    a = alloc(BYTES);
    b = alloc(BYTES);
    ok(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ok(launch_fill(&code, a + PAGE, 8, 5, stream));
    ok(launch_copy(&code, b + 3 * PAGE, a + PAGE, 8, stream));
    ok(cuStreamEndCapture(stream, &graph));
    exec = instantiate(graph);
    moved = stats_get(chunks_to_host);
    for (int i = 0; i < 4; i++) {
        ok(cuMemsetD32_v2(b + 3 * PAGE, 1, 8));
        ok(cuCtxSynchronize());
        ok(cuGraphLaunch(exec, stream));
        use(&code, i % 2 ? a : b, 3 * PAGE);
        cr_expect_eq(read_word(b + 3 * PAGE + 28), 5, "launch %d", i);
    }
    cr_expect_gt(stats_get(chunks_to_host), moved);
}

Test(memory_graphs, a_captured_copy_never_crosses_a_chunk)
{
    CUstream stream;
    struct device_code code;
    CUdeviceptr a, pressure;
    CUgraphExec exec;
    CUgraph graph;
    size_t n = 0;
    uint8_t *host;

    start_paged("8MiB", "64MiB");
    code = load_code();
    stream = new_stream();
    a = alloc(BYTES);
    ok(cuMemHostAlloc((void **)&host, BYTES, 0));
    memset(host, 7, BYTES);
    ok(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ok(cuMemcpyHtoDAsync_v2(a, host, BYTES, stream));
    ok(cuMemsetD8Async(a + PAGE - 4, 9, 8, stream));
    ok(cuStreamEndCapture(stream, &graph));
    ok(cuGraphGetNodes(graph, NULL, &n));
    cr_assert_eq(n, 6);
    pressure = alloc(3 * PAGE);
    pull_apart(&code, a, pressure);
    exec = instantiate(graph);
    run(exec, stream);
    cr_expect_eq(read_word(a + PAGE - 4), 0x09090909);
    cr_expect_eq(read_word(a + PAGE), 0x09090909);
    cr_expect_eq(read_word(a + 3 * PAGE), 0x07070707);
}

Test(memory_graphs, a_copy_node_over_both_tiers_is_taken)
{
    CUDA_MEMCPY3D copy = {
        .srcMemoryType = CU_MEMORYTYPE_HOST,
        .dstMemoryType = CU_MEMORYTYPE_DEVICE,
        .WidthInBytes = BYTES,
        .Height = 1,
        .Depth = 1,
    };
    CUcontext context = start_paged("8MiB", "64MiB");
    struct device_code code = load_code();
    CUstream stream = new_stream();
    CUdeviceptr a, pressure;
    CUgraphExec exec;
    CUgraphNode node;
    CUgraph graph;
    uint8_t *host;

    a = mixed_memory(&code, &pressure);
    ok(cuMemHostAlloc((void **)&host, BYTES, 0));
    memset(host, 7, BYTES);
    copy.srcHost = host;
    copy.dstDevice = a;
    ok(cuGraphCreate(&graph, 0));
    ok(cuGraphAddMemcpyNode(&node, graph, NULL, 0, &copy, context));
    cr_expect_not(is_mixed(a, BYTES));
    pull_apart(&code, a, pressure);
    exec = instantiate(graph);
    run(exec, stream);
    cr_expect_eq(read_word(a + BYTES - 4), 0x07070707);
    pull_apart(&code, a, pressure);
    ok(cuGraphExecMemcpyNodeSetParams(exec, node, &copy, context));
}

/* As when another thread gathers it, or takes it apart, between a call and what makes it possible.
 */
Test(memory_graphs, a_node_refused_while_memory_moves_is_asked_for_again)
{
    CUcontext context = start_paged("8MiB", "64MiB");
    struct device_code code = load_code();
    CUDA_MEMSET_NODE_PARAMS fill = {.value = 7, .elementSize = 1, .width = BYTES, .height = 1};
    CUdeviceptr pressure;
    CUgraphNode node;
    CUgraph graph;

    fill.dst = mixed_memory(&code, &pressure);
    ok(cuGraphCreate(&graph, 0));
    for (unsigned int nth = 1; nth <= 3; nth++)
        sim_fail("cuGraphAddMemsetNode", nth, CUDA_ERROR_INVALID_VALUE);
    ok(cuGraphAddMemsetNode(&node, graph, NULL, 0, &fill, context));
    ok(cuGraphDestroy(graph));
}

Test(memory_graphs, a_memset_node_over_both_tiers_is_taken)
{
    CUDA_MEMSET_NODE_PARAMS fill = {.value = 3, .elementSize = 4, .width = BYTES / 4, .height = 1};
    CUgraphNodeParams general = {.type = CU_GRAPH_NODE_TYPE_MEMSET};
    CUcontext context = start_paged("8MiB", "64MiB");
    struct device_code code = load_code();
    CUstream stream = new_stream();
    CUdeviceptr pressure;
    CUgraphNode nodes[2];
    CUgraph child;
    CUgraph graph;

    fill.dst = mixed_memory(&code, &pressure);
    ok(cuGraphCreate(&graph, 0));
    ok(cuGraphCreate(&child, 0));
    ok(cuGraphAddMemsetNode(&nodes[0], child, NULL, 0, &fill, context));
    pull_apart(&code, fill.dst, pressure);
    general.memset.dst = fill.dst;
    general.memset.value = 4;
    general.memset.elementSize = 4;
    general.memset.width = BYTES / 4;
    general.memset.height = 1;
    ok(cuGraphAddNode_v2(&nodes[0], graph, NULL, NULL, 0, &general));
    ok(cuGraphAddChildGraphNode(&nodes[1], graph, &nodes[0], 1, child));
    pull_apart(&code, fill.dst, pressure);
    run(instantiate(graph), stream);
    cr_expect_eq(read_word(fill.dst + BYTES - 4), 3);
}

Test(memory_graphs, homes_make_room_for_the_memory_of_a_graph)
{
    CUDA_MEM_ALLOC_NODE_PARAMS params = {
        .poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                      .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}},
        .bytesize = 4 * PAGE,
    };
    CUstream stream;
    CUgraphNode nodes[2];
    CUgraphExec exec;
    CUdeviceptr a;
    CUgraph graph;

    start_paged("8MiB", "64MiB");
    stream = new_stream();
    a = alloc(BYTES);
    ok(cuMemsetD32_v2(a, 6, BYTES / 4));
    ok(cuGraphCreate(&graph, 0));
    ok(cuGraphAddMemAllocNode(&nodes[0], graph, NULL, 0, &params));
    ok(cuGraphAddMemFreeNode(&nodes[1], graph, &nodes[0], 1, params.dptr));
    exec = instantiate(graph);
    cr_assert_eq(stats_get(host_bytes), 0);
    run(exec, stream);
    cr_expect_eq(stats_get(device_bytes), 0);
    cr_expect_eq(read_word(a + BYTES - 4), 6);
    ok(cuDeviceGraphMemTrim(0));
    ok(cuGraphUpload(exec, stream));
}

Test(memory_graphs, memory_of_a_capture_is_the_drivers)
{
    CUstream stream;
    struct device_code code;
    CUdeviceptr a, scratch;
    CUgraph graph;
    size_t n = 0;

    start_paged("8MiB", "64MiB");
    code = load_code();
    stream = new_stream();
    a = alloc(BYTES);
    ok(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ok(cuMemAllocAsync(&scratch, PAGE, stream));
    ok(launch_fill(&code, scratch, 8, 5, stream));
    ok(launch_copy(&code, a, scratch, 8, stream));
    fails(cuMemFreeAsync(a, stream), CUDA_ERROR_INVALID_VALUE);
    ok(cuMemFreeAsync(scratch, stream));
    ok(cuStreamEndCapture(stream, &graph));
    ok(cuGraphGetNodes(graph, NULL, &n));
    cr_assert_eq(n, 4);
    cr_assert_eq(stats_get(paged_ranges), 1);
    run(instantiate(graph), stream);
    cr_expect_eq(read_word(a), 5);
}

static bool host_may_not_run; /* the program is inside of something that the function waits for */
static bool ran_too_early;

static void note_early(void *unused)
{
    (void)unused;
    ran_too_early |= host_may_not_run;
}

/* Launches of a graph with a host function, and of a kernel for which homes would have to move. */
static void nothing_waits_for_the_host(CUgraph graph, CUstream stream,
                                       const struct device_code *code, CUdeviceptr away)
{
    CUgraphExec exec = instantiate(graph);
    uint64_t moved = stats_get(chunks_to_device);

    ok(cuGraphLaunch(exec, stream));
    host_may_not_run = true;
    ok(launch_fill(code, away, 8, 5, NULL));
    host_may_not_run = false;
    cr_expect_not(ran_too_early);
    cr_expect_eq(stats_get(chunks_to_device), moved);
    ok(cuCtxSynchronize());
    ok(launch_fill(code, away, 8, 6, NULL));
    ok(cuCtxSynchronize());
    cr_expect_gt(stats_get(chunks_to_device), moved, "homes move again once it has run");
    ok(cuGraphExecDestroy(exec));
}

Test(memory_graphs, no_home_moves_while_a_graph_may_call_the_host)
{
    CUDA_HOST_NODE_PARAMS host = {.fn = note_early};
    CUstream stream;
    struct device_code code;
    CUdeviceptr a, b;
    CUgraphNode node;
    CUgraph graph;

    start_paged("8MiB", "64MiB");
    code = load_code();
    stream = new_stream();
    a = alloc(BYTES);
    b = alloc(BYTES);
    ok(cuGraphCreate(&graph, 0));
    ok(cuGraphAddHostNode(&node, graph, NULL, 0, &host));
    nothing_waits_for_the_host(graph, stream, &code, b);
    ok(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ok(cuLaunchHostFunc(stream, note_early, NULL));
    ok(cuStreamEndCapture(stream, &graph));
    use(&code, a, BYTES);
    nothing_waits_for_the_host(graph, stream, &code, b);
}

Test(memory_graphs, a_launch_with_host_functions_can_be_captured)
{
    CUDA_HOST_NODE_PARAMS host = {.fn = note_early};
    CUstream stream;
    CUgraphExec exec;
    CUgraphNode node;
    CUgraph graph;
    CUgraph outer;
    size_t n = 0;

    start_paged("8MiB", "64MiB");
    stream = new_stream();
    ok(cuGraphCreate(&graph, 0));
    ok(cuGraphAddHostNode(&node, graph, NULL, 0, &host));
    exec = instantiate(graph);
    ok(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ok(cuGraphLaunch(exec, stream));
    ok(cuStreamEndCapture(stream, &outer));
    ok(cuGraphGetNodes(outer, NULL, &n));
    cr_expect_eq(n, 1, "nothing of ours is in it");
    run(instantiate(outer), stream);
}

/* A call in another thread, and whether it gets as far as the driver while something is held. */
struct held_call {
    int row;
    const char *symbol;
    CUcontext context;
    CUstream stream;
    CUgraph graph;
    CUgraphExec exec;
    CUresult result;
};

static void *make_call(void *argument)
{
    struct held_call *call = argument;
    CUDA_GRAPH_INSTANTIATE_PARAMS params = {.flags = CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD,
                                            .hUploadStream = call->stream};
    CUgraphExec exec;

    ok(cuCtxSetCurrent(call->context));
    switch (call->row) {
    case 0:
        call->result = cuGraphLaunch(call->exec, call->stream);
        break;
    case 1:
        call->result = cuGraphUpload(call->exec, call->stream);
        break;
    case 2:
        call->result = cuGraphInstantiateWithParams(&exec, call->graph, &params);
        break;
    default:
        call->result = cuStreamBeginCapture_v2(call->stream, CU_STREAM_CAPTURE_MODE_RELAXED);
    }
    return NULL;
}

static void expect_held(struct held_call *call, void (*hold)(void), void (*let_go)(void))
{
    uint64_t before = sim_calls(call->symbol);
    pthread_t thread;

    hold();
    cr_assert_eq(pthread_create(&thread, NULL, make_call, call), 0);
    usleep(20000);
    cr_expect_eq(sim_calls(call->symbol), before, "%s", call->symbol);
    let_go();
    pthread_join(thread, NULL);
    cr_expect_eq(call->result, CUDA_SUCCESS, "%s", call->symbol);
    cr_expect_eq(sim_calls(call->symbol), before + 1, "%s", call->symbol);
}

static struct held_call held_call(int row, const char *symbol)
{
    struct held_call call = {.row = row, .symbol = symbol};

    call.context = start_paged("8MiB", "64MiB");
    call.stream = new_stream();
    ok(cuGraphCreate(&call.graph, 0));
    call.exec = instantiate(call.graph);
    return call;
}

static void close_gate(void)
{
    cr_assert(gate_close(1000));
}

Test(memory_graphs, what_they_submit_waits_outside_while_homes_move)
{
    static const char *const symbols[] = {"cuGraphLaunch", "cuGraphUpload",
                                          "cuGraphInstantiateWithParams"};

    for (int row = 0; row < 3; row++) {
        struct held_call call = held_call(row, symbols[row]);

        expect_held(&call, close_gate, gate_open);
    }
}

static void begin_wait(void)
{
    cr_assert(pager_wait_begin());
}

static void lock_pagers(void)
{
    pthread_mutex_lock(&pagers.lock);
}

static void unlock_pagers(void)
{
    pthread_mutex_unlock(&pagers.lock);
}

Test(memory_graphs, no_capture_begins_while_homes_move_or_a_free_waits)
{
    struct held_call call = held_call(3, "cuStreamBeginCapture_v2");
    CUgraph graph;

    expect_held(&call, begin_wait, pager_wait_end);
    cr_expect_not(pager_wait_begin(), "a free is put off while a capture is open");
    ok(cuStreamEndCapture(call.stream, &graph));
    expect_held(&call, lock_pagers, unlock_pagers);
    ok(cuStreamEndCapture(call.stream, &graph));
}
