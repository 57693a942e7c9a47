/* SPDX-License-Identifier: MIT */
/*
 * Running and ordering work.
 *
 * Whoever waits does the work, in its own thread. While a piece of work runs, its stream is marked
 * running: host functions run without the lock, and another thread that needs the stream waits for
 * the condition instead of running the next piece.
 */
#include "tests/sim/stream.h"

#include <stdlib.h>

#include "runtime/util.h"
#include "tests/sim/capture.h"
#include "tests/sim/counters.h"

/* A real driver blocks launches at about this many; running the oldest is our way to block. */
#define MAX_PENDING        1024
#define MAX_SNAPSHOT_BYTES (int64_t)(256 * MIB)

static int64_t snapshot_bytes;

struct marker *marker_get(struct marker *marker)
{
    if (marker)
        marker->refs++;
    return marker;
}

void marker_put(struct marker *marker)
{
    if (marker && !--marker->refs)
        free(marker);
}

struct marker *marker_new(void)
{
    static uint64_t n_markers;
    struct marker *marker = calloc(1, sizeof(*marker));

    if (!marker)
        return NULL;
    marker->refs = 1;
    marker->id = ++n_markers;
    return marker;
}

void marker_finish(struct marker *marker, uint64_t time_ns)
{
    marker->done = true;
    marker->stream = NULL;
    marker->time_ns = time_ns;
}

void marker_wait(struct marker *marker)
{
    marker_get(marker);
    while (!marker->done) {
        if (settings.timed && stream_run_first(UINT64_MAX))
            continue;
        if (marker->stream->running)
            core_wait();
        else
            stream_step(marker->stream);
    }
    marker_put(marker);
}

void *work_new(size_t bytes, void (*run)(struct work *), void (*drop)(struct work *))
{
    struct work *work = calloc(1, bytes);

    if (!work)
        return NULL;
    work->marker = marker_new();
    if (!work->marker) {
        free(work);
        return NULL;
    }
    work->run = run;
    work->drop = drop;
    return work;
}

void work_free(struct work *work)
{
    if (!work)
        return;
    if (work->drop)
        work->drop(work);
    for (size_t i = 0; i < work->n_deps; i++)
        marker_put(work->deps[i]);
    free(work->deps);
    marker_put(work->marker);
    free(work);
}

CUresult work_depend(struct work *work, struct marker *marker)
{
    struct marker **deps;

    if (marker && marker->done)
        work->ready_ns = max_u64(work->ready_ns, marker->time_ns);
    if (!marker || marker->done)
        return CUDA_SUCCESS;
    deps = realloc(work->deps, (work->n_deps + 1) * sizeof(*deps));
    if (!deps)
        return CUDA_ERROR_OUT_OF_MEMORY;
    work->deps = deps;
    deps[work->n_deps++] = marker_get(marker);
    return CUDA_SUCCESS;
}

struct stream *stream_new(struct context *context, enum stream_kind kind, unsigned int flags,
                          int priority)
{
    struct stream *stream = calloc(1, sizeof(*stream));

    if (!stream || !handle_add(stream, HANDLE_STREAM)) {
        free(stream);
        return NULL;
    }
    stream->context = context;
    stream->kind = kind;
    stream->flags = flags;
    stream->priority = priority;
    stream->tail = &stream->head;
    stream->next = context->streams;
    context->streams = stream;
    counters.streams += kind == STREAM_CREATED;
    return stream;
}

static void stream_free(struct stream *stream)
{
    struct stream **at = &stream->context->streams;

    while (*at != stream)
        at = &(*at)->next;
    *at = stream->next;
    marker_put(stream->last);
    free(stream);
}

bool stream_is_idle(const struct stream *stream)
{
    return !stream->head && !stream->running;
}

void stream_destroy(struct stream *stream)
{
    capture_forget_stream(stream);
    handle_remove(stream);
    counters.streams -= stream->kind == STREAM_CREATED;
    stream->destroyed = true;
    if (stream_is_idle(stream))
        stream_free(stream);
}

