/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "tests/sim_graph_test.h"

TestSuite(sim_graph, .timeout = 30);

static void count_up(void *counter)
{
    ++*(int *)counter;
}

static CUgraph capture_fill_and_copy(struct scene *s, uint32_t value)
{
    CUgraph graph;

    ok(cuStreamBeginCapture_v2(s->stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ok(launch_fill(&s->code, s->a, 1024, value, s->stream));
    ok(launch_copy(&s->code, s->b, s->a, 1024, s->stream));
    ok(cuStreamEndCapture(s->stream, &graph));
    return graph;
}

Test(sim_graph, a_captured_graph_runs_whenever_it_is_launched)
{
    struct scene s = scene_new();
    CUgraph graph = capture_fill_and_copy(&s, 5);
    CUgraphExec exec = instantiate(graph);

    ok(cuGraphDestroy(graph));
    cr_assert_eq(read_word(s.b), 2);
    for (int i = 0; i < 3; i++) {
        set_words(s.a, 1);
        set_words(s.b, 2);
        run(exec, s.stream);
        cr_assert_eq(read_word(s.a), 5);
        cr_assert_eq(read_word(s.b + 4092), 5);
    }
    ok(cuGraphExecDestroy(exec));
    fails(cuGraphLaunch(exec, s.stream), CUDA_ERROR_INVALID_VALUE);
}

Test(sim_graph, a_launch_is_a_piece_of_its_streams_order)
{
    struct scene s = scene_new();
    CUgraphExec exec = instantiate(capture_fill_and_copy(&s, 5));

    ok(launch_fill(&s.code, s.a, 1024, 3, s.stream));
    ok(cuGraphLaunch(exec, s.stream));
    ok(launch_copy(&s.code, s.a, s.b, 1024, s.stream));
    ok(launch_fill(&s.code, s.b, 1024, 9, s.stream));
    ok(cuGraphExecDestroy(exec));
    ok(cuStreamSynchronize(s.stream));
    cr_assert_eq(read_word(s.a), 5);
    cr_assert_eq(read_word(s.b), 9);
}

Test(sim_graph, edges_order_nodes_and_nothing_else_does)
{
    struct scene s = scene_new();
    CUgraph graph = graph_new();
    CUgraphNode fill = add_fill(&s, graph, NULL, s.a, 1024, 5);
    CUgraphNode copy = add_copy(&s, graph, NULL, s.b, s.a, 1024);

    run_once(&s, graph);
    cr_assert_eq(read_word(s.b), 1, "the copy came first, as it may");
    set_words(s.a, 1);
    ok(cuGraphAddDependencies_v2(graph, &fill, &copy, NULL, 1));
    run_once(&s, graph);
    cr_assert_eq(read_word(s.b), 5);
}

/* Whether the copy of a graph without edges saw the fill. */
static bool copy_came_second(struct scene *s, CUgraphExec exec)
{
    set_words(s->a, 1);
    run(exec, s->stream);
    return read_word(s->b) == 5;
}

Test(sim_graph, restless_order_runs_unordered_nodes_either_way)
{
    int second = 0;
    struct scene s;
    CUgraph graph;
    CUgraphExec exec;

    setenv("SIM_ORDER", "restless", 1);
    s = scene_new();
    graph = graph_new();
    add_fill(&s, graph, NULL, s.a, 1024, 5);
    add_copy(&s, graph, NULL, s.b, s.a, 1024);
    exec = instantiate(graph);
    for (int i = 0; i < 64; i++)
        second += copy_came_second(&s, exec);
    cr_assert(second > 0 && second < 64, "%d of 64", second);
}

Test(sim_graph, parameters_are_those_of_the_time_of_capture)
{
    struct scene s = scene_new();
    uint64_t n = 4;
    uint32_t value = 5;
    void *params[] = {&s.a, &n, &value};
    CUgraph graph;

    ok(cuStreamBeginCapture_v2(s.stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ok(cuLaunchKernel(s.code.fill, 1, 1, 1, 1, 1, 1, 0, s.stream, params, NULL));
    value = 6;
    ok(cuStreamEndCapture(s.stream, &graph));
    run_once(&s, graph);
    cr_assert_eq(read_word(s.a), 5);
}

Test(sim_graph, host_memory_is_read_when_the_graph_runs)
{
    struct scene s = scene_new();
    uint32_t pageable = 7;
    uint32_t *pinned;
    CUgraphExec exec;
    CUgraph graph;

    ok(cuMemHostAlloc((void **)&pinned, 4096, 0));
    *pinned = 8;
    ok(cuStreamBeginCapture_v2(s.stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ok(cuMemcpyHtoDAsync_v2(s.a, &pageable, 4, s.stream));
    ok(cuMemcpyHtoDAsync_v2(s.b, pinned, 4, s.stream));
    ok(cuMemcpyDtoHAsync_v2(pinned + 1, s.a, 4, s.stream));
    ok(cuStreamEndCapture(s.stream, &graph));
    exec = instantiate(graph);
    pageable = 17;
    *pinned = 18;
    run(exec, s.stream);
    cr_assert_eq(read_word(s.a), 17);
    cr_assert_eq(read_word(s.b), 18);
    cr_assert_eq(pinned[1], 17);
}

Test(sim_graph, memory_that_is_gone_at_the_launch_faults)
{
    struct scene s = scene_new();
    CUdeviceptr large;
    CUgraphExec exec;
    CUgraph graph = graph_new();

    ok(cuMemAlloc_v2(&large, 4 * MIB));
    add_fill(&s, graph, NULL, large, 16, 5);
    exec = instantiate(graph);
    run(exec, s.stream);
    ok(cuMemFree_v2(large));
    ok(cuGraphLaunch(exec, s.stream));
    fails(cuStreamSynchronize(s.stream), CUDA_ERROR_ILLEGAL_ADDRESS);
}

Test(sim_graph, a_kernel_that_was_unloaded_cannot_be_launched)
{
    struct scene s = scene_new();
    CUgraph graph = graph_new();
    CUgraphExec exec;

    add_fill(&s, graph, NULL, s.a, 16, 5);
    exec = instantiate(graph);
    ok(cuModuleUnload(s.code.module));
    fails(cuGraphLaunch(exec, s.stream), CUDA_ERROR_INVALID_HANDLE);
}

Test(sim_graph, every_kind_of_captured_work_runs)
{
    struct scene s = scene_new();
    int calls = 0;
    CUgraph graph;

    ok(cuStreamBeginCapture_v2(s.stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ok(cuMemsetD32Async(s.a, 9, 8, s.stream));
    ok(cuMemcpyDtoDAsync_v2(s.b, s.a, 16, s.stream));
    ok(cuMemsetD2D8Async(s.b + 256, 512, 3, 4, 2, s.stream));
    ok(cuLaunchHostFunc(s.stream, count_up, &calls));
    ok(launch_fill(&s.code, s.a, 1, 4, s.stream));
    ok(cuStreamEndCapture(s.stream, &graph));
    cr_assert_eq(count_nodes(graph), 5);
    cr_assert_eq(calls, 0);
    run_once(&s, graph);
    cr_assert_eq(calls, 1);
    cr_assert_eq(read_word(s.a), 4);
    cr_assert_eq(read_word(s.b + 12), 9);
    cr_assert_eq(read_word(s.b + 16), 2);
    cr_assert_eq(read_word(s.b + 256 + 512), 0x03030303);
}

Test(sim_graph, one_executable_graph_does_not_overlap_itself)
{
    struct scene s = scene_new();
    CUDA_HOST_NODE_PARAMS host = {.fn = count_up};
    CUgraph graph = graph_new();
    CUgraphExec exec;
    CUgraphNode node;
    int calls = 0;

    host.userData = &calls;
    ok(cuGraphAddHostNode(&node, graph, NULL, 0, &host));
    exec = instantiate(graph);
    ok(cuGraphLaunch(exec, s.stream));
    ok(cuGraphLaunch(exec, s.other));
    ok(cuStreamSynchronize(s.other));
    cr_assert_eq(calls, 2, "the first launch was in the other stream");
}

Test(sim_graph, a_graph_inside_a_graph_runs_between_its_neighbours)
{
    struct scene s = scene_new();
    CUgraph inner = graph_new();
    CUgraph outer = graph_new();
    CUgraph embedded;
    CUgraphNode nodes[3];

    add_copy(&s, inner, add_fill(&s, inner, NULL, s.a, 16, 5), s.b, s.a, 16);
    nodes[0] = add_fill(&s, outer, NULL, s.a, 16, 4);
    ok(cuGraphAddChildGraphNode(&nodes[1], outer, &nodes[0], 1, inner));
    ok(cuGraphDestroy(inner));
    nodes[2] = add_copy(&s, outer, nodes[1], s.a, s.b + 4, 1);
    ok(cuGraphChildGraphNodeGetGraph(nodes[1], &embedded));
    cr_assert_eq(count_nodes(embedded), 2);
    fails(cuGraphDestroy(embedded), CUDA_ERROR_INVALID_VALUE);
    fails(cuGraphAddChildGraphNode(&nodes[2], embedded, NULL, 0, outer), CUDA_ERROR_INVALID_VALUE);
    run_once(&s, outer);
    cr_assert_eq(read_word(s.a), 5);
    cr_assert_eq(read_word(s.b), 5);
}

Test(sim_graph, a_launch_into_a_capture_becomes_a_node)
{
    struct scene s = scene_new();
    CUgraphExec exec = instantiate(capture_fill_and_copy(&s, 5));
    CUgraphNodeType type;
    CUgraphNode node;
    CUgraph graph;
    size_t n = 1;

    ok(cuStreamBeginCapture_v2(s.stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ok(cuGraphLaunch(exec, s.stream));
    ok(cuStreamEndCapture(s.stream, &graph));
    ok(cuGraphExecDestroy(exec));
    ok(cuGraphGetNodes(graph, &node, &n));
    ok(cuGraphNodeGetType(node, &type));
    cr_assert_eq(type, CU_GRAPH_NODE_TYPE_GRAPH);
    cr_assert_eq(read_word(s.b), 2);
    run_once(&s, graph);
    cr_assert_eq(read_word(s.b), 5);
}

Test(sim_graph, event_nodes_order_a_graph_with_other_streams)
{
    struct scene s = scene_new();
    CUgraph waits = graph_new();
    CUgraph records = graph_new();
    CUgraphExec waiter;
    CUgraphExec recorder;
    CUgraphNode node;
    CUevent seen;

    ok(cuGraphAddEventWaitNode(&node, waits, NULL, 0, s.event));
    add_copy(&s, waits, node, s.b, s.a, 16);
    node = add_fill(&s, records, NULL, s.a, 16, 5);
    ok(cuGraphAddEventRecordNode(&node, records, &node, 1, s.event));
    ok(cuGraphEventRecordNodeGetEvent(node, &seen));
    cr_assert_eq(seen, s.event);
    waiter = instantiate(waits);
    recorder = instantiate(records);
    ok(cuGraphLaunch(recorder, s.other));
    fails(cuEventQuery(s.event), CUDA_ERROR_NOT_READY);
    run(waiter, s.stream);
    cr_assert_eq(read_word(s.b), 5);
    ok(cuEventQuery(s.event));
}

Test(sim_graph, external_events_are_nodes_of_a_capture)
{
    struct scene s = scene_new();
    CUgraphNodeType types[3] = {CU_GRAPH_NODE_TYPE_WAIT_EVENT, CU_GRAPH_NODE_TYPE_KERNEL,
                                CU_GRAPH_NODE_TYPE_EVENT_RECORD};
    CUgraphNode nodes[3];
    CUgraph graph;
    size_t n = 3;

    fails(cuEventRecordWithFlags(s.event, s.stream, CU_EVENT_RECORD_EXTERNAL),
          CUDA_ERROR_INVALID_VALUE);
    fails(cuStreamWaitEvent(s.stream, s.event, CU_EVENT_WAIT_EXTERNAL), CUDA_ERROR_INVALID_VALUE);
    ok(cuStreamBeginCapture_v2(s.stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ok(cuStreamWaitEvent(s.stream, s.event, CU_EVENT_WAIT_EXTERNAL));
    ok(launch_fill(&s.code, s.a, 1, 5, s.stream));
    ok(cuEventRecordWithFlags(s.event, s.stream, CU_EVENT_RECORD_EXTERNAL));
    ok(cuStreamEndCapture(s.stream, &graph));
    ok(cuEventQuery(s.event));
    ok(cuGraphGetNodes(graph, nodes, &n));
    cr_assert_eq(n, 3);
    for (size_t i = 0; i < n; i++) {
        CUgraphNodeType type;

        ok(cuGraphNodeGetType(nodes[i], &type));
        cr_expect_eq(type, types[i], "node %zu", i);
    }
    run_once(&s, graph);
    cr_assert_eq(read_word(s.a), 5);
}
