/* SPDX-License-Identifier: MIT */
/*
 * Contexts, which of them is current in a thread, and what becomes of a broken one.
 *
 * A primary context keeps its handle for the life of the process; what it holds lives from the
 * first retain (or first use of a reset one) to the last release. A sticky error leaves the context
 * alive but useless: everything queued is dropped, and every later call in it returns the error.
 */
#include "runtime/util.h"
#include "tests/sim/context.h"

#include <stdlib.h>

#include "tests/sim/calls.h"
#include "tests/sim/capture.h"
#include "tests/sim/event.h"
#include "tests/sim/graph_memory.h"
#include "tests/sim/memory.h"
#include "tests/sim/module.h"
#include "tests/sim/pool.h"

struct context *contexts;
static struct context *primaries[MAX_DEVICES];

static struct context *context_new(int device, bool primary)
{
    struct context *context = calloc(1, sizeof(*context));

    if (!context || !handle_add(context, HANDLE_CONTEXT)) {
        free(context);
        return NULL;
    }
    context->id = memory_next_id();
    context->device = device;
    context->primary = primary;
    context->next = contexts;
    contexts = context;
    return context;
}

struct context *context_primary(CUdevice device)
{
    if (!primaries[device])
        primaries[device] = context_new(device, true);
    return primaries[device];
}

static CUresult context_open(struct context *context)
{
    if (context->alive)
        return CUDA_SUCCESS;
    context->legacy = stream_new(context, STREAM_DEFAULT_LEGACY, CU_STREAM_DEFAULT, 0);
    if (!context->legacy)
        return CUDA_ERROR_OUT_OF_MEMORY;
    context->alive = true;
    context->sticky = CUDA_SUCCESS;
    context->cache_config = CU_FUNC_CACHE_PREFER_NONE;
    context_reset_limits(context);
    return CUDA_SUCCESS;
}

static void context_close(struct context *context)
{
    if (!context->alive)
        return;
    context_drain(context);
    context->alive = false;
    peer_forget_context(context);
    stream_free_all(context);
    event_free_of_context(context);
    module_free_of_context(context);
    graph_memory_context_gone(context);
    allocation_free_of_context(context);
    host_free_of_context(context);
    pool_device_synchronised(context->device);
}

struct context *context_current(void)
{
    const struct thread *thread = core_thread();

    return thread->depth ? thread->stack[thread->depth - 1] : NULL;
}

CUresult context_require(struct context **out)
{
    struct context *context = context_current();

    if (!context)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (!handle_is(context, HANDLE_CONTEXT) || !context->alive)
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    if (context->sticky)
        return context->sticky;
    *out = context;
    return CUDA_SUCCESS;
}

CUresult context_check_sticky(void)
{
    const struct context *context = context_current();

    return context && handle_is(context, HANDLE_CONTEXT) && context->alive ? context->sticky
                                                                           : CUDA_SUCCESS;
}

void context_break(struct context *context, CUresult error)
{
    if (!context->sticky)
        context->sticky = error;
    for (struct stream *stream = context->streams; stream; stream = stream->next)
        stream_abandon(stream);
}

/* Deterministic for one seed and one thread. */
uint64_t context_random(void)
{
    static uint64_t state;

    if (!state)
        state = settings.seed * 0x9e3779b97f4a7c15 | 1;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state >> 11;
}

/* Some stream that still has to reach its marker; *others says whether only running ones do. */
static struct stream *pick_stream(struct marker **markers, size_t n, bool *others)
{
    size_t start = n ? context_random() % n : 0;

    *others = false;
    for (size_t i = 0; i < n; i++) {
        const struct marker *marker = markers[(start + i) % n];

        if (marker->done)
            continue;
        if (!marker->stream->running)
            return marker->stream;
        *others = true;
    }
    return NULL;
}

/*
 * Streams advance one piece at a time in a random order: where a wait is missing, one order or the
 * other shows it.
 */
static CUresult drain(struct context *context)
{
    struct marker **markers = NULL;
    size_t n = 0;
    bool others = true;

    for (const struct stream *stream = context->streams; stream; stream = stream->next)
        n += stream->last && !stream->last->done;
    if (!n)
        return context->sticky;
    markers = calloc(n, sizeof(*markers));
    if (!markers)
        abort();
    n = 0;
    for (const struct stream *stream = context->streams; stream; stream = stream->next)
        if (stream->last && !stream->last->done)
            markers[n++] = marker_get(stream->last);
    while (others) {
        struct stream *stream = pick_stream(markers, n, &others);

        if (stream) {
            if (!settings.timed || !stream_run_first(UINT64_MAX))
                stream_step(stream);
            others = true;
        } else if (others) {
            core_wait();
        }
    }
    while (n)
        marker_put(markers[--n]);
    free(markers);
    return context->sticky;
}

