/* SPDX-License-Identifier: MIT */
/*
 * Stream-ordered memory: in every round, buffers are taken from the pool, filled, added up and given
 * back, in two streams that meet by events. With --graph the kernels of a round are a graph, which is
 * made once and updated to the buffers of each round.
 */
#include "tests/programs/program.h"

#define COUNT   (512 * 1024)
#define BYTES   (COUNT * sizeof(int))
#define BUFFERS 6
#define ROUNDS  5

extern "C" const char program_name[] = "pool";

struct round {
    int *buffers[BUFFERS];
    int *total;
    int number;
};

__global__ void fill(int *out, int seed, unsigned int count)
{
    for (unsigned int i = blockIdx.x * blockDim.x + threadIdx.x; i < count;
         i += gridDim.x * blockDim.x)
        out[i] = (int)(i * 2654435761u) / seed;
}

__global__ void add_up(int *total, const int *term, unsigned int count)
{
    for (unsigned int i = blockIdx.x * blockDim.x + threadIdx.x; i < count;
         i += gridDim.x * blockDim.x)
        total[i] = total[i] * 3 + term[i];
}

static void submit(cudaStream_t stream, const struct round *round)
{
    for (int i = 0; i < BUFFERS; i++)
        fill<<<32, 256, 0, stream>>>(round->buffers[i], round->number * BUFFERS + i + 1, COUNT);
    for (int i = 0; i < BUFFERS; i++)
        add_up<<<32, 256, 0, stream>>>(round->total, round->buffers[i], COUNT);
}

static void submit_graph(cudaGraphExec_t *exec, cudaStream_t stream, const struct round *round)
{
    cudaGraphExecUpdateResultInfo result;
    cudaGraph_t graph;

    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    submit(stream, round);
    CHECK(cudaStreamEndCapture(stream, &graph));
    if (*exec)
        CHECK(cudaGraphExecUpdate(*exec, graph, &result));
    else
        CHECK(cudaGraphInstantiate(exec, graph, 0));
    CHECK(cudaGraphDestroy(graph));
    CHECK(cudaGraphLaunch(*exec, stream));
}

extern "C" void program_run(void)
{
    cudaStream_t stream = program_stream();
    cudaStream_t giver;
    cudaEvent_t done;
    cudaGraphExec_t exec = NULL;
    struct round round;
    int *expected = (int *)host_memory(BYTES);

    round.total = (int *)upload(expected, BYTES);
    count_memory(BUFFERS * BYTES);
    CHECK(cudaStreamCreateWithFlags(&giver, cudaStreamNonBlocking));
    CHECK(cudaEventCreateWithFlags(&done, cudaEventDisableTiming));
    for (round.number = 0; round.number < ROUNDS; round.number++) {
        for (int i = 0; i < BUFFERS; i++)
            CHECK(cudaMallocAsync((void **)&round.buffers[i], BYTES, stream));
        if (wants_graph())
            submit_graph(&exec, stream, &round);
        else
            submit(stream, &round);
        CHECK(cudaEventRecord(done, stream));
        CHECK(cudaStreamWaitEvent(giver, done, 0));
        for (int i = 0; i < BUFFERS; i++)
            CHECK(cudaFreeAsync(round.buffers[i], i % 2 ? giver : stream));
        CHECK(cudaEventRecord(done, giver));
        CHECK(cudaStreamWaitEvent(stream, done, 0));
        for (int i = 0; i < BUFFERS; i++)
            for (unsigned int k = 0; k < COUNT; k++)
                expected[k] = (int)((unsigned int)expected[k] * 3 +
                                    (unsigned int)((int)(k * 2654435761u) /
                                                   (round.number * BUFFERS + i + 1)));
    }
    CHECK(cudaGetLastError());
    CHECK(cudaStreamSynchronize(stream));
    compare_ints("totals", (int *)download(round.total, BYTES), expected, COUNT);
    if (exec)
        CHECK(cudaGraphExecDestroy(exec));
    CHECK(cudaEventDestroy(done));
    CHECK(cudaStreamDestroy(giver));
}
