/* SPDX-License-Identifier: MIT */
#include "tests/sim_graph_test.h"

TestSuite(sim_graph_update, .timeout = 30);

Test(sim_graph_update, another_graph_of_the_same_shape_gives_new_parameters)
{
    struct scene s = scene_new();
    CUgraph graph = graph_new();
    CUgraph other = graph_new();
    CUgraphExecUpdateResultInfo info;
    CUgraphExecUpdateResult result;
    CUgraphNode error_node;
    CUgraphExec exec;

    add_copy(&s, graph, add_fill(&s, graph, NULL, s.a, 16, 5), s.b, s.a, 16);
    add_copy(&s, other, add_fill(&s, other, NULL, s.a, 16, 6), s.b + 1024, s.a, 16);
    exec = instantiate(graph);
    ok(cuGraphLaunch(exec, s.stream));
    ok(cuGraphExecUpdate_v2(exec, other, &info));
    cr_assert_eq(info.result, CU_GRAPH_EXEC_UPDATE_SUCCESS);
    cr_assert_null(info.errorNode);
    ok(cuStreamSynchronize(s.stream));
    cr_assert_eq(read_word(s.b), 5, "a launch that was submitted before is as it was");
    run(exec, s.stream);
    cr_assert_eq(read_word(s.b + 1024), 6);
    ok(cuGraphExecUpdate(exec, graph, &error_node, &result));
    cr_assert_eq(result, CU_GRAPH_EXEC_UPDATE_SUCCESS);
    run(exec, s.stream);
    cr_assert_eq(read_word(s.b), 5);
}

/* The graph that the executable one is made of, and one that differs in some way. */
static CUgraph graph_of(struct scene *s, int row)
{
    CUDA_MEMSET_NODE_PARAMS fill = fill_1d(s->b, 7, 16);
    CUDA_MEMCPY3D copy = copy_1d(s->b, s->a, 64);
    CUgraph graph = graph_new();
    CUgraph inner = graph_new();
    CUgraphNode kernel = add_fill(s, graph, NULL, s->a, 16, 5);
    CUgraphNode second;
    CUgraphNode node;
    uint32_t word;

    if (row == 1)
        ok(cuGraphAddEmptyNode(&node, graph, NULL, 0));
    if (row == 6) {
        copy.dstMemoryType = CU_MEMORYTYPE_HOST;
        copy.dstHost = &word;
        copy.WidthInBytes = 4;
    }
    fill.height = row == 7 ? 2 : 1;
    fill.pitch = 512;
    if (row == 5)
        ok(cuGraphAddEmptyNode(&second, graph, &kernel, 1));
    else
        ok(cuGraphAddMemsetNode(&second, graph, &kernel, row != 2, &fill, s->context));
    ok(cuGraphAddMemcpyNode(&node, graph, row == 3 ? &kernel : &second, 1, &copy, s->context));
    if (row == 8)
        ok(cuGraphAddEmptyNode(&second, inner, NULL, 0));
    else
        add_fill(s, inner, NULL, s->a, 4, 1);
    ok(cuGraphAddChildGraphNode(&node, graph, &node, 1, inner));
    if (row == 4)
        ok(cuGraphAddDependencies(graph, &kernel, &node, 1));
    ok(cuGraphDestroy(inner));
    return graph;
}

Test(sim_graph_update, what_does_not_match_is_said)
{
    static const CUgraphExecUpdateResult expected[] = {
        CU_GRAPH_EXEC_UPDATE_SUCCESS,
        CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, /* a node more */
        CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, /* an edge less */
        CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, /* another edge */
        CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED, /* an edge more */
        CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED,
        CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED, /* another kind of memory */
        CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED, /* a memset of two rows */
        CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED,  /* in an embedded graph */
    };
    struct scene s = scene_new();
    CUgraphExec exec = instantiate(graph_of(&s, 0));

    for (int row = 0; row < (int)ARRAY_SIZE(expected); row++) {
        CUgraphExecUpdateResultInfo info = {0};
        CUresult result = cuGraphExecUpdate_v2(exec, graph_of(&s, row), &info);

        cr_expect_eq(result, row ? CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE : CUDA_SUCCESS, "row %d",
                     row);
        cr_expect_eq(info.result, expected[row], "row %d: %d", row, info.result);
        cr_expect_eq(info.errorNode != NULL, row > 1, "row %d", row);
        cr_expect_eq(info.errorFromNode != NULL, row == 3, "row %d", row);
    }
    run(exec, s.stream);
    cr_assert_eq(read_word(s.a), 1, "the embedded graph is at its place");
}

