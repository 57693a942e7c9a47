/* SPDX-License-Identifier: MIT */
/*
 * Streams and events as programs call them.
 *
 * A query of something unfinished makes one step of progress and answers NOT_READY, so that a
 * polling loop ends but a program that does not ask again learns nothing.
 */
#include "tests/sim/event.h"

#include <stdlib.h>

#include "tests/sim/calls.h"
#include "tests/sim/capture.h"
#include "tests/sim/counters.h"
#include "tests/sim/node.h"
#include "tests/sim/pool.h"

static struct event *events;

CUresult sim_cuStreamCreateWithPriority(CUstream *stream, unsigned int flags, int priority)
{
    struct context *context;
    struct stream *created;
    CUresult res = context_require(&context);

    if (res)
        return res;
    if (!stream || flags & ~(unsigned int)CU_STREAM_NON_BLOCKING)
        return CUDA_ERROR_INVALID_VALUE;
    created = stream_new(context, STREAM_CREATED, flags, priority);
    if (!created)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *stream = (CUstream)created;
    return CUDA_SUCCESS;
}

CUresult sim_cuStreamCreate(CUstream *stream, unsigned int flags)
{
    return sim_cuStreamCreateWithPriority(stream, flags, 0);
}

static CUresult resolve_current(CUstream handle, struct stream **out)
{
    struct context *context;
    CUresult res = context_require(&context);

    return res ? res : stream_resolve(handle, context, out);
}

CUresult sim_cuStreamDestroy_v2(CUstream stream)
{
    struct stream *gone = (struct stream *)stream;
    CUresult res = context_check_sticky();

    if (res)
        return res;
    if (!stream || stream == CU_STREAM_LEGACY || stream == CU_STREAM_PER_THREAD ||
        !handle_is(gone, HANDLE_STREAM) || gone->kind != STREAM_CREATED)
        return CUDA_ERROR_INVALID_HANDLE;
    stream_destroy(gone);
    return CUDA_SUCCESS;
}

CUresult sim_cuStreamSynchronize(CUstream stream)
{
    struct stream *waited;
    CUresult res = resolve_current(stream, &waited);

    if (!res)
        res = capture_refuse_stream_wait(waited);
    if (!res)
        res = stream_wait(waited);
    if (!res)
        pool_device_synchronised(waited->context->device);
    return res;
}

/* In timed order a question is answered as of the asking thread's clock. */
static void run_until_now(void)
{
    while (stream_run_first(clock_host()))
        ;
}

static bool has_passed(uint64_t ns)
{
    return !settings.timed || ns <= clock_host();
}

/* The first unfinished stream that `stream` stands for: the legacy one stands for blocking ones. */
static struct stream *first_busy(struct stream *stream)
{
    if (!stream_is_idle(stream) || stream->kind != STREAM_DEFAULT_LEGACY)
        return stream_is_idle(stream) ? NULL : stream;
    for (struct stream *other = stream->context->streams; other; other = other->next)
        if (!(other->flags & CU_STREAM_NON_BLOCKING) && !stream_is_idle(other))
            return other;
    return NULL;
}

CUresult sim_cuStreamQuery(CUstream stream)
{
    struct stream *asked;
    struct stream *busy;
    const struct context *context;
    CUresult res = resolve_current(stream, &asked);

    if (!res)
        res = capture_refuse_stream_wait(asked);
    if (res)
        return res;
    context = asked->context;
    if (settings.timed)
        run_until_now();
    busy = first_busy(asked);
    if (!busy && has_passed(asked->end_ns))
        return CUDA_SUCCESS;
    if (!settings.timed)
        stream_progress(busy);
    return context->sticky ? context->sticky : CUDA_ERROR_NOT_READY;
}

