/* SPDX-License-Identifier: MIT */
#include <pthread.h>

#include "tests/sim_test.h"

TestSuite(sim_capture, .timeout = 30);

struct scene {
    struct device_code code;
    CUstream stream;
    CUstream other;
    CUdeviceptr address;
    CUevent event;
};

static struct scene scene_new(CUstreamCaptureMode mode)
{
    struct scene s;

    start();
    s.code = load_code();
    ok(cuStreamCreate(&s.stream, CU_STREAM_NON_BLOCKING));
    ok(cuStreamCreate(&s.other, CU_STREAM_NON_BLOCKING));
    ok(cuEventCreate(&s.event, 0));
    ok(cuMemAlloc_v2(&s.address, 4096));
    ok(cuMemsetD32_v2(s.address, 1, 1024));
    ok(cuCtxSynchronize());
    ok(cuStreamBeginCapture_v2(s.stream, mode));
    return s;
}

static CUstreamCaptureStatus status_of(CUstream stream)
{
    CUstreamCaptureStatus status;

    ok(cuStreamIsCapturing(stream, &status));
    return status;
}

Test(sim_capture, work_is_recorded_and_does_not_run)
{
    struct scene s = scene_new(CU_STREAM_CAPTURE_MODE_GLOBAL);
    CUgraph graph = NULL;

    ok(launch_fill(&s.code, s.address, 1, 5, s.stream));
    cr_assert_eq(status_of(s.stream), CU_STREAM_CAPTURE_STATUS_ACTIVE);
    cr_assert_eq(status_of(s.other), CU_STREAM_CAPTURE_STATUS_NONE);
    ok(cuStreamEndCapture(s.stream, &graph));
    cr_assert(graph);
    cr_assert_eq(status_of(s.stream), CU_STREAM_CAPTURE_STATUS_NONE);
    ok(cuStreamSynchronize(s.stream));
    cr_assert_eq(read_word(s.address), 1);
    fails(cuStreamEndCapture(s.stream, &graph), CUDA_ERROR_ILLEGAL_STATE);
}

/* What a row does, in a global capture of a non-blocking stream. */
static CUresult forbidden_call(struct scene *s, int row)
{
    CUdeviceptr address;
    void *pinned;

    switch (row) {
    case 0:
        return cuCtxSynchronize();
    case 1:
        return cuStreamSynchronize(s->stream);
    case 2:
        return cuStreamQuery(s->stream);
    case 3:
        return cuMemAlloc_v2(&address, 4096);
    case 4:
        return cuMemFree_v2(s->address);
    case 5:
        return cuMemHostAlloc(&pinned, 4096, 0);
    case 6:
        return cuMemcpyDtoH_v2(&pinned, s->address, 4);
    default:
        return cuMemAddressReserve(&address, PAGE, 0, 0, 0);
    }
}

