/* SPDX-License-Identifier: MIT */
#include "runtime/replay.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/log.h"
#include "runtime/residency.h"

enum {
    NODES_MAX = 1 << 20, /* of one graph */
    NESTING_MAX = 8,
    ATTEMPTS = 3, /* of what must not be left undone */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct replay *replays; /* uthash, by exec */
atomic_bool replays_noted;

/* Attributes that change what a launch does, or where it may run. */
static const CUlaunchAttributeID attribute_ids[] = {
    CU_LAUNCH_ATTRIBUTE_COOPERATIVE,
    CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION,
    CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE,
    CU_LAUNCH_ATTRIBUTE_PRIORITY,
    CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN,
    CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT,
};

struct graph_nodes {
    CUgraphNode *nodes;
    size_t n;
    CUgraphNode *from; /* edges */
    CUgraphNode *to;
    size_t n_edges;
};

struct numbered {
    CUgraphNode node;
    uint32_t index;
    uint32_t waits; /* for so many nodes that are not in the order yet */
    UT_hash_handle hh;
};

static void step_fini(struct replay_step *step)
{
    if (step->kind == REPLAY_KERNEL)
        free(step->kernel);
}

static void clear(struct replay *replay)
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

static void make_opaque(struct replay *replay, const char *why)
{
    clear(replay);
    replay->opaque = why;
    log_debug("a graph is launched by the driver alone: %s", why);
}

static bool has_calls(const struct driver *drv)
{
    return drv->cuGraphGetNodes && drv->cuGraphNodeGetType && drv->cuGraphMemcpyNodeGetParams &&
           drv->cuGraphMemsetNodeGetParams && drv->cuGraphHostNodeGetParams &&
           drv->cuGraphChildGraphNodeGetGraph && drv->cuGraphKernelNodeGetParams_v2 &&
           drv->cuGraphKernelNodeGetAttribute && drv->cuPointerGetAttribute &&
           (drv->cuGraphGetEdges_v2 || drv->cuGraphGetEdges);
}

static CUresult get_edges(const struct driver *drv, CUgraph graph, CUgraphNode *from,
                          CUgraphNode *to, CUgraphEdgeData *data, size_t *n)
{
    if (drv->cuGraphGetEdges_v2)
        return drv->cuGraphGetEdges_v2(graph, from, to, data, n);
    return drv->cuGraphGetEdges(graph, from, to, n);
}

static void graph_nodes_fini(struct graph_nodes *all)
{
    free(all->nodes);
    free(all->from);
    free(all->to);
}

static bool read_edges(const struct driver *drv, CUgraph graph, struct graph_nodes *all)
{
    CUgraphEdgeData *data;
    bool good;

    if (get_edges(drv, graph, NULL, NULL, NULL, &all->n_edges) != CUDA_SUCCESS ||
        all->n_edges > NODES_MAX)
        return false;
    all->from = calloc(all->n_edges + 1, sizeof(CUgraphNode));
    all->to = calloc(all->n_edges + 1, sizeof(CUgraphNode));
    data = calloc(all->n_edges + 1, sizeof(*data));
    good = all->from && all->to && data &&
           (!all->n_edges ||
            get_edges(drv, graph, all->from, all->to, data, &all->n_edges) == CUDA_SUCCESS);
    free(data);
    return good;
}

static bool read_nodes(const struct driver *drv, CUgraph graph, struct graph_nodes *all)
{
    if (drv->cuGraphGetNodes(graph, NULL, &all->n) != CUDA_SUCCESS || all->n > NODES_MAX)
        return false;
    all->nodes = calloc(all->n + 1, sizeof(CUgraphNode));
    return all->nodes &&
           (!all->n || drv->cuGraphGetNodes(graph, all->nodes, &all->n) == CUDA_SUCCESS) &&
           read_edges(drv, graph, all);
}

static int by_from(const void *left, const void *right)
{
    const uint32_t *a = left;
    const uint32_t *b = right;

    return a[0] != b[0] ? (a[0] < b[0] ? -1 : 1) : a[1] < b[1] ? -1 : a[1] > b[1];
}

/* Each edge as numbers of nodes, in order. False for an edge of a node that is not there. */
static bool number_edges(const struct graph_nodes *all, struct numbered *numbered, uint32_t *edges)
{
    struct numbered *table = NULL;
    struct numbered *from, *to;
    bool good = true;

    for (size_t i = 0; i < all->n; i++) {
        numbered[i] = (struct numbered){.node = all->nodes[i], .index = (uint32_t)i};
        HASH_ADD_PTR(table, node, &numbered[i]);
        good &= numbered[i].hh.tbl != NULL;
    }
    for (size_t i = 0; i < all->n_edges && good; i++) {
        HASH_FIND_PTR(table, &all->from[i], from);
        HASH_FIND_PTR(table, &all->to[i], to);
        good = from && to;
        if (!good)
            break;
        edges[2 * i] = from->index;
        edges[2 * i + 1] = to->index;
        to->waits++;
    }
    HASH_CLEAR(hh, table);
    qsort(edges, good ? all->n_edges : 0, 2 * sizeof(*edges), by_from);
    return good;
}

/* The first edge that leads away from the node, or where it would be. */
static size_t first_edge(const uint32_t *edges, size_t n, uint32_t from)
{
    size_t low = 0;

    while (low < n) {
        size_t middle = low + (n - low) / 2;

        if (edges[2 * middle] < from)
            low = middle + 1;
        else
            n = middle;
    }
    return low;
}

/*
 * Numbers of nodes, each after all that it waits for. As they were added, where that is such an
 * order: a captured graph is run as it was captured.
 */
static bool put_in_order(const struct graph_nodes *all, struct numbered *numbered,
                         const uint32_t *edges, uint32_t *order)
{
    bool sorted = true;
    size_t n = 0;

    for (size_t i = 0; i < all->n_edges; i++)
        sorted &= edges[2 * i] < edges[2 * i + 1];
    for (size_t i = 0; i < all->n; i++) {
        if (sorted || !numbered[i].waits)
            order[n++] = (uint32_t)i;
    }
    for (size_t done = 0; !sorted && done < n; done++) {
        for (size_t e = first_edge(edges, all->n_edges, order[done]);
             e < all->n_edges && edges[2 * e] == order[done]; e++) {
            if (--numbered[edges[2 * e + 1]].waits == 0)
                order[n++] = edges[2 * e + 1];
        }
    }
    return n == all->n;
}

static bool sort_nodes(struct graph_nodes *all)
{
    struct numbered *numbered = calloc(all->n + 1, sizeof(*numbered));
    uint32_t *edges = calloc(2 * all->n_edges + 1, sizeof(*edges));
    uint32_t *order = calloc(all->n + 1, sizeof(*order));
    CUgraphNode *sorted = calloc(all->n + 1, sizeof(CUgraphNode));
    bool good = numbered && edges && order && sorted && number_edges(all, numbered, edges) &&
                put_in_order(all, numbered, edges, order);

    for (size_t i = 0; good && i < all->n; i++)
        sorted[i] = all->nodes[order[i]];
    if (good) {
        free(all->nodes);
        all->nodes = sorted;
    } else {
        free(sorted);
    }
    free(order);
    free(edges);
    free(numbered);
    return good;
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

static struct replay_kernel *kernel_new(const struct driver *drv,
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
    step->kernel = kernel_new(drv, &params);
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

static const char *check_copy(const struct driver *drv, const CUDA_MEMCPY3D *copy)
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
        return check_copy(drv, &step->copy);
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
                              const struct graph_nodes *all, int nesting)
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
    struct graph_nodes all = {.nodes = NULL};
    const char *why;

    if (nesting > NESTING_MAX)
        return "graphs are nested too deeply in it";
    if (!read_nodes(drv, graph, &all) || !sort_nodes(&all))
        why = "the driver does not tell of its nodes";
    else
        why = read_steps(drv, replay, &all, nesting);
    graph_nodes_fini(&all);
    return why;
}

static const char *read_anew(const struct driver *drv, struct replay *replay, CUgraph graph)
{
    clear(replay);
    replay->opaque = NULL;
    if (replay->whole)
        return "the device may launch it";
    if (!has_calls(drv))
        return "the driver lacks a call to look into it";
    if (drv->cuCtxGetCurrent(&replay->ctx) != CUDA_SUCCESS)
        return "there is no context";
    return read_graph(drv, replay, graph, 0);
}

static struct replay *find_locked(CUgraphExec exec)
{
    struct replay *replay;

