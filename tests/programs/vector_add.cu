/* SPDX-License-Identifier: MIT */
/*
 * Sums of vectors, many of them one after the other; a factor in constant memory, a count in global.
 */
#include "tests/programs/program.h"

#define COUNT (512 * 1024)
#define PAIRS 4

extern "C" const char program_name[] = "vector_add";

__constant__ float factor;
__device__ unsigned int rounds;

__global__ void add(float *sum, const float *term, unsigned int count)
{
    for (unsigned int i = blockIdx.x * blockDim.x + threadIdx.x; i < count;
         i += gridDim.x * blockDim.x)
        sum[i] = sum[i] + factor * term[i];
}

__global__ void count_round()
{
    rounds++;
}

static void work(cudaStream_t stream, void *data)
{
    float **vectors = (float **)data;

    for (int i = 0; i < PAIRS; i++)
        add<<<64, 256, 0, stream>>>(vectors[2 * i], vectors[2 * i + 1], COUNT);
    count_round<<<1, 1, 0, stream>>>();
}

extern "C" void program_run(void)
{
    const float half = 0.5f;
    const int times = 3;
    int got = -1;
    float *values[2 * PAIRS];
    float *vectors[2 * PAIRS];

    for (int i = 0; i < 2 * PAIRS; i++) {
        values[i] = (float *)host_memory(COUNT * sizeof(float));
        fill_floats(values[i], COUNT);
        vectors[i] = (float *)upload(values[i], COUNT * sizeof(float));
    }
    CHECK(cudaMemcpyToSymbol(factor, &half, sizeof(half)));
    repeat(work, vectors, times);
    for (int i = 0; i < PAIRS; i++) {
        float *sums = (float *)download(vectors[2 * i], COUNT * sizeof(float));

        for (int n = 0; n < times; n++)
            for (int k = 0; k < COUNT; k++)
                values[2 * i][k] += half * values[2 * i + 1][k];
        compare_floats("sum", sums, values[2 * i], COUNT, 1e-6);
    }
    CHECK(cudaMemcpyFromSymbol(&got, rounds, sizeof(got)));
    compare_ints("rounds", &got, &times, 1);
}
