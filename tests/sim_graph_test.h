/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the suites about graphs share: a stream, two buffers, and short ways to make nodes.
 */

#include "tests/sim_test.h"

struct scene {
    CUcontext context;
    struct device_code code;
    CUstream stream;
    CUstream other;
    CUevent event;
    CUdeviceptr a; /* 1024 words of 1 */
    CUdeviceptr b; /* 1024 words of 2 */
};

static inline void set_words(CUdeviceptr address, uint32_t value)
{
    ok(cuMemsetD32_v2(address, value, 1024));
    ok(cuCtxSynchronize());
}

static inline struct scene scene_new(void)
{
    struct scene s = {.context = start()};

    s.code = load_code();
    ok(cuStreamCreate(&s.stream, CU_STREAM_NON_BLOCKING));
    ok(cuStreamCreate(&s.other, CU_STREAM_NON_BLOCKING));
    ok(cuEventCreate(&s.event, 0));
    ok(cuMemAlloc_v2(&s.a, 4096));
    ok(cuMemAlloc_v2(&s.b, 4096));
    set_words(s.a, 1);
    set_words(s.b, 2);
    return s;
}

static inline CUgraphExec instantiate(CUgraph graph)
{
    CUgraphExec exec = NULL;

    ok(cuGraphInstantiateWithFlags(&exec, graph, 0));
    cr_assert(exec);
    return exec;
}

static inline void run(CUgraphExec exec, CUstream stream)
{
    ok(cuGraphLaunch(exec, stream));
    ok(cuStreamSynchronize(stream));
}

/* Instantiates the graph and runs it once. */
static inline void run_once(struct scene *s, CUgraph graph)
{
    CUgraphExec exec = instantiate(graph);

    run(exec, s->stream);
    ok(cuGraphExecDestroy(exec));
}

/* The parameters of a kernel node, which own what they point to as long as they live. */
struct kernel_node {
    CUDA_KERNEL_NODE_PARAMS params;
    uint64_t words[3];
    void *pointers[3];
};

static inline void kernel_node_init(struct kernel_node *node, CUfunction function, uint64_t first,
                                    uint64_t second, uint64_t third)
{
    *node = (struct kernel_node){
        .params = {.func = function,
                   .gridDimX = 1,
                   .gridDimY = 1,
                   .gridDimZ = 1,
                   .blockDimX = 1,
                   .blockDimY = 1,
                   .blockDimZ = 1},
        .words = {first, second, third},
    };
    for (int i = 0; i < 3; i++)
        node->pointers[i] = &node->words[i];
    node->params.kernelParams = node->pointers;
}

/* A node that fills n words at the address; after `before` unless that is NULL. */
static inline CUgraphNode add_fill(struct scene *s, CUgraph graph, CUgraphNode before,
                                   CUdeviceptr address, uint64_t n, uint32_t value)
{
    struct kernel_node fill;
    CUgraphNode node;

    kernel_node_init(&fill, s->code.fill, address, n, value);
    ok(cuGraphAddKernelNode_v2(&node, graph, &before, before != NULL, &fill.params));
    return node;
}

static inline CUgraphNode add_copy(struct scene *s, CUgraph graph, CUgraphNode before,
                                   CUdeviceptr dst, CUdeviceptr src, uint64_t n)
{
    struct kernel_node copy;
    CUgraphNode node;

    kernel_node_init(&copy, s->code.copy, dst, src, n);
    ok(cuGraphAddKernelNode_v2(&node, graph, &before, before != NULL, &copy.params));
    return node;
}

static inline CUgraph graph_new(void)
{
    CUgraph graph;

    ok(cuGraphCreate(&graph, 0));
    return graph;
}

static inline size_t count_nodes(CUgraph graph)
{
    size_t n = 0;

    ok(cuGraphGetNodes(graph, NULL, &n));
    return n;
}

static inline CUDA_MEMCPY3D copy_1d(CUdeviceptr dst, CUdeviceptr src, size_t bytes)
{
    return (CUDA_MEMCPY3D){
        .dstMemoryType = CU_MEMORYTYPE_DEVICE,
        .dstDevice = dst,
        .srcMemoryType = CU_MEMORYTYPE_DEVICE,
        .srcDevice = src,
        .WidthInBytes = bytes,
        .Height = 1,
        .Depth = 1,
    };
}

static inline CUDA_MEMSET_NODE_PARAMS fill_1d(CUdeviceptr dst, unsigned int value, size_t n)
{
    return (CUDA_MEMSET_NODE_PARAMS){
        .dst = dst, .value = value, .elementSize = 4, .width = n, .height = 1};
}
