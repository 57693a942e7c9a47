/* SPDX-License-Identifier: MIT */
#include "runtime/replay_read.h"

#include <stdlib.h>
#include <string.h>
#include "runtime/graph_order.h"

enum {
    NESTING_MAX = 8,
};

/* Attributes that change what a launch does, or where it may run. */
static const CUlaunchAttributeID attribute_ids[] = {
    CU_LAUNCH_ATTRIBUTE_COOPERATIVE,
    CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION,
    CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE,
    CU_LAUNCH_ATTRIBUTE_PRIORITY,
    CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN,
    CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT,
};

static void step_fini(struct replay_step *step)
{
    if (step->kind == REPLAY_KERNEL)
        free(step->kernel);
}

void replay_clear(struct replay *replay)
{
    for (uint32_t i = 0; i < replay->n_steps; i++)
        step_fini(&replay->steps[i]);
    free(replay->steps);
    free(replay->words);
    replay->steps = NULL;
    replay->words = NULL;
    replay->n_steps = replay->capacity = replay->n_kernels = replay->n_words = 0;
    replay->counted = false;
}

static bool has_calls(const struct driver *drv)
{
    return drv->cuGraphGetNodes && drv->cuGraphNodeGetType && drv->cuGraphMemcpyNodeGetParams &&
           drv->cuGraphMemsetNodeGetParams && drv->cuGraphHostNodeGetParams &&
           drv->cuGraphChildGraphNodeGetGraph && drv->cuGraphKernelNodeGetParams_v2 &&
           drv->cuGraphKernelNodeGetAttribute && drv->cuPointerGetAttribute &&
           (drv->cuGraphGetEdges_v2 || drv->cuGraphGetEdges);
}

/* The parameters, packed. */
static bool pack(struct replay_kernel *kernel, void *const *params, void *const *extra)
{
    const struct layout *layout = kernel->layout;
    void *buffer;
    size_t bytes;

    for (uint32_t i = 0; i < layout->n_params; i++)
        kernel->params[i] = kernel->packed + layout->params[i].offset;
    if (extra) {
        if (layout_extra_buffer(extra, &buffer, &bytes) || bytes > layout->bytes)
            return false;
        memcpy(kernel->packed, buffer, bytes);
        return true;
    }
    for (uint32_t i = 0; i < layout->n_params; i++) {
        if (!params)
            return false;
        memcpy(kernel->params[i], params[i], layout->params[i].bytes);
    }
    return true;
}

struct replay_kernel *replay_kernel_new(const struct driver *drv,
                                        const CUDA_KERNEL_NODE_PARAMS *params)
{
    CUfunction function = params->func ? params->func : (CUfunction)params->kern;
    const struct layout *layout = layout_known(layout_find(drv, function));
    struct replay_kernel *kernel;
    size_t packed;

    if (!function || !layout)
        return NULL;
    packed = align_up(layout->bytes, sizeof(void *));
    kernel = calloc(1, sizeof(*kernel) + packed + (layout->n_params + 1) * sizeof(void *));
    if (!kernel)
        return NULL;
    kernel->function = function;
    kernel->layout = layout;
    kernel->params = (void **)(kernel->packed + packed);
    kernel->grid[0] = params->gridDimX;
    kernel->grid[1] = params->gridDimY;
    kernel->grid[2] = params->gridDimZ;
    kernel->block[0] = params->blockDimX;
    kernel->block[1] = params->blockDimY;
    kernel->block[2] = params->blockDimZ;
    kernel->shared_bytes = params->sharedMemBytes;
    if (pack(kernel, params->kernelParams, params->extra))
        return kernel;
    free(kernel);
    return NULL;
}

static bool is_zero(const CUlaunchAttributeValue *value)
{
    static const CUlaunchAttributeValue zero;

    return !memcmp(value, &zero, sizeof(zero));
}

/* An attribute that the driver does not know is not set. */
static void read_attributes(const struct driver *drv, CUgraphNode node,
                            struct replay_kernel *kernel)
{
    for (size_t i = 0; i < ARRAY_SIZE(attribute_ids); i++) {
        CUlaunchAttribute *attribute = &kernel->attributes[kernel->n_attributes];

        *attribute = (CUlaunchAttribute){.id = attribute_ids[i]};
        if (drv->cuGraphKernelNodeGetAttribute(node, attribute->id, &attribute->value) ==
                CUDA_SUCCESS &&
            !is_zero(&attribute->value))
            kernel->n_attributes++;
    }
}

static bool device_may_change(const struct driver *drv, CUgraphNode node)
{
    CUlaunchAttributeValue value = {.pad = {0}};

    return drv->cuGraphKernelNodeGetAttribute(
               node, CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE, &value) == CUDA_SUCCESS &&
           value.deviceUpdatableKernelNode.deviceUpdatable;
}

/* Why it cannot be read, or NULL. */
static const char *read_kernel(const struct driver *drv, const struct replay *replay,
                               struct replay_step *step)
{
    CUDA_KERNEL_NODE_PARAMS params = {0};