    HASH_FIND_PTR(replays, &exec, replay);
    return replay;
}

static struct replay *find_or_add(CUgraphExec exec)
{
    struct replay *replay = find_locked(exec);

    if (replay)
        return replay;
    replay = calloc(1, sizeof(*replay));
    if (!replay)
        return NULL;
    replay->exec = exec;
    HASH_ADD_PTR(replays, exec, replay);
    if (!replay->hh.tbl) {
        free(replay);
        return NULL;
    }
    return replay;
}

void replay_note(const struct driver *drv, CUgraphExec exec, CUgraph graph, bool whole)
{
    struct replay *replay;
    const char *why;

    pthread_mutex_lock(&lock);
    replay = find_or_add(exec);
    if (replay) {
        replay->whole = whole;
        why = read_anew(drv, replay, graph);
        if (why)
            make_opaque(replay, why);
        atomic_store(&replays_noted, true);
    }
    pthread_mutex_unlock(&lock);
}

void replay_update(const struct driver *drv, CUgraphExec exec, CUgraph graph)
{
    struct replay *replay = replay_find(exec);
    const char *why = replay ? read_anew(drv, replay, graph) : NULL;

    if (why)
        make_opaque(replay, why);
}

void replay_drop(const struct driver *drv, CUgraphExec exec)
{
    struct replay *replay;

    pthread_mutex_lock(&lock);
    replay = find_locked(exec);
    if (replay) {
        HASH_DEL(replays, replay);
        if (replay->done)
            (void)drv->cuEventDestroy_v2(replay->done);
        clear(replay);
        free(replay);
        atomic_store(&replays_noted, replays != NULL);
    }
    pthread_mutex_unlock(&lock);
}

struct replay *replay_find(CUgraphExec exec)
{
    struct replay *replay;

