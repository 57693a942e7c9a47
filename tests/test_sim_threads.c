/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim_test.h"

TestSuite(sim_threads, .timeout = 120);

#define THREADS 4
#define ROUNDS  200

static struct device_code shared_code;

static void *worker(void *argument)
{
    uint32_t tag = (uint32_t)(uintptr_t)argument;
    CUcontext context;
    CUstream stream;
    CUevent event;

    ok(cuDevicePrimaryCtxRetain(&context, 0));
    ok(cuCtxSetCurrent(context));
    ok(cuStreamCreate(&stream, tag & 1 ? CU_STREAM_NON_BLOCKING : CU_STREAM_DEFAULT));
    ok(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t expected = tag * 1000000 + i;
        uint32_t word = 0;
        CUdeviceptr a;
        CUdeviceptr b;

        ok(cuMemAlloc_v2(&a, 4096 + i));
        ok(cuMemAllocAsync(&b, i % 3 ? 256 : 2 * MIB, stream));
        ok(launch_fill(&shared_code, a, 64, expected, stream));
        ok(launch_copy(&shared_code, b, a, 64, stream));
        ok(cuEventRecord(event, stream));
        ok(cuStreamWaitEvent(CU_STREAM_PER_THREAD, event, 0));
        ok(cuMemcpyDtoHAsync_v2(&word, b + 63 * 4, 4, CU_STREAM_PER_THREAD));
        ok(cuStreamSynchronize(CU_STREAM_PER_THREAD));
        cr_assert_eq(word, expected);
        ok(cuMemFreeAsync(b, stream));
        ok(cuMemFree_v2(a));
    }
    ok(cuStreamSynchronize(stream));
    ok(cuEventDestroy_v2(event));
    ok(cuStreamDestroy_v2(stream));
    return NULL;
}

Test(sim_threads, many_threads_get_their_own_answers)
{
    pthread_t threads[THREADS];

    start();
    shared_code = load_code();
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, worker, (void *)(i + 1));
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ok(cuCtxSynchronize());
    cr_assert_eq(stats_now().device_used, 0);
    cr_assert_eq(stats_now().allocations, 0);
    cr_assert_eq(stats_now().streams, 0);
    cr_assert_eq(stats_now().events, 0);
}

/* Moves a page between two handles again and again, checking that its content follows. */
static void *mapper(void *argument)
{
    uint32_t tag = (uint32_t)(uintptr_t)argument;
    CUmemAllocationProp props[] = {device_prop(), host_prop()};
    CUmemGenericAllocationHandle handle;
    CUdeviceptr copy;
    CUdeviceptr base;
    CUcontext context;

    ok(cuDevicePrimaryCtxRetain(&context, 0));
    ok(cuCtxSetCurrent(context));
    ok(cuMemAlloc_v2(&copy, 4096));
    ok(cuMemAddressReserve(&base, 4 * PAGE, 0, 0, 0));
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t expected = tag * 1000000 + i;
        CUdeviceptr page = base + i % 4 * PAGE;

        ok(cuMemCreate(&handle, PAGE, &props[i % 2], 0));
        ok(cuMemMap(page, PAGE, 0, handle, 0));
        ok(allow_device(page, PAGE));
        ok(launch_fill(&shared_code, page + 64, 1, expected, CU_STREAM_PER_THREAD));
        ok(launch_copy(&shared_code, copy, page + 64, 1, CU_STREAM_PER_THREAD));
        ok(cuStreamSynchronize(CU_STREAM_PER_THREAD));
        ok(cuMemUnmap(page, PAGE));
        ok(cuMemRelease(handle));
        cr_assert_eq(read_word(copy), expected);
    }
    ok(cuMemAddressFree(base, 4 * PAGE));
    ok(cuMemFree_v2(copy));
    return NULL;
}

Test(sim_threads, many_threads_map_and_unmap)
{
    pthread_t threads[THREADS];

    start();
    shared_code = load_code();
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, mapper, (void *)(i + 1));
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(stats_now().device_used, 0);
    cr_assert_eq(stats_now().host_used, 0);
    cr_assert_eq(stats_now().handles, 0);
    cr_assert_eq(stats_now().reservations, 0);
}

static pthread_mutex_t program_lock = PTHREAD_MUTEX_INITIALIZER;
static int host_calls;

static void count_under_lock(void *argument)
{
    pthread_mutex_lock(&program_lock);
    host_calls++;
    pthread_mutex_unlock(&program_lock);
}

static void *submit_under_lock(void *argument)
{
    CUcontext context;
    CUstream stream;

    ok(cuDevicePrimaryCtxRetain(&context, 0));
    ok(cuCtxSetCurrent(context));
    ok(cuStreamCreate(&stream, CU_STREAM_DEFAULT));
    for (int i = 0; i < ROUNDS; i++) {
        ok(cuLaunchHostFunc(stream, count_under_lock, NULL));
        /* A driver call under a lock that host functions need, as programs do. */
        pthread_mutex_lock(&program_lock);
        ok(cuStreamIsCapturing(stream, &(CUstreamCaptureStatus){0}));
        pthread_mutex_unlock(&program_lock);
        ok(cuStreamSynchronize(i % 2 ? stream : NULL));
    }
    ok(cuStreamDestroy_v2(stream));
    return NULL;
}

Test(sim_threads, host_functions_run_without_the_drivers_lock)
{
    pthread_t threads[THREADS];

    start();
    for (size_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, submit_under_lock, NULL);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ok(cuCtxSynchronize());
    cr_assert_eq(host_calls, THREADS * ROUNDS);
}

static int exit_status(pid_t child)
{
    int status;

    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFEXITED(status), "the child ended by a signal");
    return WEXITSTATUS(status);
}

Test(sim_threads, a_child_of_an_initialised_process_has_no_driver)
{
    CUdeviceptr address;
    size_t bytes;
    int version;
    int count;
    pid_t child;

    start();
    ok(cuMemAlloc_v2(&address, 4096));
    child = fork();
    if (!child) {
        bool refused = cuInit(0) == CUDA_ERROR_NOT_INITIALIZED &&
                       cuDeviceGetCount(&count) == CUDA_ERROR_NOT_INITIALIZED &&
                       cuMemAlloc_v2(&address, 4) == CUDA_ERROR_NOT_INITIALIZED &&
                       cuMemGetInfo_v2(&bytes, &bytes) == CUDA_ERROR_NOT_INITIALIZED &&
                       cuCtxSynchronize() == CUDA_ERROR_NOT_INITIALIZED &&
                       cuDriverGetVersion(&version) == CUDA_SUCCESS;

        _exit(refused ? 0 : 1);
    }
    cr_assert_eq(exit_status(child), 0);
    ok(cuMemFree_v2(address));
}

Test(sim_threads, a_child_of_an_uninitialised_process_starts_afresh)
{
    pid_t child = fork();
    CUdeviceptr address;

    if (!child) {
        CUcontext context;
        bool works = cuInit(0) == CUDA_SUCCESS &&
                     cuDevicePrimaryCtxRetain(&context, 0) == CUDA_SUCCESS &&
                     cuCtxSetCurrent(context) == CUDA_SUCCESS &&
                     cuMemAlloc_v2(&address, 4096) == CUDA_SUCCESS;

        _exit(works ? 0 : 1);
    }
    cr_assert_eq(exit_status(child), 0);
    start();
}