void stream_free_all(struct context *context)
{
    while (context->streams) {
        struct stream *stream = context->streams;

        stream_abandon(stream);
        if (stream->running)
            core_wait();
        else if (stream->destroyed)
            stream_free(stream);
        else
            stream_destroy(stream);
    }
    context->legacy = NULL;
}

void stream_retire_thread(uint64_t thread_id)
{
    for (struct context *context = contexts; context; context = context->next) {
        for (struct stream *stream = context->streams; stream; stream = stream->next) {
            if (stream->kind == STREAM_DEFAULT_THREAD && stream->thread_id == thread_id &&
                !stream->destroyed) {
                stream_destroy(stream);
                break;
            }
        }
    }
}

static struct stream *thread_stream(struct context *context)
{
    uint64_t id = core_thread()->id;
    struct stream *stream;

    for (stream = context->streams; stream; stream = stream->next)
        if (stream->kind == STREAM_DEFAULT_THREAD && stream->thread_id == id && !stream->destroyed)
            return stream;
    stream = stream_new(context, STREAM_DEFAULT_THREAD, CU_STREAM_DEFAULT, 0);
    if (stream)
        stream->thread_id = id;
    return stream;
}

CUresult stream_resolve(CUstream handle, struct context *current, struct stream **out)
{
    struct stream *stream = (struct stream *)handle;

    if (handle == CU_STREAM_PER_THREAD || (!handle && core_thread()->mode == STREAM_PER_THREAD))
        stream = thread_stream(current);
    else if (!handle || handle == CU_STREAM_LEGACY)
        stream = current->legacy;
    else if (!handle_is(stream, HANDLE_STREAM))
        return CUDA_ERROR_INVALID_HANDLE;
    if (!stream)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (stream->context->sticky)
        return stream->context->sticky;
    *out = stream;
    return CUDA_SUCCESS;
}

static bool stream_is_blocking(const struct stream *stream)
{
    return stream->kind != STREAM_DEFAULT_LEGACY && !(stream->flags & CU_STREAM_NON_BLOCKING);
}

/* What the legacy default stream's implicit synchronisation adds. */
static CUresult depend_on_default_stream(struct stream *stream, struct work *work)
{
    CUresult res = CUDA_SUCCESS;

    if (stream_is_blocking(stream))
        return work_depend(work, stream->context->legacy->last);
    if (stream->kind != STREAM_DEFAULT_LEGACY)
        return CUDA_SUCCESS;
    for (const struct stream *other = stream->context->streams; other && !res; other = other->next)
        if (stream_is_blocking(other))
            res = work_depend(work, other->last);
    return res;
}

/* A full queue holds the host up until its oldest piece has run. */
static void make_room(struct stream *stream)
{
    if (!settings.timed) {
        stream_step(stream);
        return;
    }
    while (stream->n_pending > MAX_PENDING && stream_run_first(UINT64_MAX))
        ;
    if (stream->end_ns > clock_host())
        clock_charge(stream->end_ns - clock_host());
}

CUresult stream_submit(struct stream *stream, struct work *work)
{
    struct marker *marker;
    CUresult res;

    work->stream = stream;
    if (stream->capture)
        return capture_record(stream, work);
    res = capture_refuse_legacy(stream);
    if (!res)
        res = depend_on_default_stream(stream, work);
    if (res) {
        work_free(work);
        return res;
    }
    work->ready_ns = max_u64(work->ready_ns, clock_host());
    work->marker->stream = stream;
    marker_put(stream->last);
    stream->last = marker_get(work->marker);
    *stream->tail = work;
    stream->tail = &work->next;
    stream->n_pending++;
    if (settings.eager) {
        marker = marker_get(work->marker);
        while (!marker->done && stream_progress(stream))
            ;
        marker_put(marker);
    } else if ((stream->n_pending > MAX_PENDING || snapshot_bytes > MAX_SNAPSHOT_BYTES) &&
               !stream->running) {
        make_room(stream);
    }
    return CUDA_SUCCESS;
}

static struct work *stream_pop(struct stream *stream)
{
    struct work *work = stream->head;

    stream->head = work->next;
    if (!stream->head)
        stream->tail = &stream->head;
    stream->n_pending--;
    return work;
}

