/* SPDX-License-Identifier: MIT */
/*
 * Which calls a stream capture forbids, and what becomes of the work submitted meanwhile.
 *
 * A capture begins on one stream and spreads to every stream that waits for an event recorded in
 * it; such a stream must be joined again before the end. What is recorded stays with the graph
 * handle; nothing runs it yet, and nothing pretends to.
 */
#include "tests/sim/capture.h"

#include <stdlib.h>

#include "tests/sim/calls.h"
#include "tests/sim/event.h"

struct capture {
    struct capture *next; /* among the open ones, then among the graphs */
    struct stream *origin;
    CUstreamCaptureMode mode;
    uint64_t thread_id;
    bool invalidated;
    struct work *works;
    uint64_t n_works;
    uint64_t id;
};

/* How far a stream's captured work has been joined into the origin. */
struct branch {
    struct branch *next;
    struct stream *stream;
    struct capture *capture;
    uint64_t n_recorded;
    uint64_t n_joined;
};

static struct capture *open_captures;
static struct capture *graphs; /* kept so that a recorded graph stays reachable */
static struct branch *branches;

static struct branch *branch_of(const struct stream *stream)
{
    struct branch *branch = branches;

    while (branch && branch->stream != stream)
        branch = branch->next;
    return branch;
}

static CUresult branch_add(struct capture *capture, struct stream *stream)
{
    struct branch *branch = calloc(1, sizeof(*branch));

    if (!branch)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *branch = (struct branch){.next = branches, .stream = stream, .capture = capture};
    branches = branch;
    stream->capture = capture;
    return CUDA_SUCCESS;
}

static CUresult invalidate(struct capture *capture, CUresult error)
{
    capture->invalidated = true;
    return error;
}

CUresult capture_record(struct stream *stream, struct work *work)
{
    struct capture *capture = stream->capture;

    if (capture->invalidated) {
        work_free(work);
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    }
    work->next = capture->works;
    capture->works = work;
    capture->n_works++;
    branch_of(stream)->n_recorded++;
    return CUDA_SUCCESS;
}

