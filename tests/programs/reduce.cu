/* SPDX-License-Identifier: MIT */
/*
 * A sum in two ways: blocks by shuffles and then a second kernel; and in one kernel, where the block
 * that is done last adds up what the others left, found out by a counter.
 */
#include "tests/programs/program.h"

#define COUNT   (1024 * 1024)
#define ARRAYS  4
#define BLOCKS  32
#define THREADS 256

extern "C" const char program_name[] = "reduce";

struct sums {
    float partial[ARRAYS][BLOCKS];
    float by_two[ARRAYS];
    float partial_again[ARRAYS][BLOCKS];
    float by_last[ARRAYS];
    unsigned int done[ARRAYS];
};

struct reduction {
    float *arrays[ARRAYS];
    struct sums *sums;
};

__device__ float sum_of_warp(float x)
{
    for (int step = 16; step > 0; step /= 2)
        x += __shfl_down_sync(0xffffffffu, x, step);
    return x;
}

/* The sum of what each thread has, in thread 0. */
__device__ float sum_of_block(float x)
{
    __shared__ float warps[THREADS / 32];

    x = sum_of_warp(x);
    __syncthreads();
    if (threadIdx.x % 32 == 0)
        warps[threadIdx.x / 32] = x;
    __syncthreads();
    x = threadIdx.x < THREADS / 32 ? warps[threadIdx.x] : 0.0f;
    return threadIdx.x < 32 ? sum_of_warp(x) : 0.0f;
}

__device__ float sum_of_share(const float *values, unsigned int count)
{
    float x = 0.0f;

    for (unsigned int i = blockIdx.x * THREADS + threadIdx.x; i < count; i += gridDim.x * THREADS)
        x += values[i];
    return sum_of_block(x);
}

__global__ void reduce(const float *values, unsigned int count, float *out)
{
    float x = sum_of_share(values, count);

    if (threadIdx.x == 0)
        out[blockIdx.x] = x;
}

__global__ void reduce_at_once(const float *values, unsigned int count, float *partial,
                               unsigned int *done, float *out)
{
    /* Volatile for clang, which otherwise takes other threads to see it before the barrier. */
    volatile __shared__ bool is_last;
    float x = sum_of_share(values, count);

    if (threadIdx.x == 0) {
        partial[blockIdx.x] = x;
        __threadfence();
        is_last = atomicAdd(done, 1u) == gridDim.x - 1;
    }
    __syncthreads();
    if (!is_last)
        return;
    x = threadIdx.x < gridDim.x ? ((volatile float *)partial)[threadIdx.x] : 0.0f;
    x = sum_of_block(x);
    if (threadIdx.x == 0) {
        *out = x;
        *done = 0;
    }
}

static void work(cudaStream_t stream, void *data)
{
    const struct reduction *reduction = (const struct reduction *)data;
    struct sums *sums = reduction->sums;

    CHECK(cudaMemsetAsync(sums->by_two, 0xff, sizeof(sums->by_two), stream));
    for (int i = 0; i < ARRAYS; i++) {
        const float *values = reduction->arrays[i];

        reduce<<<BLOCKS, THREADS, 0, stream>>>(values, COUNT, sums->partial[i]);
        reduce<<<1, THREADS, 0, stream>>>(sums->partial[i], BLOCKS, &sums->by_two[i]);
        reduce_at_once<<<BLOCKS, THREADS, 0, stream>>>(values, COUNT, sums->partial_again[i],
                                                       &sums->done[i], &sums->by_last[i]);
    }
}

extern "C" void program_run(void)
{
    struct reduction reduction;
    float *values = (float *)host_memory(COUNT * sizeof(float));
    float expected[ARRAYS];

    reduction.sums = (struct sums *)device_memory(sizeof(struct sums));
    CHECK(cudaMemset(reduction.sums, 0, sizeof(struct sums)));
    for (int i = 0; i < ARRAYS; i++) {
        double sum = 0;

        fill_floats(values, COUNT);
        for (int k = 0; k < COUNT; k++)
            sum += values[k];
        expected[i] = (float)sum;
        reduction.arrays[i] = (float *)upload(values, COUNT * sizeof(float));
    }
    repeat(work, &reduction, 2);
    compare_floats("by two kernels", (float *)download(reduction.sums->by_two, sizeof(expected)),
                   expected, ARRAYS, 1e-3);
    compare_floats("by the last block", (float *)download(reduction.sums->by_last, sizeof(expected)),
                   expected, ARRAYS, 1e-3);
}
