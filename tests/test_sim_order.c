/* SPDX-License-Identifier: MIT */
#include <pthread.h>

#include "tests/sim_test.h"

TestSuite(sim_order, .timeout = 30);

struct scene {
    struct device_code code;
    CUdeviceptr a;
    CUdeviceptr b;
    CUstream first;
    CUstream second;
    CUevent event;
};

static struct scene scene_new(unsigned int flags)
{
    struct scene s;

    start();
    s.code = load_code();
    ok(cuMemAlloc_v2(&s.a, 4096));
    ok(cuMemAlloc_v2(&s.b, 4096));
    ok(cuMemsetD32_v2(s.a, 1, 1024));
    ok(cuMemsetD32_v2(s.b, 1, 1024));
    ok(cuStreamCreate(&s.first, flags));
    ok(cuStreamCreate(&s.second, flags));
    ok(cuEventCreate(&s.event, CU_EVENT_DISABLE_TIMING));
    ok(cuCtxSynchronize());
    return s;
}

Test(sim_order, work_waits_until_somebody_waits_for_it)
{
    struct scene s = scene_new(CU_STREAM_NON_BLOCKING);
    uint64_t launches = stats_now().launches;

    ok(launch_fill(&s.code, s.a, 1, 5, s.first));
    cr_assert_eq(stats_now().launches, launches);
    ok(cuStreamSynchronize(s.second));
    cr_assert_eq(stats_now().launches, launches);
    ok(cuStreamSynchronize(s.first));
    cr_assert_eq(stats_now().launches, launches + 1);
    cr_assert_eq(read_word(s.a), 5);
}

Test(sim_order, restless_streams_run_on_without_being_waited_for)
{
    uint64_t launches;
    struct scene s;
    int version;

    setenv("SIM_ORDER", "restless", 1);
    s = scene_new(CU_STREAM_NON_BLOCKING);
    launches = stats_now().launches;
    ok(launch_fill(&s.code, s.a, 1, 5, s.first));
    for (int i = 0; i < 200 && stats_now().launches == launches; i++)
        ok(cuDriverGetVersion(&version));
    cr_assert_eq(stats_now().launches, launches + 1);
}

Test(sim_order, a_missing_wait_shows_as_wrong_data)
{
    struct scene s = scene_new(CU_STREAM_NON_BLOCKING);

    ok(launch_fill(&s.code, s.a, 1, 5, s.first));
    ok(launch_copy(&s.code, s.b, s.a, 1, s.second));
    ok(cuStreamSynchronize(s.second));
    cr_assert_eq(read_word(s.b), 1);
    cr_assert_eq(read_word(s.a), 1, "a blocking copy does not wait for a non-blocking stream");
}

Test(sim_order, an_event_carries_the_order_to_another_stream)
{
    struct scene s = scene_new(CU_STREAM_NON_BLOCKING);

    ok(launch_fill(&s.code, s.a, 1, 5, s.first));
    ok(cuEventRecord(s.event, s.first));
    ok(launch_fill(&s.code, s.a, 1, 6, s.first));
    ok(cuStreamWaitEvent(s.second, s.event, 0));
    ok(launch_copy(&s.code, s.b, s.a, 1, s.second));
    ok(cuStreamSynchronize(s.second));
    cr_assert_eq(read_word(s.b), 5, "the wait ends at the record, not at the end of the stream");
    ok(cuStreamSynchronize(s.first));
    cr_assert_eq(read_word(s.a), 6);
}

Test(sim_order, a_wait_means_the_record_before_it)
{
    struct scene s = scene_new(CU_STREAM_NON_BLOCKING);

    ok(cuEventRecord(s.event, s.first));
    ok(cuStreamWaitEvent(s.second, s.event, 0));
    ok(launch_fill(&s.code, s.a, 1, 5, s.first));
    ok(cuEventRecord(s.event, s.first));
    ok(launch_copy(&s.code, s.b, s.a, 1, s.second));
    ok(cuStreamSynchronize(s.second));
    cr_assert_eq(read_word(s.b), 1);
    ok(cuEventSynchronize(s.event));
    cr_assert_eq(read_word(s.a), 5);
}

Test(sim_order, the_legacy_stream_waits_for_blocking_streams_and_they_for_it)
{
    struct scene s = scene_new(CU_STREAM_DEFAULT);

    ok(launch_fill(&s.code, s.a, 1, 5, s.first));
    ok(launch_copy(&s.code, s.b, s.a, 1, NULL));
    ok(launch_copy(&s.code, s.b + 4, s.b, 1, s.second));
    ok(cuStreamSynchronize(s.second));
    cr_assert_eq(read_word(s.b + 4), 5);
}

