/* SPDX-License-Identifier: MIT */
/*
 * Running executable graphs.
 *
 * A launch is one piece of work in its stream. It is made of everything the graph says at the time
 * of the launch, embedded graphs unfolded, so that later changes do not touch it. When it runs, its
 * steps run one after the other in an order that the edges allow: the oldest ready step first in
 * eager order, the newest first in lazy order (so that a missing edge shows), any in restless
 * order.
 */
#include <stdlib.h>

#include "tests/sim/calls.h"
#include "tests/sim/capture.h"
#include "tests/sim/event.h"
#include "tests/sim/graph_exec.h"
#include "tests/sim/graph_memory.h"
#include "tests/sim/profile.h"

struct step {
    CUgraphNodeType type; /* EMPTY for what does nothing */
    struct work *work;
    struct marker *marker; /* to finish, or to wait for */
    struct event *event;   /* that is recorded */
    struct graph_memory *memory;
    bool own_marker;   /* a step of this launch finishes it */
    uint64_t ready_ns; /* those that it waits for have ended */
    size_t *after;     /* steps that wait for this one */
    size_t n_after;
    size_t n_missing; /* steps that this one waits for */
};

struct graph_launch {
    struct work work;
    struct step *steps;
    size_t n;
    size_t capacity;
    size_t *ready; /* steps that may run now */
    size_t n_ready;
    struct graph *users; /* holds references to user objects */
};

static void step_drop(struct step *step)
{
    if (step->event && step->marker && !step->marker->done)
        marker_finish(step->marker, clock_host());
    marker_put(step->marker);
    work_free(step->work);
    if (step->memory)
        graph_memory_unreserve(step->memory);
    free(step->after);
}

static void launch_drop(struct work *work)
{
    struct graph_launch *launch = (struct graph_launch *)work;

    for (size_t i = 0; i < launch->n; i++)
        step_drop(&launch->steps[i]);
    free(launch->steps);
    free(launch->ready);
    graph_free(launch->users);
}

/* Events wait for what was recorded before the launch, or by a step of it that came first. */
static void wait_for_event(const struct step *step)
{
    if (step->marker && !(step->own_marker && !step->marker->done))
        marker_wait(step->marker);
}

/* When work that becomes ready now would end; its kernels cost less to launch than others. */
static uint64_t run_work(struct work *work, uint64_t ready_ns)
{
    work->ready_ns = ready_ns;
    work->cost.in_graph = true;
    work_execute(work);
    return work->end_ns;
}

/* Returns when it ends. */
static uint64_t step_run(struct step *step)
{
    switch ((int)step->type) {
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
        wait_for_event(step);
        if (step->marker && step->marker->done)
            return max_u64(step->ready_ns, step->marker->time_ns);
        break;
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
        marker_finish(step->marker, step->ready_ns);
        core_broadcast();
        break;
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
        graph_memory_map(step->memory);
        break;
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
        graph_memory_unmap(step->memory);
        break;
    default:
        if (step->work)
            return run_work(step->work, step->ready_ns);
        break;
    }
    return step->ready_ns;
}

/* What can begin first; of the same, the older. */
static size_t first_ready(const struct graph_launch *launch)
{
    int device = launch->work.stream->context->device;
    uint64_t first_ns = UINT64_MAX;
    size_t first = 0;

    for (size_t i = 0; i < launch->n_ready; i++) {
        const struct step *step = &launch->steps[launch->ready[i]];
        uint64_t begin_ns =
            clock_begin(device, step->work ? step->work->cost.engine : ENGINE_NONE, step->ready_ns);

        if (begin_ns > first_ns ||
            (begin_ns == first_ns && launch->ready[i] > launch->ready[first]))
            continue;
        first = i;
        first_ns = begin_ns;
    }
    return first;
}

static size_t pick_ready(const struct graph_launch *launch)
{
    size_t at = 0;

    if (settings.timed)
        return first_ready(launch);
    if (settings.restless)
        return context_random() % launch->n_ready;
    for (size_t i = 1; i < launch->n_ready; i++)
        if (settings.eager == (launch->ready[i] < launch->ready[at]))
            at = i;
    return at;
}

static void note_ready(struct graph_launch *launch, const struct step *step)
{
    launch->ready[launch->n_ready++] = (size_t)(step - launch->steps);
}

