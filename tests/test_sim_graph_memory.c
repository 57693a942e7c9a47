/* SPDX-License-Identifier: MIT */
#include "tests/sim_graph_test.h"

TestSuite(sim_graph_memory, .timeout = 30);

static CUDA_MEM_ALLOC_NODE_PARAMS memory_of(size_t bytes)
{
    return (CUDA_MEM_ALLOC_NODE_PARAMS){
        .poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                      .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}},
        .bytesize = bytes,
    };
}

static CUgraphNode add_alloc(CUgraph graph, size_t bytes, CUdeviceptr *out)
{
    CUDA_MEM_ALLOC_NODE_PARAMS params = memory_of(bytes);
    CUgraphNode node;

    ok(cuGraphAddMemAllocNode(&node, graph, NULL, 0, &params));
    *out = params.dptr;
    return node;
}

static uint64_t attribute(CUgraphMem_attribute which)
{
    uint64_t value;

    ok(cuDeviceGetGraphMemAttribute(0, which, &value));
    return value;
}

Test(sim_graph_memory, captured_allocations_live_from_node_to_node)
{
    struct scene s = scene_new();
    CUdeviceptr scratch;
    CUgraphExec exec;
    CUgraph graph;

    ok(cuStreamBeginCapture_v2(s.stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ok(cuMemAllocAsync(&scratch, 3 * MIB, s.stream));
    ok(launch_fill(&s.code, scratch, 16, 5, s.stream));
    ok(launch_copy(&s.code, s.b, scratch, 16, s.stream));
    ok(cuMemFreeAsync(scratch, s.stream));
    ok(cuStreamEndCapture(s.stream, &graph));
    cr_assert_eq(count_nodes(graph), 4);
    exec = instantiate(graph);
    cr_assert_eq(attribute(CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT), 0);
    for (int i = 0; i < 3; i++)
        run(exec, s.stream);
    cr_assert_eq(read_word(s.b), 5);
    cr_assert_eq(attribute(CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT), 0);
    cr_assert_eq(attribute(CU_GRAPH_MEM_ATTR_USED_MEM_HIGH), 4 * MIB);
    cr_assert_eq(attribute(CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT), 4 * MIB);
    ok(cuDeviceGraphMemTrim(0));
    cr_assert_eq(attribute(CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT), 0);
    run(exec, s.stream);
    ok(cuGraphExecDestroy(exec));
    ok(cuGraphDestroy(graph));
    cr_assert_eq(attribute(CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT), 0);
    cr_assert_eq(stats_now().allocations, 2);
}

Test(sim_graph_memory, the_memory_is_not_there_outside_of_its_nodes)
{
    struct scene s = scene_new();
    CUgraph graph = graph_new();
    CUgraphExec exec;
    CUdeviceptr scratch;
    CUgraphNode alloc;
    CUgraphNode freed;

    alloc = add_alloc(graph, 4 * MIB, &scratch);
    ok(cuGraphAddMemFreeNode(&freed, graph, &alloc, 1, scratch));
    add_fill(&s, graph, freed, scratch, 1, 5);
    exec = instantiate(graph);
    ok(cuGraphLaunch(exec, s.stream));
    fails(cuStreamSynchronize(s.stream), CUDA_ERROR_ILLEGAL_ADDRESS);
}

Test(sim_graph_memory, it_is_fresh_at_each_launch)
{
    struct scene s = scene_new();
    CUgraph graph = graph_new();
    CUgraphNode nodes[4];
    CUgraphExec exec;
    CUdeviceptr scratch;

    nodes[0] = add_alloc(graph, 4 * MIB, &scratch);
    nodes[1] = add_copy(&s, graph, nodes[0], s.b, scratch, 1);
    nodes[2] = add_fill(&s, graph, nodes[1], scratch, 1, 5);
    ok(cuGraphAddMemFreeNode(&nodes[3], graph, &nodes[2], 1, scratch));
    exec = instantiate(graph);
    for (int i = 0; i < 2; i++) {
        run(exec, s.stream);
        cr_assert_eq(read_word(s.b), 0xcbcbcbcb);
    }
}

Test(sim_graph_memory, what_is_not_freed_in_the_graph_is_freed_outside)
{
    struct scene s = scene_new();
    CUgraph graph = graph_new();
    CUgraphExec exec;
    CUgraphExec freeing;
    CUgraph frees = graph_new();
    CUdeviceptr kept;
    CUgraphNode node;

    node = add_alloc(graph, 4 * MIB, &kept);
    add_fill(&s, graph, node, kept, 1, 5);
    ok(cuGraphAddMemFreeNode(&node, frees, NULL, 0, kept));
    exec = instantiate(graph);
    freeing = instantiate(frees);
    fails(cuMemFree_v2(kept), CUDA_ERROR_INVALID_VALUE);
    fails(cuGraphLaunch(freeing, s.stream), CUDA_ERROR_INVALID_VALUE);
    run(exec, s.stream);
    cr_assert_eq(read_word(kept), 5);
    fails(cuGraphLaunch(exec, s.stream), CUDA_ERROR_INVALID_VALUE);
    ok(cuMemFree_v2(kept));
    ok(cuGraphLaunch(exec, s.stream));
    ok(cuMemFreeAsync(kept, s.stream));
    ok(cuGraphLaunch(exec, s.stream));
    ok(cuGraphLaunch(freeing, s.stream));
    ok(cuGraphLaunch(exec, s.stream));
    ok(cuStreamSynchronize(s.stream));
    ok(cuGraphExecDestroy(exec));
    ok(cuGraphDestroy(graph));
    ok(cuGraphExecDestroy(freeing));
    ok(cuGraphDestroy(frees));
    cr_assert_eq(read_word(kept), 5, "it outlives its graph");
    ok(cuMemFree_v2(kept));
    cr_assert_eq(stats_now().allocations, 2);
}

Test(sim_graph_memory, a_launch_may_free_what_the_last_one_left)
{
    struct scene s = scene_new();
    CUgraph graph = graph_new();
    CUgraphExec exec;
    CUdeviceptr kept;
    CUgraphNode alloc = add_alloc(graph, 4 * MIB, &kept);

    add_fill(&s, graph, alloc, kept, 1, 5);
    ok(cuGraphInstantiateWithFlags(&exec, graph, CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH));
    for (int i = 0; i < 3; i++)
        run(exec, s.stream);
    cr_assert_eq(attribute(CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT), 4 * MIB);
    cr_assert_eq(read_word(kept), 5);
}

Test(sim_graph_memory, a_launch_without_room_is_refused_and_can_be_repeated)
{
    struct scene s = scene_new();
    CUgraph graph = graph_new();
    CUgraphExec exec;
    CUdeviceptr scratch;
    CUdeviceptr large;
    CUgraphNode alloc = add_alloc(graph, 8 * MIB, &scratch);
    CUgraphNode node;

    ok(cuGraphAddMemFreeNode(&node, graph, &alloc, 1, scratch));
    exec = instantiate(graph);
    ok(cuMemAlloc_v2(&large, 14 * MIB));
    fails(cuGraphLaunch(exec, s.stream), CUDA_ERROR_OUT_OF_MEMORY);
    ok(cuMemFree_v2(large));
    ok(cuGraphUpload(exec, s.stream));
    fails(cuMemAlloc_v2(&large, 14 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
    run(exec, s.stream);
    ok(cuDeviceGraphMemTrim(0));
    ok(cuMemAlloc_v2(&large, 14 * MIB));
}

Test(sim_graph_memory, high_water_marks_begin_anew_when_told)
{
    struct scene s = scene_new();
    CUgraph graph = graph_new();
    CUdeviceptr scratch;
    CUgraphNode alloc = add_alloc(graph, 4 * MIB, &scratch);
    CUgraphNode node;
    uint64_t zero = 0;

    ok(cuGraphAddMemFreeNode(&node, graph, &alloc, 1, scratch));
    run_once(&s, graph);
    cr_assert_eq(attribute(CU_GRAPH_MEM_ATTR_USED_MEM_HIGH), 4 * MIB);
    ok(cuDeviceSetGraphMemAttribute(0, CU_GRAPH_MEM_ATTR_USED_MEM_HIGH, &zero));
    cr_assert_eq(attribute(CU_GRAPH_MEM_ATTR_USED_MEM_HIGH), 0);
    fails(cuDeviceSetGraphMemAttribute(0, CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT, &zero),
          CUDA_ERROR_INVALID_VALUE);
    fails(cuDeviceGetGraphMemAttribute(7, CU_GRAPH_MEM_ATTR_USED_MEM_HIGH, &zero),
          CUDA_ERROR_INVALID_DEVICE);
}

/* What cannot be done with a graph whose nodes allocate. */
static CUresult forbidden(struct scene *s, CUgraph graph, CUgraphNode alloc, CUdeviceptr address,
                          int row)
{
    CUgraph outer = graph_new();
    CUgraphNode node;
    CUgraphExec exec;
    CUresult result;
    CUgraph clone;

    switch (row) {
    case 0:
        return cuGraphDestroyNode(alloc);
    case 1:
        return cuGraphClone(&clone, graph);
    case 2:
        return cuGraphAddChildGraphNode(&node, outer, NULL, 0, graph);
    case 3:
        return cuGraphRemoveDependencies(graph, &alloc, &alloc, 1);
    case 4:
        exec = instantiate(graph);
        ok(cuStreamBeginCapture_v2(s->stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
        result = cuGraphLaunch(exec, s->stream);
        ok(cuStreamEndCapture(s->stream, &clone));
        return result;
    case 5:
        instantiate(graph);
        return cuGraphInstantiateWithFlags(&exec, graph, 0);
    case 6:
        ok(cuGraphAddMemFreeNode(&node, graph, &alloc, 1, address));
        return cuGraphAddMemFreeNode(&node, graph, &alloc, 1, address);
    default:
        return cuGraphAddMemFreeNode(&node, graph, &alloc, 1, address + 4);
    }
}

Test(sim_graph_memory, graphs_that_allocate_have_limits)
{
    static const CUresult expected[] = {
        CUDA_ERROR_NOT_SUPPORTED, CUDA_ERROR_NOT_SUPPORTED, CUDA_ERROR_NOT_SUPPORTED,
        CUDA_ERROR_NOT_SUPPORTED, CUDA_ERROR_NOT_SUPPORTED, CUDA_ERROR_INVALID_VALUE,
        CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_INVALID_VALUE,
    };

    for (int row = 0; row < (int)ARRAY_SIZE(expected); row++) {
        struct scene s = scene_new();
        CUgraph graph = graph_new();
        CUdeviceptr address;
        CUgraphNode alloc = add_alloc(graph, 4 * MIB, &address);

        cr_expect_eq(forbidden(&s, graph, alloc, address, row), expected[row], "row %d", row);
    }
}

Test(sim_graph_memory, peers_may_use_memory_that_is_for_them_too)
{
    CUmemAccessDesc peer = {.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 1},
                            .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CUDA_MEM_ALLOC_NODE_PARAMS params = memory_of(4 * MIB);
    CUDA_MEM_ALLOC_NODE_PARAMS told;
    struct scene s = scene_new();
    CUgraph graph = graph_new();
    CUcontext second;
    CUgraphNode node;
    uint32_t word = 7;

    params.accessDescs = &peer;
    params.accessDescCount = 1;
    ok(cuGraphAddMemAllocNode(&node, graph, NULL, 0, &params));
    ok(cuGraphMemAllocNodeGetParams(node, &told));
    cr_assert_eq(told.dptr, params.dptr);
    cr_assert_eq(told.accessDescs[0].location.id, 1);
    run_once(&s, graph);
    ok(cuMemsetD32_v2(params.dptr, 9, 1));
    ok(cuCtxSynchronize());
    ok(cuDevicePrimaryCtxRetain(&second, 1));
    ok(cuCtxSetCurrent(second));
    ok(cuMemcpyDtoH_v2(&word, params.dptr, 4));
    cr_assert_eq(word, 9);
}
