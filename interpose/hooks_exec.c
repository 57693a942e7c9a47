/* SPDX-License-Identifier: MIT */
/*
 * Graphs that can be launched.
 *
 * The driver launches a graph as a whole, and what of its memory is away is then read in place.
 * While some is, and streaming may do better, the pieces of a graph that is understood
 * (runtime/replay.h) are launched one by one instead, as if the program had done so.
 *
 * A launch is work: host functions and waits in it may be what a drain would wait for. A launch of
 * a program that ever put a host function into a graph is followed by one of ours, until which no
 * home moves. Memory of allocation nodes is the driver's; where it has none left, homes make room.
 */
#include "interpose/graph.h"
#include "interpose/hooks.h"

#include <string.h>
#include "runtime/gate.h"
#include "runtime/pager.h"
#include "runtime/replay.h"

enum {
    ROOM_FIRST = 64 << 20, /* bytes that are made free at first; then twice as many */
};

/* Makes the call `again` for as long as there is no memory for it and room can be made. */
#define WITH_ROOM(drv, result, again)                                                              \
    for (uint64_t room = ROOM_FIRST;                                                               \
         (result) == CUDA_ERROR_OUT_OF_MEMORY && pager_give_way(drv, room); room *= 2)             \
    (result) = (again)

/* A passage of the gate, for a call that submits work of which nobody knows what it does. */
#define GATED(call)                                                                                \
    ({                                                                                             \
        CUresult gated_result = CUDA_SUCCESS;                                                      \
                                                                                                   \
        if (!gate_try_enter())                                                                     \
            gated_result = (CUresult)gate_enter_unknown();                                         \
        if (gated_result == CUDA_SUCCESS) {                                                        \
            gated_result = (call);                                                                 \
            gate_leave();                                                                          \
        }                                                                                          \
        gated_result;                                                                              \
    })

