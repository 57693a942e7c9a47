/* SPDX-License-Identifier: MIT */
/*
 * Building graphs, of nodes whose memory may be in either tier.
 *
 * A copy or memset node that would cross from one tier to the other may be refused. A captured one
 * never does (pager_run()); for others the memory is gathered in one tier, when they are. Host
 * functions and waits may be what a drain would wait for: that there are any is noted.
 */
#include "interpose/graph.h"
#include "interpose/hooks.h"

#include <stdlib.h>
#include <string.h>
#include "runtime/pager.h"

enum {
    NODES_MAX = 1 << 20, /* of a graph that is looked through */
};

/* Of two pieces. */
static int both(int one, int other)
{
    return one < 0 ? one : other < 0 ? other : one | other;
}

/* Whether a copy may be accepted now that was refused. */
static int gather_side(const struct driver *drv, CUmemorytype type, CUdeviceptr at, uint64_t bytes)
{
    bool device = type == CU_MEMORYTYPE_DEVICE || type == CU_MEMORYTYPE_UNIFIED;

    return device ? pager_gather(drv, at, bytes) : 0;
}

static uint64_t span_of(uint64_t width, uint64_t pitch, uint64_t height, uint64_t slice,
                        uint64_t depth)
{
    return height && depth ? (depth - 1) * slice + (height - 1) * pitch + width : 0;
}

static int gather_copy(const struct driver *drv, const CUDA_MEMCPY3D *c)
{
    uint64_t width = c->WidthInBytes;
    uint64_t src_slice = c->srcPitch * c->srcHeight;
    uint64_t dst_slice = c->dstPitch * c->dstHeight;
    CUdeviceptr src = c->srcDevice + c->srcZ * src_slice + c->srcY * c->srcPitch + c->srcXInBytes;
    CUdeviceptr dst = c->dstDevice + c->dstZ * dst_slice + c->dstY * c->dstPitch + c->dstXInBytes;
    int r = gather_side(drv, c->srcMemoryType, src,
                        span_of(width, c->srcPitch, c->Height, src_slice, c->Depth));

    return both(r, gather_side(drv, c->dstMemoryType, dst,
                               span_of(width, c->dstPitch, c->Height, dst_slice, c->Depth)));
}

int graph_gather_copy(const struct driver *drv, const CUDA_MEMCPY3D *copy)
{
    return copy ? gather_copy(drv, copy) : 0;
}

int graph_gather_memset(const struct driver *drv, const CUDA_MEMSET_NODE_PARAMS *set)
{
    if (!set)
        return 0;
    return pager_gather(drv, set->dst,
                        span_of(set->width * set->elementSize, set->pitch, set->height, 0, 1));
}

int graph_gather_params(const struct driver *drv, const CUgraphNodeParams *params)
{
    CUDA_MEMSET_NODE_PARAMS set;

    if (!params)
        return 0;
    switch ((int)params->type) {
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        return graph_gather_copy(drv, &params->memcpy.copyParams);
    case CU_GRAPH_NODE_TYPE_MEMSET:
        memcpy(&set, &params->memset, sizeof(set));
        return graph_gather_memset(drv, &set);
    default:
        return 0;
    }
}

static int gather_node(const struct driver *drv, CUgraphNode node)
{
    CUgraphNodeType type = CU_GRAPH_NODE_TYPE_EMPTY;
    CUDA_MEMSET_NODE_PARAMS set;
    CUDA_MEMCPY3D copy;
    CUgraph child;

    (void)drv->cuGraphNodeGetType(node, &type);
    switch ((int)type) {
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        return drv->cuGraphMemcpyNodeGetParams(node, &copy) ? 0 : graph_gather_copy(drv, &copy);
    case CU_GRAPH_NODE_TYPE_MEMSET:
        return drv->cuGraphMemsetNodeGetParams(node, &set) ? 0 : graph_gather_memset(drv, &set);
    case CU_GRAPH_NODE_TYPE_GRAPH:
        return drv->cuGraphChildGraphNodeGetGraph(node, &child) ? 0
                                                                : graph_gather_graph(drv, child);
    default:
        return 0;
    }
}

static bool can_look_through(const struct driver *drv)
{
    return drv->cuGraphGetNodes && drv->cuGraphNodeGetType && drv->cuGraphMemcpyNodeGetParams &&
           drv->cuGraphMemsetNodeGetParams && drv->cuGraphChildGraphNodeGetGraph;
}

int graph_gather_graph(const struct driver *drv, CUgraph graph)
{
    CUgraphNode *nodes;
    size_t n = 0;
    int r = 0;

    if (!can_look_through(drv) || drv->cuGraphGetNodes(graph, NULL, &n) != CUDA_SUCCESS ||
        n > NODES_MAX)
        return 0;
    nodes = calloc(n + 1, sizeof(CUgraphNode));
    if (nodes && drv->cuGraphGetNodes(graph, nodes, &n) == CUDA_SUCCESS)
        for (size_t i = 0; i < n; i++)
            r = both(r, gather_node(drv, nodes[i]));
    free(nodes);
    return r;
}

CUresult hook_cuGraphAddMemcpyNode(const struct driver *drv, CUgraphNode *node, CUgraph graph,
                                   const CUgraphNode *dependencies, size_t num_dependencies,
                                   const CUDA_MEMCPY3D *copy_params, CUcontext ctx)
{
    WITH_GATHERED(
        graph_gather_copy(drv, copy_params),
        drv->cuGraphAddMemcpyNode(node, graph, dependencies, num_dependencies, copy_params, ctx));
}

CUresult hook_cuGraphMemcpyNodeSetParams(const struct driver *drv, CUgraphNode node,
                                         const CUDA_MEMCPY3D *node_params)
{
    WITH_GATHERED(graph_gather_copy(drv, node_params),
                  drv->cuGraphMemcpyNodeSetParams(node, node_params));
}

CUresult hook_cuGraphAddMemsetNode(const struct driver *drv, CUgraphNode *node, CUgraph graph,
                                   const CUgraphNode *dependencies, size_t num_dependencies,
                                   const CUDA_MEMSET_NODE_PARAMS *memset_params, CUcontext ctx)
{
    WITH_GATHERED(
        graph_gather_memset(drv, memset_params),
        drv->cuGraphAddMemsetNode(node, graph, dependencies, num_dependencies, memset_params, ctx));
}

CUresult hook_cuGraphMemsetNodeSetParams(const struct driver *drv, CUgraphNode node,
                                         const CUDA_MEMSET_NODE_PARAMS *node_params)
{
    WITH_GATHERED(graph_gather_memset(drv, node_params),
                  drv->cuGraphMemsetNodeSetParams(node, node_params));
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
            graph_gather_params(drv, node_params),
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
        WITH_GATHERED(graph_gather_params(drv, node_params),
                      drv->cuGraphAddNode_v2(node, graph, dependencies, dependency_data,
                                             num_dependencies, node_params));
    }
}

CUresult hook_cuGraphNodeSetParams(const struct driver *drv, CUgraphNode node,
                                   CUgraphNodeParams *node_params)
{
    WITH_GATHERED(graph_gather_params(drv, node_params),
                  drv->cuGraphNodeSetParams(node, node_params));
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
