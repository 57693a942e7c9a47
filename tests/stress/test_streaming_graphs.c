/* SPDX-License-Identifier: MIT */
/* A model larger than the card that is read by graphs. */
#include "tests/stress/model.h"

TestSuite(streaming_graphs, .timeout = 120, .fini = stop_paged);

static CUgraphExec instantiate(CUgraph graph)
{
    CUgraphExec exec;

    ok(cuGraphInstantiateWithFlags(&exec, graph, 0));
    return exec;
}

static void begin(struct model *m)
{
    ok(cuStreamBeginCapture_v2(m->stream, CU_STREAM_CAPTURE_MODE_RELAXED));
}

static CUgraph end(struct model *m)
{
    CUgraph graph;

    ok(cuStreamEndCapture(m->stream, &graph));
    return graph;
}

/* Reads all tensors from `first` on. */
static CUgraph capture_pass(struct model *m, uint32_t first)
{
    uint32_t expected = m->expected;
    CUgraph graph;

    begin(m);
    for (uint32_t i = 0; i < TENSORS; i++)
        read_tensor(m, (first + i) % TENSORS);
    graph = end(m);
    m->expected = expected;
    return graph;
}

static void expect_pass(struct model *m, uint32_t first)
{
    for (uint32_t i = 0; i < TENSORS; i++)
        expect_tensor(m, (first + i) % TENSORS);
}

static void launch_pass(struct model *m, CUgraphExec exec)
{
    ok(cuGraphLaunch(exec, m->stream));
    expect_pass(m, 0);
    expect_sum(m);
}

static void launch_passes(struct model *m, CUgraphExec exec, int n)
{
    while (n--)
        launch_pass(m, exec);
}

static size_t nodes_of(CUgraph graph, CUgraphNode *nodes, size_t most)
{
    size_t n = most;

    ok(cuGraphGetNodes(graph, nodes, &n));
    return n;
}

Test(streaming_graphs, a_captured_pass_is_read_through_the_ring)
{
    struct model m = start_model("28MiB");
    CUgraphExec exec = instantiate(capture_pass(&m, 0));
    uint64_t in_place;

    launch_passes(&m, exec, 4);
    cr_assert_eq(stats_get(streaming_plans), 1);
    in_place = read_in_place();
    launch_passes(&m, exec, 5);
    cr_expect_eq(read_in_place(), in_place, "nothing is read over the link");
    cr_expect_eq(stats_get(graphs_in_pieces), 9);
    ok(cuGraphExecDestroy(exec));
    stop_model(&m);
    expect_nothing_paged();
}

Test(streaming_graphs, a_graph_whose_memory_is_on_the_card_is_launched_whole)
{
    struct model m = start_model("256MiB");
    CUgraphExec exec = instantiate(capture_pass(&m, 0));

    launch_passes(&m, exec, 4);
    cr_expect_eq(stats_get(graphs_in_pieces), 0);
    stop_model(&m);
}

Test(streaming_graphs, launches_and_graphs_may_alternate)
{
    struct model m = start_model("28MiB");
    CUgraphExec exec = instantiate(capture_pass(&m, 0));

    for (int i = 0; i < 8; i++) {
        launch_pass(&m, exec);
        pass(&m);
    }
    cr_expect_gt(stats_get(launches_redirected), 0);
    stop_model(&m);
}

Test(streaming_graphs, other_parameters_of_a_kernel_are_followed)
{
    struct model m = start_model("28MiB");
    CUgraph graph = capture_pass(&m, 0);
    CUgraphExec exec = instantiate(graph);
    CUgraphNode nodes[TENSORS];

    cr_assert_eq(nodes_of(graph, nodes, TENSORS), TENSORS);
    launch_passes(&m, exec, 5);
    for (uint32_t i = 0; i < 6; i++) {
        CUdeviceptr at = m.weights + (uint64_t)i * TENSOR;
        uint64_t bytes = TENSOR;
        void *params[] = {&m.sum, &at, &bytes};
        CUDA_KERNEL_NODE_PARAMS node = {
            .func = m.read,
            .gridDimX = 1,
            .gridDimY = 1,
            .gridDimZ = 1,
            .blockDimX = 1,
            .blockDimY = 1,
            .blockDimZ = 1,
            .kernelParams = params,
        };

        /* The last tensor is replaced by another one. */
        ok(cuGraphExecKernelNodeSetParams_v2(exec, nodes[TENSORS - 1], &node));
        ok(cuGraphLaunch(exec, m.stream));
        for (uint32_t k = 0; k + 1 < TENSORS; k++)
            expect_tensor(&m, k);
        expect_tensor(&m, i);
        expect_sum(&m);
    }
    cr_expect_eq(stats_get(graphs_in_pieces), 11);
    stop_model(&m);
}

