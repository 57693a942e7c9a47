/* SPDX-License-Identifier: MIT */
/*
 * The calls that add nodes to graphs, and those that read and change what a node does.
 */
#include <string.h>

#include "tests/sim/calls.h"
#include "tests/sim/graph_build.h"
#include "tests/sim/graph_memory.h"

/* The graph, if a node after those can be added. */
static CUresult add_begin(const CUgraphNode *out, CUgraph handle, const CUgraphNode *dependencies,
                          size_t n, struct graph **graph)
{
    CUresult res = graph_resolve(handle, graph);

    if (!res && (!out || (n && !dependencies)))
        res = CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < n && !res; i++) {
        struct node *node;

        res = node_resolve(dependencies[i], &node);
    }
    return res;
}

/* Takes the task. */
static CUresult add_end(CUgraphNode *out, struct graph *graph, const CUgraphNode *dependencies,
                        const CUgraphEdgeData *data, size_t n, struct task *task)
{
    bool memory =
        task->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC || task->type == CU_GRAPH_NODE_TYPE_MEM_FREE;
    struct node *node;
    CUresult res;

    if (memory && graph->owner) {
        task_fini(task);
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    res = graph_add(graph, task, (struct node *const *)dependencies, data, n, &node);
    if (!res)
        *out = (CUgraphNode)node;
    return res;
}

/* A call that adds a node, whose task is made by `make`. */
#define ADD(make)                                                                                  \
    struct graph *into;                                                                            \
    struct task task;                                                                              \
    CUresult res = add_begin(node, graph, dependencies, num_dependencies, &into);                  \
                                                                                                   \
    if (!res)                                                                                      \
        res = (make);                                                                              \
    return res ? res : add_end(node, into, dependencies, NULL, num_dependencies, &task)

static CUDA_KERNEL_NODE_PARAMS newer(const CUDA_KERNEL_NODE_PARAMS_v1 *params)
{
    CUDA_KERNEL_NODE_PARAMS result = {0};

    memcpy(&result, params, sizeof(*params));
    return result;
}

CUresult sim_cuGraphAddKernelNode_v2(CUgraphNode *node, CUgraph graph,
                                     const CUgraphNode *dependencies, size_t num_dependencies,
                                     const CUDA_KERNEL_NODE_PARAMS *node_params)
{
    ADD(task_of_kernel(node_params, &task));
}

CUresult sim_cuGraphAddKernelNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
                                  size_t num_dependencies,
                                  const CUDA_KERNEL_NODE_PARAMS_v1 *node_params)
{
    CUDA_KERNEL_NODE_PARAMS params;

    if (!node_params)
        return CUDA_ERROR_INVALID_VALUE;
    params = newer(node_params);
    return sim_cuGraphAddKernelNode_v2(node, graph, dependencies, num_dependencies, &params);
}

CUresult sim_cuGraphAddMemcpyNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
                                  size_t num_dependencies, const CUDA_MEMCPY3D *copy_params,
                                  CUcontext ctx)
{
    ADD(task_of_copy(copy_params, ctx, &task));
}

CUresult sim_cuGraphAddMemsetNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
                                  size_t num_dependencies,
                                  const CUDA_MEMSET_NODE_PARAMS *memset_params, CUcontext ctx)
{
    ADD(task_of_memset(memset_params, ctx, &task));
}

CUresult sim_cuGraphAddHostNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
                                size_t num_dependencies, const CUDA_HOST_NODE_PARAMS *node_params)
{
    ADD(task_of_host(node_params, &task));
}

CUresult sim_cuGraphAddChildGraphNode(CUgraphNode *node, CUgraph graph,
                                      const CUgraphNode *dependencies, size_t num_dependencies,
                                      CUgraph child_graph)
{
    ADD(task_of_child(child_graph, into, &task));
}

CUresult sim_cuGraphAddEmptyNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
                                 size_t num_dependencies)
{
    ADD((task = (struct task){.type = CU_GRAPH_NODE_TYPE_EMPTY}, CUDA_SUCCESS));
}

CUresult sim_cuGraphAddEventRecordNode(CUgraphNode *node, CUgraph graph,
                                       const CUgraphNode *dependencies, size_t num_dependencies,
                                       CUevent event)
{
    ADD(task_of_event(CU_GRAPH_NODE_TYPE_EVENT_RECORD, event, &task));
}

