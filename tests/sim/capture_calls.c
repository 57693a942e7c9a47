/* SPDX-License-Identifier: MIT */
/*
 * Captures as programs begin, look at, change and end them.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/calls.h"
#include "tests/sim/capture_state.h"

/* The same for questions, which break nothing. */
static CUresult refuse_to_tell(const struct stream *stream)
{
    if (stream->kind != STREAM_DEFAULT_LEGACY)
        return CUDA_SUCCESS;
    for (const struct branch *branch = branches; branch; branch = branch->next)
        if (branch->stream->context == stream->context &&
            !(branch->stream->flags & CU_STREAM_NON_BLOCKING))
            return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    return CUDA_SUCCESS;
}

CUresult sim_cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
    struct thread *thread = core_thread();
    CUstreamCaptureMode old = thread->capture_mode;

    if (!mode || *mode < CU_STREAM_CAPTURE_MODE_GLOBAL || *mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        return CUDA_ERROR_INVALID_VALUE;
    thread->capture_mode = *mode;
    *mode = old;
    return CUDA_SUCCESS;
}

static CUresult resolve_stream(CUstream handle, struct stream **out)
{
    struct context *context;
    CUresult res = context_require(&context);

    return res ? res : stream_resolve(handle, context, out);
}

static CUresult check_begin(const struct stream *stream, CUstreamCaptureMode mode)
{
    if (mode < CU_STREAM_CAPTURE_MODE_GLOBAL || mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        return CUDA_ERROR_INVALID_VALUE;
    if (stream->kind == STREAM_DEFAULT_LEGACY)
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    return stream->capture ? CUDA_ERROR_ILLEGAL_STATE : CUDA_SUCCESS;
}

/* `graph`: NULL for a new one. */
static CUresult begin(struct stream *stream, struct graph *graph, CUstreamCaptureMode mode)
{
    static uint64_t last_id;
    struct capture *capture = calloc(1, sizeof(*capture));

    if (!capture)
        return CUDA_ERROR_OUT_OF_MEMORY;
    capture->own_graph = !graph;
    capture->graph = graph ? graph : graph_new(false);
    if (!capture->graph || branch_add(capture, stream)) {
        if (capture->own_graph)
            graph_free(capture->graph);
        free(capture);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    capture->graph->n_captures++;
    capture->origin = stream;
    capture->mode = mode;
    capture->thread_id = core_thread()->id;
    capture->id = ++last_id;
    capture->next = open_captures;
    open_captures = capture;
    return CUDA_SUCCESS;
}

CUresult sim_cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode)
{
    struct stream *origin;
    CUresult res = resolve_stream(stream, &origin);

    if (!res)
        res = check_begin(origin, mode);
    return res ? res : begin(origin, NULL, mode);
}

CUresult sim_cuStreamBeginCapture(CUstream stream)
{
    return sim_cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL);
}

/* The program's nodes as a set; INVALID_VALUE for one that is not in the graph. */
static CUresult set_of(const struct graph *graph, const CUgraphNode *nodes,
                       const CUgraphEdgeData *data, size_t n, struct node_set *set)
{
    CUresult res = n && !nodes ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;

    for (size_t i = 0; i < n && !res; i++) {
        struct node *node = NULL;

        res = node_resolve(nodes[i], &node);
        if (!res && node->graph != graph)
            res = CUDA_ERROR_INVALID_VALUE;
        if (!res)
            res = node_set_add(set, node, data ? &data[i] : NULL);
    }
    if (res)
        node_set_fini(set);
    return res;
}

CUresult sim_cuStreamBeginCaptureToGraph(CUstream stream, CUgraph h_graph,
                                         const CUgraphNode *dependencies,
                                         const CUgraphEdgeData *dependency_data,
                                         size_t num_dependencies, CUstreamCaptureMode mode)
{
    struct node_set set = {0};
    struct stream *origin;
    struct graph *graph;
    CUresult res = resolve_stream(stream, &origin);

    if (!res)
        res = check_begin(origin, mode);
    if (!res)
        res = graph_resolve(h_graph, &graph);
    if (!res)
        res = set_of(graph, dependencies, dependency_data, num_dependencies, &set);
    if (!res)
        res = begin(origin, graph, mode);
    if (res)
        node_set_fini(&set);
    else
        branch_of(origin)->set = set;
    return res;
}

static CUstreamCaptureStatus status_of(const struct stream *stream)
{
    if (!stream->capture)
        return CU_STREAM_CAPTURE_STATUS_NONE;
    return stream->capture->invalidated ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                        : CU_STREAM_CAPTURE_STATUS_ACTIVE;
}

CUresult sim_cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *capture_status)
{
    struct stream *asked;
    CUresult res = resolve_stream(stream, &asked);

    if (!res && !capture_status)
        res = CUDA_ERROR_INVALID_VALUE;
    if (!res)
        res = refuse_to_tell(asked);
    if (!res)
        *capture_status = status_of(asked);
    return res;
}