Test(sim_capture, forbidden_calls_fail_and_invalidate)
{
    for (int row = 0; row < 8; row++) {
        struct scene s = scene_new(CU_STREAM_CAPTURE_MODE_GLOBAL);
        CUgraph graph = (CUgraph)1;

        cr_expect_eq(forbidden_call(&s, row), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "row %d", row);
        cr_expect_eq(status_of(s.stream), CU_STREAM_CAPTURE_STATUS_INVALIDATED, "row %d", row);
        fails(launch_fill(&s.code, s.address, 1, 5, s.stream),
              CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
        fails(cuStreamEndCapture(s.stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
        cr_expect(!graph);
    }
}

Test(sim_capture, a_relaxed_thread_may_do_what_others_may_not)
{
    struct scene s = scene_new(CU_STREAM_CAPTURE_MODE_GLOBAL);
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    CUdeviceptr address;
    CUgraph graph;

    ok(cuThreadExchangeStreamCaptureMode(&mode));
    cr_assert_eq(mode, CU_STREAM_CAPTURE_MODE_GLOBAL);
    ok(cuMemAlloc_v2(&address, 4096));
    ok(cuMemFree_v2(address));
    ok(cuThreadExchangeStreamCaptureMode(&mode));
    cr_assert_eq(mode, CU_STREAM_CAPTURE_MODE_RELAXED);
    ok(cuStreamEndCapture(s.stream, &graph));
}

static void *allocate_elsewhere(void *argument)
{
    CUcontext context;
    CUdeviceptr address;

    ok(cuDevicePrimaryCtxRetain(&context, 0));
    ok(cuCtxSetCurrent(context));
    *(CUresult *)argument = cuMemAlloc_v2(&address, 4096);
    return NULL;
}

static CUresult allocate_in_thread(void)
{
    CUresult result = CUDA_ERROR_UNKNOWN;
    pthread_t thread;

    pthread_create(&thread, NULL, allocate_elsewhere, &result);
    pthread_join(thread, NULL);
    return result;
}

Test(sim_capture, a_global_capture_binds_other_threads_and_a_local_one_does_not)
{
    struct scene s = scene_new(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
    CUgraph graph;

    ok(allocate_in_thread());
    ok(cuStreamEndCapture(s.stream, &graph));
    scene_new(CU_STREAM_CAPTURE_MODE_GLOBAL);
    fails(allocate_in_thread(), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
}

Test(sim_capture, the_legacy_stream_is_closed_while_a_blocking_stream_captures)
{
    CUstream blocking;
    struct scene s;
    CUgraph graph;

    s = scene_new(CU_STREAM_CAPTURE_MODE_RELAXED);
    ok(launch_fill(&s.code, s.address, 1, 5, NULL));
    ok(cuStreamEndCapture(s.stream, &graph));
    ok(cuStreamCreate(&blocking, CU_STREAM_DEFAULT));
    ok(cuStreamBeginCapture_v2(blocking, CU_STREAM_CAPTURE_MODE_RELAXED));
    fails(launch_fill(&s.code, s.address, 1, 5, NULL), CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
    fails(cuStreamEndCapture(blocking, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    fails(cuStreamBeginCapture_v2(NULL, CU_STREAM_CAPTURE_MODE_RELAXED),
          CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
}

Test(sim_capture, a_stream_that_joins_must_be_joined_again)
{
    struct scene s = scene_new(CU_STREAM_CAPTURE_MODE_RELAXED);
    CUgraph graph;

    ok(cuEventRecord(s.event, s.stream));
    ok(cuStreamWaitEvent(s.other, s.event, 0));
    cr_assert_eq(status_of(s.other), CU_STREAM_CAPTURE_STATUS_ACTIVE);
    ok(launch_fill(&s.code, s.address, 1, 5, s.other));
    fails(cuStreamEndCapture(s.other, &graph), CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
    fails(cuStreamEndCapture(s.stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);

    ok(cuStreamBeginCapture_v2(s.stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    ok(cuEventRecord(s.event, s.stream));
    ok(cuStreamWaitEvent(s.other, s.event, 0));
    ok(launch_fill(&s.code, s.address, 1, 5, s.other));
    fails(cuStreamEndCapture(s.stream, &graph), CUDA_ERROR_STREAM_CAPTURE_UNJOINED);

    ok(cuStreamBeginCapture_v2(s.stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    ok(cuEventRecord(s.event, s.stream));
    ok(cuStreamWaitEvent(s.other, s.event, 0));
    ok(launch_fill(&s.code, s.address, 1, 5, s.other));
    ok(cuEventRecord(s.event, s.other));
    ok(cuStreamWaitEvent(s.stream, s.event, 0));
    ok(cuStreamEndCapture(s.stream, &graph));
    cr_assert_eq(read_word(s.address), 1);
}

Test(sim_capture, a_captured_event_cannot_be_waited_for)
{
    struct scene s = scene_new(CU_STREAM_CAPTURE_MODE_RELAXED);
    CUgraph graph;

    ok(cuEventRecord(s.event, s.stream));
    fails(cuEventQuery(s.event), CUDA_ERROR_CAPTURED_EVENT);
    fails(cuStreamEndCapture(s.stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    ok(cuEventQuery(s.event));
}

Test(sim_capture, a_graph_cannot_be_launched_yet_and_says_so)
{
    struct scene s = scene_new(CU_STREAM_CAPTURE_MODE_RELAXED);
    CUgraph graph;

    ok(cuStreamEndCapture(s.stream, &graph));
    fails(cuGraphLaunch((CUgraphExec)graph, s.stream), CUDA_ERROR_NOT_SUPPORTED);
}