CUresult context_drain(struct context *context)
{
    CUresult res = drain(context);
    uint64_t end_ns = 0;

    for (const struct stream *stream = context->streams; stream; stream = stream->next)
        end_ns = max_u64(end_ns, stream->end_ns);
    clock_wait_until(end_ns);
    return res;
}

void context_drain_device(int device)
{
    for (struct context *context = contexts; context; context = context->next)
        if (context->device == device && context->alive)
            context_drain(context);
}

static size_t count_ready(struct stream **out)
{
    size_t n = 0;

    for (const struct context *context = contexts; context; context = context->next) {
        for (struct stream *stream = context->streams; stream; stream = stream->next) {
            if (!stream->head || stream->running)
                continue;
            if (out)
                out[n] = stream;
            n++;
        }
    }
    return n;
}

/* Any stream may have come further since the last call, or none. */
static bool stir_once(void)
{
    size_t n = count_ready(NULL);
    struct stream **ready = n ? calloc(n, sizeof(*ready)) : NULL;
    bool any;

    if (!ready)
        return false;
    count_ready(ready);
    any = stream_progress(ready[context_random() % n]);
    free(ready);
    return any;
}

void context_stir(void)
{
    uint64_t steps = context_random() % 4 ? 0 : 1 + context_random() % 8;

    while (steps-- && stir_once())
        ;
}

CUresult sim_cuDevicePrimaryCtxRetain(CUcontext *ctx, CUdevice device)
{
    struct context *context;
    CUresult res;

    if (!ctx)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    context = context_primary(device);
    if (!context)
        return CUDA_ERROR_OUT_OF_MEMORY;
    res = context_open(context);
    if (res)
        return res;
    context->retained++;
    *ctx = (CUcontext)context;
    return CUDA_SUCCESS;
}

CUresult sim_cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
    struct context *context;

    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    context = context_primary(device);
    if (!context || !context->retained)
        return CUDA_ERROR_INVALID_CONTEXT;
    if (!--context->retained)
        context_close(context);
    return CUDA_SUCCESS;
}

CUresult sim_cuDevicePrimaryCtxRelease(CUdevice device)
{
    return sim_cuDevicePrimaryCtxRelease_v2(device);
}

CUresult sim_cuDevicePrimaryCtxReset_v2(CUdevice device)
{
    struct context *context;

    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    context = context_primary(device);
    if (context)
        context_close(context);
    return context ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult sim_cuDevicePrimaryCtxReset(CUdevice device)
{
    return sim_cuDevicePrimaryCtxReset_v2(device);
}

CUresult sim_cuDevicePrimaryCtxGetState(CUdevice device, unsigned int *flags, int *active)
{
    const struct context *context;

    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    if (!flags || !active)
        return CUDA_ERROR_INVALID_VALUE;
    context = context_primary(device);
    *flags = context ? context->flags : 0;
    *active = context && context->alive;
    return CUDA_SUCCESS;
}

CUresult sim_cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned int flags)
{
    struct context *context;

    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    if (flags & ~(unsigned int)CU_CTX_FLAGS_MASK)
        return CUDA_ERROR_INVALID_VALUE;
    context = context_primary(device);
    if (!context)
        return CUDA_ERROR_OUT_OF_MEMORY;
    context->flags = flags;
    return CUDA_SUCCESS;
}

