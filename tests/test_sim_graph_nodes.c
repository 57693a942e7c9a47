/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/sim_graph_test.h"

TestSuite(sim_graph_nodes, .timeout = 30);

static void count_up(void *counter)
{
    ++*(int *)counter;
}

Test(sim_graph_nodes, nodes_of_every_kind_are_added_by_their_own_call_and_by_the_general_one)
{
    struct scene s = scene_new();
    CUDA_MEMSET_NODE_PARAMS fill = fill_1d(s.a, 7, 16);
    CUDA_MEMCPY3D copy = copy_1d(s.b, s.a, 64);
    CUgraphNodeParams general = {.type = CU_GRAPH_NODE_TYPE_MEMCPY};
    CUDA_MEMSET_NODE_PARAMS told;
    CUDA_MEMCPY3D told_copy;
    CUgraph graph = graph_new();
    CUgraphNode nodes[4];
    CUgraphNode root;
    size_t n = 1;

    ok(cuGraphAddMemsetNode(&nodes[0], graph, NULL, 0, &fill, s.context));
    ok(cuGraphAddEmptyNode(&nodes[1], graph, &nodes[0], 1));
    ok(cuGraphAddMemcpyNode(&nodes[2], graph, &nodes[1], 1, &copy, s.context));
    general.memcpy.copyParams = copy_1d(s.b + 1024, s.b, 64);
    ok(cuGraphAddNode_v2(&nodes[3], graph, &nodes[2], NULL, 1, &general));
    ok(cuGraphMemsetNodeGetParams(nodes[0], &told));
    cr_assert_eq(told.dst, s.a);
    cr_assert_eq(told.width, 16);
    ok(cuGraphMemcpyNodeGetParams(nodes[2], &told_copy));
    cr_assert_eq(told_copy.dstDevice, s.b);
    ok(cuGraphGetRootNodes(graph, &root, &n));
    cr_assert_eq(root, nodes[0]);
    run_once(&s, graph);
    cr_assert_eq(read_word(s.b + 60), 7);
    cr_assert_eq(read_word(s.b + 64), 2);
    cr_assert_eq(read_word(s.b + 1024), 7);
    fill.dst = s.b + 2048;
    ok(cuGraphMemsetNodeSetParams(nodes[0], &fill));
    run_once(&s, graph);
    cr_assert_eq(read_word(s.b + 2048), 7);
}

Test(sim_graph_nodes, a_kernel_node_tells_and_takes_its_parameters)
{
    struct scene s = scene_new();
    CUDA_KERNEL_NODE_PARAMS_v1 old;
    CUDA_KERNEL_NODE_PARAMS told;
    CUkernelNodeAttrValue value = {.priority = -1};
    CUkernelNodeAttrValue read;
    CUgraph graph = graph_new();
    CUgraphNode node = add_fill(&s, graph, NULL, s.a, 16, 5);
    CUgraphNode second = add_fill(&s, graph, node, s.b, 16, 6);
    struct kernel_node changed;

    ok(cuGraphKernelNodeGetParams_v2(node, &told));
    cr_assert_eq(told.func, s.code.fill);
    cr_assert_eq(*(CUdeviceptr *)told.kernelParams[0], s.a);
    cr_assert_eq(*(uint32_t *)told.kernelParams[2], 5);
    ok(cuGraphKernelNodeGetParams(node, &old));
    cr_assert_eq(old.func, s.code.fill);
    kernel_node_init(&changed, s.code.fill, s.a, 16, 8);
    ok(cuGraphKernelNodeSetAttribute(node, CU_LAUNCH_ATTRIBUTE_PRIORITY, &value));
    ok(cuGraphKernelNodeSetParams_v2(node, &changed.params));
    ok(cuGraphKernelNodeCopyAttributes(second, node));
    ok(cuGraphKernelNodeGetAttribute(second, CU_LAUNCH_ATTRIBUTE_PRIORITY, &read));
    cr_assert_eq(read.priority, -1);
    fails(cuGraphKernelNodeGetAttribute(second, CU_LAUNCH_ATTRIBUTE_IGNORE, &read),
          CUDA_ERROR_INVALID_VALUE);
    run_once(&s, graph);
    cr_assert_eq(read_word(s.a), 8);
}