static void graph_run(struct work *work)
{
    struct graph_launch *launch = (struct graph_launch *)work;

    uint64_t last_ns = work->ready_ns;

    launch->n_ready = 0;
    for (size_t i = 0; i < launch->n; i++)
        launch->steps[i].ready_ns = work->ready_ns;
    for (size_t i = 0; i < launch->n; i++)
        if (!launch->steps[i].n_missing)
            note_ready(launch, &launch->steps[i]);
    while (launch->n_ready && !work->stream->context->sticky) {
        size_t at = pick_ready(launch);
        struct step *step = &launch->steps[launch->ready[at]];
        uint64_t end_ns;

        launch->ready[at] = launch->ready[--launch->n_ready];
        end_ns = step_run(step);
        last_ns = max_u64(last_ns, end_ns);
        for (size_t i = 0; i < step->n_after; i++) {
            struct step *after = &launch->steps[step->after[i]];

            after->ready_ns = max_u64(after->ready_ns, end_ns);
            if (!--after->n_missing)
                note_ready(launch, after);
        }
    }
    work->cost.ns = last_ns - work->ready_ns + launch->n * profile.graph_node;
}

static bool step_wait_for(struct graph_launch *launch, size_t before, size_t step)
{
    struct step *first = &launch->steps[before];
    size_t *after = realloc(first->after, (first->n_after + 1) * sizeof(*after));

    if (!after)
        return false;
    first->after = after;
    after[first->n_after++] = step;
    launch->steps[step].n_missing++;
    return true;
}

/* A step after those; NULL when memory is short. */
static struct step *step_new(struct graph_launch *launch, const size_t *before, size_t n_before)
{
    struct step *step;

    if (launch->n == launch->capacity) {
        size_t capacity = 2 * launch->capacity + 16;
        struct step *steps = realloc(launch->steps, capacity * sizeof(*steps));

        if (!steps)
            return NULL;
        launch->steps = steps;
        launch->capacity = capacity;
    }
    step = &launch->steps[launch->n++];
    *step = (struct step){.type = CU_GRAPH_NODE_TYPE_EMPTY};
    for (size_t i = 0; i < n_before; i++)
        if (!step_wait_for(launch, before[i], launch->n - 1))
            return NULL;
    return step;
}

static CUresult step_of_event(struct graph_launch *launch, struct step *step, CUevent handle,
                              bool record)
{
    struct event *event = (struct event *)handle;

    if (!handle_is(event, HANDLE_EVENT))
        return CUDA_ERROR_INVALID_HANDLE;
    if (record) {
        step->event = event;
        step->marker = marker_new();
        if (!step->marker)
            return CUDA_ERROR_OUT_OF_MEMORY;
        step->marker->stream = launch->work.stream;
        return CUDA_SUCCESS;
    }
    step->marker = event->marker;
    for (size_t i = 0; i + 1 < launch->n; i++) {
        if (launch->steps[i].event != event)
            continue;
        step->marker = launch->steps[i].marker;
        step->own_marker = true;
    }
    marker_get(step->marker);
    return CUDA_SUCCESS;
}

static CUresult step_of_work(struct graph_launch *launch, struct step *step,
                             const struct task *task)
{
    struct stream *stream = launch->work.stream;
    struct context *context = task_context(task);
    CUresult res = task_work(task, &step->work);

    if (res)
        return res;
    step->work->stream = stream;
    if (context && context != stream->context) {
        if (!context->alive)
            return CUDA_ERROR_CONTEXT_IS_DESTROYED;
        step->work->stream = context->legacy;
    }
    return CUDA_SUCCESS;
}

static CUresult step_fill(struct graph_launch *launch, struct step *step, const struct node *node)
{
    const struct task *task = &node->task;
    CUresult res = CUDA_SUCCESS;

    if (node->disabled)
        return res;
    switch ((int)task->type) {
    case CU_GRAPH_NODE_TYPE_EMPTY:
        return res;
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
        step->type = task->type;
        return step_of_event(launch, step, task->event,
                             task->type == CU_GRAPH_NODE_TYPE_EVENT_RECORD);
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
        res = graph_memory_reserve(task->memory);
        step->type = res ? CU_GRAPH_NODE_TYPE_EMPTY : task->type;
        step->memory = res ? NULL : task->memory;
        return res;
    default:
        step->type = task->type;
        return step_of_work(launch, step, task);
    }
}

static CUresult unfold(struct graph_launch *launch, const struct graph *graph, const size_t *before,
                       size_t n_before, size_t *last);