Test(sim_graph_update, nodes_of_each_kind_take_new_parameters)
{
    struct scene s = scene_new();
    CUDA_MEMSET_NODE_PARAMS fill = fill_1d(s.a, 7, 16);
    CUDA_MEMCPY3D copy = copy_1d(s.b, s.a, 64);
    CUgraphNodeParams general = {.type = CU_GRAPH_NODE_TYPE_MEMSET};
    CUgraph graph = graph_new();
    struct kernel_node kernel;
    CUgraphNode nodes[3];
    CUgraphExec exec;

    ok(cuGraphAddMemsetNode(&nodes[0], graph, NULL, 0, &fill, s.context));
    ok(cuGraphAddMemcpyNode(&nodes[1], graph, &nodes[0], 1, &copy, s.context));
    nodes[2] = add_fill(&s, graph, nodes[1], s.a, 1, 5);
    exec = instantiate(graph);
    fill.value = 8;
    copy.dstDevice = s.b + 1024;
    kernel_node_init(&kernel, s.code.copy, s.a, s.b + 1024, 1);
    ok(cuGraphExecMemsetNodeSetParams(exec, nodes[0], &fill, s.context));
    ok(cuGraphExecMemcpyNodeSetParams(exec, nodes[1], &copy, s.context));
    ok(cuGraphExecKernelNodeSetParams_v2(exec, nodes[2], &kernel.params));
    run(exec, s.stream);
    cr_assert_eq(read_word(s.b), 2);
    cr_assert_eq(read_word(s.b + 1024), 8);
    cr_assert_eq(read_word(s.a), 8);
    general.memset.dst = s.a;
    general.memset.value = 9;
    general.memset.elementSize = 4;
    general.memset.width = 32;
    general.memset.height = 1;
    ok(cuGraphExecNodeSetParams(exec, nodes[0], &general));
    run(exec, s.stream);
    cr_assert_eq(read_word(s.a + 124), 9);
    run_once(&s, graph);
    cr_assert_eq(read_word(s.a), 5, "the graph itself did not change");
}

Test(sim_graph_update, events_and_host_functions_can_be_exchanged)
{
    struct scene s = scene_new();
    CUgraph graph = graph_new();
    CUgraphNode record;
    CUgraphNode wait;
    CUgraphExec exec;
    CUevent second;

    ok(cuEventCreate(&second, 0));
    ok(cuGraphAddEventWaitNode(&wait, graph, NULL, 0, s.event));
    ok(cuGraphAddEventRecordNode(&record, graph, &wait, 1, s.event));
    exec = instantiate(graph);
    ok(cuGraphExecEventRecordNodeSetEvent(exec, record, second));
    fails(cuGraphExecEventRecordNodeSetEvent(exec, wait, second), CUDA_ERROR_INVALID_VALUE);
    ok(cuGraphExecEventWaitNodeSetEvent(exec, wait, second));
    ok(cuGraphLaunch(exec, s.stream));
    ok(cuEventQuery(s.event));
    fails(cuEventQuery(second), CUDA_ERROR_NOT_READY);
    ok(cuEventSynchronize(second));
}

Test(sim_graph_update, an_embedded_graph_can_be_changed_inside_an_executable_one)
{
    struct scene s = scene_new();
    CUgraph inner = graph_new();
    CUgraph changed = graph_new();
    CUgraph outer = graph_new();
    CUgraph embedded;
    struct kernel_node kernel;
    CUgraphNode child;
    CUgraphNode node;
    CUgraphExec exec;
    size_t n = 1;

    add_fill(&s, inner, NULL, s.a, 1, 5);
    add_fill(&s, changed, NULL, s.a, 1, 6);
    ok(cuGraphAddChildGraphNode(&child, outer, NULL, 0, inner));
    exec = instantiate(outer);
    ok(cuGraphExecChildGraphNodeSetParams(exec, child, changed));
    run(exec, s.stream);
    cr_assert_eq(read_word(s.a), 6);
    ok(cuGraphChildGraphNodeGetGraph(child, &embedded));
    ok(cuGraphGetNodes(embedded, &node, &n));
    kernel_node_init(&kernel, s.code.fill, s.a, 1, 7);
    ok(cuGraphExecKernelNodeSetParams_v2(exec, node, &kernel.params));
    run(exec, s.stream);
    cr_assert_eq(read_word(s.a), 7);
    add_fill(&s, changed, NULL, s.a, 1, 6);
    fails(cuGraphExecChildGraphNodeSetParams(exec, child, changed), CUDA_ERROR_INVALID_VALUE);
}