CUresult capture_refuse_legacy(struct stream *stream)
{
    CUresult res = CUDA_SUCCESS;

    if (stream->kind != STREAM_DEFAULT_LEGACY)
        return res;
    for (struct branch *branch = branches; branch; branch = branch->next)
        if (branch->stream->context == stream->context &&
            !(branch->stream->flags & CU_STREAM_NON_BLOCKING))
            res = invalidate(branch->capture, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    return res;
}

static bool capture_forbids(const struct capture *capture, const struct thread *thread)
{
    bool own = capture->thread_id == thread->id;

    switch (thread->capture_mode) {
    case CU_STREAM_CAPTURE_MODE_RELAXED:
        return false;
    case CU_STREAM_CAPTURE_MODE_THREAD_LOCAL:
        return own && capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED;
    default:
        return (own && capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED) ||
               capture->mode == CU_STREAM_CAPTURE_MODE_GLOBAL;
    }
}

CUresult capture_refuse_unsafe(void)
{
    const struct thread *thread = core_thread();
    CUresult res = CUDA_SUCCESS;

    for (struct capture *capture = open_captures; capture; capture = capture->next)
        if (capture_forbids(capture, thread))
            res = invalidate(capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    return res;
}

CUresult capture_refuse_context_wait(const struct context *context)
{
    CUresult res = CUDA_SUCCESS;

    for (struct branch *branch = branches; branch; branch = branch->next)
        if (branch->stream->context == context)
            res = invalidate(branch->capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    return res;
}

CUresult capture_refuse_stream_wait(struct stream *stream)
{
    if (stream->capture)
        return invalidate(stream->capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    return capture_refuse_legacy(stream);
}

CUresult capture_refuse_event_wait(struct event *event)
{
    if (event->capture)
        return invalidate(event->capture, CUDA_ERROR_CAPTURED_EVENT);
    return CUDA_SUCCESS;
}

CUresult capture_wait_event(struct stream *stream, struct event *event, bool *handled)
{
    struct branch *source;

    if (!event->capture && !stream->capture)
        return CUDA_SUCCESS;
    *handled = true;
    if (!event->capture)
        return invalidate(stream->capture, CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
    if (stream->kind == STREAM_DEFAULT_LEGACY)
        return invalidate(event->capture, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    if (!stream->capture)
        return branch_add(event->capture, stream);
    if (stream->capture != event->capture) {
        invalidate(stream->capture, CUDA_ERROR_STREAM_CAPTURE_MERGE);
        return invalidate(event->capture, CUDA_ERROR_STREAM_CAPTURE_MERGE);
    }
    /* Waiting in any stream of the capture counts as joined: the origin joins that one in turn. */
    source = branch_of(event->captured_in);
    if (source && source->n_joined < event->captured_at)
        source->n_joined = event->captured_at;
    return CUDA_SUCCESS;
}

void capture_note_event(struct stream *stream, struct event *event)
{
    event->capture = stream->capture;
    event->captured_in = stream;
    event->captured_at = branch_of(stream)->n_recorded;
}

static void branches_remove(const struct capture *capture)
{
    struct branch **at = &branches;

    while (*at) {
        struct branch *branch = *at;

        if (branch->capture != capture) {
            at = &branch->next;
            continue;
        }
        branch->stream->capture = NULL;
        *at = branch->next;
        free(branch);
    }
}

static void works_free(struct capture *capture)
{
    while (capture->works) {
        struct work *work = capture->works;

        capture->works = work->next;
        work_free(work);
    }
}

static void capture_close(struct capture *capture)
{
    struct capture **at = &open_captures;

    while (*at != capture)
        at = &(*at)->next;
    *at = capture->next;
    branches_remove(capture);
    event_forget_capture(capture);
}

void capture_forget_stream(struct stream *stream)
{
    struct capture *capture = stream->capture;

    if (!capture)
        return;
    capture_close(capture);
    works_free(capture);
    free(capture);
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

CUresult sim_cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode)
{
    static uint64_t last_id;
    struct capture *capture;
    struct stream *origin;
    CUresult res = resolve_stream(stream, &origin);

    if (res)
        return res;
    if (mode < CU_STREAM_CAPTURE_MODE_GLOBAL || mode > CU_STREAM_CAPTURE_MODE_RELAXED)
        return CUDA_ERROR_INVALID_VALUE;
    if (origin->kind == STREAM_DEFAULT_LEGACY)
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (origin->capture)
        return CUDA_ERROR_ILLEGAL_STATE;
    capture = calloc(1, sizeof(*capture));
    if (!capture || branch_add(capture, origin)) {
        free(capture);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    capture->origin = origin;
    capture->mode = mode;
    capture->thread_id = core_thread()->id;
    capture->id = ++last_id;
    capture->next = open_captures;
    open_captures = capture;
    return CUDA_SUCCESS;
}

CUresult sim_cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *capture_status)
{
    struct stream *asked;
    CUresult res = resolve_stream(stream, &asked);

    if (res)
        return res;
    if (!capture_status)
        return CUDA_ERROR_INVALID_VALUE;
    res = capture_refuse_legacy(asked);
    if (res)
        return res;
    *capture_status = CU_STREAM_CAPTURE_STATUS_NONE;
    if (asked->capture)
        *capture_status = asked->capture->invalidated ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                                      : CU_STREAM_CAPTURE_STATUS_ACTIVE;
    return CUDA_SUCCESS;
}

static CUresult capture_verdict(const struct capture *capture)
{
    if (capture->invalidated)
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    for (const struct branch *branch = branches; branch; branch = branch->next)
        if (branch->capture == capture && branch->stream != capture->origin &&
            branch->n_joined < branch->n_recorded)
            return CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
    return CUDA_SUCCESS;
}

CUresult sim_cuStreamEndCapture(CUstream stream, CUgraph *ph_graph)
{
    struct capture *capture;
    struct stream *origin;
    CUresult res = resolve_stream(stream, &origin);

    if (res)
        return res;
    capture = origin->capture;
    if (!ph_graph || !capture)
        return ph_graph ? CUDA_ERROR_ILLEGAL_STATE : CUDA_ERROR_INVALID_VALUE;
    if (capture->origin != origin)
        return invalidate(capture, CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
    if (capture->mode != CU_STREAM_CAPTURE_MODE_RELAXED && capture->thread_id != core_thread()->id)
        return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
    res = capture_verdict(capture);
    capture_close(capture);
    *ph_graph = NULL;
    if (res || !handle_add(capture, HANDLE_GRAPH)) {
        works_free(capture);
        free(capture);
        return res ? res : CUDA_ERROR_OUT_OF_MEMORY;
    }
    capture->next = graphs;
    graphs = capture;
    *ph_graph = (CUgraph)capture;
    return CUDA_SUCCESS;
}