/* The same for one that prepares work and touches no memory of the program. */
#define GATED_BEFOREHAND(call)                                                                     \
    ({                                                                                             \
        CUresult gated_result;                                                                     \
                                                                                                   \
        gate_enter();                                                                              \
        if (gate_is_watched())                                                                     \
            gate_note_unknown();                                                                   \
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
    CUresult result;

    pager_host_call_began();
    result = drv->cuGraphLaunch(exec, stream);
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
    return GATED(launch_and_follow(drv, exec, stream));
}

static CUresult launch_kernel(const struct driver *drv, struct replay_kernel *kernel,
                              CUstream stream)
{
    CUlaunchConfig config = {
        .gridDimX = kernel->grid[0],
        .gridDimY = kernel->grid[1],
        .gridDimZ = kernel->grid[2],
        .blockDimX = kernel->block[0],
        .blockDimY = kernel->block[1],
        .blockDimZ = kernel->block[2],
        .sharedMemBytes = kernel->shared_bytes,
        .hStream = stream,
        .attrs = kernel->attributes,
        .numAttrs = kernel->n_attributes,
    };

    return hook_cuLaunchKernelEx(drv, &config, kernel->function, kernel->params, NULL);
}

static CUresult set_memory(const struct driver *drv, const CUDA_MEMSET_NODE_PARAMS *set,
                           CUstream stream)
{
    bool row = set->height <= 1;

    switch (set->elementSize) {
    case 1:
        return row ? hook_cuMemsetD8Async(drv, set->dst, (unsigned char)set->value, set->width,
                                          stream)
                   : hook_cuMemsetD2D8Async(drv, set->dst, set->pitch, (unsigned char)set->value,
                                            set->width, set->height, stream);
    case 2:
        return row ? hook_cuMemsetD16Async(drv, set->dst, (unsigned short)set->value, set->width,
                                           stream)
                   : hook_cuMemsetD2D16Async(drv, set->dst, set->pitch, (unsigned short)set->value,
                                             set->width, set->height, stream);
    default:
        return row ? hook_cuMemsetD32Async(drv, set->dst, set->value, set->width, stream)
                   : hook_cuMemsetD2D32Async(drv, set->dst, set->pitch, set->value, set->width,
                                             set->height, stream);
    }
}

static CUresult launch_step(const struct driver *drv, struct replay_step *step, CUstream stream)
{
    switch (step->disabled ? REPLAY_NOTHING : step->kind) {
    case REPLAY_KERNEL:
        return launch_kernel(drv, step->kernel, stream);
    case REPLAY_COPY:
        return hook_cuMemcpy3DAsync_v2(drv, &step->copy, stream);
    case REPLAY_MEMSET:
        return set_memory(drv, &step->memset, stream);
    case REPLAY_HOST:
        return hook_cuLaunchHostFunc(drv, stream, step->host.fn, step->host.userData);
    default:
        return CUDA_SUCCESS;
    }
}

/* False when nothing was submitted, and the driver had better be asked. */
static bool launch_pieces(const struct driver *drv, struct replay *replay, CUstream stream,
                          CUresult *result)
{
    if (replay_order(drv, replay, stream, true) != CUDA_SUCCESS)
        return false;
    stats_add(graphs_in_pieces, 1);
    for (uint32_t i = 0; i < replay->n_steps; i++) {
        *result = launch_step(drv, &replay->steps[i], stream);
        if (*result != CUDA_SUCCESS)
            return i > 0;
    }
    return true;
}

static bool can_be_pieces(const struct driver *drv, struct replay *replay)
{
    CUcontext ctx;

    if (replay->opaque || !drv->cuLaunchKernelEx || !drv->cuMemcpy3DAsync_v2 ||
        !drv->cuLaunchHostFunc || drv->cuCtxGetCurrent(&ctx) != CUDA_SUCCESS || ctx != replay->ctx)
        return false;
    replay_count_words(replay);
    return pager_wants_pieces(replay->words, replay->n_words, replay->n_kernels);
}

static CUresult launch_whole(const struct driver *drv, CUgraphExec exec, CUstream stream)
{
    bool follow = pager_graphs_call_host() && drv->cuLaunchHostFunc;
    CUresult result = launch(drv, exec, stream, follow);

    WITH_ROOM(drv, result, launch(drv, exec, stream, follow));
    return result;
}

/* Into a capture a launch is a node, and runs when that graph is launched. */
CUresult graph_launch_aside(const struct driver *drv, CUgraphExec exec, CUstream stream)
{
    struct replay *replay;
    CUresult result;

    if (pager_is_captured(drv, stream))
        return launch(drv, exec, stream, false);
    replay = replay_find(exec);
    if (!replay)
        return launch_whole(drv, exec, stream);
    if (can_be_pieces(drv, replay) && launch_pieces(drv, replay, stream, &result))
        return result;
    result = replay_order(drv, replay, stream, false);
    return result == CUDA_SUCCESS ? launch_whole(drv, exec, stream) : result;
}

CUresult hook_cuGraphUpload(const struct driver *drv, CUgraphExec graph_exec, CUstream stream)
{
    CUresult result = GATED_BEFOREHAND(drv->cuGraphUpload(graph_exec, stream));

    WITH_ROOM(drv, result, GATED_BEFOREHAND(drv->cuGraphUpload(graph_exec, stream)));
    return result;
}

/* A call, made again once memory is gathered or room is made. */
#define INSTANTIATE(flags, call)                                                                   \
    GATHERED(result, graph_gather_graph(drv, graph), call);                                        \
    WITH_ROOM(drv, result, call);                                                                  \
    if (result == CUDA_SUCCESS)                                                                    \
        replay_note(drv, *graph_exec, graph, (flags)&CUDA_GRAPH_INSTANTIATE_FLAG_DEVICE_LAUNCH);   \
    return result

CUresult hook_cuGraphInstantiate(const struct driver *drv, CUgraphExec *graph_exec, CUgraph graph,
                                 CUgraphNode *error_node, char *log_buffer, size_t buffer_size)
{
    INSTANTIATE(0, drv->cuGraphInstantiate(graph_exec, graph, error_node, log_buffer, buffer_size));
}

CUresult hook_cuGraphInstantiate_v2(const struct driver *drv, CUgraphExec *graph_exec,
                                    CUgraph graph, CUgraphNode *error_node, char *log_buffer,
                                    size_t buffer_size)
{
    INSTANTIATE(0,
                drv->cuGraphInstantiate_v2(graph_exec, graph, error_node, log_buffer, buffer_size));
}

CUresult hook_cuGraphInstantiateWithFlags(const struct driver *drv, CUgraphExec *graph_exec,
                                          CUgraph graph, unsigned long long flags)
{
    INSTANTIATE(flags, drv->cuGraphInstantiateWithFlags(graph_exec, graph, flags));
}

CUresult hook_cuGraphInstantiateWithParams(const struct driver *drv, CUgraphExec *graph_exec,
                                           CUgraph graph,
                                           CUDA_GRAPH_INSTANTIATE_PARAMS *instantiate_params)
{
    INSTANTIATE(instantiate_params->flags, GATED_BEFOREHAND(drv->cuGraphInstantiateWithParams(
                                               graph_exec, graph, instantiate_params)));
}

CUresult hook_cuGraphExecDestroy(const struct driver *drv, CUgraphExec graph_exec)
{
    replay_drop(drv, graph_exec);
    return drv->cuGraphExecDestroy(graph_exec);
}

CUresult hook_cuGraphExecUpdate(const struct driver *drv, CUgraphExec graph_exec, CUgraph graph,
                                CUgraphNode *error_node_out,
                                CUgraphExecUpdateResult *update_result_out)
{
    CUresult result = drv->cuGraphExecUpdate(graph_exec, graph, error_node_out, update_result_out);

    if (result == CUDA_SUCCESS)
        replay_update(drv, graph_exec, graph);
    return result;
}

CUresult hook_cuGraphExecUpdate_v2(const struct driver *drv, CUgraphExec graph_exec, CUgraph graph,
                                   CUgraphExecUpdateResultInfo *result_info)
{
    CUresult result = drv->cuGraphExecUpdate_v2(graph_exec, graph, result_info);

    if (result == CUDA_SUCCESS)
        replay_update(drv, graph_exec, graph);
    return result;
}

/* A call that gives a node of an executable graph its parameters; what is known of it follows. */
#define FOLLOWED(gather, call, follow)                                                             \
    GATHERED(result, gather, call);                                                                \
    if (result == CUDA_SUCCESS)                                                                    \
        follow;                                                                                    \
    return result

CUresult hook_cuGraphExecKernelNodeSetParams(const struct driver *drv, CUgraphExec graph_exec,
                                             CUgraphNode node,
                                             const CUDA_KERNEL_NODE_PARAMS_v1 *node_params)
{
    CUDA_KERNEL_NODE_PARAMS params = {0};

    if (node_params)
        memcpy(&params, node_params, sizeof(*node_params));
    FOLLOWED(0, drv->cuGraphExecKernelNodeSetParams(graph_exec, node, node_params),
             replay_set_kernel(drv, graph_exec, node, &params));
}

CUresult hook_cuGraphExecKernelNodeSetParams_v2(const struct driver *drv, CUgraphExec graph_exec,
                                                CUgraphNode node,
                                                const CUDA_KERNEL_NODE_PARAMS *node_params)
{
    FOLLOWED(0, drv->cuGraphExecKernelNodeSetParams_v2(graph_exec, node, node_params),
             replay_set_kernel(drv, graph_exec, node, node_params));
}

CUresult hook_cuGraphExecMemcpyNodeSetParams(const struct driver *drv, CUgraphExec graph_exec,
                                             CUgraphNode node, const CUDA_MEMCPY3D *copy_params,
                                             CUcontext ctx)
{
    FOLLOWED(graph_gather_copy(drv, copy_params),
             drv->cuGraphExecMemcpyNodeSetParams(graph_exec, node, copy_params, ctx),
             replay_set_copy(drv, graph_exec, node, copy_params));
}

CUresult hook_cuGraphExecMemsetNodeSetParams(const struct driver *drv, CUgraphExec graph_exec,
                                             CUgraphNode node,
                                             const CUDA_MEMSET_NODE_PARAMS *memset_params,
                                             CUcontext ctx)
{
    FOLLOWED(graph_gather_memset(drv, memset_params),
             drv->cuGraphExecMemsetNodeSetParams(graph_exec, node, memset_params, ctx),
             replay_set_memset(graph_exec, node, memset_params));
}

CUresult hook_cuGraphExecHostNodeSetParams(const struct driver *drv, CUgraphExec graph_exec,
                                           CUgraphNode node,
                                           const CUDA_HOST_NODE_PARAMS *node_params)
{
    FOLLOWED(0, drv->cuGraphExecHostNodeSetParams(graph_exec, node, node_params),
             replay_set_host(graph_exec, node, node_params));
}

CUresult hook_cuGraphExecChildGraphNodeSetParams(const struct driver *drv, CUgraphExec graph_exec,
                                                 CUgraphNode node, CUgraph child_graph)
{
    FOLLOWED(0, drv->cuGraphExecChildGraphNodeSetParams(graph_exec, node, child_graph),
             replay_set_unknown(graph_exec));
}

CUresult hook_cuGraphNodeSetEnabled(const struct driver *drv, CUgraphExec graph_exec,
                                    CUgraphNode node, unsigned int is_enabled)
{
    FOLLOWED(0, drv->cuGraphNodeSetEnabled(graph_exec, node, is_enabled),
             replay_set_enabled(graph_exec, node, is_enabled));
}

static void follow_params(const struct driver *drv, CUgraphExec exec, CUgraphNode node,
                          const CUgraphNodeParams *params)
{
    CUDA_KERNEL_NODE_PARAMS kernel = {0};
    CUDA_MEMSET_NODE_PARAMS set;
    CUDA_HOST_NODE_PARAMS host;

    _Static_assert(sizeof(kernel) == sizeof(params->kernel), "versions 2 and 3 are alike");
    switch ((int)params->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
        memcpy(&kernel, &params->kernel, sizeof(kernel));
        replay_set_kernel(drv, exec, node, &kernel);
        break;
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        replay_set_copy(drv, exec, node, &params->memcpy.copyParams);
        break;
    case CU_GRAPH_NODE_TYPE_MEMSET:
        memcpy(&set, &params->memset, sizeof(set));
        replay_set_memset(exec, node, &set);
        break;
    case CU_GRAPH_NODE_TYPE_HOST:
        memcpy(&host, &params->host, sizeof(host));
        replay_set_host(exec, node, &host);
        break;
    default:
        replay_set_unknown(exec);
    }
}

CUresult hook_cuGraphExecNodeSetParams(const struct driver *drv, CUgraphExec graph_exec,
                                       CUgraphNode node, CUgraphNodeParams *node_params)
{
    FOLLOWED(graph_gather_params(drv, node_params),
             drv->cuGraphExecNodeSetParams(graph_exec, node, node_params),
             follow_params(drv, graph_exec, node, node_params));
}