Test(sim_order, the_legacy_stream_leaves_non_blocking_streams_alone)
{
    struct scene s = scene_new(CU_STREAM_NON_BLOCKING);

    ok(launch_fill(&s.code, s.a, 1, 5, s.first));
    ok(launch_copy(&s.code, s.b, s.a, 1, NULL));
    ok(cuStreamSynchronize(NULL));
    cr_assert_eq(read_word(s.b), 1);
}

Test(sim_order, the_per_thread_stream_is_a_stream_of_its_own)
{
    struct scene s = scene_new(CU_STREAM_NON_BLOCKING);
    uint64_t launches = stats_now().launches;

    ok(launch_fill(&s.code, s.a, 1, 5, CU_STREAM_PER_THREAD));
    ok(cuStreamSynchronize(s.first));
    cr_assert_eq(stats_now().launches, launches);
    ok(cuStreamSynchronize_ptsz(NULL));
    cr_assert_eq(stats_now().launches, launches + 1);
    ok(cuMemsetD32_v2_ptds(s.a, 6, 1));
    ok(launch_copy(&s.code, s.b, s.a, 1, NULL));
    ok(cuStreamSynchronize(NULL));
    cr_assert_eq(read_word(s.b), 6, "per-thread streams are blocking streams");
}

static void *other_thread(void *argument)
{
    struct scene *s = argument;
    CUcontext context;

    ok(cuDevicePrimaryCtxRetain(&context, 0));
    ok(cuCtxSetCurrent(context));
    ok(launch_copy(&s->code, s->b, s->a, 1, CU_STREAM_PER_THREAD));
    ok(cuStreamSynchronize(CU_STREAM_PER_THREAD));
    return NULL;
}

Test(sim_order, each_thread_has_its_own_per_thread_stream)
{
    struct scene s = scene_new(CU_STREAM_NON_BLOCKING);
    pthread_t thread;

    ok(launch_fill(&s.code, s.a, 1, 5, CU_STREAM_PER_THREAD));
    pthread_create(&thread, NULL, other_thread, &s);
    pthread_join(thread, NULL);
    cr_assert_eq(read_word(s.b), 1);
}

Test(sim_order, pageable_memory_is_read_at_submission_and_pinned_memory_when_the_copy_runs)
{
    struct scene s = scene_new(CU_STREAM_NON_BLOCKING);
    uint32_t pageable = 10;
    uint32_t *pinned;

    ok(cuMemHostAlloc((void **)&pinned, 4096, 0));
    *pinned = 20;
    ok(cuMemcpyHtoDAsync_v2(s.a, &pageable, 4, s.first));
    ok(cuMemcpyHtoDAsync_v2(s.b, pinned, 4, s.first));
    pageable = 11;
    *pinned = 21;
    ok(cuStreamSynchronize(s.first));
    cr_assert_eq(read_word(s.a), 10);
    cr_assert_eq(read_word(s.b), 21);
}

Test(sim_order, a_copy_to_pinned_memory_needs_a_wait_and_one_to_pageable_memory_waits)
{
    struct scene s = scene_new(CU_STREAM_NON_BLOCKING);
    uint32_t pageable = 0;
    uint32_t *pinned;

    ok(cuMemHostAlloc((void **)&pinned, 4096, 0));
    *pinned = 0;
    ok(cuMemcpyDtoHAsync_v2(pinned, s.a, 4, s.first));
    cr_assert_eq(*pinned, 0);
    ok(cuMemcpyDtoHAsync_v2(&pageable, s.a, 4, s.first));
    cr_assert_eq(pageable, 1);
    cr_assert_eq(*pinned, 1);
}

Test(sim_order, copies_on_the_device_and_memsets_do_not_wait_even_without_async)
{
    struct scene s = scene_new(CU_STREAM_NON_BLOCKING);
    uint64_t copied = stats_now().bytes_on_device;

    ok(cuMemcpyDtoD_v2(s.a, s.b, 64));
    cr_assert_eq(stats_now().bytes_on_device, copied);
    ok(cuCtxSynchronize());
    cr_assert_eq(stats_now().bytes_on_device, copied + 64);
}

Test(sim_order, parameters_are_taken_at_submission)
{
    struct scene s = scene_new(CU_STREAM_NON_BLOCKING);
    uint64_t n = 1;
    uint32_t value = 7;
    void *params[] = {&s.a, &n, &value};

    ok(cuLaunchKernel(s.code.fill, 1, 1, 1, 1, 1, 1, 0, s.first, params, NULL));
    value = 8;
    ok(cuStreamSynchronize(s.first));
    cr_assert_eq(read_word(s.a), 7);
}

