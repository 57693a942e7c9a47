/* SPDX-License-Identifier: MIT */
/*
 * What becomes of work submitted to a capturing stream, and which calls a capture forbids.
 *
 * Each stream of a capture has a set of nodes that its next node will depend on; a captured event
 * is a copy of such a set. A capture begins on one stream and spreads to every stream that waits
 * for an event recorded in it. All of their sets must be reached from the first stream's before it
 * ends there. The graph exists from the beginning and may be looked at and changed on the way.
 */
#include "tests/sim/capture_state.h"

#include <stdlib.h>

#include "tests/sim/event.h"
#include "tests/sim/graph.h"

struct capture *open_captures;
struct branch *branches;

void node_set_fini(struct node_set *set)
{
    free(set->nodes);
    free(set->data);
    *set = (struct node_set){0};
}

CUresult node_set_add(struct node_set *set, struct node *node, const CUgraphEdgeData *data)
{
    struct node **nodes;
    CUgraphEdgeData *all_data;

    for (size_t i = 0; i < set->n; i++)
        if (set->nodes[i] == node)
            return CUDA_SUCCESS;
    nodes = realloc(set->nodes, (set->n + 1) * sizeof(struct node *));
    if (nodes)
        set->nodes = nodes;
    all_data = realloc(set->data, (set->n + 1) * sizeof(*all_data));
    if (all_data)
        set->data = all_data;
    if (!nodes || !all_data)
        return CUDA_ERROR_OUT_OF_MEMORY;
    nodes[set->n] = node;
    all_data[set->n] = data ? *data : (CUgraphEdgeData){0};
    set->n++;
    return CUDA_SUCCESS;
}

CUresult node_set_add_all(struct node_set *set, const struct node_set *from)
{
    CUresult res = CUDA_SUCCESS;

    for (size_t i = 0; i < from->n && !res; i++)
        res = node_set_add(set, from->nodes[i], &from->data[i]);
    return res;
}

struct branch *branch_of(const struct stream *stream)
{
    struct branch *branch = branches;

    while (branch && branch->stream != stream)
        branch = branch->next;
    return branch;
}

CUresult branch_add(struct capture *capture, struct stream *stream)
{
    struct branch *branch = calloc(1, sizeof(*branch));

    if (!branch)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *branch = (struct branch){.next = branches, .stream = stream, .capture = capture};
    branches = branch;
    stream->capture = capture;
    return CUDA_SUCCESS;
}

CUresult capture_invalidate(struct capture *capture, CUresult error)
{
    capture->invalidated = true;
    return error;
}

/* Kernels have the priority of the stream that they were captured in, and are what they were
 * launched as. */
static void note_attributes(const struct stream *stream, struct task *task)
{
    if (task->type != CU_GRAPH_NODE_TYPE_KERNEL)
        return;
    task->kernel->attributes[CU_LAUNCH_ATTRIBUTE_PRIORITY].priority = stream->priority;
    task->kernel->attributes[CU_LAUNCH_ATTRIBUTE_COOPERATIVE].cooperative =
        task->kernel->shape.cooperative;
    task->kernel->attributes_set |= 1u << CU_LAUNCH_ATTRIBUTE_PRIORITY;
}

CUresult capture_add(struct stream *stream, struct task *task)
{
    struct branch *branch = branch_of(stream);
    struct capture *capture = stream->capture;
    struct node_set *set = &branch->set;
    struct node *node;
    CUresult res;

    if (capture->invalidated) {
        task_fini(task);
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    }
    note_attributes(stream, task);
    res = graph_add(capture->graph, task, set->nodes, set->data, set->n, &node);
    if (res)
        return capture_invalidate(capture, res);
    node_set_fini(set);
    return node_set_add(set, node, NULL);
}

