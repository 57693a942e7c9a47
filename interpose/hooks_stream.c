/* SPDX-License-Identifier: MIT */
/*
 * Streams, captures and contexts: what the pager must know of them.
 */
#include <pthread.h>
#include <stdlib.h>
#include "interpose/hooks.h"
#include "runtime/gate.h"
#include "runtime/pager.h"
#include "runtime/replay.h"

/*
 * A stream in which a capture was begun: only there can it be ended. It ends with the stream, too,
 * and with the context. The default stream of a thread has the same handle in every thread, and two
 * names: no other default stream can be captured.
 */
struct origin {
    CUstream stream;
    CUcontext ctx;
    pthread_t thread; /* of CU_STREAM_PER_THREAD */
    struct origin *next;
};

static pthread_mutex_t origins_lock = PTHREAD_MUTEX_INITIALIZER;
static struct origin *origins;

static struct origin origin_of(const struct driver *drv, CUstream stream)
{
    struct origin origin = {
        .stream = stream ? stream : CU_STREAM_PER_THREAD,
        .thread = pthread_self(),
    };

    if (drv->cuStreamGetCtx)
        (void)drv->cuStreamGetCtx(stream, &origin.ctx);
    return origin;
}

static bool origin_is(const struct origin *origin, const struct origin *other)
{
    if (origin->stream != other->stream)
        return false;
    return origin->stream != CU_STREAM_PER_THREAD ||
           (origin->ctx == other->ctx && pthread_equal(origin->thread, other->thread));
}

static void origin_add(const struct driver *drv, CUstream stream)
{
    struct origin *origin = calloc(1, sizeof(*origin));

    if (!origin)
        return;
    *origin = origin_of(drv, stream);
    pthread_mutex_lock(&origins_lock);
    origin->next = origins;
    origins = origin;
    pthread_mutex_unlock(&origins_lock);
}

/* Forgets the captures begun in one stream, or, without, all of a context; how many. */
static unsigned int origin_remove(const struct origin *gone, CUcontext ctx)
{
    unsigned int n = 0;

    pthread_mutex_lock(&origins_lock);
    for (struct origin **at = &origins; *at;) {
        struct origin *origin = *at;

        if (gone ? !origin_is(origin, gone) : origin->ctx != ctx) {
            at = &origin->next;
            continue;
        }
        *at = origin->next;
        free(origin);
        n++;
    }
    pthread_mutex_unlock(&origins_lock);
    return n;
}

static void captures_ended(unsigned int n)
{
    while (n--)
        pager_capture_ended();
}

static CUresult stream_destroy(const struct driver *drv, CUresult (*destroy)(CUstream),
                               CUstream stream)
{
    const struct origin gone = {.stream = stream};
    CUresult result;

    pager_stream_gone(stream);
    replay_stream_going(drv, stream);
    result = destroy(stream);
    if (result == CUDA_SUCCESS && pager_capture_is_open())
        captures_ended(origin_remove(&gone, NULL));
    return result;
}

CUresult hook_cuStreamDestroy(const struct driver *drv, CUstream stream)
{
    return stream_destroy(drv, drv->cuStreamDestroy, stream);
}

CUresult hook_cuStreamDestroy_v2(const struct driver *drv, CUstream stream)
{
    return stream_destroy(drv, drv->cuStreamDestroy_v2, stream);
}

/* A capture counts from before it begins, so that no home is moving when it does. */
static CUresult capture_begun(const struct driver *drv, CUstream stream, CUresult result)
{
    if (result == CUDA_SUCCESS)
        origin_add(drv, stream);
    else
        pager_capture_ended();
    return result;
}

CUresult hook_cuStreamBeginCapture(const struct driver *drv, CUstream stream)
{
    pager_capture_began();
    return capture_begun(drv, stream, drv->cuStreamBeginCapture(stream));
}

CUresult hook_cuStreamBeginCapture_v2(const struct driver *drv, CUstream stream,
                                      CUstreamCaptureMode mode)
{
    pager_capture_began();
    return capture_begun(drv, stream, drv->cuStreamBeginCapture_v2(stream, mode));
}

CUresult hook_cuStreamBeginCaptureToGraph(const struct driver *drv, CUstream stream, CUgraph graph,
                                          const CUgraphNode *dependencies,
                                          const CUgraphEdgeData *dependency_data,
                                          size_t num_dependencies, CUstreamCaptureMode mode)
{
    pager_capture_began();
    return capture_begun(drv, stream,
                         drv->cuStreamBeginCaptureToGraph(stream, graph, dependencies,
                                                          dependency_data, num_dependencies, mode));
}

