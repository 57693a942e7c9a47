/* SPDX-License-Identifier: MIT */
/*
 * Kernels for measuring the PTX interpreter: the shapes that inference libraries spend their time
 * in. Quantised blocks are as GGUF files have them.
 */
#include "tests/cuda/device.cuh"

#define QUANTS     32
#define WARPS      4
#define TILE       16

/* 32 signed bytes and their f16 scale; aligned to 2 bytes only. */
struct block_q8_0 {
    uint16_t scale;
    int8_t quants[QUANTS];
};

/* 32 quants of 4 bits: the first 16 in the low halves of the bytes. */
struct block_q4_0 {
    uint16_t scale;
    uint8_t quants[QUANTS / 2];
};

/* A vector quantised on the way: scale, sum of the quants times the scale, quants. */
struct block_q8_1 {
    uint16_t scale, sum;
    int8_t quants[QUANTS];
};

DEVICE_FN int word_of_halves(const void *quants, unsigned i)
{
    const uint16_t *halves = (const uint16_t *)quants + 2 * i;

    return halves[0] | halves[1] << 16;
}

DEVICE_FN int word(const void *quants, unsigned i)
{
    return ((const int *)quants)[i];
}

DEVICE_FN float warp_total(float sum)
{
    for (unsigned lanes = WARP_LANES / 2; lanes; lanes /= 2)
        sum += __shfl_xor_sync(ALL_LANES, sum, lanes);
    return sum;
}

/* The sum over a block of WARPS warps, in thread 0. */
DEVICE_FN float block_total(float sum)
{
    static __shared__ float partial[WARPS - 1][WARP_LANES];

    if (threadIdx.y)
        partial[threadIdx.y - 1][threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y)
        return 0;
    for (unsigned i = 0; i < WARPS - 1; i++)
        sum += partial[i][threadIdx.x];
    return warp_total(sum);
}

/* Two words of 8 quants to a thread, four threads to a quantised block, one row to a block. */
KERNEL q8_0(float *out, const block_q8_0 *weights, const block_q8_1 *in, unsigned n_blocks)
{
    unsigned thread = threadIdx.y * WARP_LANES + threadIdx.x, piece = thread % 4 * 2;
    const block_q8_0 *row = weights + (size_t)blockIdx.x * n_blocks;
    float sum = 0;

    for (unsigned i = thread / 4; i < n_blocks; i += WARPS * WARP_LANES / 4) {
        int dot = 0;
        for (unsigned j = 0; j < 2; j++)
            dot = __dp4a(word_of_halves(row[i].quants, piece + j), word(in[i].quants, piece + j),
                         dot);
        sum += half_to_float(row[i].scale) * half_to_float(in[i].scale) * (float)dot;
    }
    sum = block_total(sum);
    if (thread == 0)
        out[blockIdx.x] = sum;
}

KERNEL q4_0(float *out, const block_q4_0 *weights, const block_q8_1 *in, unsigned n_blocks)
{
    unsigned thread = threadIdx.y * WARP_LANES + threadIdx.x, piece = thread % 2 * 2;
    const block_q4_0 *row = weights + (size_t)blockIdx.x * n_blocks;
    float sum = 0;

    for (unsigned i = thread / 2; i < n_blocks; i += WARPS * WARP_LANES / 2) {
        int dot = 0;
        for (unsigned j = 0; j < 2; j++) {
            int quants = word_of_halves(row[i].quants, piece + j);
            dot = __dp4a(quants & 0x0f0f0f0f, word(in[i].quants, piece + j), dot);
            dot = __dp4a(quants >> 4 & 0x0f0f0f0f, word(in[i].quants, piece + j + 4), dot);
        }
        /* 8 is taken off each quant; this thread has half of them. */
        sum += half_to_float(row[i].scale) *
               (half_to_float(in[i].scale) * (float)dot - 4.0f * half_to_float(in[i].sum));
    }
    sum = block_total(sum);
    if (thread == 0)
        out[blockIdx.x] = sum;
}

/* A row of f16 times a vector of floats. */
KERNEL f16(float *out, const uint32_t *weights, const float2 *in, unsigned n_pairs)
{
    unsigned thread = threadIdx.y * WARP_LANES + threadIdx.x;
    const uint32_t *row = weights + (size_t)blockIdx.x * n_pairs;
    float sum = 0;

    for (unsigned i = thread; i < n_pairs; i += WARPS * WARP_LANES) {
        uint32_t pair = row[i];
        float2 x = in[i];
        sum = fmaf(half_to_float((uint16_t)pair), x.x, sum);
        sum = fmaf(half_to_float((uint16_t)(pair >> 16)), x.y, sum);
    }
    sum = block_total(sum);
    if (thread == 0)
        out[blockIdx.x] = sum;
}

/* c = a * b of n by n numbers, in tiles of shared memory. */
KERNEL matmul(float *c, const float *a, const float *b, unsigned n)
{
    static __shared__ float tile_a[TILE][TILE], tile_b[TILE][TILE];
    unsigned row = blockIdx.y * TILE + threadIdx.y, column = blockIdx.x * TILE + threadIdx.x;
    float sum = 0;

    for (unsigned at = 0; at < n; at += TILE) {
        tile_a[threadIdx.y][threadIdx.x] = a[(size_t)row * n + at + threadIdx.x];
        tile_b[threadIdx.y][threadIdx.x] = b[(size_t)(at + threadIdx.y) * n + column];
        __syncthreads();
        for (unsigned i = 0; i < TILE; i++)
            sum = fmaf(tile_a[threadIdx.y][i], tile_b[i][threadIdx.x], sum);
        __syncthreads();
    }
    c[(size_t)row * n + column] = sum;
}

/* out = in * factor + out. */
KERNEL axpy(float *out, const float *in, float factor, unsigned n)
{
    unsigned i = global_index();

    if (i < n)
        out[i] = fmaf(in[i], factor, out[i]);
}

KERNEL nothing(void)
{
}
