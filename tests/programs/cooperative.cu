/* SPDX-License-Identifier: MIT */
/*
 * One launch whose blocks wait for each other between rounds, which only works when all run at once: a
 * cooperative one. nvcc has the toolkit's barrier of a grid; clang one made of a counter.
 */
#include "tests/programs/program.h"

#ifdef __NVCC__
#include <cooperative_groups.h>
#endif

#define COUNT   (1024 * 1024)
#define BYTES   (COUNT * sizeof(float))
#define BLOCKS  8
#define THREADS 256
#define ROUNDS  6

extern "C" const char program_name[] = "cooperative";

struct blur {
    float *from, *to;
    unsigned int *arrived;
    const float *first;
};

/* The `round`-th time that all blocks meet, counted from 1. */
__device__ void meet(unsigned int *arrived, unsigned int round)
{
#ifdef __NVCC__
    cooperative_groups::this_grid().sync();
#else
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        atomicAdd(arrived, 1u);
        while (*(volatile unsigned int *)arrived < round * gridDim.x)
            ;
        __threadfence();
    }
    __syncthreads();
#endif
}

__global__ void blur(float *from, float *to, unsigned int *arrived, unsigned int count)
{
    for (unsigned int round = 1; round <= ROUNDS; round++) {
        for (unsigned int i = blockIdx.x * THREADS + threadIdx.x; i < count;
             i += gridDim.x * THREADS) {
            float before = ((volatile float *)from)[i ? i - 1 : count - 1];
            float after = ((volatile float *)from)[i + 1 < count ? i + 1 : 0];

            to[i] = before * 0.5f + after * 0.5f;
        }
        meet(arrived, round);
        float *other = from;
        from = to;
        to = other;
    }
}

static void work(cudaStream_t stream, void *data)
{
    struct blur *state = (struct blur *)data;
    unsigned int count = COUNT;
    void *params[] = {&state->from, &state->to, &state->arrived, &count};

    CHECK(cudaMemsetAsync(state->arrived, 0, sizeof(*state->arrived), stream));
    CHECK(cudaMemcpyAsync(state->from, state->first, BYTES, cudaMemcpyDeviceToDevice, stream));
    CHECK(cudaLaunchCooperativeKernel((void *)blur, dim3(BLOCKS), dim3(THREADS), params, 0,
                                      stream));
}

extern "C" void program_run(void)
{
    float *values = (float *)host_memory(BYTES);
    float *expected = (float *)host_memory(BYTES);
    int can = 0;
    struct blur state;

    CHECK(cudaDeviceGetAttribute(&can, cudaDevAttrCooperativeLaunch, 0));
    if (!can)
        skip("this device has no cooperative launches");
    fill_floats(values, COUNT);
    state.first = (const float *)upload(values, BYTES);
    state.from = (float *)device_memory(BYTES);
    state.to = (float *)device_memory(BYTES);
    state.arrived = (unsigned int *)device_memory(sizeof(*state.arrived));
    repeat(work, &state, 2);
    for (int round = 0; round < ROUNDS; round++) {
        float *other = values;

        for (int i = 0; i < COUNT; i++)
            expected[i] = values[i ? i - 1 : COUNT - 1] * 0.5f +
                          values[i + 1 < COUNT ? i + 1 : 0] * 0.5f;
        values = expected;
        expected = other;
    }
    compare_floats("blurred", (float *)download(ROUNDS % 2 ? state.to : state.from, BYTES), values,
                   COUNT, 1e-6);
}
