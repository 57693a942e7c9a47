/* SPDX-License-Identifier: MIT */
/*
 * Graphs. What they do is not looked into; they run on memory wherever it lies. But they are work:
 *
 * - Host functions and waits in them may be what a drain would wait for. A launch of a program that
 *   ever put a host function into a graph is followed by one of ours, until which no home moves.
 * - Memory of their allocation nodes is the driver's. Where it has none left, homes make room.
 * - A copy or memset node that would cross from one tier to the other may be refused. A captured
 * one never does (pager_run()); for others the memory is gathered in one tier, when they are.
 */
#include "interpose/hooks.h"

#include <stdlib.h>
#include <string.h>
#include "runtime/gate.h"
#include "runtime/pager.h"

enum {
    ROOM_FIRST = 64 << 20, /* bytes that are made free at first; then twice as many */
    NODES_MAX = 1 << 20,   /* of a graph that is looked through */
};

/* Makes the call `again` for as long as there is no memory for it and room can be made. */
#define WITH_ROOM(drv, result, again)                                                              \
    for (uint64_t room = ROOM_FIRST;                                                               \
         (result) == CUDA_ERROR_OUT_OF_MEMORY && pager_give_way(drv, room); room *= 2)             \
    (result) = (again)

/* A passage of the gate, for a call that submits work of which nobody knows what it does. */
#define GATED(call)                                                                                \
    ({                                                                                             \
        CUresult gated_result;                                                                     \
                                                                                                   \
        if (!gate_try_enter())                                                                     \
            gate_enter_unknown();                                                                  \
        gated_result = (call);                                                                     \
        gate_leave();                                                                              \
        gated_result;                                                                              \
    })

static void CUDA_CB launch_ended(void *unused)
{
    (void)unused;
    pager_host_call_ended();
}

/* When what would tell its end cannot be submitted, homes stay where they are for good. */
static CUresult launch_and_follow(const struct driver *drv, CUgraphExec exec, CUstream stream)
{
    CUresult result = drv->cuGraphLaunch(exec, stream);

    if (result != CUDA_SUCCESS)
        pager_host_call_ended();
    else
        (void)drv->cuLaunchHostFunc(stream, launch_ended, NULL);
    return result;
}

static CUresult launch(const struct driver *drv, CUgraphExec exec, CUstream stream, bool follow)
{
    if (!follow)
        return GATED(drv->cuGraphLaunch(exec, stream));
    pager_host_call_began();
    return GATED(launch_and_follow(drv, exec, stream));
}

/* Into a capture a launch is a node, and runs when that graph is launched. */
CUresult graph_launch_aside(const struct driver *drv, CUgraphExec exec, CUstream stream)
{
    bool captured = stream_is_capturing(drv, stream);
    bool follow = !captured && pager_graphs_call_host() && drv->cuLaunchHostFunc;
    CUresult result = launch(drv, exec, stream, follow);

    if (!captured)
        WITH_ROOM(drv, result, launch(drv, exec, stream, follow));
    return result;
}

CUresult hook_cuGraphUpload(const struct driver *drv, CUgraphExec graph_exec, CUstream stream)
{
    CUresult result = GATED(drv->cuGraphUpload(graph_exec, stream));

    WITH_ROOM(drv, result, GATED(drv->cuGraphUpload(graph_exec, stream)));
    return result;
}

/* Whether something changed by which a copy may be accepted that was refused. */
static bool gather_side(const struct driver *drv, CUmemorytype type, CUdeviceptr at, uint64_t bytes)
{
    bool device = type == CU_MEMORYTYPE_DEVICE || type == CU_MEMORYTYPE_UNIFIED;

    return device && pager_gather(drv, at, bytes);
}

static uint64_t span_of(uint64_t width, uint64_t pitch, uint64_t height, uint64_t slice,
                        uint64_t depth)
{
    return height && depth ? (depth - 1) * slice + (height - 1) * pitch + width : 0;
}