CUresult sim_cuStreamWaitEvent(CUstream stream, CUevent event, unsigned int flags)
{
    struct event *waited = (struct event *)event;
    struct stream *target;
    struct work *work;
    bool handled = false;
    CUresult res = resolve_current(stream, &target);

    if (res)
        return res;
    if (!handle_is(waited, HANDLE_EVENT))
        return CUDA_ERROR_INVALID_HANDLE;
    if (flags & ~(unsigned int)CU_EVENT_WAIT_EXTERNAL || (flags && !target->capture))
        return CUDA_ERROR_INVALID_VALUE;
    if (flags)
        return capture_event_node(target, CU_GRAPH_NODE_TYPE_WAIT_EVENT, event);
    res = capture_wait_event(target, waited, &handled);
    if (res || handled || !waited->marker ||
        (waited->marker->done && waited->marker->time_ns <= clock_host()))
        return res;
    work = work_new(sizeof(*work), NULL, NULL);
    if (!work || work_depend(work, waited->marker)) {
        work_free(work);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    return stream_submit(target, work);
}

CUresult sim_cuStreamGetCtx(CUstream stream, CUcontext *ctx)
{
    struct stream *asked;
    CUresult res = resolve_current(stream, &asked);

    if (!res && !ctx)
        res = CUDA_ERROR_INVALID_VALUE;
    if (!res)
        *ctx = (CUcontext)asked->context;
    return res;
}

CUresult sim_cuStreamGetFlags(CUstream stream, unsigned int *flags)
{
    struct stream *asked;
    CUresult res = resolve_current(stream, &asked);

    if (!res && !flags)
        res = CUDA_ERROR_INVALID_VALUE;
    if (!res)
        *flags = asked->flags;
    return res;
}

CUresult sim_cuStreamGetPriority(CUstream stream, int *priority)
{
    struct stream *asked;
    CUresult res = resolve_current(stream, &asked);

    if (!res && !priority)
        res = CUDA_ERROR_INVALID_VALUE;
    if (!res)
        *priority = asked->priority;
    return res;
}

struct host_function {
    struct work work;
    CUhostFn fn;
    void *user_data;
};

static void host_function_run(struct work *work)
{
    const struct host_function *call = (struct host_function *)work;
    struct thread *thread = core_thread();

    thread->in_host_function = true;
    core_unlock();
    call->fn(call->user_data);
    core_lock();
    thread->in_host_function = false;
}

static CUresult host_function_record(struct work *work, struct task *out)
{
    const struct host_function *call = (struct host_function *)work;

    *out = (struct task){.type = CU_GRAPH_NODE_TYPE_HOST, .host = {call->fn, call->user_data}};
    return CUDA_SUCCESS;
}

struct work *host_function_new(CUhostFn fn, void *user_data)
{
    struct host_function *call = work_new(sizeof(*call), host_function_run, NULL);

    if (!call)
        return NULL;
    call->work.record = host_function_record;
    call->fn = fn;
    call->user_data = user_data;
    return &call->work;
}

CUresult sim_cuLaunchHostFunc(CUstream stream, CUhostFn fn, void *user_data)
{
    struct stream *target;
    struct work *work;
    CUresult res = resolve_current(stream, &target);

    if (res)
        return res;
    if (!fn)
        return CUDA_ERROR_INVALID_VALUE;
    work = host_function_new(fn, user_data);
    return work ? stream_submit(target, work) : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult sim_cuEventCreate(CUevent *event, unsigned int flags)
{
    struct context *context;
    struct event *created;
    CUresult res = context_require(&context);

    if (res)
        return res;
    if (!event || flags & ~(unsigned int)(CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING))
        return CUDA_ERROR_INVALID_VALUE;
    created = calloc(1, sizeof(*created));
    if (!created || !handle_add(created, HANDLE_EVENT)) {
        free(created);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    created->context = context;
    created->flags = flags;
    created->next = events;
    events = created;
    counters.events++;
    *event = (CUevent)created;
    return CUDA_SUCCESS;
}

static void event_free(struct event *event)
{
    struct event **at = &events;

    while (*at != event)
        at = &(*at)->next;
    *at = event->next;
    handle_remove(event);
    marker_put(event->marker);
    counters.events--;
    free(event);
}

void event_free_of_context(const struct context *context)
{
    struct event *next;

    for (struct event *event = events; event; event = next) {
        next = event->next;
        if (event->context == context)
            event_free(event);
    }
}

void event_forget_capture(const struct capture *capture)
{
    for (struct event *event = events; event; event = event->next)
        if (event->capture == capture)
            event->capture = NULL;
}

CUresult sim_cuEventDestroy_v2(CUevent event)
{
    CUresult res = context_check_sticky();

    if (res)
        return res;
    if (!handle_is(event, HANDLE_EVENT))
        return CUDA_ERROR_INVALID_HANDLE;
    event_free((struct event *)event);
    return CUDA_SUCCESS;
}

void event_set_marker(struct event *event, struct marker *marker)
{
    event->capture = NULL;
    marker_get(marker);
    marker_put(event->marker);
    event->marker = marker;
}

static CUresult record_on(struct event *recorded, struct stream *target)
{
    struct work *work = work_new(sizeof(*work), NULL, NULL);
    struct marker *marker;
    CUresult res;

    if (!work)
        return CUDA_ERROR_OUT_OF_MEMORY;
    marker = marker_get(work->marker);
    res = stream_submit(target, work);
    if (!res)
        event_set_marker(recorded, marker);
    marker_put(marker);
    return res;
}

CUresult sim_cuEventRecordWithFlags(CUevent event, CUstream stream, unsigned int flags)
{
    struct event *recorded = (struct event *)event;
    struct stream *target;
    CUresult res = resolve_current(stream, &target);

    if (res)
        return res;
    if (!handle_is(recorded, HANDLE_EVENT) || recorded->context != target->context)
        return CUDA_ERROR_INVALID_HANDLE;
    if (flags & ~(unsigned int)CU_EVENT_RECORD_EXTERNAL || (flags && !target->capture))
        return CUDA_ERROR_INVALID_VALUE;
    if (flags)
        return capture_event_node(target, CU_GRAPH_NODE_TYPE_EVENT_RECORD, event);
    return target->capture ? capture_note_event(target, recorded) : record_on(recorded, target);
}

CUresult sim_cuEventRecord(CUevent event, CUstream stream)
{
    return sim_cuEventRecordWithFlags(event, stream, CU_EVENT_RECORD_DEFAULT);
}

static CUresult event_check(CUevent handle, struct event **out)
{
    struct event *event = (struct event *)handle;

    if (core_initialised() && !handle_is(event, HANDLE_EVENT))
        return CUDA_ERROR_INVALID_HANDLE;
    if (event->context->sticky)
        return event->context->sticky;
    *out = event;
    return capture_refuse_event_wait(event);
}

CUresult sim_cuEventQuery(CUevent event)
{
    struct event *asked;
    struct context *context;
    CUresult res = event_check(event, &asked);

    if (!res && settings.timed)
        run_until_now();
    if (res || !asked->marker || (asked->marker->done && has_passed(asked->marker->time_ns)))
        return res;
    context = asked->context;
    if (!settings.timed)
        stream_progress(asked->marker->stream);
    return context->sticky ? context->sticky : CUDA_ERROR_NOT_READY;
}

CUresult sim_cuEventSynchronize(CUevent event)
{
    struct event *waited;
    struct context *context;
    CUresult res = event_check(event, &waited);

    if (res || !waited->marker)
        return res;
    context = waited->context;
    stream_host_wait(waited->marker);
    pool_device_synchronised(context->device);
    return context->sticky;
}

CUresult sim_cuEventElapsedTime_v2(float *p_milliseconds, CUevent h_start, CUevent h_end)
{
    return sim_cuEventElapsedTime(p_milliseconds, h_start, h_end);
}

CUresult sim_cuEventDestroy(CUevent event)
{
    return sim_cuEventDestroy_v2(event);
}

CUresult sim_cuStreamDestroy(CUstream stream)
{
    return sim_cuStreamDestroy_v2(stream);
}

CUresult sim_cuEventElapsedTime(float *p_milliseconds, CUevent h_start, CUevent h_end)
{
    const struct event *start = (struct event *)h_start;
    const struct event *end = (struct event *)h_end;

    if (!p_milliseconds)
        return CUDA_ERROR_INVALID_VALUE;
    if (!handle_is(start, HANDLE_EVENT) || !handle_is(end, HANDLE_EVENT) || !start->marker ||
        !end->marker || (start->flags | end->flags) & CU_EVENT_DISABLE_TIMING)
        return CUDA_ERROR_INVALID_HANDLE;
    if (!start->marker->done || !end->marker->done)
        return CUDA_ERROR_NOT_READY;
    *p_milliseconds =
        (float)((double)(int64_t)(end->marker->time_ns - start->marker->time_ns) / 1e6);
    return CUDA_SUCCESS;
}