Test(streaming_graphs, an_update_to_another_graph_is_followed)
{
    struct model m = start_model("28MiB");
    CUgraphExec exec = instantiate(capture_pass(&m, 0));
    CUgraphExecUpdateResultInfo info;

    launch_passes(&m, exec, 5);
    for (uint32_t first = 1; first < 4; first++) {
        ok(cuGraphExecUpdate_v2(exec, capture_pass(&m, first), &info));
        for (int i = 0; i < 4; i++) {
            ok(cuGraphLaunch(exec, m.stream));
            expect_pass(&m, first);
            expect_sum(&m);
        }
    }
    cr_expect_gt(stats_get(graphs_in_pieces), 5);
    stop_model(&m);
}

Test(streaming_graphs, a_disabled_node_does_nothing)
{
    struct model m = start_model("28MiB");
    CUgraph graph = capture_pass(&m, 0);
    CUgraphExec exec = instantiate(graph);
    CUgraphNode nodes[TENSORS];

    nodes_of(graph, nodes, TENSORS);
    launch_passes(&m, exec, 5);
    ok(cuGraphNodeSetEnabled(exec, nodes[3], 0));
    for (int i = 0; i < 3; i++) {
        ok(cuGraphLaunch(exec, m.stream));
        for (uint32_t k = 0; k < TENSORS; k++)
            if (k != 3)
                expect_tensor(&m, k);
        expect_sum(&m);
    }
    ok(cuGraphNodeSetEnabled(exec, nodes[3], 1));
    launch_passes(&m, exec, 3);
    cr_expect_eq(stats_get(graphs_in_pieces), 11);
    stop_model(&m);
}

Test(streaming_graphs, a_launch_in_another_stream_waits_for_the_last)
{
    struct model m = start_model("28MiB");
    CUgraphExec exec = instantiate(capture_pass(&m, 0));
    CUstream streams[3] = {new_stream(), new_stream(), new_stream()};

    launch_passes(&m, exec, 3);
    for (int i = 0; i < 12; i++) {
        ok(cuGraphLaunch(exec, streams[i % 3]));
        expect_pass(&m, 0);
    }
    ok(cuStreamDestroy_v2(streams[2]));
    ok(cuGraphLaunch(exec, streams[0]));
    expect_pass(&m, 0);
    ok(cuStreamSynchronize(streams[0]));
    expect_sum(&m);
    stop_model(&m);
}

Test(streaming_graphs, a_launch_does_not_begin_before_one_that_waits_in_another_stream)
{
    struct model m = start_model("28MiB");
    CUstream held = new_stream();
    CUstream other = new_stream();
    volatile uint32_t *flag;
    CUdeviceptr flag_at, word;
    CUgraphExec exec;

    ok(cuMemHostAlloc((void **)&flag, sizeof(*flag), CU_MEMHOSTALLOC_DEVICEMAP));
    ok(cuMemHostGetDevicePointer_v2(&flag_at, (void *)flag, 0));
    ok(cuMemAlloc_v2(&word, 4));
    *flag = 0;
    begin(&m);
    ok(launch_fill(&m.code, word, 1, 5, m.stream));
    for (uint32_t i = 0; i < TENSORS; i++)
        read_tensor(&m, i);
    exec = instantiate(end(&m));
    m.expected = 0;
    launch_passes(&m, exec, 5);
    ok(cuMemsetD32_v2(word, 0, 1));
    ok(cuStreamWaitValue32_v2(held, flag_at, 1, CU_STREAM_WAIT_VALUE_EQ));
    ok(cuGraphLaunch(exec, held));
    ok(cuGraphLaunch(exec, other));
    for (int i = 0; i < 20; i++)
        cr_expect_eq(cuStreamQuery(other), CUDA_ERROR_NOT_READY);
    cr_expect_eq(read_word(word), 0);
    *flag = 1;
    ok(cuStreamSynchronize(other));
    expect_pass(&m, 0);
    expect_pass(&m, 0);
    expect_sum(&m);
    cr_expect_eq(read_word(word), 5);
    cr_expect_eq(stats_get(graphs_in_pieces), 7);
    ok(cuMemFreeHost((void *)flag));
    ok(cuMemFree_v2(word));
    stop_model(&m);
}

static void CUDA_CB count_call(void *counter)
{
    ++*(uint32_t *)counter;
}

