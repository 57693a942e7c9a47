/* SPDX-License-Identifier: MIT */
/*
 * Building graphs by explicit calls: a node's parameters become a task, in one place for each kind,
 * whichever call they come with.
 */
#include "tests/sim/graph_build.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/calls.h"
#include "tests/sim/event.h"
#include "tests/sim/graph_memory.h"
#include "tests/sim/launch.h"

/* A node's context: the one that was named, else the current one. */
static CUresult node_context(CUcontext handle, struct context **out)
{
    struct context *context = (struct context *)handle;

    if (!handle)
        return context_require(out);
    if (!handle_is(context, HANDLE_CONTEXT) || !context->alive)
        return CUDA_ERROR_INVALID_CONTEXT;
    *out = context;
    return context->sticky;
}

CUresult task_of_kernel(const CUDA_KERNEL_NODE_PARAMS *params, struct task *out)
{
    struct ptx_launch shape;
    struct context *context;
    struct work *work;
    CUresult res;

    if (!params || (params->func && params->kern))
        return CUDA_ERROR_INVALID_VALUE;
    shape = (struct ptx_launch){
        .grid = {params->gridDimX, params->gridDimY, params->gridDimZ},
        .block = {params->blockDimX, params->blockDimY, params->blockDimZ},
        .dynamic_shared_bytes = params->sharedMemBytes,
    };
    res = node_context(params->ctx, &context);
    if (!res)
        res = launch_new(params->func ? params->func : (CUfunction)params->kern, context, shape,
                         params->kernelParams, params->extra, &work);
    return res ? res : task_of_work(work, out);
}

CUresult task_of_copy(const CUDA_MEMCPY3D *params, CUcontext ctx, struct task *out)
{
    struct copy_side dst;
    struct copy_side src;
    struct copy_box box;
    struct context *context;
    struct work *work;
    CUresult res = node_context(ctx, &context);

    if (res)
        return res;
    if (!params || params->srcLOD || params->dstLOD || params->reserved0 || params->reserved1 ||
        !params->WidthInBytes || !params->Height || !params->Depth)
        return CUDA_ERROR_INVALID_VALUE;
    box = (struct copy_box){params->WidthInBytes, params->Height, params->Depth};
    res = copy_sides(params, context->device, &dst, &src);
    if (!res)
        res = copy_check_side(&dst, &box, true);
    if (!res)
        res = copy_check_side(&src, &box, false);
    if (res)
        return res;
    work = copy_new(dst, src, box);
    res = work ? task_of_work(work, out) : CUDA_ERROR_OUT_OF_MEMORY;
    if (res)
        return res;
    out->copy->context = context;
    out->copy->asked = *params;
    return CUDA_SUCCESS;
}

CUresult task_of_memset(const CUDA_MEMSET_NODE_PARAMS *params, CUcontext ctx, struct task *out)
{
    struct context *context;
    struct work *work;
    CUresult res = node_context(ctx, &context);

    if (res)
        return res;
    if (!params || !params->width || !params->height ||
        (params->elementSize != 1 && params->elementSize != 2 && params->elementSize != 4))
        return CUDA_ERROR_INVALID_VALUE;
    res = memset_new(params, context->device, true, &work);
    if (!res)
        res = task_of_work(work, out);
    if (!res)
        out->memset.context = context;
    return res;
}

CUresult task_of_host(const CUDA_HOST_NODE_PARAMS *params, struct task *out)
{
    if (!params || !params->fn)
        return CUDA_ERROR_INVALID_VALUE;
    *out = (struct task){.type = CU_GRAPH_NODE_TYPE_HOST, .host = *params};
    return CUDA_SUCCESS;
}

CUresult task_of_event(CUgraphNodeType type, CUevent event, struct task *out)
{
    if (!handle_is(event, HANDLE_EVENT))
        return CUDA_ERROR_INVALID_VALUE;
    *out = (struct task){.type = type, .event = event};
    return CUDA_SUCCESS;
}

static bool embeds(const struct graph *outer, const struct graph *inner)
{
    while (inner && inner != outer)
        inner = inner->owner;
    return inner != NULL;
}

CUresult task_of_child(CUgraph handle, const struct graph *into, struct task *out)
{
    struct graph *child;
    CUresult res = graph_resolve(handle, &child);

    if (res)
        return res;
    if (into && embeds(child, into))
        return CUDA_ERROR_INVALID_VALUE;
    if (child->n_memory)
        return CUDA_ERROR_NOT_SUPPORTED;
    *out = (struct task){.type = CU_GRAPH_NODE_TYPE_GRAPH};
    return graph_copy(child, false, &out->child);
}