static bool gather_copy(const struct driver *drv, const CUDA_MEMCPY3D *c)
{
    uint64_t width = c->WidthInBytes;
    uint64_t src_slice = c->srcPitch * c->srcHeight;
    uint64_t dst_slice = c->dstPitch * c->dstHeight;
    CUdeviceptr src = c->srcDevice + c->srcZ * src_slice + c->srcY * c->srcPitch + c->srcXInBytes;
    CUdeviceptr dst = c->dstDevice + c->dstZ * dst_slice + c->dstY * c->dstPitch + c->dstXInBytes;
    bool any = gather_side(drv, c->srcMemoryType, src,
                           span_of(width, c->srcPitch, c->Height, src_slice, c->Depth));

    return gather_side(drv, c->dstMemoryType, dst,
                       span_of(width, c->dstPitch, c->Height, dst_slice, c->Depth)) ||
           any;
}

static bool gather_memset(const struct driver *drv, const CUDA_MEMSET_NODE_PARAMS *set)
{
    uint64_t width = set->width * set->elementSize;

    return pager_gather(drv, set->dst, span_of(width, set->pitch, set->height, 0, 1));
}

static bool gather_params(const struct driver *drv, const CUgraphNodeParams *params)
{
    CUDA_MEMSET_NODE_PARAMS set;

    switch ((int)params->type) {
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        return gather_copy(drv, &params->memcpy.copyParams);
    case CU_GRAPH_NODE_TYPE_MEMSET:
        memcpy(&set, &params->memset, sizeof(set));
        return gather_memset(drv, &set);
    default:
        return false;
    }
}

static bool gather_graph(const struct driver *drv, CUgraph graph);

static bool gather_node(const struct driver *drv, CUgraphNode node)
{
    CUgraphNodeType type = CU_GRAPH_NODE_TYPE_EMPTY;
    CUDA_MEMSET_NODE_PARAMS set;
    CUDA_MEMCPY3D copy;
    CUgraph child;

    (void)drv->cuGraphNodeGetType(node, &type);
    switch ((int)type) {
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        return drv->cuGraphMemcpyNodeGetParams(node, &copy) == CUDA_SUCCESS &&
               gather_copy(drv, &copy);
    case CU_GRAPH_NODE_TYPE_MEMSET:
        return drv->cuGraphMemsetNodeGetParams(node, &set) == CUDA_SUCCESS &&
               gather_memset(drv, &set);
    case CU_GRAPH_NODE_TYPE_GRAPH:
        return drv->cuGraphChildGraphNodeGetGraph(node, &child) == CUDA_SUCCESS &&
               gather_graph(drv, child);
    default:
        return false;
    }
}

static bool can_look_through(const struct driver *drv)
{
    return drv->cuGraphGetNodes && drv->cuGraphNodeGetType && drv->cuGraphMemcpyNodeGetParams &&
           drv->cuGraphMemsetNodeGetParams && drv->cuGraphChildGraphNodeGetGraph;
}

static bool gather_graph(const struct driver *drv, CUgraph graph)
{
    CUgraphNode *nodes;
    bool any = false;
    size_t n = 0;

    if (!can_look_through(drv) || drv->cuGraphGetNodes(graph, NULL, &n) != CUDA_SUCCESS ||
        n > NODES_MAX)
        return false;
    nodes = calloc(n + 1, sizeof(CUgraphNode));
    if (nodes && drv->cuGraphGetNodes(graph, nodes, &n) == CUDA_SUCCESS)
        for (size_t i = 0; i < n; i++)
            any |= gather_node(drv, nodes[i]);
    free(nodes);
    return any;
}

/* A call, made again once memory is gathered or room is made. */
#define INSTANTIATE(call)                                                                          \
    CUresult result = (call);                                                                      \
                                                                                                   \
    if (result == CUDA_ERROR_INVALID_VALUE && gather_graph(drv, graph))                            \
        result = (call);                                                                           \
    WITH_ROOM(drv, result, call);                                                                  \
    return result