Test(streaming_graphs, copies_memsets_host_functions_and_graphs_in_it_keep_their_order)
{
    struct model m = start_model("28MiB");
    CUdeviceptr word = alloc(PAGE);
    CUgraphNode child_node, before, after;
    CUgraph graph, child, whole;
    uint32_t calls = 0;
    uint32_t *host;
    CUgraphExec exec;

    ok(cuMemHostAlloc((void **)&host, 2 * sizeof(*host), 0));
    begin(&m);
    ok(cuMemsetD32Async(word, 7, 1, m.stream));
    ok(cuMemcpyDtoHAsync_v2(&host[0], word, 4, m.stream));
    graph = end(&m);
    child = capture_pass(&m, 0);
    ok(cuGraphCreate(&whole, 0));
    ok(cuGraphAddChildGraphNode(&before, whole, NULL, 0, graph));
    ok(cuGraphAddChildGraphNode(&child_node, whole, &before, 1, child));
    begin(&m);
    ok(cuMemcpyDtoHAsync_v2(&host[1], m.sum, 4, m.stream));
    ok(launch_fill(&m.code, word, 1, 9, m.stream));
    ok(cuLaunchHostFunc(m.stream, count_call, &calls));
    ok(cuGraphAddChildGraphNode(&after, whole, &child_node, 1, end(&m)));
    exec = instantiate(whole);
    for (uint32_t i = 0; i < 8; i++) {
        ok(cuGraphLaunch(exec, m.stream));
        expect_pass(&m, 0);
        expect_sum(&m);
        cr_expect_eq(host[0], 7);
        cr_expect_eq(host[1], m.expected);
        cr_expect_eq(calls, i + 1);
        cr_expect_eq(read_word(word), 9);
    }
    cr_expect_eq(stats_get(graphs_in_pieces), 8);
    ok(cuMemFreeHost(host));
    stop_model(&m);
}

Test(streaming_graphs, branches_are_put_in_an_order_that_their_edges_allow)
{
    struct model m = start_model("28MiB");
    CUgraphNode nodes[TENSORS];
    CUgraph graph;
    CUgraphExec exec;

    /* Made from the last to the first, so that the order of making is not one of running. */
    ok(cuGraphCreate(&graph, 0));
    for (uint32_t i = TENSORS; i-- > 0;) {
        CUdeviceptr at = m.weights + (uint64_t)i * TENSOR;
        uint64_t bytes = TENSOR;
        void *params[] = {&m.sum, &at, &bytes};
        CUDA_KERNEL_NODE_PARAMS node = {
            .func = m.read,
            .gridDimX = 1,
            .gridDimY = 1,
            .gridDimZ = 1,
            .blockDimX = 1,
            .blockDimY = 1,
            .blockDimZ = 1,
            .kernelParams = params,
        };

        ok(cuGraphAddKernelNode_v2(&nodes[i], graph, NULL, 0, &node));
    }
    for (uint32_t i = 0; i + 1 < TENSORS; i++)
        ok(cuGraphAddDependencies(graph, &nodes[i], &nodes[i + 1], 1));
    exec = instantiate(graph);
    launch_passes(&m, exec, 7);
    cr_expect_eq(stats_get(graphs_in_pieces), 7);
    stop_model(&m);
}

Test(streaming_graphs, a_graph_that_waits_for_an_event_is_launched_whole)
{
    struct model m = start_model("28MiB");
    CUgraph graph = capture_pass(&m, 0);
    CUgraphNode node;
    CUgraphExec exec;
    CUevent event;

    ok(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    ok(cuGraphAddEventRecordNode(&node, graph, NULL, 0, event));
    exec = instantiate(graph);
    launch_passes(&m, exec, 5);
    cr_expect_eq(stats_get(graphs_in_pieces), 0);
    stop_model(&m);
}

Test(streaming_graphs, a_graph_captured_into_another_is_launched_whole_there)
{
    struct model m = start_model("28MiB");
    CUgraphExec inner = instantiate(capture_pass(&m, 0));
    CUgraphExec outer;

    launch_passes(&m, inner, 5);
    begin(&m);
    ok(cuGraphLaunch(inner, m.stream));
    outer = instantiate(end(&m));
    launch_passes(&m, outer, 4);
    stop_model(&m);
}

/* What a graph that was launched whole writes, launches that follow see. */
Test(streaming_graphs, a_weight_written_by_a_graph_is_seen_by_the_next_launch)
{
    struct model m = start_model("28MiB");
    CUgraphExec writes[TENSORS];

    for (uint32_t i = 0; i < TENSORS; i++) {
        begin(&m);
        ok(launch_fill(&m.code, m.weights + (uint64_t)i * TENSOR, 1, 500 + i, m.stream));
        writes[i] = instantiate(end(&m));
    }
    passes(&m, 5);
    for (uint32_t i = 0; i < TENSORS; i++) {
        for (uint32_t k = 0; k < TENSORS; k++) {
            read_tensor(&m, k);
            if (k != i)
                continue;
            ok(cuGraphLaunch(writes[(i + 1) % TENSORS], m.stream));
            *mirror_at(&m, (uint64_t)((i + 1) % TENSORS) * TENSOR) = 500 + (i + 1) % TENSORS;
        }
        expect_sum(&m);
    }
    stop_model(&m);
}