/* The devices that the node's memory is also for, one bit for each. */
static CUresult read_peers(const CUDA_MEM_ALLOC_NODE_PARAMS *params, uint8_t *out)
{
    if (params->accessDescCount && !params->accessDescs)
        return CUDA_ERROR_INVALID_VALUE;
    *out = 0;
    for (size_t i = 0; i < params->accessDescCount; i++) {
        const CUmemAccessDesc *access = &params->accessDescs[i];

        if (access->location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
            !device_is_valid(access->location.id) ||
            access->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
            return CUDA_ERROR_INVALID_VALUE;
        *out |= (uint8_t)(1 << access->location.id);
    }
    return CUDA_SUCCESS;
}

CUresult task_of_alloc(CUDA_MEM_ALLOC_NODE_PARAMS *params, struct task *out)
{
    const CUmemPoolProps *props;
    uint8_t peers = 0;
    CUresult res;

    if (!params)
        return CUDA_ERROR_INVALID_VALUE;
    props = &params->poolProps;
    if (props->allocType != CU_MEM_ALLOCATION_TYPE_PINNED ||
        props->location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
        !device_is_valid(props->location.id) || props->handleTypes != CU_MEM_HANDLE_TYPE_NONE)
        return CUDA_ERROR_INVALID_VALUE;
    res = read_peers(params, &peers);
    *out = (struct task){.type = CU_GRAPH_NODE_TYPE_MEM_ALLOC};
    if (!res)
        res = graph_memory_new(context_primary(props->location.id), props->location.id,
                               params->bytesize, peers, &out->memory);
    if (!res)
        params->dptr = graph_memory_address(out->memory);
    return res;
}

CUresult task_of_free(CUdeviceptr address, const struct graph *graph, struct task *out)
{
    struct graph_memory *memory = graph_memory_at(address);

    if (!memory || graph_memory_node(graph, CU_GRAPH_NODE_TYPE_MEM_FREE, memory))
        return CUDA_ERROR_INVALID_VALUE;
    graph_memory_get(memory);
    *out = (struct task){.type = CU_GRAPH_NODE_TYPE_MEM_FREE, .memory = memory};
    return CUDA_SUCCESS;
}

/* The types of the newer parameters differ from the older ones in name only. */
static CUresult task_of_alloc_params(CUgraphNodeParams *params, struct task *out)
{
    CUDA_MEM_ALLOC_NODE_PARAMS alloc;
    CUresult res;

    memcpy(&alloc, &params->alloc, sizeof(alloc));
    res = task_of_alloc(&alloc, out);
    params->alloc.dptr = alloc.dptr;
    return res;
}

/* A task of any kind; `into`: the graph that it will be in, NULL when it replaces another. */
CUresult task_of_params(CUgraphNodeParams *params, const struct graph *into, struct task *out)
{
    CUDA_KERNEL_NODE_PARAMS kernel;
    CUDA_MEMSET_NODE_PARAMS fill;
    CUDA_HOST_NODE_PARAMS host;

    if (!params)
        return CUDA_ERROR_INVALID_VALUE;
    switch ((int)params->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
        memcpy(&kernel, &params->kernel, sizeof(kernel));
        return task_of_kernel(&kernel, out);
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        return task_of_copy(&params->memcpy.copyParams, params->memcpy.copyCtx, out);
    case CU_GRAPH_NODE_TYPE_MEMSET:
        memcpy(&fill, &params->memset, sizeof(fill));
        return task_of_memset(&fill, params->memset.ctx, out);
    case CU_GRAPH_NODE_TYPE_HOST:
        memcpy(&host, &params->host, sizeof(host));
        return task_of_host(&host, out);
    case CU_GRAPH_NODE_TYPE_GRAPH:
        if (params->graph.ownership != CU_GRAPH_CHILD_GRAPH_OWNERSHIP_CLONE)
            return CUDA_ERROR_NOT_SUPPORTED;
        return task_of_child(params->graph.graph, into, out);
    case CU_GRAPH_NODE_TYPE_EMPTY:
        *out = (struct task){.type = CU_GRAPH_NODE_TYPE_EMPTY};
        return CUDA_SUCCESS;
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
        return task_of_event(params->type, params->eventWait.event, out);
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
        return task_of_event(params->type, params->eventRecord.event, out);
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
        return task_of_alloc_params(params, out);
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
        return task_of_free(params->free.dptr, into, out);
    default:
        core_say("graph nodes of type %d are not simulated; answering CUDA_ERROR_NOT_SUPPORTED",
                 (int)params->type);
        return CUDA_ERROR_NOT_SUPPORTED;
    }
}