Test(sim_graph_update, nodes_are_switched_off_and_on)
{
    struct scene s = scene_new();
    CUgraph graph = graph_new();
    CUgraphNode node = add_fill(&s, graph, NULL, s.a, 1, 5);
    CUgraphNode empty;
    CUgraphExec exec;
    unsigned int enabled;

    ok(cuGraphAddEmptyNode(&empty, graph, NULL, 0));
    exec = instantiate(graph);
    ok(cuGraphNodeSetEnabled(exec, node, 0));
    ok(cuGraphNodeGetEnabled(exec, node, &enabled));
    cr_assert_eq(enabled, 0);
    run(exec, s.stream);
    cr_assert_eq(read_word(s.a), 1);
    ok(cuGraphNodeSetEnabled(exec, node, 1));
    run(exec, s.stream);
    cr_assert_eq(read_word(s.a), 5);
    fails(cuGraphNodeSetEnabled(exec, empty, 0), CUDA_ERROR_INVALID_VALUE);
}

/* Changes that an executable graph does not take. */
static CUresult refused_change(struct scene *s, CUgraphExec exec, CUgraphNode *nodes, int row)
{
    CUDA_MEMSET_NODE_PARAMS fill = fill_1d(s->a, 7, 16);
    CUDA_MEMCPY3D copy = copy_1d(s->b, s->a, 64);
    CUgraphNodeParams general = {.type = CU_GRAPH_NODE_TYPE_EMPTY};
    struct kernel_node kernel;
    uint32_t word;

    kernel_node_init(&kernel, s->code.fill, s->a, 1, 1);
    switch (row) {
    case 0:
        fill.height = 2;
        fill.pitch = 512;
        return cuGraphExecMemsetNodeSetParams(exec, nodes[0], &fill, s->context);
    case 1:
        fill.width = 0;
        return cuGraphExecMemsetNodeSetParams(exec, nodes[0], &fill, s->context);
    case 2:
        copy.Height = 2;
        copy.srcPitch = copy.dstPitch = 512;
        return cuGraphExecMemcpyNodeSetParams(exec, nodes[1], &copy, s->context);
    case 3:
        copy.dstMemoryType = CU_MEMORYTYPE_HOST;
        copy.dstHost = &word;
        copy.WidthInBytes = 4;
        return cuGraphExecMemcpyNodeSetParams(exec, nodes[1], &copy, s->context);
    case 4:
        return cuGraphExecKernelNodeSetParams_v2(exec, nodes[0], &kernel.params);
    case 5:
        return cuGraphExecKernelNodeSetParams_v2(exec, add_fill(s, graph_new(), NULL, s->a, 1, 1),
                                                 &kernel.params);
    case 6:
        kernel.params.kernelParams = NULL;
        return cuGraphExecKernelNodeSetParams_v2(exec, nodes[2], &kernel.params);
    default:
        return cuGraphExecNodeSetParams(exec, nodes[0], &general);
    }
}

Test(sim_graph_update, changes_that_are_documented_as_refused_are_refused)
{
    struct scene s = scene_new();
    CUDA_MEMSET_NODE_PARAMS fill = fill_1d(s.a, 7, 16);
    CUDA_MEMCPY3D copy = copy_1d(s.b, s.a, 64);
    CUgraph graph = graph_new();
    CUgraphNode nodes[3];
    CUgraphExec exec;

    ok(cuGraphAddMemsetNode(&nodes[0], graph, NULL, 0, &fill, s.context));
    ok(cuGraphAddMemcpyNode(&nodes[1], graph, &nodes[0], 1, &copy, s.context));
    nodes[2] = add_fill(&s, graph, nodes[1], s.a, 1, 5);
    exec = instantiate(graph);
    for (int row = 0; row < 8; row++)
        cr_expect_eq(refused_change(&s, exec, nodes, row), CUDA_ERROR_INVALID_VALUE, "row %d", row);
    run(exec, s.stream);
    cr_assert_eq(read_word(s.b), 7);
}

Test(sim_graph_update, flags_are_kept)
{
    struct scene s = scene_new();
    CUgraph graph = graph_new();
    CUgraph other = graph_new();
    CUkernelNodeAttrValue value = {.priority = -1};
    CUgraphExecUpdateResultInfo info;
    CUgraphNode node;
    CUgraphExec exec;
    cuuint64_t flags;

    add_fill(&s, graph, NULL, s.a, 1, 5);
    node = add_fill(&s, other, NULL, s.a, 1, 5);
    ok(cuGraphKernelNodeSetAttribute(node, CU_LAUNCH_ATTRIBUTE_PRIORITY, &value));
    ok(cuGraphInstantiateWithFlags(&exec, graph, CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY));
    ok(cuGraphExecGetFlags(exec, &flags));
    cr_assert_eq(flags, CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY);
    fails(cuGraphExecUpdate_v2(exec, other, &info), CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
    cr_assert_eq(info.result, CU_GRAPH_EXEC_UPDATE_ERROR_ATTRIBUTES_CHANGED);
}