    if (drv->cuGraphKernelNodeGetParams_v2(step->node, &params) != CUDA_SUCCESS)
        return "the driver does not tell of a kernel";
    if (params.ctx && params.ctx != replay->ctx)
        return "it runs in more than one context";
    if (device_may_change(drv, step->node))
        return "the device may change it";
    step->kernel = replay_kernel_new(drv, &params);
    if (!step->kernel)
        return "the parameters of a kernel are not known";
    step->kind = REPLAY_KERNEL;
    read_attributes(drv, step->node, step->kernel);
    return NULL;
}

/* A copy from host memory that is not pinned reads it when it is submitted, not when it runs. */
static bool side_is_pinned(const struct driver *drv, CUmemorytype type, const void *host)
{
    unsigned int found = 0;

    return type != CU_MEMORYTYPE_HOST ||
           drv->cuPointerGetAttribute(&found, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                      (CUdeviceptr)(uintptr_t)host) == CUDA_SUCCESS;
}

const char *replay_check_copy(const struct driver *drv, const CUDA_MEMCPY3D *copy)
{
    if (side_is_pinned(drv, copy->srcMemoryType, copy->srcHost) &&
        side_is_pinned(drv, copy->dstMemoryType, copy->dstHost))
        return NULL;
    return "it copies host memory that is not pinned";
}

static const char *read_node(const struct driver *drv, struct replay *replay,
                             struct replay_step *step, CUgraph *out_child)
{
    CUgraphNodeType type;

    if (drv->cuGraphNodeGetType(step->node, &type) != CUDA_SUCCESS)
        return "the driver does not tell of a node";
    switch ((int)type) {
    case CU_GRAPH_NODE_TYPE_EMPTY:
        return NULL;
    case CU_GRAPH_NODE_TYPE_KERNEL:
        replay->n_kernels++;
        return read_kernel(drv, replay, step);
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        step->kind = REPLAY_COPY;
        if (drv->cuGraphMemcpyNodeGetParams(step->node, &step->copy) != CUDA_SUCCESS)
            return "the driver does not tell of a copy";
        return replay_check_copy(drv, &step->copy);
    case CU_GRAPH_NODE_TYPE_MEMSET:
        step->kind = REPLAY_MEMSET;
        if (drv->cuGraphMemsetNodeGetParams(step->node, &step->memset) != CUDA_SUCCESS)
            return "the driver does not tell of a memset";
        return NULL;
    case CU_GRAPH_NODE_TYPE_HOST:
        step->kind = REPLAY_HOST;
        if (drv->cuGraphHostNodeGetParams(step->node, &step->host) != CUDA_SUCCESS)
            return "the driver does not tell of a host function";
        return NULL;
    case CU_GRAPH_NODE_TYPE_GRAPH:
        if (drv->cuGraphChildGraphNodeGetGraph(step->node, out_child) != CUDA_SUCCESS)
            return "the driver does not tell of a graph in it";
        return NULL;
    default:
        return "it has a node of another kind than kernel, copy, memset, host and graph";
    }
}

static const char *read_graph(const struct driver *drv, struct replay *replay, CUgraph graph,
                              int nesting);

static bool add_step(struct replay *replay, const struct replay_step *step)
{
    struct replay_step *grown;

    if (replay->n_steps == replay->capacity) {
        replay->capacity = replay->capacity ? 2 * replay->capacity : 64;
        grown = realloc(replay->steps, replay->capacity * sizeof(*grown));
        if (!grown)
            return false;
        replay->steps = grown;
    }
    replay->steps[replay->n_steps++] = *step;
    return true;
}

/* Adds the steps of the nodes, which are in order. */
static const char *read_steps(const struct driver *drv, struct replay *replay,
                              const struct graph_order *all, int nesting)
{
    const char *why = NULL;

    for (size_t i = 0; i < all->n && !why; i++) {
        struct replay_step step = {.node = all->nodes[i]};
        CUgraph child = NULL;

        why = read_node(drv, replay, &step, &child);
        if (why || !add_step(replay, &step)) {
            step_fini(&step);
            return why ? why : "memory is short";
        }
        if (child)
            why = read_graph(drv, replay, child, nesting + 1);
    }
    return why;
}

static const char *read_graph(const struct driver *drv, struct replay *replay, CUgraph graph,
                              int nesting)
{
    struct graph_order all;
    const char *why;

    if (nesting > NESTING_MAX)
        return "graphs are nested too deeply in it";
    if (graph_order_read(drv, graph, &all))
        return "the driver does not tell of its nodes";
    why = read_steps(drv, replay, &all, nesting);
    graph_order_fini(&all);
    return why;
}

const char *replay_read(const struct driver *drv, struct replay *replay, CUgraph graph)
{
    replay_clear(replay);
    replay->opaque = NULL;
    if (replay->whole)
        return "the device may launch it";
    if (!has_calls(drv))
        return "the driver lacks a call to look into it";
    if (drv->cuCtxGetCurrent(&replay->ctx) != CUDA_SUCCESS)
        return "there is no context";
    return read_graph(drv, replay, graph, 0);
}