CUresult sim_cuGraphAddEventWaitNode(CUgraphNode *node, CUgraph graph,
                                     const CUgraphNode *dependencies, size_t num_dependencies,
                                     CUevent event)
{
    ADD(task_of_event(CU_GRAPH_NODE_TYPE_WAIT_EVENT, event, &task));
}

CUresult sim_cuGraphAddMemAllocNode(CUgraphNode *node, CUgraph graph,
                                    const CUgraphNode *dependencies, size_t num_dependencies,
                                    CUDA_MEM_ALLOC_NODE_PARAMS *node_params)
{
    ADD(task_of_alloc(node_params, &task));
}

CUresult sim_cuGraphAddMemFreeNode(CUgraphNode *node, CUgraph graph,
                                   const CUgraphNode *dependencies, size_t num_dependencies,
                                   CUdeviceptr dptr)
{
    ADD(task_of_free(dptr, into, &task));
}

CUresult sim_cuGraphAddNode_v2(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
                               const CUgraphEdgeData *dependency_data, size_t num_dependencies,
                               CUgraphNodeParams *node_params)
{
    struct graph *into;
    struct task task;
    CUresult res = add_begin(node, graph, dependencies, num_dependencies, &into);

    if (!res)
        res = task_of_params(node_params, into, &task);
    return res ? res : add_end(node, into, dependencies, dependency_data, num_dependencies, &task);
}

CUresult sim_cuGraphAddNode(CUgraphNode *node, CUgraph graph, const CUgraphNode *dependencies,
                            size_t num_dependencies, CUgraphNodeParams *node_params)
{
    return sim_cuGraphAddNode_v2(node, graph, dependencies, NULL, num_dependencies, node_params);
}

static CUresult resolve_typed(CUgraphNode handle, CUgraphNodeType type, struct node **out)
{
    CUresult res = node_resolve(handle, out);

    return res || (*out)->task.type == type ? res : CUDA_ERROR_INVALID_VALUE;
}

/* A node's new task, in which the attributes of a kernel stay what they were. Takes the task. */
static void replace(struct node *node, struct task *task)
{
    if (task->type == CU_GRAPH_NODE_TYPE_KERNEL) {
        task->kernel->attributes_set = node->task.kernel->attributes_set;
        memcpy(task->kernel->attributes, node->task.kernel->attributes,
               sizeof(task->kernel->attributes));
    }
    task_fini(&node->task);
    node->task = *task;
}

/* A call that changes what a node does. */
#define SET(kind, make)                                                                            \
    struct node *changed;                                                                          \
    struct task task;                                                                              \
    CUresult res = resolve_typed(node, kind, &changed);                                            \
                                                                                                   \
    if (!res)                                                                                      \
        res = (make);                                                                              \
    if (!res)                                                                                      \
        replace(changed, &task);                                                                   \
    return res

CUresult sim_cuGraphKernelNodeSetParams_v2(CUgraphNode node,
                                           const CUDA_KERNEL_NODE_PARAMS *node_params)
{
    SET(CU_GRAPH_NODE_TYPE_KERNEL, task_of_kernel(node_params, &task));
}

CUresult sim_cuGraphKernelNodeSetParams(CUgraphNode node,
                                        const CUDA_KERNEL_NODE_PARAMS_v1 *node_params)
{
    CUDA_KERNEL_NODE_PARAMS params;

    if (!node_params)
        return CUDA_ERROR_INVALID_VALUE;
    params = newer(node_params);
    return sim_cuGraphKernelNodeSetParams_v2(node, &params);
}

CUresult sim_cuGraphMemcpyNodeSetParams(CUgraphNode node, const CUDA_MEMCPY3D *node_params)
{
    SET(CU_GRAPH_NODE_TYPE_MEMCPY,
        task_of_copy(node_params, (CUcontext)changed->task.copy->context, &task));
}

CUresult sim_cuGraphMemsetNodeSetParams(CUgraphNode node,
                                        const CUDA_MEMSET_NODE_PARAMS *node_params)
{
    SET(CU_GRAPH_NODE_TYPE_MEMSET,
        task_of_memset(node_params, (CUcontext)changed->task.memset.context, &task));
}