    if (!replay_are_there())
        return NULL;
    pthread_mutex_lock(&lock);
    replay = find_locked(exec);
    pthread_mutex_unlock(&lock);
    return replay;
}

/* NULL when there is nothing to be changed; a node that is not in it makes it opaque. */
static struct replay_step *step_to_change(CUgraphExec exec, CUgraphNode node, enum replay_kind kind,
                                          struct replay **out)
{
    struct replay *replay = replay_find(exec);

    *out = replay;
    if (!replay || replay->opaque)
        return NULL;
    for (uint32_t i = 0; i < replay->n_steps; i++) {
        struct replay_step *step = &replay->steps[i];

        if (step->node == node && (kind == REPLAY_NOTHING || step->kind == kind))
            return step;
    }
    make_opaque(replay, "a node was changed that is not known");
    return NULL;
}

void replay_set_kernel(const struct driver *drv, CUgraphExec exec, CUgraphNode node,
                       const CUDA_KERNEL_NODE_PARAMS *params)
{
    struct replay *replay;
    struct replay_step *step = step_to_change(exec, node, REPLAY_KERNEL, &replay);
    struct replay_kernel *kernel;

    if (!step)
        return;
    kernel = kernel_new(drv, params);
    if (!kernel) {
        make_opaque(replay, "the parameters of a kernel are not known");
        return;
    }
    kernel->n_attributes = step->kernel->n_attributes;
    memcpy(kernel->attributes, step->kernel->attributes, sizeof(kernel->attributes));
    free(step->kernel);
    step->kernel = kernel;
    replay->counted = false;
}

void replay_set_copy(const struct driver *drv, CUgraphExec exec, CUgraphNode node,
                     const CUDA_MEMCPY3D *params)
{
    struct replay *replay;
    struct replay_step *step = step_to_change(exec, node, REPLAY_COPY, &replay);
    const char *why;

    if (!step)
        return;
    step->copy = *params;
    why = check_copy(drv, params);
    if (why)
        make_opaque(replay, why);
}

void replay_set_memset(CUgraphExec exec, CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS *params)
{
    struct replay *replay;
    struct replay_step *step = step_to_change(exec, node, REPLAY_MEMSET, &replay);

    if (step)
        step->memset = *params;
}

void replay_set_host(CUgraphExec exec, CUgraphNode node, const CUDA_HOST_NODE_PARAMS *params)
{
    struct replay *replay;
    struct replay_step *step = step_to_change(exec, node, REPLAY_HOST, &replay);

    if (step)
        step->host = *params;
}

void replay_set_enabled(CUgraphExec exec, CUgraphNode node, bool enabled)
{
    struct replay *replay;
    struct replay_step *step = step_to_change(exec, node, REPLAY_NOTHING, &replay);

    if (step)
        step->disabled = !enabled;
}

void replay_set_unknown(CUgraphExec exec)
{
    struct replay *replay = replay_find(exec);

    if (replay && !replay->opaque)
        make_opaque(replay, "a node was changed in a way that is not followed");
}

static int by_value(const void *left, const void *right)
{
    const uint64_t *a = left;
    const uint64_t *b = right;

    return *a < *b ? -1 : *a > *b;
}

struct word_list {
    uint64_t *at;
    uint32_t n;
};

static void note_word(void *context, const struct layout_word *word, uint64_t value)
{
    struct word_list *list = context;
    struct residency_view view = residency_view();
    struct block *block;

    (void)word;
    if (residency_view_slot(&view, value, &block))
        list->at[list->n++] = value;
}

void replay_count_words(struct replay *replay)
{
    struct residency_view view = residency_view();
    struct word_list list = {.n = 0};
    size_t most = 0;
    uint32_t n = 0;

    if (replay->counted || !view.bytes)
        return;
    for (uint32_t i = 0; i < replay->n_steps; i++) {
        if (replay->steps[i].kind == REPLAY_KERNEL)
            most += replay->steps[i].kernel->layout->n_words;
    }
    list.at = calloc(most + 1, sizeof(*list.at));
    if (!list.at)
        return;
    for (uint32_t i = 0; i < replay->n_steps; i++) {
        const struct replay_step *step = &replay->steps[i];

        if (step->kind == REPLAY_KERNEL)
            (void)layout_scan(step->kernel->layout, step->kernel->params, NULL, note_word, &list);
    }
    qsort(list.at, list.n, sizeof(*list.at), by_value);
    for (uint32_t i = 0; i < list.n; i++) {
        if (!n || list.at[i] >> view.slot_shift != list.at[n - 1] >> view.slot_shift)
            list.at[n++] = list.at[i];
    }
    free(replay->words);
    replay->words = list.at;
    replay->n_words = n;
    replay->counted = true;
}

static CUresult record_end(const struct driver *drv, struct replay *replay)
{
    CUresult result = CUDA_SUCCESS;

    if (!replay->done)
        result = drv->cuEventCreate(&replay->done, CU_EVENT_DISABLE_TIMING);
    return result == CUDA_SUCCESS ? replay->mode->cuEventRecord(replay->done, replay->stream)
                                  : result;
}

static CUresult order_locked(const struct driver *drv, struct replay *replay, CUstream stream,
                             bool single)
{
    CUresult result = CUDA_SUCCESS;
    bool elsewhere = replay->stream_gone || replay->stream != stream || replay->mode != drv;

    if (replay->launched && elsewhere && (single || replay->single)) {
        if (!replay->stream_gone)
            result = record_end(drv, replay);
        if (result == CUDA_SUCCESS)
            result = drv->cuStreamWaitEvent(stream, replay->done, 0);
    }
    if (result != CUDA_SUCCESS)
        return result;
    replay->launched = true;
    replay->single = single;
    replay->stream_gone = false;
    replay->stream = stream;
    replay->mode = drv;
    return CUDA_SUCCESS;
}

/* Locked, as another thread may destroy a stream, and looks for what was launched in it. */
CUresult replay_order(const struct driver *drv, struct replay *replay, CUstream stream, bool single)
{
    CUresult result;

    pthread_mutex_lock(&lock);
    result = order_locked(drv, replay, stream, single);
    pthread_mutex_unlock(&lock);
    return result;
}

/* What was launched in it is followed by an event from now on, or over. */
static void leave_stream(const struct driver *drv, struct replay *replay)
{
    CUresult result = CUDA_ERROR_UNKNOWN;

    for (int attempt = 0; attempt < ATTEMPTS && !replay->stream_gone; attempt++)
        replay->stream_gone = record_end(drv, replay) == CUDA_SUCCESS;
    for (int attempt = 0; attempt < ATTEMPTS && !replay->stream_gone && result; attempt++)
        result = replay->mode->cuStreamSynchronize(replay->stream);
    replay->launched = replay->stream_gone;
}

void replay_stream_going(const struct driver *drv, CUstream stream)
{
    if (!replay_are_there())
        return;
    pthread_mutex_lock(&lock);
    for (struct replay *replay = replays; replay; replay = replay->hh.next) {
        if (replay->launched && !replay->stream_gone && replay->stream == stream)
            leave_stream(drv, replay);
    }
    pthread_mutex_unlock(&lock);
}
