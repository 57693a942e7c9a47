/* SPDX-License-Identifier: MIT */
/*
 * Host threads that each work in a default stream of their own (-default-stream per-thread), on their
 * own memory: nothing but the order within each thread makes the results right. With --graph each
 * captures its stream.
 */
#include "tests/programs/program.h"

#include <pthread.h>

#define THREADS 4
#define COUNT   (768 * 1024)
#define BYTES   (COUNT * sizeof(int))
#define ROUNDS  3

extern "C" const char program_name[] = "threads";

struct worker {
    pthread_t thread;
    int *values;
    int *copy;
    int *host; /* pinned */
};

__global__ void step(int *values, const int *copy, int factor, unsigned int count)
{
    for (unsigned int i = blockIdx.x * blockDim.x + threadIdx.x; i < count;
         i += gridDim.x * blockDim.x)
        values[i] = values[i] * factor + copy[count - 1 - i];
}

static void one_round(const struct worker *worker, int factor)
{
    CHECK(cudaMemcpyAsync(worker->copy, worker->values, BYTES, cudaMemcpyDeviceToDevice, 0));
    step<<<24, 256>>>(worker->values, worker->copy, factor, COUNT);
}

static void *run(void *data)
{
    struct worker *worker = (struct worker *)data;
    cudaGraphExec_t exec = NULL;
    cudaGraph_t graph;

    CHECK(cudaMemcpyAsync(worker->values, worker->host, BYTES, cudaMemcpyHostToDevice, 0));
    if (wants_graph()) {
        CHECK(cudaStreamBeginCapture(cudaStreamPerThread, cudaStreamCaptureModeThreadLocal));
        for (int i = 0; i < ROUNDS; i++)
            one_round(worker, i + 3);
        CHECK(cudaStreamEndCapture(cudaStreamPerThread, &graph));
        CHECK(cudaGraphInstantiate(&exec, graph, 0));
        CHECK(cudaGraphLaunch(exec, 0));
        CHECK(cudaGraphDestroy(graph));
    }
    for (int i = 0; !exec && i < ROUNDS; i++)
        one_round(worker, i + 3);
    CHECK(cudaGetLastError());
    CHECK(cudaMemcpyAsync(worker->host, worker->values, BYTES, cudaMemcpyDeviceToHost, 0));
    CHECK(cudaStreamSynchronize(0));
    if (exec)
        CHECK(cudaGraphExecDestroy(exec));
    return NULL;
}

extern "C" void program_run(void)
{
    struct worker workers[THREADS];
    unsigned int *expected = (unsigned int *)host_memory(BYTES);
    unsigned int *before = (unsigned int *)host_memory(BYTES);

    for (int t = 0; t < THREADS; t++) {
        CHECK(cudaMallocHost((void **)&workers[t].host, BYTES));
        workers[t].values = (int *)device_memory(BYTES);
        workers[t].copy = (int *)device_memory(BYTES);
        for (int i = 0; i < COUNT; i++)
            workers[t].host[i] = i * (t + 1);
    }
    for (int t = 0; t < THREADS; t++)
        if (pthread_create(&workers[t].thread, NULL, run, &workers[t]))
            require(cudaErrorUnknown, "pthread_create");
    /* A copy in the legacy stream, such as download() makes, would break into a capture. */
    for (int t = 0; t < THREADS; t++)
        if (pthread_join(workers[t].thread, NULL))
            require(cudaErrorUnknown, "pthread_join");
    for (int t = 0; t < THREADS; t++) {
        for (int i = 0; i < COUNT; i++)
            expected[i] = (unsigned int)(i * (t + 1));
        for (int round = 0; round < ROUNDS; round++) {
            for (int i = 0; i < COUNT; i++)
                before[i] = expected[i];
            for (int i = 0; i < COUNT; i++)
                expected[i] = before[i] * (unsigned int)(round + 3) + before[COUNT - 1 - i];
        }
        compare_ints("what the host got", workers[t].host, (int *)expected, COUNT);
        compare_ints("what the device has", (int *)download(workers[t].values, BYTES),
                     (int *)expected, COUNT);
        CHECK(cudaFreeHost(workers[t].host));
    }
}