static CUresult push(struct context *context)
{
    struct thread *thread = core_thread();

    if (thread->depth == MAX_CONTEXT_DEPTH) {
        core_say("more than %d contexts pushed in one thread is not simulated", MAX_CONTEXT_DEPTH);
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    thread->stack[thread->depth++] = context;
    return CUDA_SUCCESS;
}

CUresult sim_cuCtxCreate_v2(CUcontext *ctx, unsigned int flags, CUdevice device)
{
    struct context *context;
    CUresult res;

    if (!ctx || flags & ~(unsigned int)CU_CTX_FLAGS_MASK)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    context = context_new(device, false);
    if (!context)
        return CUDA_ERROR_OUT_OF_MEMORY;
    context->flags = flags;
    res = context_open(context);
    if (!res)
        res = push(context);
    if (!res)
        *ctx = (CUcontext)context;
    return res;
}

CUresult sim_cuCtxDestroy_v2(CUcontext ctx)
{
    struct context *context = (struct context *)ctx;
    struct thread *thread = core_thread();

    if (!ctx)
        return CUDA_ERROR_INVALID_VALUE;
    if (!handle_is(context, HANDLE_CONTEXT) || context->primary || !context->alive)
        return CUDA_ERROR_INVALID_CONTEXT;
    context_close(context);
    /* The struct stays in the list, dead: other threads may still have it current. */
    if (context_current() == context)
        thread->depth--;
    return CUDA_SUCCESS;
}

CUresult sim_cuCtxPushCurrent_v2(CUcontext ctx)
{
    if (!ctx)
        return CUDA_ERROR_INVALID_VALUE;
    if (!handle_is(ctx, HANDLE_CONTEXT))
        return CUDA_ERROR_INVALID_CONTEXT;
    return push((struct context *)ctx);
}

CUresult sim_cuCtxPopCurrent_v2(CUcontext *ctx)
{
    struct thread *thread = core_thread();

    if (!thread->depth)
        return CUDA_ERROR_INVALID_CONTEXT;
    thread->depth--;
    if (ctx)
        *ctx = (CUcontext)thread->stack[thread->depth];
    return CUDA_SUCCESS;
}

CUresult sim_cuCtxSetCurrent(CUcontext ctx)
{
    struct thread *thread = core_thread();

    if (ctx && !handle_is(ctx, HANDLE_CONTEXT))
        return CUDA_ERROR_INVALID_CONTEXT;
    if (thread->depth)
        thread->depth--;
    return ctx ? push((struct context *)ctx) : CUDA_SUCCESS;
}

CUresult sim_cuCtxGetCurrent(CUcontext *ctx)
{
    if (!ctx)
        return CUDA_ERROR_INVALID_VALUE;
    *ctx = (CUcontext)context_current();
    return CUDA_SUCCESS;
}

CUresult sim_cuCtxGetDevice(CUdevice *device)
{
    const struct context *context = context_current();

    if (!device)
        return CUDA_ERROR_INVALID_VALUE;
    if (!context)
        return CUDA_ERROR_INVALID_CONTEXT;
    *device = context->device;
    return CUDA_SUCCESS;
}

CUresult sim_cuCtxGetFlags(unsigned int *flags)
{
    struct context *context;
    CUresult res = context_require(&context);

    if (!res && !flags)
        res = CUDA_ERROR_INVALID_VALUE;
    if (!res)
        *flags = context->flags;
    return res;
}

CUresult sim_cuCtxGetApiVersion(CUcontext ctx, unsigned int *version)
{
    struct context *context = (struct context *)ctx;
    CUresult res = ctx ? CUDA_SUCCESS : context_require(&context);

    if (!res && !handle_is(context, HANDLE_CONTEXT))
        res = CUDA_ERROR_INVALID_CONTEXT;
    if (!res && !version)
        res = CUDA_ERROR_INVALID_VALUE;
    if (!res)
        *version = 3020;
    return res;
}

CUresult sim_cuCtxGetStreamPriorityRange(int *least_priority, int *greatest_priority)
{
    struct context *context;
    CUresult res = context_require(&context);

    if (res)
        return res;
    if (least_priority)
        *least_priority = 0;
    if (greatest_priority)
        *greatest_priority = -5;
    return CUDA_SUCCESS;
}

static CUresult context_synchronize(struct context *context)
{
    CUresult res = capture_refuse_context_wait(context);

    if (!res)
        res = context_drain(context);
    if (!res)
        pool_device_synchronised(context->device);
    return res;
}

CUresult sim_cuCtxSynchronize(void)
{
    struct context *context;
    CUresult res = context_require(&context);

    return res ? res : context_synchronize(context);
}

CUresult sim_cuCtxSynchronize_v2(CUcontext ctx)
{
    struct context *context = (struct context *)ctx;
    CUresult res = ctx ? CUDA_SUCCESS : context_require(&context);

    if (res)
        return res;
    if (!handle_is(context, HANDLE_CONTEXT))
        return CUDA_ERROR_INVALID_CONTEXT;
    if (!context->alive)
        return CUDA_ERROR_CONTEXT_IS_DESTROYED;
    return context->sticky ? context->sticky : context_synchronize(context);
}
