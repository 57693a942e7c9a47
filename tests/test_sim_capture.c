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

/* Two streams: the second takes part by an event, and is joined again. */
static CUgraph capture_fork(struct scene *s)
{
    CUgraph graph;

    ok(launch_fill(&s->code, s->address, 1, 5, s->stream));
    ok(cuEventRecord(s->event, s->stream));
    ok(cuStreamWaitEvent(s->other, s->event, 0));
    ok(launch_fill(&s->code, s->address + 4, 1, 6, s->stream));
    ok(launch_fill(&s->code, s->address + 8, 1, 7, s->other));
    ok(cuEventRecord(s->event, s->other));
    ok(cuStreamWaitEvent(s->stream, s->event, 0));
    ok(launch_fill(&s->code, s->address + 12, 1, 8, s->stream));
    ok(cuStreamEndCapture(s->stream, &graph));
    return graph;
}

Test(sim_capture, streams_joined_by_events_become_one_graph)
{
    struct scene s = scene_new(CU_STREAM_CAPTURE_MODE_GLOBAL);
    CUgraph graph = capture_fork(&s);
    static const size_t expected[][2] = {{0, 1}, {0, 2}, {1, 3}, {2, 3}};
    CUgraphNode nodes[4];
    CUgraphNode from[5];
    CUgraphNode to[5];
    size_t n = 4;

    ok(cuGraphGetNodes(graph, nodes, &n));
    cr_assert_eq(n, 4);
    n = 5;
    ok(cuGraphGetEdges(graph, from, to, &n));
    cr_assert_eq(n, 4);
    for (size_t i = 0; i < n; i++)
        cr_expect(from[i] == nodes[expected[i][0]] && to[i] == nodes[expected[i][1]], "edge %zu",
                  i);
}

Test(sim_capture, a_capture_can_be_looked_at_while_it_is_open)
{
    struct scene s = scene_new(CU_STREAM_CAPTURE_MODE_GLOBAL);
    CUstreamCaptureStatus status;
    const CUgraphEdgeData *data;
    const CUgraphNode *last;
    CUgraph graph = NULL;
    CUgraph ended;
    cuuint64_t id = 0;
    cuuint64_t same;
    size_t n = 9;

    ok(cuStreamGetCaptureInfo_v3(s.stream, &status, &id, &graph, &last, &data, &n));
    cr_assert_eq(n, 0);
    cr_assert(id);
    ok(launch_fill(&s.code, s.address, 1, 5, s.stream));
    ok(cuStreamGetCaptureInfo_v2(s.stream, &status, &same, &graph, &last, &n));
    cr_assert_eq(n, 1);
    cr_assert_eq(same, id);
    ok(cuStreamGetCaptureInfo(s.other, &status, &same));
    cr_assert_eq(status, CU_STREAM_CAPTURE_STATUS_NONE);
    fails(cuStreamGetCaptureInfo(s.other, NULL, &same), CUDA_ERROR_INVALID_VALUE);
    ok(cuStreamEndCapture(s.stream, &ended));
    cr_assert_eq(ended, graph);
}

Test(sim_capture, what_the_next_node_depends_on_can_be_changed)
{
    struct scene s = scene_new(CU_STREAM_CAPTURE_MODE_GLOBAL);
    CUstreamCaptureStatus status;
    const CUgraphNode *last;
    CUgraphNode first;
    CUgraph graph;
    size_t n;

    fails(cuStreamUpdateCaptureDependencies(s.other, NULL, 0, 0), CUDA_ERROR_ILLEGAL_STATE);
    ok(launch_fill(&s.code, s.address, 1, 5, s.stream));
    ok(cuStreamGetCaptureInfo_v2(s.stream, &status, NULL, &graph, &last, &n));
    first = last[0];
    ok(cuStreamUpdateCaptureDependencies(s.stream, NULL, 0, CU_STREAM_SET_CAPTURE_DEPENDENCIES));
    ok(launch_fill(&s.code, s.address, 1, 6, s.stream));
    ok(cuStreamUpdateCaptureDependencies_v2(s.stream, &first, NULL, 1,
                                            CU_STREAM_ADD_CAPTURE_DEPENDENCIES));
    ok(cuStreamGetCaptureInfo_v2(s.stream, &status, NULL, NULL, &last, &n));
    cr_assert_eq(n, 2);
    ok(launch_fill(&s.code, s.address, 1, 7, s.stream));
    fails(cuStreamUpdateCaptureDependencies(s.stream, &first, 1, 2), CUDA_ERROR_INVALID_VALUE);
    ok(cuStreamEndCapture(s.stream, &graph));
    n = 0;
    ok(cuGraphGetRootNodes(graph, NULL, &n));
    cr_assert_eq(n, 2);
}

Test(sim_capture, a_graph_of_the_program_can_be_captured_into)
{
    struct scene s = scene_new(CU_STREAM_CAPTURE_MODE_GLOBAL);
    CUgraphExec exec;
    CUgraphNode node;
    CUgraph graph;
    CUgraph ended;
    size_t n = 0;

    ok(cuStreamEndCapture(s.stream, &graph));
    ok(cuGraphAddEmptyNode(&node, graph, NULL, 0));
    fails(cuStreamBeginCaptureToGraph(s.stream, graph, &node, NULL, 2,
                                      CU_STREAM_CAPTURE_MODE_GLOBAL + 3),
          CUDA_ERROR_INVALID_VALUE);
    ok(cuStreamBeginCaptureToGraph(s.stream, graph, &node, NULL, 1, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ok(launch_fill(&s.code, s.address, 1, 5, s.stream));
    fails(cuGraphInstantiateWithFlags(&exec, graph, 0), CUDA_ERROR_INVALID_VALUE);
    ok(cuStreamEndCapture(s.stream, &ended));
    cr_assert_eq(ended, graph);
    ok(cuGraphGetEdges(graph, NULL, NULL, &n));
    cr_assert_eq(n, 1);
    ok(cuStreamBeginCaptureToGraph(s.stream, graph, NULL, NULL, 0, CU_STREAM_CAPTURE_MODE_GLOBAL));
    fails(cuStreamSynchronize(s.stream), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    fails(cuStreamEndCapture(s.stream, &ended), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    ok(cuGraphDestroy(graph));
}

Test(sim_capture, captures_do_not_mix)
{
    struct scene s = scene_new(CU_STREAM_CAPTURE_MODE_RELAXED);
    CUevent outside;
    CUgraph graph;

    ok(cuEventCreate(&outside, 0));
    ok(cuStreamBeginCapture(s.other));
    ok(cuEventRecord(s.event, s.stream));
    fails(cuStreamWaitEvent(s.other, s.event, 0), CUDA_ERROR_STREAM_CAPTURE_MERGE);
    fails(cuStreamEndCapture(s.other, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    fails(cuStreamEndCapture(s.stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    ok(cuEventRecord(outside, s.other));
    ok(cuStreamBeginCapture_v2(s.stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    fails(cuStreamWaitEvent(s.stream, outside, 0), CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
    fails(cuStreamEndCapture(s.stream, &graph), CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    ok(cuStreamBeginCapture_v2(s.stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    ok(cuStreamEndCapture(s.stream, &graph));
}