CUresult hook_cuGraphInstantiate(const struct driver *drv, CUgraphExec *graph_exec, CUgraph graph,
                                 CUgraphNode *error_node, char *log_buffer, size_t buffer_size)
{
    INSTANTIATE(drv->cuGraphInstantiate(graph_exec, graph, error_node, log_buffer, buffer_size));
}

CUresult hook_cuGraphInstantiate_v2(const struct driver *drv, CUgraphExec *graph_exec,
                                    CUgraph graph, CUgraphNode *error_node, char *log_buffer,
                                    size_t buffer_size)
{
    INSTANTIATE(drv->cuGraphInstantiate_v2(graph_exec, graph, error_node, log_buffer, buffer_size));
}

CUresult hook_cuGraphInstantiateWithFlags(const struct driver *drv, CUgraphExec *graph_exec,
                                          CUgraph graph, unsigned long long flags)
{
    INSTANTIATE(drv->cuGraphInstantiateWithFlags(graph_exec, graph, flags));
}

CUresult hook_cuGraphInstantiateWithParams(const struct driver *drv, CUgraphExec *graph_exec,
                                           CUgraph graph,
                                           CUDA_GRAPH_INSTANTIATE_PARAMS *instantiate_params)
{
    INSTANTIATE(GATED(drv->cuGraphInstantiateWithParams(graph_exec, graph, instantiate_params)));
}

/* A call that gives a node its parameters, made again once the memory they name is gathered. */
#define WITH_GATHERED(gather, call)                                                                \
    CUresult result = (call);                                                                      \
                                                                                                   \
    if (result == CUDA_ERROR_INVALID_VALUE && (gather))                                            \
        result = (call);                                                                           \
    return result

CUresult hook_cuGraphAddMemcpyNode(const struct driver *drv, CUgraphNode *node, CUgraph graph,
                                   const CUgraphNode *dependencies, size_t num_dependencies,
                                   const CUDA_MEMCPY3D *copy_params, CUcontext ctx)
{
    WITH_GATHERED(
        copy_params && gather_copy(drv, copy_params),
        drv->cuGraphAddMemcpyNode(node, graph, dependencies, num_dependencies, copy_params, ctx));
}

CUresult hook_cuGraphMemcpyNodeSetParams(const struct driver *drv, CUgraphNode node,
                                         const CUDA_MEMCPY3D *node_params)
{
    WITH_GATHERED(node_params && gather_copy(drv, node_params),
                  drv->cuGraphMemcpyNodeSetParams(node, node_params));
}

CUresult hook_cuGraphExecMemcpyNodeSetParams(const struct driver *drv, CUgraphExec graph_exec,
                                             CUgraphNode node, const CUDA_MEMCPY3D *copy_params,
                                             CUcontext ctx)
{
    WITH_GATHERED(copy_params && gather_copy(drv, copy_params),
                  drv->cuGraphExecMemcpyNodeSetParams(graph_exec, node, copy_params, ctx));
}

CUresult hook_cuGraphAddMemsetNode(const struct driver *drv, CUgraphNode *node, CUgraph graph,
                                   const CUgraphNode *dependencies, size_t num_dependencies,
                                   const CUDA_MEMSET_NODE_PARAMS *memset_params, CUcontext ctx)
{
    WITH_GATHERED(
        memset_params && gather_memset(drv, memset_params),
        drv->cuGraphAddMemsetNode(node, graph, dependencies, num_dependencies, memset_params, ctx));
}

CUresult hook_cuGraphMemsetNodeSetParams(const struct driver *drv, CUgraphNode node,
                                         const CUDA_MEMSET_NODE_PARAMS *node_params)
{
    WITH_GATHERED(node_params && gather_memset(drv, node_params),
                  drv->cuGraphMemsetNodeSetParams(node, node_params));
}