Test(sim_graph_nodes, edges_are_told_added_and_removed)
{
    struct scene s = scene_new();
    CUgraphEdgeData programmatic = {.type = CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC, .from_port = 1};
    CUgraphEdgeData data[4];
    CUgraphNode from[4];
    CUgraphNode to[4];
    CUgraph graph = graph_new();
    CUgraphNode first = add_fill(&s, graph, NULL, s.a, 1, 1);
    CUgraphNode second = add_fill(&s, graph, first, s.a, 1, 2);
    CUgraphNode third = add_fill(&s, graph, first, s.a, 1, 3);
    size_t n = 4;

    ok(cuGraphGetEdges(graph, from, to, &n));
    cr_assert_eq(n, 2);
    cr_assert(from[0] == first && to[0] == second && to[1] == third && !to[2]);
    fails(cuGraphAddDependencies(graph, &first, &second, 1), CUDA_ERROR_INVALID_VALUE);
    ok(cuGraphAddDependencies_v2(graph, &second, &third, &programmatic, 1));
    n = 4;
    fails(cuGraphGetEdges(graph, from, to, &n), CUDA_ERROR_LOSSY_QUERY);
    ok(cuGraphGetEdges_v2(graph, from, to, data, &n));
    cr_assert_eq(n, 3);
    cr_assert_eq(data[2].type, CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC);
    n = 1;
    ok(cuGraphNodeGetDependentNodes(first, to, &n));
    cr_assert_eq(n, 1);
    ok(cuGraphNodeGetDependencies_v2(third, NULL, NULL, &n));
    cr_assert_eq(n, 2);
    fails(cuGraphRemoveDependencies(graph, &second, &third, 1), CUDA_ERROR_INVALID_VALUE);
    ok(cuGraphRemoveDependencies_v2(graph, &second, &third, &programmatic, 1));
    ok(cuGraphDestroyNode(first));
    n = 4;
    ok(cuGraphGetEdges(graph, NULL, NULL, &n));
    cr_assert_eq(n, 0);
    cr_assert_eq(count_nodes(graph), 2);
    fails(cuGraphNodeGetDependencies(first, NULL, &n), CUDA_ERROR_INVALID_VALUE);
}