CUresult sim_cuStreamGetCaptureInfo_v3(CUstream stream, CUstreamCaptureStatus *status_out,
                                       cuuint64_t *id_out, CUgraph *graph_out,
                                       const CUgraphNode **dependencies_out,
                                       const CUgraphEdgeData **edge_data_out,
                                       size_t *num_dependencies_out)
{
    static const CUgraphEdgeData plain;
    const struct branch *branch;
    CUresult res = sim_cuStreamIsCapturing(stream, status_out);
    struct stream *asked;

    if (!res && edge_data_out && !dependencies_out)
        res = CUDA_ERROR_INVALID_VALUE;
    if (res || *status_out != CU_STREAM_CAPTURE_STATUS_ACTIVE)
        return res;
    (void)resolve_stream(stream, &asked);
    branch = branch_of(asked);
    for (size_t i = 0; dependencies_out && !edge_data_out && i < branch->set.n; i++)
        if (memcmp(&branch->set.data[i], &plain, sizeof(plain)) != 0)
            return CUDA_ERROR_LOSSY_QUERY;
    if (id_out)
        *id_out = branch->capture->id;
    if (graph_out)
        *graph_out = (CUgraph)branch->capture->graph;
    if (dependencies_out)
        *dependencies_out = (const CUgraphNode *)branch->set.nodes;
    if (edge_data_out)
        *edge_data_out = branch->set.data;
    if (num_dependencies_out)
        *num_dependencies_out = branch->set.n;
    return CUDA_SUCCESS;
}

CUresult sim_cuStreamGetCaptureInfo_v2(CUstream stream, CUstreamCaptureStatus *status_out,
                                       cuuint64_t *id_out, CUgraph *graph_out,
                                       const CUgraphNode **dependencies_out,
                                       size_t *num_dependencies_out)
{
    return sim_cuStreamGetCaptureInfo_v3(stream, status_out, id_out, graph_out, dependencies_out,
                                         NULL, num_dependencies_out);
}

CUresult sim_cuStreamGetCaptureInfo(CUstream stream, CUstreamCaptureStatus *status_out,
                                    cuuint64_t *id_out)
{
    return sim_cuStreamGetCaptureInfo_v3(stream, status_out, id_out, NULL, NULL, NULL, NULL);
}

CUresult sim_cuStreamUpdateCaptureDependencies_v2(CUstream stream, CUgraphNode *dependencies,
                                                  const CUgraphEdgeData *dependency_data,
                                                  size_t num_dependencies, unsigned int flags)
{
    struct node_set set = {0};
    struct branch *branch;
    struct stream *asked;
    CUresult res = resolve_stream(stream, &asked);

    if (res)
        return res;
    if (flags > CU_STREAM_SET_CAPTURE_DEPENDENCIES)
        return CUDA_ERROR_INVALID_VALUE;
    if (!asked->capture)
        return CUDA_ERROR_ILLEGAL_STATE;
    if (asked->capture->invalidated)
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    branch = branch_of(asked);
    res = set_of(asked->capture->graph, dependencies, dependency_data, num_dependencies, &set);
    if (res)
        return res;
    if (flags == CU_STREAM_SET_CAPTURE_DEPENDENCIES)
        node_set_fini(&branch->set);
    res = node_set_add_all(&branch->set, &set);
    node_set_fini(&set);
    return res;
}

CUresult sim_cuStreamUpdateCaptureDependencies(CUstream stream, CUgraphNode *dependencies,
                                               size_t num_dependencies, unsigned int flags)
{
    return sim_cuStreamUpdateCaptureDependencies_v2(stream, dependencies, NULL, num_dependencies,
                                                    flags);
}

static bool is_joined(const struct branch *branch, const struct branch *origin)
{
    for (size_t i = 0; i < branch->set.n; i++)
        if (!graph_reaches(origin->set.nodes, origin->set.n, branch->set.nodes[i]))
            return false;
    return true;
}

static CUresult capture_verdict(const struct capture *capture)
{
    const struct branch *origin = branch_of(capture->origin);

    if (capture->invalidated)
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    for (const struct branch *branch = branches; branch; branch = branch->next)
        if (branch->capture == capture && !is_joined(branch, origin))
            return CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
    return CUDA_SUCCESS;
}

CUresult sim_cuStreamEndCapture(CUstream stream, CUgraph *ph_graph)
{
    struct capture *capture;
    struct stream *origin;
    struct graph *graph;
    CUresult res = resolve_stream(stream, &origin);

    if (res)
        return res;
    capture = origin->capture;
    if (!ph_graph || !capture)
        return ph_graph ? CUDA_ERROR_ILLEGAL_STATE : CUDA_ERROR_INVALID_VALUE;
    if (capture->origin != origin)
        return capture_invalidate(capture, CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
    if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED && capture->thread_id != core_thread()->id)
        return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
    res = capture_verdict(capture);
    graph = capture->graph;
    capture_close(capture, !res);
    *ph_graph = res ? NULL : (CUgraph)graph;
    return res;
}