/* Steps for a node; *last is the one that comes after all others of it. */
static CUresult unfold_node(struct graph_launch *launch, const struct node *node,
                            const size_t *lasts, const size_t *before, size_t n_before,
                            size_t *last)
{
    size_t *first = calloc(node->n_edges + n_before + 1, sizeof(*first));
    struct step *step = NULL;
    size_t n = 0;
    CUresult res;

    if (!first)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; i < node->n_edges; i++)
        first[n++] = lasts[node->edges[i].from->index];
    for (size_t i = 0; i < n_before && !node->n_edges; i++)
        first[n++] = before[i];
    if (node->task.type == CU_GRAPH_NODE_TYPE_GRAPH) {
        res = unfold(launch, node->task.child, first, n, last);
    } else {
        step = step_new(launch, first, n);
        *last = launch->n - 1;
        res = step ? step_fill(launch, step, node) : CUDA_ERROR_OUT_OF_MEMORY;
    }
    free(first);
    return res;
}

/* Steps for a graph, with an empty one behind all others. */
static CUresult unfold(struct graph_launch *launch, const struct graph *graph, const size_t *before,
                       size_t n_before, size_t *last)
{
    size_t *order = calloc(graph->n_nodes + 1, sizeof(*order));
    size_t *lasts = calloc(graph->n_nodes + n_before + 1, sizeof(*lasts));
    CUresult res = CUDA_ERROR_OUT_OF_MEMORY;

    if (!order || !lasts)
        goto out;
    res = graph_order(graph, order) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < graph->n_nodes && !res; i++)
        res =
            unfold_node(launch, graph->nodes[order[i]], lasts, before, n_before, &lasts[order[i]]);
    for (size_t i = 0; i < n_before; i++)
        lasts[graph->n_nodes + i] = before[i];
    if (!res && !step_new(launch, lasts, graph->n_nodes + n_before))
        res = CUDA_ERROR_OUT_OF_MEMORY;
    *last = launch->n - 1;

out:
    free(order);
    free(lasts);
    return res;
}

/* What the memory of the graph's nodes must be like before a launch. */
static CUresult check_memory(const struct exec *exec)
{
    const struct graph *graph = exec->graph;

    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct task *task = &graph->nodes[i]->task;

        if (task->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC && graph_memory_is_live(task->memory) &&
            !(exec->flags & CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH))
            return CUDA_ERROR_INVALID_VALUE;
        if (task->type == CU_GRAPH_NODE_TYPE_MEM_FREE && !graph_memory_is_live(task->memory) &&
            !graph_memory_node(graph, CU_GRAPH_NODE_TYPE_MEM_ALLOC, task->memory))
            return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

/* What is allocated by the launch stays so until a free, here or elsewhere. */
static void note_memory(const struct graph *graph, CUgraphNodeType type, bool live)
{
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct task *task = &graph->nodes[i]->task;

        if (task->type == type)
            graph_memory_set_live(task->memory, live);
    }
}

static void note_events(const struct graph_launch *launch)
{
    for (size_t i = 0; i < launch->n; i++)
        if (launch->steps[i].event)
            event_set_marker(launch->steps[i].event, launch->steps[i].marker);
}

static CUresult launch_make(struct exec *exec, struct stream *stream, struct graph_launch **out)
{
    struct graph_launch *launch = work_new(sizeof(*launch), graph_run, launch_drop);
    size_t last;
    CUresult res;

    if (!launch)
        return CUDA_ERROR_OUT_OF_MEMORY;
    launch->work.stream = stream;
    launch->users = graph_new(true);
    res =
        launch->users ? user_references_copy(exec->graph, launch->users) : CUDA_ERROR_OUT_OF_MEMORY;
    if (!res)
        res = unfold(launch, exec->graph, NULL, 0, &last);
    if (!res) {
        launch->ready = calloc(launch->n, sizeof(*launch->ready));
        res = launch->ready ? work_depend(&launch->work, exec->last) : CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (res)
        work_free(&launch->work);
    else
        *out = launch;
    return res;
}

CUresult exec_launch(struct exec *exec, struct stream *stream)
{
    struct graph_launch *launch;
    struct marker *marker;
    CUresult res = capture_refuse_legacy(stream);

    if (!res)
        res = check_memory(exec);
    if (!res)
        res = launch_make(exec, stream, &launch);
    if (res)
        return res;
    marker = marker_get(launch->work.marker);
    note_events(launch);
    note_memory(exec->graph, CU_GRAPH_NODE_TYPE_MEM_ALLOC, true);
    note_memory(exec->graph, CU_GRAPH_NODE_TYPE_MEM_FREE, false);
    res = stream_submit(stream, &launch->work);
    marker_put(exec->last);
    exec->last = marker;
    return res;
}