/* An invalidated capture ends with an error, and ends; one that is not this stream's does not. */
CUresult hook_cuStreamEndCapture(const struct driver *drv, CUstream stream, CUgraph *ph_graph)
{
    const struct origin gone = origin_of(drv, stream);
    CUresult result = drv->cuStreamEndCapture(stream, ph_graph);

    if (result == CUDA_SUCCESS || (drv->cuStreamIsCapturing && !pager_is_captured(drv, stream)))
        captures_ended(origin_remove(&gone, NULL));
    return result;
}

struct host_call {
    CUhostFn fn;
    void *user_data;
};

static void CUDA_CB run_host_call(void *arg)
{
    struct host_call call = *(struct host_call *)arg;

    free(arg);
    call.fn(call.user_data);
    pager_host_call_ended();
}

/* One that is captured runs as often as its graph: that is followed instead. */
CUresult hook_cuLaunchHostFunc(const struct driver *drv, CUstream stream, CUhostFn fn,
                               void *user_data)
{
    bool captured = pager_is_captured(drv, stream);
    struct host_call *call = fn && !captured ? malloc(sizeof(*call)) : NULL;
    CUresult result;

    if (captured)
        pager_graph_calls_host();
    if (!call)
        return drv->cuLaunchHostFunc(stream, fn, user_data);
    *call = (struct host_call){fn, user_data};
    pager_host_call_began();
    gate_enter();
    result = drv->cuLaunchHostFunc(stream, run_host_call, call);
    gate_leave();
    if (result != CUDA_SUCCESS) {
        pager_host_call_ended();
        free(call);
    }
    return result;
}

/* Enters the gate when nothing at any of the addresses is on the disk; else says why not. */
static CUresult enter_near(const struct driver *drv, const CUdeviceptr *addresses, size_t n)
{
    size_t brought = 0;
    CUresult result;

    gate_enter();
    for (size_t i = 0; i < n; i++) {
        if (!pager_must_bring(addresses[i]))
            continue;
        gate_leave();
        if (brought++ > 2 * n) /* they do not fit at the same time */
            return CUDA_ERROR_OUT_OF_MEMORY;
        result = pager_bring(drv, addresses[i], 0);
        if (result != CUDA_SUCCESS)
            return result;
        gate_enter();
        i = (size_t)-1;
    }
    return CUDA_SUCCESS;
}

#define VALUE(symbol, type, note)                                                                  \
    CUresult hook_##symbol(const struct driver *drv, CUstream stream, CUdeviceptr addr,            \
                           type value, unsigned int flags)                                         \
    {                                                                                              \
        CUresult result = enter_near(drv, &addr, 1);                                               \
                                                                                                   \
        if (result != CUDA_SUCCESS)                                                                \
            return result;                                                                         \
        note();                                                                                    \
        result = drv->symbol(stream, addr, value, flags);                                          \
        gate_leave();                                                                              \
        return result;                                                                             \
    }

/* It is not looked whether launches read copies of what is written. */
static void written(void)
{
    if (gate_is_watched())
        gate_note_unknown();
}

VALUE(cuStreamWaitValue32, uint32_t, pager_value_wait_seen)
VALUE(cuStreamWaitValue32_v2, uint32_t, pager_value_wait_seen)
VALUE(cuStreamWaitValue64, uint64_t, pager_value_wait_seen)
VALUE(cuStreamWaitValue64_v2, uint64_t, pager_value_wait_seen)
VALUE(cuStreamWriteValue32, uint32_t, written)
VALUE(cuStreamWriteValue32_v2, uint32_t, written)
VALUE(cuStreamWriteValue64, uint64_t, written)
VALUE(cuStreamWriteValue64_v2, uint64_t, written)

enum {
    MEM_OPS_MAX = 256, /* the driver's own limit */
};

/* A batch may hold waits and writes. */
static size_t addresses_of(const CUstreamBatchMemOpParams *ops, unsigned int count,
                           CUdeviceptr out[MEM_OPS_MAX])
{
    size_t n = 0;

    for (unsigned int i = 0; ops && i < count && n < MEM_OPS_MAX; i++) {
        switch ((int)ops[i].operation) {
        case CU_STREAM_MEM_OP_WAIT_VALUE_32:
        case CU_STREAM_MEM_OP_WAIT_VALUE_64:
            pager_value_wait_seen();
            out[n++] = ops[i].waitValue.address;
            break;
        case CU_STREAM_MEM_OP_WRITE_VALUE_32:
        case CU_STREAM_MEM_OP_WRITE_VALUE_64:
            out[n++] = ops[i].writeValue.address;
            break;
        default:
            break;
        }
    }
    return n;
}