CUresult sim_cuGraphHostNodeSetParams(CUgraphNode node, const CUDA_HOST_NODE_PARAMS *node_params)
{
    SET(CU_GRAPH_NODE_TYPE_HOST, task_of_host(node_params, &task));
}

CUresult sim_cuGraphEventRecordNodeSetEvent(CUgraphNode node, CUevent event)
{
    SET(CU_GRAPH_NODE_TYPE_EVENT_RECORD,
        task_of_event(CU_GRAPH_NODE_TYPE_EVENT_RECORD, event, &task));
}

CUresult sim_cuGraphEventWaitNodeSetEvent(CUgraphNode node, CUevent event)
{
    SET(CU_GRAPH_NODE_TYPE_WAIT_EVENT, task_of_event(CU_GRAPH_NODE_TYPE_WAIT_EVENT, event, &task));
}

static bool may_be_set(CUgraphNodeType type)
{
    return type == CU_GRAPH_NODE_TYPE_KERNEL || type == CU_GRAPH_NODE_TYPE_MEMCPY ||
           type == CU_GRAPH_NODE_TYPE_MEMSET || type == CU_GRAPH_NODE_TYPE_HOST ||
           type == CU_GRAPH_NODE_TYPE_WAIT_EVENT || type == CU_GRAPH_NODE_TYPE_EVENT_RECORD;
}

CUresult sim_cuGraphNodeSetParams(CUgraphNode node, CUgraphNodeParams *node_params)
{
    if (!node_params || !may_be_set(node_params->type))
        return CUDA_ERROR_INVALID_VALUE;
    {
        SET(node_params->type, task_of_params(node_params, NULL, &task));
    }
}

CUresult sim_cuGraphKernelNodeGetParams_v2(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS *node_params)
{
    const struct kernel_task *kernel;
    struct node *asked;
    CUresult res = resolve_typed(node, CU_GRAPH_NODE_TYPE_KERNEL, &asked);

    if (res || !node_params)
        return res ? res : CUDA_ERROR_INVALID_VALUE;
    kernel = asked->task.kernel;
    *node_params = (CUDA_KERNEL_NODE_PARAMS){
        .func = kernel->kernel ? NULL : (CUfunction)kernel->function,
        .gridDimX = kernel->shape.grid[0],
        .gridDimY = kernel->shape.grid[1],
        .gridDimZ = kernel->shape.grid[2],
        .blockDimX = kernel->shape.block[0],
        .blockDimY = kernel->shape.block[1],
        .blockDimZ = kernel->shape.block[2],
        .sharedMemBytes = (unsigned int)kernel->shape.dynamic_shared_bytes,
        .kernelParams = kernel->pointers,
        .kern = kernel->kernel,
        .ctx = (CUcontext)kernel->context,
    };
    return CUDA_SUCCESS;
}

CUresult sim_cuGraphKernelNodeGetParams(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS_v1 *node_params)
{
    CUDA_KERNEL_NODE_PARAMS params;
    CUresult res = sim_cuGraphKernelNodeGetParams_v2(node, &params);

    if (res || !node_params)
        return res ? res : CUDA_ERROR_INVALID_VALUE;
    params.func = (CUfunction)((struct node *)node)->task.kernel->function;
    memcpy(node_params, &params, sizeof(*node_params));
    return CUDA_SUCCESS;
}

/* A call that tells what a node does. */
#define GET(kind, out, what)                                                                       \
    struct node *asked;                                                                            \
    CUresult res = resolve_typed(node, kind, &asked);                                              \
                                                                                                   \
    if (!res && !(out))                                                                            \
        res = CUDA_ERROR_INVALID_VALUE;                                                            \
    if (!res)                                                                                      \
        *(out) = (what);                                                                           \
    return res

CUresult sim_cuGraphMemcpyNodeGetParams(CUgraphNode node, CUDA_MEMCPY3D *node_params)
{
    GET(CU_GRAPH_NODE_TYPE_MEMCPY, node_params, asked->task.copy->asked);
}

CUresult sim_cuGraphMemsetNodeGetParams(CUgraphNode node, CUDA_MEMSET_NODE_PARAMS *node_params)
{
    GET(CU_GRAPH_NODE_TYPE_MEMSET, node_params, asked->task.memset.asked);
}