Test(sim_order, a_query_is_not_ready_once_and_then_moves_on)
{
    struct scene s = scene_new(CU_STREAM_NON_BLOCKING);

    ok(cuStreamQuery(s.first));
    ok(launch_fill(&s.code, s.a, 1, 5, s.first));
    ok(cuEventRecord(s.event, s.first));
    fails(cuEventQuery(s.event), CUDA_ERROR_NOT_READY);
    fails(cuStreamQuery(s.first), CUDA_ERROR_NOT_READY);
    ok(cuStreamQuery(s.first));
    ok(cuEventQuery(s.event));
    cr_assert_eq(read_word(s.a), 5);
}

Test(sim_order, a_destroyed_stream_keeps_its_work)
{
    struct scene s = scene_new(CU_STREAM_NON_BLOCKING);

    ok(launch_fill(&s.code, s.a, 1, 5, s.first));
    ok(cuStreamDestroy_v2(s.first));
    fails(cuStreamDestroy_v2(s.first), CUDA_ERROR_INVALID_HANDLE);
    fails(launch_fill(&s.code, s.a, 1, 6, s.first), CUDA_ERROR_INVALID_HANDLE);
    ok(cuCtxSynchronize());
    cr_assert_eq(read_word(s.a), 5);
    cr_assert_eq(stats_now().streams, 1);
}

Test(sim_order, freeing_memory_waits_for_the_device)
{
    struct scene s = scene_new(CU_STREAM_NON_BLOCKING);
    CUdeviceptr gone;

    ok(cuMemAlloc_v2(&gone, 4 * MIB));
    ok(launch_fill(&s.code, gone, 1, 5, s.first));
    ok(launch_copy(&s.code, s.b, gone, 1, s.first));
    ok(cuMemFree_v2(gone));
    ok(cuCtxSynchronize());
    cr_assert_eq(read_word(s.b), 5);
}

Test(sim_order, a_long_queue_runs_by_itself)
{
    struct scene s = scene_new(CU_STREAM_NON_BLOCKING);
    uint64_t launches = stats_now().launches;

    for (int i = 0; i < 5000; i++)
        ok(launch_fill(&s.code, s.a, 1, (uint32_t)i, s.first));
    cr_assert_gt(stats_now().launches, launches + 3000);
    ok(cuStreamSynchronize(s.first));
    cr_assert_eq(read_word(s.a), 4999);
}

struct host_call {
    struct scene *scene;
    CUresult inside;
    uint32_t order;
};

static void host_function(void *argument)
{
    struct host_call *call = argument;

    call->inside = cuCtxSynchronize();
    call->order++;
}

Test(sim_order, a_host_function_runs_in_its_place_and_may_not_call_the_driver)
{
    struct scene s = scene_new(CU_STREAM_NON_BLOCKING);
    struct host_call call = {.scene = &s};

    ok(launch_fill(&s.code, s.a, 1, 5, s.first));
    ok(cuLaunchHostFunc(s.first, host_function, &call));
    cr_assert_eq(call.order, 0);
    ok(cuEventRecord(s.event, s.first));
    ok(cuStreamWaitEvent(s.second, s.event, 0));
    ok(cuStreamSynchronize(s.second));
    cr_assert_eq(call.order, 1);
    cr_assert_eq(call.inside, CUDA_ERROR_NOT_PERMITTED);
    ok(cuCtxSynchronize());
    cr_assert_eq(call.order, 1);
}

Test(sim_order, events_tell_whether_and_when)
{
    struct scene s = scene_new(CU_STREAM_NON_BLOCKING);
    CUevent start_event;
    CUevent end_event;
    float elapsed = -1;

    ok(cuEventCreate(&start_event, 0));
    ok(cuEventCreate(&end_event, 0));
    fails(cuEventElapsedTime(&elapsed, start_event, end_event), CUDA_ERROR_INVALID_HANDLE);
    ok(cuEventQuery(start_event));
    ok(cuEventRecord(start_event, s.first));
    ok(launch_fill(&s.code, s.a, 1000, 5, s.first));
    ok(cuEventRecord(end_event, s.first));
    fails(cuEventElapsedTime(&elapsed, start_event, end_event), CUDA_ERROR_NOT_READY);
    ok(cuEventSynchronize(end_event));
    ok(cuEventElapsedTime(&elapsed, start_event, end_event));
    cr_assert_geq(elapsed, 0);
    fails(cuEventElapsedTime(&elapsed, start_event, s.event), CUDA_ERROR_INVALID_HANDLE);
    ok(cuEventDestroy_v2(start_event));
    fails(cuEventDestroy_v2(start_event), CUDA_ERROR_INVALID_HANDLE);
    cr_assert_eq(stats_now().events, 2);
}