#define BATCH_MEM_OP(symbol)                                                                       \
    CUresult hook_##symbol(const struct driver *drv, CUstream stream, unsigned int count,          \
                           CUstreamBatchMemOpParams *param_array, unsigned int flags)              \
    {                                                                                              \
        CUdeviceptr addresses[MEM_OPS_MAX];                                                        \
        size_t n = addresses_of(param_array, count, addresses);                                    \
        CUresult result = enter_near(drv, addresses, n);                                           \
                                                                                                   \
        if (result != CUDA_SUCCESS)                                                                \
            return result;                                                                         \
        written();                                                                                 \
        result = drv->symbol(stream, count, param_array, flags);                                   \
        gate_leave();                                                                              \
        return result;                                                                             \
    }

BATCH_MEM_OP(cuStreamBatchMemOp)
BATCH_MEM_OP(cuStreamBatchMemOp_v2)

/* A peer that the driver lets in and we cannot is refused, with the driver's words. */
CUresult hook_cuCtxEnablePeerAccess(const struct driver *drv, CUcontext peer_context,
                                    unsigned int flags)
{
    CUresult result = drv->cuCtxEnablePeerAccess(peer_context, flags);

    if (result == CUDA_SUCCESS && pager_peer_enabled(drv, peer_context))
        return CUDA_ERROR_PEER_ACCESS_UNSUPPORTED;
    return result;
}

static void context_gone(const struct driver *drv, CUcontext ctx)
{
    captures_ended(origin_remove(NULL, ctx));
    pager_context_gone(drv, ctx);
}

/* With a context go its modules, and with them what was known of their handles: before another
 * thread can be given the same handles anew. */
static CUresult context_destroy(const struct driver *drv, CUresult (*destroy)(CUcontext),
                                CUcontext ctx)
{
    CUresult result;

    layout_forget_all();
    result = destroy(ctx);
    if (result == CUDA_SUCCESS)
        context_gone(drv, ctx);
    return result;
}

CUresult hook_cuCtxDestroy(const struct driver *drv, CUcontext ctx)
{
    return context_destroy(drv, drv->cuCtxDestroy, ctx);
}

CUresult hook_cuCtxDestroy_v2(const struct driver *drv, CUcontext ctx)
{
    return context_destroy(drv, drv->cuCtxDestroy_v2, ctx);
}

enum {
    ATTEMPTS = 3, /* of calls whose failure would leave us not knowing which contexts live */
};

/* True when nobody can tell: nothing is then taken for gone. */
static bool primary_is_active(const struct driver *drv, CUdevice device)
{
    unsigned int flags;
    int active;

    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (drv->cuDevicePrimaryCtxGetState(device, &flags, &active) == CUDA_SUCCESS)
            return active;
    }
    return true;
}

/* The handle of the device's primary context if there is one now, holding a reference to it. */
static CUcontext primary_retain(const struct driver *drv, CUdevice device)
{
    CUcontext ctx;

    if (!drv->cuDevicePrimaryCtxGetState || !drv->cuDevicePrimaryCtxRetain ||
        !primary_is_active(drv, device))
        return NULL;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (drv->cuDevicePrimaryCtxRetain(&ctx, device) == CUDA_SUCCESS)
            return ctx;
    }
    return NULL;
}

static void primary_release(CUdevice device, CUresult (*release)(CUdevice))
{
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (release(device) == CUDA_SUCCESS)
            return;
    }
}

/* Our own reference goes first, so that the program's call is the one that destroys. */
static CUresult primary_end(const struct driver *drv, CUdevice device,
                            CUresult (*release)(CUdevice), CUresult (*end)(CUdevice))
{
    CUcontext ctx = release ? primary_retain(drv, device) : NULL;
    CUresult result;

    if (ctx)
        primary_release(device, release);
    layout_forget_all();
    result = end(device);
    if (ctx && result == CUDA_SUCCESS && (end != release || !primary_is_active(drv, device)))
        context_gone(drv, ctx);
    return result;
}

CUresult hook_cuDevicePrimaryCtxRelease(const struct driver *drv, CUdevice device)
{
    return primary_end(drv, device, drv->cuDevicePrimaryCtxRelease, drv->cuDevicePrimaryCtxRelease);
}

CUresult hook_cuDevicePrimaryCtxRelease_v2(const struct driver *drv, CUdevice device)
{
    return primary_end(drv, device, drv->cuDevicePrimaryCtxRelease_v2,
                       drv->cuDevicePrimaryCtxRelease_v2);
}

CUresult hook_cuDevicePrimaryCtxReset(const struct driver *drv, CUdevice device)
{
    return primary_end(drv, device, drv->cuDevicePrimaryCtxRelease, drv->cuDevicePrimaryCtxReset);
}

CUresult hook_cuDevicePrimaryCtxReset_v2(const struct driver *drv, CUdevice device)
{
    return primary_end(drv, device, drv->cuDevicePrimaryCtxRelease_v2,
                       drv->cuDevicePrimaryCtxReset_v2);
}
