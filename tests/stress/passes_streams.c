/* SPDX-License-Identifier: MIT */
/* Programs with several streams and threads. */
#include "tests/stress/stage.h"

#include <pthread.h>
#include <semaphore.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static CUstream second;

static void read_in(CUstream stream, uint32_t sum, uint32_t tensor)
{
    LAUNCH_IN(stream, READ, stage.sum + sum * 8, tensor_at(tensor), TENSOR);
}

static void load(void)
{
    stage_start();
    MUST(cuStreamCreate(&second, CU_STREAM_NON_BLOCKING));
}

/* Joined at both ends of a pass, so that it can be captured. */
static void join(CUstream from, CUstream to)
{
    CUevent event;

    MUST(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    MUST(cuEventRecord(event, from));
    MUST(cuStreamWaitEvent(to, event, 0));
    MUST(cuEventDestroy(event));
}

static void two_streams(uint32_t number)
{
    join(passes_stream, second);
    for (uint32_t i = 0; i < TENSORS; i++) {
        read_in(i % 3 ? passes_stream : second, i % 3 ? 0 : 1, i);
        if (number % 4 == 3 && i == 7) {
            join(passes_stream, second);
            LAUNCH_IN(second, WRITE, tensor_at(i + number % 5), TENSOR, number);
            join(second, passes_stream);
        }
    }
    join(second, passes_stream);
}

/* Each thread, the whole model. */
struct reader {
    CUstream stream;
    uint32_t sum;
    uint32_t first;
};

static void *read_all(void *argument)
{
    const struct reader *reader = argument;

    MUST(cuCtxSetCurrent(stage.context));
    for (uint32_t i = 0; i < TENSORS; i++)
        read_in(reader->stream, reader->sum, reader->first + i);
    MUST(cuStreamSynchronize(reader->stream));
    return NULL;
}

static void read_in_threads(struct reader *readers, int n)
{
    pthread_t threads[SUMS];

    for (int i = 0; i < n; i++)
        pthread_create(&threads[i], NULL, read_all, &readers[i]);
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
}

static void two_threads(uint32_t number)
{
    struct reader readers[] = {{passes_stream, 0, 0}, {second, 1, number % 3}};

    read_in_threads(readers, 2);
}

static void default_streams(uint32_t number)
{
    struct reader readers[] = {{CU_STREAM_PER_THREAD, 0, 0}, {CU_STREAM_PER_THREAD, 1, 0}};

    (void)number;
    read_in_threads(readers, 2);
}

/* One thread reads, another writes what was read; the next pass sees it. */
static sem_t written;
static uint32_t write_number;

static void *write_all(void *unused)
{
    MUST(cuCtxSetCurrent(stage.context));
    for (uint32_t i = 0; i < TENSORS; i++) {
        LAUNCH_IN(second, WRITE_VIA, stage.table, i, TENSOR, write_number * 100 + i);
        sem_post(&written);
    }
    MUST(cuStreamSynchronize(second));
    return unused;
}

static void write_beside(uint32_t number)
{
    pthread_t thread;

    if (number % 5 != 4) {
        read_tensors();
        return;
    }
    write_number = number;
    pthread_create(&thread, NULL, write_all, NULL);
    for (uint32_t i = 0; i < TENSORS; i++) {
        while (sem_wait(&written))
            ;
        join(second, passes_stream);
        read_tensor(i);
    }
    pthread_join(thread, NULL);
}

/* Copies in a thread of their own, each waited for. */
static void *copy_all(void *unused)
{
    MUST(cuCtxSetCurrent(stage.context));
    for (uint32_t i = 0; i < TENSORS; i++) {
        MUST(cuMemsetD32Async(tensor_at(i), write_number * 100 + i, TENSOR / 4, second));
        sem_post(&written);
    }
    MUST(cuStreamSynchronize(second));
    return unused;
}

static void copy_beside(uint32_t number)
{
    pthread_t thread;

    if (number % 5 != 4) {
        read_tensors();
        return;
    }
    write_number = number;
    pthread_create(&thread, NULL, copy_all, NULL);
    for (uint32_t i = 0; i < TENSORS; i++) {
        while (sem_wait(&written))
            ;
        join(second, passes_stream);
        read_tensor(i);
    }
    pthread_join(thread, NULL);
}

static void load_for_threads(void)
{
    load();
    sem_init(&written, 0, 0);
}

/* A stream waits for the host, which first waits for another stream. */
static sem_t go_on;

/* In other orders than this the simulated driver may call it from the thread that it waits for. */
static void CUDA_CB wait_for_host(void *unused)
{
    const char *order = getenv("SIM_ORDER");

    (void)unused;
    while (order && !strcmp(order, "lazy") && sem_wait(&go_on))
        ;
}

static void held_stream(uint32_t number)
{
    bool holds = number % 4 == 3;

    if (holds)
        MUST(cuLaunchHostFunc(second, wait_for_host, NULL));
    for (uint32_t i = 0; i < TENSORS; i++) {
        read_in(second, 1, i);
        read_in(passes_stream, 0, i);
    }
    MUST(cuStreamSynchronize(passes_stream));
    if (holds)
        sem_post(&go_on);
    MUST(cuStreamSynchronize(second));
}

static void load_for_held_stream(void)
{
    load();
    sem_init(&go_on, 0, 0);
}

/* A handle that comes to mean another stream. */
static void new_stream(uint32_t number)
{
    (void)number;
    MUST(cuStreamSynchronize(second));
    MUST(cuStreamDestroy(second));
    MUST(cuStreamCreate(&second, CU_STREAM_NON_BLOCKING));
}

static void in_new_stream(uint32_t number)
{
    CUevent event;

    (void)number;
    MUST(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    for (uint32_t i = 0; i < TENSORS; i++) {
        read_in(second, 1, i);
        if (i % 4 == 3) {
            MUST(cuEventRecord(event, second));
            MUST(cuStreamDestroy(second));
            MUST(cuStreamCreate(&second, CU_STREAM_NON_BLOCKING));
            MUST(cuStreamWaitEvent(second, event, 0));
        }
        read_in(second, 2, i);
        MUST(cuStreamSynchronize(second));
    }
    MUST(cuEventDestroy(event));
}

/* Legacy default stream between others. */
static void default_stream(uint32_t number)
{
    for (uint32_t i = 0; i < TENSORS; i++) {
        read_in(i % 2 ? NULL : CU_STREAM_LEGACY, 0, i);
        if (number % 5 == 4 && i == 6)
            LAUNCH_IN(NULL, WRITE, tensor_at(number), TENSOR, number);
    }
}

const struct passes_program programs_with_streams[] = {
    {"two_streams", 20, load, two_streams, NULL, false, stage_stop, true, false},
    {"two_threads", 14, load, two_threads, NULL, true, stage_stop, false, false},
    {"default_streams", 14, load, default_streams, NULL, true, stage_stop, false, false},
    {"write_beside", 20, load_for_threads, write_beside, NULL, true, stage_stop, true, false},
    {"copy_beside", 20, load_for_threads, copy_beside, NULL, true, stage_stop, true, false},
    {"held_stream", 16, load_for_held_stream, held_stream, NULL, true, stage_stop, true, false},
    {"new_stream", 14, load, in_new_stream, new_stream, true, stage_stop, false, false},
    {"default_stream", 20, load, default_stream, NULL, true, stage_stop, true, false},
    {NULL},
};