CUresult sim_cuGraphHostNodeGetParams(CUgraphNode node, CUDA_HOST_NODE_PARAMS *node_params)
{
    GET(CU_GRAPH_NODE_TYPE_HOST, node_params, asked->task.host);
}

CUresult sim_cuGraphChildGraphNodeGetGraph(CUgraphNode node, CUgraph *graph)
{
    GET(CU_GRAPH_NODE_TYPE_GRAPH, graph, (CUgraph)asked->task.child);
}

CUresult sim_cuGraphEventRecordNodeGetEvent(CUgraphNode node, CUevent *event_out)
{
    GET(CU_GRAPH_NODE_TYPE_EVENT_RECORD, event_out, asked->task.event);
}

CUresult sim_cuGraphEventWaitNodeGetEvent(CUgraphNode node, CUevent *event_out)
{
    GET(CU_GRAPH_NODE_TYPE_WAIT_EVENT, event_out, asked->task.event);
}

CUresult sim_cuGraphMemFreeNodeGetParams(CUgraphNode node, CUdeviceptr *dptr_out)
{
    GET(CU_GRAPH_NODE_TYPE_MEM_FREE, dptr_out, graph_memory_address(asked->task.memory));
}

CUresult sim_cuGraphMemAllocNodeGetParams(CUgraphNode node, CUDA_MEM_ALLOC_NODE_PARAMS *params_out)
{
    struct node *asked;
    CUresult res = resolve_typed(node, CU_GRAPH_NODE_TYPE_MEM_ALLOC, &asked);

    if (!res && !params_out)
        res = CUDA_ERROR_INVALID_VALUE;
    if (!res)
        graph_memory_describe(asked->task.memory, params_out);
    return res;
}

static bool is_attribute(CUkernelNodeAttrID attr)
{
    switch ((int)attr) {
    case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
    case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
    case CU_LAUNCH_ATTRIBUTE_PRIORITY:
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
    case CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION:
    case CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE:
    case CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
        return true;
    default:
        return false;
    }
}

/* Those that can be set change only how fast or how early a kernel runs. */
static CUresult check_attribute(CUkernelNodeAttrID attr)
{
    switch ((int)attr) {
    case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
    case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
    case CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION:
    case CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE:
        core_say("setting attribute %d of kernel nodes is not simulated", (int)attr);
        return CUDA_ERROR_NOT_SUPPORTED;
    default:
        return is_attribute(attr) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    }
}

CUresult sim_cuGraphKernelNodeSetAttribute(CUgraphNode node, CUkernelNodeAttrID attr,
                                           const CUkernelNodeAttrValue *value)
{
    struct node *changed;
    CUresult res = resolve_typed(node, CU_GRAPH_NODE_TYPE_KERNEL, &changed);

    if (!res)
        res = value ? check_attribute(attr) : CUDA_ERROR_INVALID_VALUE;
    if (res)
        return res;
    changed->task.kernel->attributes[attr] = *value;
    changed->task.kernel->attributes_set |= 1u << attr;
    return CUDA_SUCCESS;
}

CUresult sim_cuGraphKernelNodeGetAttribute(CUgraphNode node, CUkernelNodeAttrID attr,
                                           CUkernelNodeAttrValue *value_out)
{
    struct node *asked;
    CUresult res = resolve_typed(node, CU_GRAPH_NODE_TYPE_KERNEL, &asked);

    if (!res && (!value_out || !is_attribute(attr)))
        res = CUDA_ERROR_INVALID_VALUE;
    if (!res)
        *value_out = asked->task.kernel->attributes[attr];
    return res;
}

CUresult sim_cuGraphKernelNodeCopyAttributes(CUgraphNode dst, CUgraphNode src)
{
    struct node *to;
    struct node *from;
    CUresult res = resolve_typed(dst, CU_GRAPH_NODE_TYPE_KERNEL, &to);

    if (!res)
        res = resolve_typed(src, CU_GRAPH_NODE_TYPE_KERNEL, &from);
    if (!res && to->task.kernel->context != from->task.kernel->context)
        res = CUDA_ERROR_INVALID_VALUE;
    if (res)
        return res;
    to->task.kernel->attributes_set = from->task.kernel->attributes_set;
    memmove(to->task.kernel->attributes, from->task.kernel->attributes,
            sizeof(to->task.kernel->attributes));
    return CUDA_SUCCESS;
}
