/* SPDX-License-Identifier: MIT */
/*
 * Attention in one pass: keys and values come through shared memory a few at a time, and the sum so far
 * is scaled whenever a larger score turns up. A warp makes one row; later keys are hidden from it.
 */
#include "tests/programs/program.h"

#include <math.h>

#define HEADS  128
#define LENGTH 72
#define WIDTH  64
#define WARPS  4
#define TILE   16

extern "C" const char program_name[] = "attention";

struct attention {
    float *query, *key, *value, *out;
};

__device__ float sum_everywhere(float x)
{
    for (int step = 16; step > 0; step /= 2)
        x += __shfl_xor_sync(0xffffffffu, x, step);
    return x;
}

__global__ void attend(float *out, const float *query, const float *key, const float *value,
                       float scale)
{
    __shared__ float keys[TILE][WIDTH];
    __shared__ float values[TILE][WIDTH];
    size_t head = (size_t)blockIdx.y * LENGTH * WIDTH;
    int lane = threadIdx.x;
    int row = blockIdx.x * WARPS + threadIdx.y;
    float q[2] = {query[head + row * WIDTH + lane], query[head + row * WIDTH + lane + 32]};
    float sum[2] = {0.0f, 0.0f};
    float weight = 0.0f;
    float largest = -1e30f;

    for (int from = 0; from < LENGTH; from += TILE) {
        int count = LENGTH - from < TILE ? LENGTH - from : TILE;

        __syncthreads();
        for (int i = threadIdx.y * 32 + lane; i < count * WIDTH; i += WARPS * 32) {
            keys[i / WIDTH][i % WIDTH] = key[head + from * WIDTH + i];
            values[i / WIDTH][i % WIDTH] = value[head + from * WIDTH + i];
        }
        __syncthreads();
        for (int k = 0; k < count && from + k <= row; k++) {
            float score = sum_everywhere(q[0] * keys[k][lane] + q[1] * keys[k][lane + 32]) * scale;
            float above = fmaxf(largest, score);
            float old = __expf(largest - above);
            float share = __expf(score - above);

            weight = weight * old + share;
            sum[0] = sum[0] * old + share * values[k][lane];
            sum[1] = sum[1] * old + share * values[k][lane + 32];
            largest = above;
        }
    }
    out[head + row * WIDTH + lane] = sum[0] / weight;
    out[head + row * WIDTH + lane + 32] = sum[1] / weight;
}

static void work(cudaStream_t stream, void *data)
{
    const struct attention *at = (const struct attention *)data;

    attend<<<dim3(LENGTH / WARPS, HEADS), dim3(32, WARPS), 0, stream>>>(at->out, at->query, at->key,
                                                                       at->value, 0.125f);
}

static void expect_row(float *out, const float *query, const float *key, const float *value,
                       int row)
{
    double scores[LENGTH];
    double largest = -1e30;
    double weight = 0;

    for (int k = 0; k <= row; k++) {
        scores[k] = 0;
        for (int i = 0; i < WIDTH; i++)
            scores[k] += 0.125 * query[row * WIDTH + i] * key[k * WIDTH + i];
        largest = scores[k] > largest ? scores[k] : largest;
    }
    for (int k = 0; k <= row; k++)
        weight += scores[k] = exp(scores[k] - largest);
    for (int i = 0; i < WIDTH; i++) {
        double sum = 0;

        for (int k = 0; k <= row; k++)
            sum += scores[k] * value[k * WIDTH + i];
        out[row * WIDTH + i] = (float)(sum / weight);
    }
}

extern "C" void program_run(void)
{
    const size_t count = HEADS * LENGTH * WIDTH;
    float *parts[3];
    float *expected = (float *)host_memory(count * sizeof(float));
    struct attention at;

    for (int i = 0; i < 3; i++) {
        parts[i] = (float *)host_memory(count * sizeof(float));
        fill_floats(parts[i], count);
        for (size_t k = 0; i < 2 && k < count; k++)
            parts[i][k] *= 4;
    }
    at.query = (float *)upload(parts[0], count * sizeof(float));
    at.key = (float *)upload(parts[1], count * sizeof(float));
    at.value = (float *)upload(parts[2], count * sizeof(float));
    at.out = (float *)device_memory(count * sizeof(float));
    repeat(work, &at, 1);
    for (size_t head = 0; head < count; head += LENGTH * WIDTH)
        for (int row = 0; row < LENGTH; row++)
            expect_row(expected + head, parts[0] + head, parts[1] + head, parts[2] + head, row);
    compare_floats("attention", (float *)download(at.out, count * sizeof(float)), expected, count,
                   1e-5);
}