CUresult hook_cuGraphExecMemsetNodeSetParams(const struct driver *drv, CUgraphExec graph_exec,
                                             CUgraphNode node,
                                             const CUDA_MEMSET_NODE_PARAMS *memset_params,
                                             CUcontext ctx)
{
    WITH_GATHERED(memset_params && gather_memset(drv, memset_params),
                  drv->cuGraphExecMemsetNodeSetParams(graph_exec, node, memset_params, ctx));
}

/* Nodes for which the device may wait for the host, or for somebody else. */
static void note_node(CUgraphNodeType type)
{
    if (type == CU_GRAPH_NODE_TYPE_HOST)
        pager_graph_calls_host();
    else if (type == CU_GRAPH_NODE_TYPE_BATCH_MEM_OP || type == CU_GRAPH_NODE_TYPE_EXT_SEMAS_WAIT)
        pager_value_wait_seen();
}

CUresult hook_cuGraphAddNode(const struct driver *drv, CUgraphNode *node, CUgraph graph,
                             const CUgraphNode *dependencies, size_t num_dependencies,
                             CUgraphNodeParams *node_params)
{
    if (node_params)
        note_node(node_params->type);
    {
        WITH_GATHERED(
            node_params && gather_params(drv, node_params),
            drv->cuGraphAddNode(node, graph, dependencies, num_dependencies, node_params));
    }
}

CUresult hook_cuGraphAddNode_v2(const struct driver *drv, CUgraphNode *node, CUgraph graph,
                                const CUgraphNode *dependencies,
                                const CUgraphEdgeData *dependency_data, size_t num_dependencies,
                                CUgraphNodeParams *node_params)
{
    if (node_params)
        note_node(node_params->type);
    {
        WITH_GATHERED(node_params && gather_params(drv, node_params),
                      drv->cuGraphAddNode_v2(node, graph, dependencies, dependency_data,
                                             num_dependencies, node_params));
    }
}

CUresult hook_cuGraphNodeSetParams(const struct driver *drv, CUgraphNode node,
                                   CUgraphNodeParams *node_params)
{
    WITH_GATHERED(node_params && gather_params(drv, node_params),
                  drv->cuGraphNodeSetParams(node, node_params));
}

CUresult hook_cuGraphExecNodeSetParams(const struct driver *drv, CUgraphExec graph_exec,
                                       CUgraphNode node, CUgraphNodeParams *node_params)
{
    WITH_GATHERED(node_params && gather_params(drv, node_params),
                  drv->cuGraphExecNodeSetParams(graph_exec, node, node_params));
}

CUresult hook_cuGraphAddHostNode(const struct driver *drv, CUgraphNode *node, CUgraph graph,
                                 const CUgraphNode *dependencies, size_t num_dependencies,
                                 const CUDA_HOST_NODE_PARAMS *node_params)
{
    note_node(CU_GRAPH_NODE_TYPE_HOST);
    return drv->cuGraphAddHostNode(node, graph, dependencies, num_dependencies, node_params);
}

CUresult hook_cuGraphAddBatchMemOpNode(const struct driver *drv, CUgraphNode *node, CUgraph graph,
                                       const CUgraphNode *dependencies, size_t num_dependencies,
                                       const CUDA_BATCH_MEM_OP_NODE_PARAMS *node_params)
{
    note_node(CU_GRAPH_NODE_TYPE_BATCH_MEM_OP);
    return drv->cuGraphAddBatchMemOpNode(node, graph, dependencies, num_dependencies, node_params);
}

CUresult hook_cuGraphAddExternalSemaphoresWaitNode(const struct driver *drv, CUgraphNode *node,
                                                   CUgraph graph, const CUgraphNode *dependencies,
                                                   size_t num_dependencies,
                                                   const CUDA_EXT_SEM_WAIT_NODE_PARAMS *node_params)
{
    note_node(CU_GRAPH_NODE_TYPE_EXT_SEMAS_WAIT);
    return drv->cuGraphAddExternalSemaphoresWaitNode(node, graph, dependencies, num_dependencies,
                                                     node_params);
}
