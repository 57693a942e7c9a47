/* SPDX-License-Identifier: MIT */
/*
 * Executable graphs as programs handle them: made, uploaded, launched, switched in parts.
 */
#include "tests/sim/graph_exec.h"

#include <stdlib.h>

#include "tests/sim/calls.h"
#include "tests/sim/capture.h"
#include "tests/sim/graph_memory.h"

#define KNOWN_FLAGS                                                                                \
    ((uint64_t)CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH |                                   \
     CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD | CUDA_GRAPH_INSTANTIATE_FLAG_USE_NODE_PRIORITY)

CUresult exec_resolve(CUgraphExec handle, struct exec **out)
{
    if (!handle_is(handle, HANDLE_GRAPH_EXEC))
        return CUDA_ERROR_INVALID_VALUE;
    *out = (struct exec *)handle;
    return CUDA_SUCCESS;
}

CUresult exec_node(const struct exec *exec, CUgraphNode handle, CUgraphNodeType type,
                   struct node **out)
{
    struct node *named;
    struct node *node;
    CUresult res = node_resolve(handle, &named);

    if (res)
        return res;
    node = graph_find_copy(exec->graph, named->id);
    if (!node || node->task.type != type)
        return CUDA_ERROR_INVALID_VALUE;
    *out = node;
    return CUDA_SUCCESS;
}

/* The structure of the graph and of those embedded in it. */
static bool has_order(const struct graph *graph)
{
    size_t *order = calloc(graph->n_nodes + 1, sizeof(*order));
    bool ordered = order && graph_order(graph, order);

    free(order);
    for (size_t i = 0; i < graph->n_nodes && ordered; i++)
        if (graph->nodes[i]->task.type == CU_GRAPH_NODE_TYPE_GRAPH)
            ordered = has_order(graph->nodes[i]->task.child);
    return ordered;
}

/* A copy or memset that crosses from device to host memory by the time of instantiation. */
static bool is_mixed(const struct task *task)
{
    struct copy_side dst;
    struct copy_box box;

    switch ((int)task->type) {
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        return copy_side_is_mixed(&task->copy->src, &task->copy->box) ||
               copy_side_is_mixed(&task->copy->dst, &task->copy->box);
    case CU_GRAPH_NODE_TYPE_MEMSET:
        dst = copy_side_of(SIDE_TYPE_DEVICE, task->memset.asked.dst, task->memset.context->device);
        dst.pitch = task->memset.asked.pitch;
        box = (struct copy_box){task->memset.asked.width * task->memset.asked.elementSize,
                                task->memset.asked.height, 1};
        return copy_side_is_mixed(&dst, &box);
    default:
        return false;
    }
}

static bool has_mixed(const struct graph *graph)
{
    bool mixed = false;

    for (size_t i = 0; i < graph->n_nodes && !mixed; i++) {
        const struct task *task = &graph->nodes[i]->task;

        mixed = task->type == CU_GRAPH_NODE_TYPE_GRAPH ? has_mixed(task->child) : is_mixed(task);
    }
    return mixed;
}