Test(sim_graph_nodes, a_circle_cannot_be_instantiated)
{
    struct scene s = scene_new();
    CUDA_GRAPH_INSTANTIATE_PARAMS params = {0};
    CUgraph graph = graph_new();
    CUgraphNode first = add_fill(&s, graph, NULL, s.a, 1, 1);
    CUgraphNode second = add_fill(&s, graph, first, s.a, 1, 2);
    CUgraphExec exec;

    ok(cuGraphAddDependencies(graph, &second, &first, 1));
    fails(cuGraphInstantiateWithFlags(&exec, graph, 0), CUDA_ERROR_INVALID_VALUE);
    fails(cuGraphInstantiateWithParams(&exec, graph, &params), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(params.result_out, CUDA_GRAPH_INSTANTIATE_INVALID_STRUCTURE);
}

Test(sim_graph_nodes, a_clone_is_a_graph_of_its_own)
{
    struct scene s = scene_new();
    CUgraph graph = graph_new();
    CUgraphNode fill = add_fill(&s, graph, NULL, s.a, 16, 5);
    CUgraphNode copied;
    struct kernel_node changed;
    CUgraph clone;

    ok(cuGraphClone(&clone, graph));
    ok(cuGraphNodeFindInClone(&copied, fill, clone));
    cr_assert_neq(copied, fill);
    fails(cuGraphNodeFindInClone(&copied, fill, graph), CUDA_ERROR_INVALID_VALUE);
    kernel_node_init(&changed, s.code.fill, s.a, 16, 6);
    ok(cuGraphKernelNodeSetParams_v2(copied, &changed.params));
    ok(cuGraphDestroy(clone));
    run_once(&s, graph);
    cr_assert_eq(read_word(s.a), 5);
}

Test(sim_graph_nodes, user_objects_live_as_long_as_what_refers_to_them)
{
    struct scene s = scene_new();
    CUgraph graph = graph_new();
    CUgraphExec exec;
    CUuserObject object;
    int destroyed = 0;

    fails(cuUserObjectCreate(&object, &destroyed, count_up, 1, 0), CUDA_ERROR_INVALID_VALUE);
    ok(cuUserObjectCreate(&object, &destroyed, count_up, 1, CU_USER_OBJECT_NO_DESTRUCTOR_SYNC));
    ok(cuUserObjectRetain(object, 1));
    ok(cuGraphRetainUserObject(graph, object, 1, CU_GRAPH_USER_OBJECT_MOVE));
    ok(cuUserObjectRelease(object, 1));
    fails(cuGraphReleaseUserObject(graph, object, 2), CUDA_ERROR_INVALID_VALUE);
    add_fill(&s, graph, NULL, s.a, 1, 5);
    exec = instantiate(graph);
    ok(cuGraphDestroy(graph));
    ok(cuGraphLaunch(exec, s.stream));
    ok(cuGraphExecDestroy(exec));
    cr_assert_eq(destroyed, 0, "the launch has not run");
    ok(cuStreamSynchronize(s.stream));
    cr_assert_eq(destroyed, 1);
}

Test(sim_graph_nodes, a_graph_is_printed_for_dot)
{
    struct scene s = scene_new();
    char path[] = "/tmp/sim-graph-XXXXXX";
    char text[512] = "";
    CUgraph graph = graph_new();
    int fd = mkstemp(path);
    FILE *file;

    add_copy(&s, graph, add_fill(&s, graph, NULL, s.a, 1, 1), s.b, s.a, 1);
    ok(cuGraphDebugDotPrint(graph, path, 0));
    file = fdopen(fd, "r");
    cr_assert_gt(fread(text, 1, sizeof(text) - 1, file), 0);
    fclose(file);
    unlink(path);
    cr_assert(strstr(text, "digraph") && strstr(text, "kernel copy_words") && strstr(text, "->"));
}

/* What is refused, and how. */
static CUresult illegal_call(struct scene *s, CUgraph graph, CUgraphNode node, int row)
{
    CUDA_MEMCPY3D copy = copy_1d(s->a, 4096, 16);
    CUDA_MEMSET_NODE_PARAMS fill = fill_1d(s->a, 1, 0);
    CUDA_HOST_NODE_PARAMS host = {0};
    struct kernel_node kernel;
    CUgraphNode twice[2] = {node, node};
    CUgraphNode foreign;
    CUgraphNode out;
    CUgraphExec exec;
    CUevent event;

    kernel_node_init(&kernel, s->code.fill, s->a, 1, 1);
    switch (row) {
    case 0:
        kernel.params.gridDimX = 0;
        return cuGraphAddKernelNode_v2(&out, graph, NULL, 0, &kernel.params);
    case 1:
        return cuGraphAddKernelNode_v2(&out, graph, twice, 2, &kernel.params);
    case 2:
        foreign = add_fill(s, graph_new(), NULL, s->a, 1, 1);
        return cuGraphAddKernelNode_v2(&out, graph, &foreign, 1, &kernel.params);
    case 3:
        return cuGraphAddMemcpyNode(&out, graph, NULL, 0, &copy, s->context);
    case 4:
        return cuGraphAddMemsetNode(&out, graph, NULL, 0, &fill, s->context);
    case 5:
        return cuGraphAddHostNode(&out, graph, NULL, 0, &host);
    case 6:
        return cuGraphAddEventWaitNode(&out, graph, NULL, 0, NULL);
    case 7:
        return cuGraphAddMemFreeNode(&out, graph, NULL, 0, s->a);
    case 8:
        return cuGraphHostNodeGetParams(node, &host);
    case 9:
        return cuGraphEventWaitNodeGetEvent(node, &event);
    case 10:
        return cuGraphInstantiateWithFlags(&exec, graph, 64);
    case 11:
        return cuGraphInstantiateWithFlags(&exec, graph, CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD);
    case 12:
        return cuGraphCreate(&graph, 1);
    case 13:
        return cuGraphDestroy((CUgraph)node);
    default:
        return cuGraphAddDependencies(graph, &node, &node, 1);
    }
}

Test(sim_graph_nodes, what_makes_no_sense_is_refused)
{
    for (int row = 0; row < 15; row++) {
        struct scene s = scene_new();
        CUgraph graph = graph_new();
        CUgraphNode node = add_fill(&s, graph, NULL, s.a, 1, 1);

        cr_expect_eq(illegal_call(&s, graph, node, row), CUDA_ERROR_INVALID_VALUE, "row %d", row);
        cr_expect_eq(count_nodes(graph), 1, "row %d", row);
    }
}

Test(sim_graph_nodes, what_is_not_simulated_is_refused_by_name)
{
    struct scene s = scene_new();
    CUgraphNodeParams params = {.type = CU_GRAPH_NODE_TYPE_CONDITIONAL};
    CUDA_BATCH_MEM_OP_NODE_PARAMS batch = {0};
    CUgraphConditionalHandle handle;
    CUgraph graph = graph_new();
    CUgraphNode node;
    CUgraphExec exec;

    fails(cuGraphConditionalHandleCreate(&handle, graph, s.context, 0, 0),
          CUDA_ERROR_NOT_SUPPORTED);
    fails(cuGraphAddNode_v2(&node, graph, NULL, NULL, 0, &params), CUDA_ERROR_NOT_SUPPORTED);
    fails(cuGraphAddBatchMemOpNode(&node, graph, NULL, 0, &batch), CUDA_ERROR_NOT_SUPPORTED);
    fails(cuGraphInstantiateWithFlags(&exec, graph, CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH),
          CUDA_ERROR_NOT_SUPPORTED);
}
