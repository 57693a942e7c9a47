/* SPDX-License-Identifier: MIT */

/* What inference is made of, for tests/test_ptx_kernels.c, which has each in plain C. */

#include "tests/cuda/device.cuh"

/* The sum or largest over a block of up to 1024 threads, in every thread. */
template <float (*combine_warp)(float)> DEVICE_FN float block_combine(float x, float empty)
{
    __shared__ float parts[WARP_LANES];
    unsigned lane = lane_index();

    x = combine_warp(x);
    if (lane == 0)
        parts[threadIdx.x / WARP_LANES] = x;
    __syncthreads();
    x = lane < (blockDim.x + WARP_LANES - 1) / WARP_LANES ? parts[lane] : empty;
    __syncthreads();
    return combine_warp(x);
}

/* One block to a row. */
KERNEL matvec(float *out, const float *weights, const float *in, unsigned columns)
{
    const float *row = weights + (size_t)blockIdx.x * columns;
    float sum = 0;

    for (unsigned i = threadIdx.x; i < columns; i += blockDim.x)
        sum = fmaf(row[i], in[i], sum);
    sum = block_combine<warp_sum>(sum, 0);
    if (threadIdx.x == 0)
        out[blockIdx.x] = sum;
}

KERNEL softmax(float *values, unsigned columns)
{
    float *row = values + (size_t)blockIdx.x * columns;
    float largest = -1e30f;
    float sum = 0;

    for (unsigned i = threadIdx.x; i < columns; i += blockDim.x)
        largest = fmaxf(largest, row[i]);
    largest = block_combine<warp_max>(largest, -1e30f);
    for (unsigned i = threadIdx.x; i < columns; i += blockDim.x)
        sum += row[i] = expf(row[i] - largest);
    sum = block_combine<warp_sum>(sum, 0);
    for (unsigned i = threadIdx.x; i < columns; i += blockDim.x)
        row[i] /= sum;
}

/* Through dynamic shared memory, without shuffles. */
DEVICE_FN float tree_sum(float *buffer, float x)
{
    buffer[threadIdx.x] = x;
    for (unsigned half = blockDim.x / 2; half; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half)
            buffer[threadIdx.x] += buffer[threadIdx.x + half];
    }
    __syncthreads();
    x = buffer[0];
    __syncthreads();
    return x;
}

KERNEL layernorm(float *out, const float *in, const float *gain, const float *bias,
                 unsigned columns, float epsilon)
{
    extern __shared__ float buffer[];
    const float *row = in + (size_t)blockIdx.x * columns;
    float sum = 0;
    float squares = 0;

    for (unsigned i = threadIdx.x; i < columns; i += blockDim.x)
        sum += row[i];
    float mean = tree_sum(buffer, sum) / columns;
    for (unsigned i = threadIdx.x; i < columns; i += blockDim.x)
        squares += (row[i] - mean) * (row[i] - mean);
    float scale = rsqrtf(tree_sum(buffer, squares) / columns + epsilon);
    for (unsigned i = threadIdx.x; i < columns; i += blockDim.x)
        out[(size_t)blockIdx.x * columns + i] = (row[i] - mean) * scale * gain[i] + bias[i];
}

/* A block to a position; neighbouring elements of a head turn by an angle. */
KERNEL rope(float2 *pairs, unsigned pairs_per_head, unsigned heads, float base)
{
    unsigned n = pairs_per_head * heads;

    for (unsigned i = threadIdx.x; i < n; i += blockDim.x) {
        float exponent = (float)(i % pairs_per_head) / pairs_per_head;
        float angle = blockIdx.x * __powf(base, -exponent);
        float2 pair = pairs[(size_t)blockIdx.x * n + i];
        float2 turned = {pair.x * cosf(angle) - pair.y * sinf(angle),
                         pair.x * sinf(angle) + pair.y * cosf(angle)};
        pairs[(size_t)blockIdx.x * n + i] = turned;
    }
}

/* 32 signed bytes and their common f16 scale, as GGUF files have them: aligned to 2 bytes only. */
struct block_q8_0 {
    uint16_t scale;
    int8_t values[32];
};

DEVICE_FN int four_bytes(const int8_t *at)
{
    const uint16_t *halves = (const uint16_t *)at;

    return halves[0] | halves[1] << 16;
}

/* One warp to a row; the vector is quantised likewise. */
KERNEL matvec_q8_0(float *out, const block_q8_0 *weights, const block_q8_0 *in, unsigned blocks)
{
    const block_q8_0 *row = weights + (size_t)blockIdx.x * blocks;
    float sum = 0;

    for (unsigned i = lane_index(); i < blocks; i += WARP_LANES) {
        int dot = 0;
        for (unsigned j = 0; j < 32; j += 4)
            dot = __dp4a(four_bytes(row[i].values + j), four_bytes(in[i].values + j), dot);
        sum += dot * half_to_float(row[i].scale) * half_to_float(in[i].scale);
    }
    sum = warp_sum(sum);
    if (lane_index() == 0)
        out[blockIdx.x] = sum;
}

KERNEL gather(float *out, const uint16_t *table, const int *tokens, unsigned columns)
{
    const uint16_t *row = table + (size_t)tokens[blockIdx.x] * columns;

    for (unsigned i = threadIdx.x; i < columns; i += blockDim.x)
        out[(size_t)blockIdx.x * columns + i] = half_to_float(row[i]);
}

__constant__ float coefficients[4] = {0.5f, -1.25f, 2.0f, 3.5f};
__device__ int calls;

__device__ __noinline__ float polynomial(float x, int degree, double *trace)
{
    float y = 0;

    atomicAdd(&calls, 1);
    for (int i = degree; i >= 0; i--)
        y = y * x + coefficients[i];
    *trace += y;
    return y;
}

/* Calls, local arrays indexed at run time, f64, switches and divergent loops. */
KERNEL mixture(float *out, const int *kinds, unsigned n)
{
    unsigned i = global_index();
    double history[4] = {1, 2, 3, 4};
    float x = 0.25f * (i % 7);

    if (i >= n)
        return;
    switch (kinds[i]) {
    case 0:
        x = polynomial(x, 3, &history[i % 4]);
        break;
    case 1:
        for (unsigned j = 0; j < i % 5; j++)
            x = polynomial(x, 2, &history[j]);
        break;
    case 2:
        x = -x;
        break;
    default:
        history[i / 3 % 4] *= x;
        break;
    }
    out[i] = x + (float)(history[0] * history[1] + history[2] * history[3]);
}