static CUresult check_graph(const struct graph *graph, uint64_t flags,
                            CUgraphInstantiateResult *out)
{
    *out = CUDA_GRAPH_INSTANTIATE_ERROR;
    if (flags & CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH) {
        core_say("graphs launched from the device are not simulated");
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    if (flags & ~KNOWN_FLAGS || graph->n_captures || (graph->n_memory && graph->n_execs))
        return CUDA_ERROR_INVALID_VALUE;
    if (!has_order(graph)) {
        *out = CUDA_GRAPH_INSTANTIATE_INVALID_STRUCTURE;
        return CUDA_ERROR_INVALID_VALUE;
    }
    if (has_mixed(graph)) {
        core_say(
            "a node of a graph crosses from device to host memory; refusing to instantiate it");
        return CUDA_ERROR_INVALID_VALUE;
    }
    *out = CUDA_GRAPH_INSTANTIATE_SUCCESS;
    return CUDA_SUCCESS;
}

static CUresult instantiate(CUgraph handle, uint64_t flags, struct exec **out,
                            CUgraphInstantiateResult *result)
{
    struct exec *exec;
    struct graph *graph;
    CUresult res = graph_resolve(handle, &graph);

    *result = CUDA_GRAPH_INSTANTIATE_ERROR;
    if (!res)
        res = check_graph(graph, flags, result);
    if (res)
        return res;
    exec = calloc(1, sizeof(*exec));
    if (!exec || !handle_add(exec, HANDLE_GRAPH_EXEC)) {
        free(exec);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    res = graph_copy(graph, true, &exec->graph);
    if (res) {
        handle_remove(exec);
        free(exec);
        return res;
    }
    exec->flags = flags;
    exec->source = graph;
    exec->source_id = graph->id;
    graph->n_execs++;
    *out = exec;
    return CUDA_SUCCESS;
}

static void exec_free(struct exec *exec)
{
    handle_remove(exec);
    if (handle_is(exec->source, HANDLE_GRAPH) && exec->source->id == exec->source_id)
        exec->source->n_execs--;
    graph_free(exec->graph);
    marker_put(exec->last);
    free(exec);
}

static CUresult resolve_stream(CUstream handle, struct stream **out)
{
    struct context *context;
    CUresult res = context_require(&context);

    return res ? res : stream_resolve(handle, context, out);
}

/* Memory for the graph's allocations stays with them when nothing takes it away. */
static CUresult warm_memory(const struct graph *graph)
{
    CUresult res = CUDA_SUCCESS;

    for (size_t i = 0; i < graph->n_nodes && !res; i++) {
        struct task *task = &graph->nodes[i]->task;

        if (task->type != CU_GRAPH_NODE_TYPE_MEM_ALLOC)
            continue;
        res = graph_memory_reserve(task->memory);
        if (!res)
            graph_memory_unreserve(task->memory);
    }
    return res;
}

static CUresult upload(struct exec *exec, CUstream handle)
{
    struct stream *stream;
    struct work *work;
    CUresult res = resolve_stream(handle, &stream);

    if (!res)
        res = capture_refuse_stream_wait(stream);
    if (!res)
        res = warm_memory(exec->graph);
    if (res)
        return res;
    work = work_new(sizeof(*work), NULL, NULL);
    if (!work || work_depend(work, exec->last)) {
        work_free(work);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    return stream_submit(stream, work);
}

CUresult sim_cuGraphInstantiateWithFlags(CUgraphExec *graph_exec, CUgraph graph,
                                         unsigned long long flags)
{
    CUgraphInstantiateResult result;
    struct exec *exec;
    CUresult res;

    if (!graph_exec || flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD)
        return CUDA_ERROR_INVALID_VALUE;
    res = instantiate(graph, flags, &exec, &result);
    if (!res)
        *graph_exec = (CUgraphExec)exec;
    return res;
}

CUresult sim_cuGraphInstantiate_v2(CUgraphExec *graph_exec, CUgraph graph, CUgraphNode *error_node,
                                   char *log_buffer, size_t buffer_size)
{
    if (error_node)
        *error_node = NULL;
    if (log_buffer && buffer_size)
        *log_buffer = '\0';
    return sim_cuGraphInstantiateWithFlags(graph_exec, graph, 0);
}

CUresult sim_cuGraphInstantiate(CUgraphExec *graph_exec, CUgraph graph, CUgraphNode *error_node,
                                char *log_buffer, size_t buffer_size)
{
    return sim_cuGraphInstantiate_v2(graph_exec, graph, error_node, log_buffer, buffer_size);
}

CUresult sim_cuGraphInstantiateWithParams(CUgraphExec *graph_exec, CUgraph graph,
                                          CUDA_GRAPH_INSTANTIATE_PARAMS *instantiate_params)
{
    struct exec *exec;
    CUresult res;

    if (!graph_exec || !instantiate_params)
        return CUDA_ERROR_INVALID_VALUE;
    instantiate_params->hErrNode_out = NULL;
    res = instantiate(graph, instantiate_params->flags, &exec, &instantiate_params->result_out);
    if (res)
        return res;
    if (instantiate_params->flags & CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD)
        res = upload(exec, instantiate_params->hUploadStream);
    if (res) {
        instantiate_params->result_out = CUDA_GRAPH_INSTANTIATE_ERROR;
        exec_free(exec);
        return res;
    }
    *graph_exec = (CUgraphExec)exec;
    return CUDA_SUCCESS;
}

CUresult sim_cuGraphExecGetFlags(CUgraphExec graph_exec, cuuint64_t *flags)
{
    struct exec *exec;
    CUresult res = exec_resolve(graph_exec, &exec);

    if (!res && !flags)
        res = CUDA_ERROR_INVALID_VALUE;
    if (!res)
        *flags = exec->flags;
    return res;
}

CUresult sim_cuGraphExecDestroy(CUgraphExec graph_exec)
{
    struct exec *exec;
    CUresult res = exec_resolve(graph_exec, &exec);

    if (!res)
        exec_free(exec);
    return res;
}

CUresult sim_cuGraphUpload(CUgraphExec graph_exec, CUstream stream)
{
    struct exec *exec;
    CUresult res = exec_resolve(graph_exec, &exec);

    return res ? res : upload(exec, stream);
}

/* Into a capturing stream a launch becomes a node with all of the graph in it. */
static CUresult capture_launch(const struct exec *exec, struct stream *stream)
{
    struct task task = {.type = CU_GRAPH_NODE_TYPE_GRAPH};
    CUresult res;

    if (exec->graph->n_memory)
        return CUDA_ERROR_NOT_SUPPORTED;
    res = graph_copy(exec->graph, false, &task.child);
    return res ? res : capture_add(stream, &task);
}

CUresult sim_cuGraphLaunch(CUgraphExec graph_exec, CUstream stream)
{
    struct stream *target;
    struct exec *exec;
    CUresult res = resolve_stream(stream, &target);

    if (!res)
        res = exec_resolve(graph_exec, &exec);
    if (res)
        return res;
    return target->capture ? capture_launch(exec, target) : exec_launch(exec, target);
}

/* The node, if it is of a kind that can be switched off. */
static CUresult resolve_switch(CUgraphExec handle, CUgraphNode node, struct node **out)
{
    static const CUgraphNodeType types[] = {
        CU_GRAPH_NODE_TYPE_KERNEL,
        CU_GRAPH_NODE_TYPE_MEMCPY,
        CU_GRAPH_NODE_TYPE_MEMSET,
    };
    struct exec *exec;
    CUresult res = exec_resolve(handle, &exec);

    if (res)
        return res;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (exec_node(exec, node, types[i], out) == CUDA_SUCCESS)
            return CUDA_SUCCESS;
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuGraphNodeSetEnabled(CUgraphExec graph_exec, CUgraphNode node,
                                   unsigned int is_enabled)
{
    struct node *changed;
    CUresult res = resolve_switch(graph_exec, node, &changed);

    if (!res)
        changed->disabled = !is_enabled;
    return res;
}

CUresult sim_cuGraphNodeGetEnabled(CUgraphExec graph_exec, CUgraphNode node,
                                   unsigned int *is_enabled)
{
    struct node *asked;
    CUresult res = resolve_switch(graph_exec, node, &asked);

    if (!res && !is_enabled)
        res = CUDA_ERROR_INVALID_VALUE;
    if (!res)
        *is_enabled = !asked->disabled;
    return res;
}
