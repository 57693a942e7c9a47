/* SPDX-License-Identifier: MIT */
/*
 * Changing what the nodes of an executable graph do, one by one or all at once by another graph.
 *
 * Nodes of two graphs belong together when they were added at the same place in the order, and so
 * do their edges. Which changes a real driver accepts beyond the documented ones is its own affair;
 * what is documented as refused, or as possibly refused, is refused here.
 */
#include <string.h>

#include "tests/sim/calls.h"
#include "tests/sim/graph_build.h"
#include "tests/sim/graph_exec.h"

static bool same_side(const struct copy_side *a, const struct copy_side *b)
{
    return a->kind == b->kind && a->device == b->device;
}

static CUgraphExecUpdateResult copy_may_become(const struct copy_task *old,
                                               const struct copy_task *changed)
{
    bool same = old->context == changed->context && same_side(&old->dst, &changed->dst) &&
                same_side(&old->src, &changed->src) &&
                old->asked.srcMemoryType == changed->asked.srcMemoryType &&
                old->asked.dstMemoryType == changed->asked.dstMemoryType;

    return same ? CU_GRAPH_EXEC_UPDATE_SUCCESS : CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED;
}

static CUgraphExecUpdateResult memset_may_become(const struct memset_task *old,
                                                 const struct memset_task *changed)
{
    const CUDA_MEMSET_NODE_PARAMS *a = &old->asked;
    const CUDA_MEMSET_NODE_PARAMS *b = &changed->asked;
    bool same = old->context == changed->context && a->height == b->height;

    if (a->height > 1)
        same = same && a->width == b->width && a->pitch == b->pitch &&
               a->elementSize == b->elementSize;
    return same ? CU_GRAPH_EXEC_UPDATE_SUCCESS : CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED;
}

static CUgraphExecUpdateResult kernel_may_become(const struct exec *exec,
                                                 const struct kernel_task *old,
                                                 const struct kernel_task *changed)
{
    int priority = CU_LAUNCH_ATTRIBUTE_PRIORITY;

    if (old->context != changed->context)
        return CU_GRAPH_EXEC_UPDATE_ERROR_UNSUPPORTED_FUNCTION_CHANGE;
    if (exec->flags & CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY &&
        old->attributes[priority].priority != changed->attributes[priority].priority)
        return CU_GRAPH_EXEC_UPDATE_ERROR_ATTRIBUTES_CHANGED;
    return CU_GRAPH_EXEC_UPDATE_SUCCESS;
}

CUgraphExecUpdateResult exec_may_become(const struct exec *exec, const struct task *old,
                                        const struct task *changed)
{
    if (old->type != changed->type)
        return CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED;
    switch ((int)old->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
        return kernel_may_become(exec, old->kernel, changed->kernel);
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        return copy_may_become(old->copy, changed->copy);
    case CU_GRAPH_NODE_TYPE_MEMSET:
        return memset_may_become(&old->memset, &changed->memset);
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
        return CU_GRAPH_EXEC_UPDATE_ERROR_NOT_SUPPORTED;
    default:
        return CU_GRAPH_EXEC_UPDATE_SUCCESS;
    }
}

static CUgraphExecUpdateResult compare(const struct exec *exec, const struct graph *to,
                                       const struct graph *from, CUgraphExecUpdateResultInfo *info);

/* What does not match, and at which node. */
static CUgraphExecUpdateResult compare_nodes(const struct exec *exec, const struct node *to,
                                             struct node *from, CUgraphExecUpdateResultInfo *info)
{
    CUgraphExecUpdateResult result;

    info->errorNode = (CUgraphNode)from;
    if (to->n_edges != from->n_edges)
        return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
    for (size_t i = 0; i < to->n_edges; i++) {
        if (to->edges[i].from->index == from->edges[i].from->index &&
            memcmp(&to->edges[i].data, &from->edges[i].data, sizeof(CUgraphEdgeData)) == 0)
            continue;
        info->errorFromNode = (CUgraphNode)from->edges[i].from;
        return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
    }
    result = exec_may_become(exec, &to->task, &from->task);
    if (result || to->task.type != CU_GRAPH_NODE_TYPE_GRAPH)
        return result;
    return compare(exec, to->task.child, from->task.child, info);
}