CUresult capture_record(struct stream *stream, struct work *work)
{
    struct task task;
    CUresult res;

    if (stream->capture->invalidated) {
        work_free(work);
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    }
    if (!work->record)
        core_say("work of this kind cannot be captured; the capture is invalidated with "
                 "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED");
    res = task_of_work(work, &task);
    if (res)
        return capture_invalidate(stream->capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    return capture_add(stream, &task);
}

struct graph *capture_graph(const struct stream *stream)
{
    return stream->capture->graph;
}

CUresult capture_event_node(struct stream *stream, CUgraphNodeType type, CUevent event)
{
    struct task task = {.type = type, .event = event};

    return capture_add(stream, &task);
}

CUresult capture_refuse_legacy(struct stream *stream)
{
    CUresult res = CUDA_SUCCESS;

    if (stream->kind != STREAM_DEFAULT_LEGACY)
        return res;
    for (struct branch *branch = branches; branch; branch = branch->next)
        if (branch->stream->context == stream->context &&
            !(branch->stream->flags & CU_STREAM_NON_BLOCKING))
            res = capture_invalidate(branch->capture, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
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
            res = capture_invalidate(capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    return res;
}

CUresult capture_refuse_context_wait(const struct context *context)
{
    CUresult res = CUDA_SUCCESS;

    for (struct branch *branch = branches; branch; branch = branch->next)
        if (branch->stream->context == context)
            res = capture_invalidate(branch->capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    return res;
}

CUresult capture_refuse_stream_wait(struct stream *stream)
{
    if (stream->capture)
        return capture_invalidate(stream->capture, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    return capture_refuse_legacy(stream);
}

CUresult capture_refuse_event_wait(struct event *event)
{
    if (event->capture)
        return capture_invalidate(event->capture, CUDA_ERROR_CAPTURED_EVENT);
    return CUDA_SUCCESS;
}

static struct captured_event *captured_event_of(struct capture *capture, const struct event *event)
{
    struct captured_event *captured = capture->events;

    while (captured && captured->event != event)
        captured = captured->next;
    return captured;
}

CUresult capture_wait_event(struct stream *stream, struct event *event, bool *handled)
{
    CUresult res = CUDA_SUCCESS;

    if (!event->capture && !stream->capture)
        return CUDA_SUCCESS;
    *handled = true;
    if (!event->capture)
        return capture_invalidate(stream->capture, CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
    if (stream->kind == STREAM_DEFAULT_LEGACY)
        return capture_invalidate(event->capture, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    if (event->capture->invalidated)
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    if (!stream->capture)
        res = branch_add(event->capture, stream);
    if (res)
        return res;
    if (stream->capture != event->capture) {
        capture_invalidate(stream->capture, CUDA_ERROR_STREAM_CAPTURE_MERGE);
        return capture_invalidate(event->capture, CUDA_ERROR_STREAM_CAPTURE_MERGE);
    }
    return node_set_add_all(&branch_of(stream)->set,
                            &captured_event_of(event->capture, event)->set);
}

CUresult capture_note_event(struct stream *stream, struct event *event)
{
    struct capture *capture = stream->capture;
    struct captured_event *captured = captured_event_of(capture, event);

    if (capture->invalidated)
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    if (!captured) {
        captured = calloc(1, sizeof(*captured));
        if (!captured)
            return CUDA_ERROR_OUT_OF_MEMORY;
        captured->event = event;
        captured->next = capture->events;
        capture->events = captured;
    }
    node_set_fini(&captured->set);
    event->capture = capture;
    return node_set_add_all(&captured->set, &branch_of(stream)->set);
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
        node_set_fini(&branch->set);
        free(branch);
    }
}

void capture_close(struct capture *capture, bool keep)
{
    struct capture **at = &open_captures;
    struct captured_event *next;

    while (*at != capture)
        at = &(*at)->next;
    *at = capture->next;
    branches_remove(capture);
    event_forget_capture(capture);
    for (struct captured_event *event = capture->events; event; event = next) {
        next = event->next;
        node_set_fini(&event->set);
        free(event);
    }
    capture->graph->n_captures--;
    if (capture->own_graph ? !keep : capture->graph->destroyed && !capture->graph->n_captures)
        graph_free(capture->graph);
    free(capture);
}

void capture_forget_stream(struct stream *stream)
{
    if (stream->capture)
        capture_close(stream->capture, false);
}