void work_execute(struct work *work)
{
    const struct context *context = work->stream->context;

    work->begin_ns = clock_begin(context->device, work->cost.engine, work->ready_ns);
    work->end_ns = work->ready_ns;
    if (context->sticky)
        return;
    if (work->run)
        work->run(work);
    work->end_ns = clock_book(context->device, &work->cost, work->ready_ns);
}

void stream_step(struct stream *stream)
{
    struct work *work = stream_pop(stream);

    stream->running = true;
    for (size_t i = 0; i < work->n_deps; i++) {
        marker_wait(work->deps[i]);
        work->ready_ns = max_u64(work->ready_ns, work->deps[i]->time_ns);
    }
    work->ready_ns = max_u64(work->ready_ns, stream->end_ns);
    work_execute(work);
    stream->end_ns = max_u64(stream->end_ns, work->end_ns);
    marker_finish(work->marker, work->end_ns);
    work_free(work);
    stream->running = false;
    core_broadcast();
    if (stream->destroyed && stream_is_idle(stream))
        stream_free(stream);
}

bool stream_progress(struct stream *stream)
{
    const struct work *work = stream->head;

    if (settings.timed)
        return stream_run_first(UINT64_MAX);

    if (!work || stream->running)
        return false;
    for (size_t i = 0; i < work->n_deps; i++)
        if (!work->deps[i]->done)
            return stream_progress(work->deps[i]->stream);
    if (work->ready && !stream->context->sticky && !work->ready(work))
        return false;
    stream_step(stream);
    return true;
}

void stream_host_wait(struct marker *marker)
{
    marker_get(marker); /* its stream may get a newer one while the lock is not held */
    marker_wait(marker);
    clock_wait_until(marker->time_ns);
    marker_put(marker);
}

/* When the oldest work of the stream could begin; false when it cannot. */
static bool head_begins(const struct stream *stream, uint64_t *out)
{
    const struct work *work = stream->head;
    uint64_t ready_ns;

    if (!work || stream->running)
        return false;
    ready_ns = max_u64(work->ready_ns, stream->end_ns);
    for (size_t i = 0; i < work->n_deps; i++) {
        if (!work->deps[i]->done)
            return false;
        ready_ns = max_u64(ready_ns, work->deps[i]->time_ns);
    }
    if (work->ready && !stream->context->sticky && !work->ready(work))
        return false;
    *out = clock_begin(stream->context->device, work->cost.engine, ready_ns);
    return true;
}

/* Of those that could begin at the same time the more urgent stream's goes first, then the older's;
 * newer streams come first in the list. */
bool stream_run_first(uint64_t until_ns)
{
    struct stream *first = NULL;
    uint64_t first_ns = until_ns;

    for (struct context *context = contexts; context; context = context->next) {
        for (struct stream *stream = context->streams; stream; stream = stream->next) {
            uint64_t begin_ns;

            if (!head_begins(stream, &begin_ns) || begin_ns > first_ns)
                continue;
            if (first && begin_ns == first_ns && stream->priority > first->priority)
                continue;
            first = stream;
            first_ns = begin_ns;
        }
    }
    if (first)
        stream_step(first);
    return first;
}

bool stream_progress_any(void)
{
    for (struct context *context = contexts; context; context = context->next)
        for (struct stream *stream = context->streams; stream; stream = stream->next)
            if (stream_progress(stream))
                return true;
    return false;
}

CUresult stream_wait(struct stream *stream)
{
    const struct context *context = stream->context;

    if (stream->kind == STREAM_DEFAULT_LEGACY) {
        /* It also waits for the blocking streams, as any work in it would. */
        struct work *work = work_new(sizeof(*work), NULL, NULL);
        CUresult res = work ? stream_submit(stream, work) : CUDA_ERROR_OUT_OF_MEMORY;

        if (res)
            return res;
    }
    if (stream->last)
        stream_host_wait(stream->last);
    return context->sticky;
}

void stream_abandon(struct stream *stream)
{
    while (stream->head) {
        struct work *work = stream_pop(stream);

        marker_finish(work->marker, stream->end_ns);
        work_free(work);
    }
}

void stream_note_snapshot(int64_t bytes)
{
    snapshot_bytes += bytes;
}