static CUgraphExecUpdateResult compare(const struct exec *exec, const struct graph *to,
                                       const struct graph *from, CUgraphExecUpdateResultInfo *info)
{
    CUgraphExecUpdateResult result = CU_GRAPH_EXEC_UPDATE_SUCCESS;

    info->errorNode = NULL;
    if (to->n_nodes != from->n_nodes)
        return CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED;
    for (size_t i = 0; i < to->n_nodes && !result; i++)
        result = compare_nodes(exec, to->nodes[i], from->nodes[i], info);
    if (!result)
        info->errorNode = NULL;
    return result;
}

/* Exchanges what the nodes of two graphs do; each keeps its own nodes. */
static void exchange(struct graph *a, struct graph *b)
{
    struct user_reference *users = a->users;
    size_t n_users = a->n_users;

    a->users = b->users;
    a->n_users = b->n_users;
    b->users = users;
    b->n_users = n_users;
    for (size_t i = 0; i < a->n_nodes; i++) {
        struct task task = a->nodes[i]->task;

        if (task.type == CU_GRAPH_NODE_TYPE_GRAPH) {
            exchange(task.child, b->nodes[i]->task.child);
            continue;
        }
        a->nodes[i]->task = b->nodes[i]->task;
        b->nodes[i]->task = task;
    }
}

CUresult exec_update(const struct exec *exec, struct graph *to, const struct graph *from,
                     CUgraphExecUpdateResultInfo *info)
{
    struct graph *copy;
    CUresult res;

    *info = (CUgraphExecUpdateResultInfo){0};
    info->result = compare(exec, to, from, info);
    if (info->result)
        return CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
    res = graph_copy(from, true, &copy);
    if (res)
        return res;
    exchange(to, copy);
    graph_free(copy);
    return CUDA_SUCCESS;
}

CUresult sim_cuGraphExecUpdate_v2(CUgraphExec graph_exec, CUgraph graph,
                                  CUgraphExecUpdateResultInfo *result_info)
{
    struct exec *exec;
    struct graph *from;
    CUresult res = exec_resolve(graph_exec, &exec);

    if (!res && !result_info)
        res = CUDA_ERROR_INVALID_VALUE;
    if (!res)
        res = graph_resolve(graph, &from);
    if (res && result_info)
        *result_info = (CUgraphExecUpdateResultInfo){.result = CU_GRAPH_EXEC_UPDATE_ERROR};
    return res ? res : exec_update(exec, exec->graph, from, result_info);
}

CUresult sim_cuGraphExecUpdate(CUgraphExec graph_exec, CUgraph graph, CUgraphNode *error_node_out,
                               CUgraphExecUpdateResult *update_result_out)
{
    CUgraphExecUpdateResultInfo info;
    CUresult res = sim_cuGraphExecUpdate_v2(graph_exec, graph, &info);

    if (error_node_out)
        *error_node_out = info.errorNode;
    if (update_result_out)
        *update_result_out = info.result;
    return res;
}

static bool is_flat(const struct task *task)
{
    return task->type != CU_GRAPH_NODE_TYPE_MEMCPY ||
           (task->copy->box.height == 1 && task->copy->box.depth == 1);
}

/* Gives one node another task, if that is a change of a kind that is allowed. Takes the task. */
static CUresult exec_set(const struct exec *exec, struct node *node, struct task *task)
{
    if (exec_may_become(exec, &node->task, task) || !is_flat(&node->task) || !is_flat(task)) {
        task_fini(task);
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (task->type == CU_GRAPH_NODE_TYPE_KERNEL) {
        task->kernel->attributes_set = node->task.kernel->attributes_set;
        memcpy(task->kernel->attributes, node->task.kernel->attributes,
               sizeof(task->kernel->attributes));
    }
    task_fini(&node->task);
    node->task = *task;
    return CUDA_SUCCESS;
}

/* A call that changes one node, whose task is made by `make`. */
#define SET(kind, make)                                                                            \
    struct node *changed;                                                                          \
    struct exec *exec;                                                                             \
    struct task task;                                                                              \
    CUresult res = exec_resolve(graph_exec, &exec);                                                \
                                                                                                   \
    if (!res)                                                                                      \
        res = exec_node(exec, node, kind, &changed);                                               \
    if (!res)                                                                                      \
        res = (make);                                                                              \
    return res ? res : exec_set(exec, changed, &task)

CUresult sim_cuGraphExecKernelNodeSetParams_v2(CUgraphExec graph_exec, CUgraphNode node,
                                               const CUDA_KERNEL_NODE_PARAMS *node_params)
{
    SET(CU_GRAPH_NODE_TYPE_KERNEL, task_of_kernel(node_params, &task));
}

CUresult sim_cuGraphExecKernelNodeSetParams(CUgraphExec graph_exec, CUgraphNode node,
                                            const CUDA_KERNEL_NODE_PARAMS_v1 *node_params)
{
    CUDA_KERNEL_NODE_PARAMS params = {0};

    if (!node_params)
        return CUDA_ERROR_INVALID_VALUE;
    memcpy(&params, node_params, sizeof(*node_params));
    return sim_cuGraphExecKernelNodeSetParams_v2(graph_exec, node, &params);
}

CUresult sim_cuGraphExecMemcpyNodeSetParams(CUgraphExec graph_exec, CUgraphNode node,
                                            const CUDA_MEMCPY3D *copy_params, CUcontext ctx)
{
    SET(CU_GRAPH_NODE_TYPE_MEMCPY, task_of_copy(copy_params, ctx, &task));
}

CUresult sim_cuGraphExecMemsetNodeSetParams(CUgraphExec graph_exec, CUgraphNode node,
                                            const CUDA_MEMSET_NODE_PARAMS *memset_params,
                                            CUcontext ctx)
{
    SET(CU_GRAPH_NODE_TYPE_MEMSET, task_of_memset(memset_params, ctx, &task));
}

CUresult sim_cuGraphExecHostNodeSetParams(CUgraphExec graph_exec, CUgraphNode node,
                                          const CUDA_HOST_NODE_PARAMS *node_params)
{
    SET(CU_GRAPH_NODE_TYPE_HOST, task_of_host(node_params, &task));
}

CUresult sim_cuGraphExecEventRecordNodeSetEvent(CUgraphExec graph_exec, CUgraphNode node,
                                                CUevent event)
{
    SET(CU_GRAPH_NODE_TYPE_EVENT_RECORD,
        task_of_event(CU_GRAPH_NODE_TYPE_EVENT_RECORD, event, &task));
}

CUresult sim_cuGraphExecEventWaitNodeSetEvent(CUgraphExec graph_exec, CUgraphNode node,
                                              CUevent event)
{
    SET(CU_GRAPH_NODE_TYPE_WAIT_EVENT, task_of_event(CU_GRAPH_NODE_TYPE_WAIT_EVENT, event, &task));
}

CUresult sim_cuGraphExecChildGraphNodeSetParams(CUgraphExec graph_exec, CUgraphNode node,
                                                CUgraph child_graph)
{
    CUgraphExecUpdateResultInfo info;
    struct graph *child;
    struct node *changed;
    struct exec *exec;
    CUresult res = exec_resolve(graph_exec, &exec);

    if (!res)
        res = exec_node(exec, node, CU_GRAPH_NODE_TYPE_GRAPH, &changed);
    if (!res)
        res = graph_resolve(child_graph, &child);
    if (!res)
        res = exec_update(exec, changed->task.child, child, &info);
    return res == CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE ? CUDA_ERROR_INVALID_VALUE : res;
}

CUresult sim_cuGraphExecNodeSetParams(CUgraphExec graph_exec, CUgraphNode node,
                                      CUgraphNodeParams *node_params)
{
    if (!node_params || node_params->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC ||
        node_params->type == CU_GRAPH_NODE_TYPE_MEM_FREE)
        return CUDA_ERROR_INVALID_VALUE;
    if (node_params->type == CU_GRAPH_NODE_TYPE_GRAPH)
        return sim_cuGraphExecChildGraphNodeSetParams(graph_exec, node, node_params->graph.graph);
    {
        SET(node_params->type, task_of_params(node_params, NULL, &task));
    }
}
