/* SPDX-License-Identifier: MIT */
/*
 * Kernels of a BERT encoder, float32 throughout. Activations are row-major, one row per token;
 * sentences lie one after the other without padding.
 */
#include "tests/cuda/device.cuh"

/* Sum over a block of at most 1024 threads, in every thread. */
DEVICE_FN float block_sum(float x)
{
    static __shared__ float partial[WARP_LANES];
    unsigned warp = threadIdx.x / WARP_LANES;
    unsigned n_warps = (blockDim.x + WARP_LANES - 1) / WARP_LANES;
    float sum = warp_sum(x);

    __syncthreads();
    if (threadIdx.x % WARP_LANES == 0)
        partial[warp] = sum;
    __syncthreads();
    sum = 0;
    for (unsigned i = 0; i < n_warps; i++)
        sum += partial[i];
    return sum;
}

/* Layer norm of row[0..width), in place, by one block. A thread reads only what it wrote. */
DEVICE_FN void norm_row(float *row, const float *weight, const float *bias, unsigned width,
                        float epsilon)
{
    float sum = 0, squares = 0;

    for (unsigned i = threadIdx.x; i < width; i += blockDim.x)
        sum += row[i];
    float mean = block_sum(sum) / (float)width;
    for (unsigned i = threadIdx.x; i < width; i += blockDim.x) {
        float d = row[i] - mean;
        squares += d * d;
    }
    float scale = 1.0f / sqrtf(block_sum(squares) / (float)width + epsilon);
    for (unsigned i = threadIdx.x; i < width; i += blockDim.x)
        row[i] = (row[i] - mean) * scale * weight[i] + bias[i];
}

/* One block per token: word, position and type embeddings added up, then layer norm. */
KERNEL embed(float *out, const int *tokens, const int *positions, const float *token_table,
             const float *position_table, const float *type_table, const float *weight,
             const float *bias, unsigned width, float epsilon)
{
    float *row = out + (size_t)blockIdx.x * width;
    const float *word = token_table + (size_t)tokens[blockIdx.x] * width;
    const float *place = position_table + (size_t)positions[blockIdx.x] * width;

    for (unsigned i = threadIdx.x; i < width; i += blockDim.x)
        row[i] = word[i] + place[i] + type_table[i];
    norm_row(row, weight, bias, width, epsilon);
}

/* One block per token: x += y, then layer norm. */
KERNEL add_norm(float *x, const float *y, const float *weight, const float *bias, unsigned width,
                float epsilon)
{
    float *row = x + (size_t)blockIdx.x * width;

    y += (size_t)blockIdx.x * width;
    for (unsigned i = threadIdx.x; i < width; i += blockDim.x)
        row[i] += y[i];
    norm_row(row, weight, bias, width, epsilon);
}

DEVICE_FN float gelu(float x)
{
    return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
}

#define TILE 4

/*
 * out[t][o] = bias[o] + sum over i of in[t][i] * weight[o][i], then GELU if asked for. A thread
 * computes TILE tokens by TILE outputs; blockIdx.y counts groups of tokens. n_in and n_out are
 * multiples of 4. Rows beyond the last token are computed from it and not stored.
 */
KERNEL linear(float *out, const float *in, const float *weight, const float *bias,
              unsigned n_tokens, unsigned n_in, unsigned n_out, unsigned with_gelu)
{
    unsigned first_out = global_index() * TILE;
    unsigned first_token = blockIdx.y * TILE;
    const float4 *in_rows[TILE], *weight_rows[TILE];
    float sums[TILE][TILE] = {};

    if (first_out >= n_out)
        return;
#pragma unroll
    for (unsigned k = 0; k < TILE; k++) {
        unsigned token = first_token + k < n_tokens ? first_token + k : n_tokens - 1;
        in_rows[k] = (const float4 *)(in + (size_t)token * n_in);
        weight_rows[k] = (const float4 *)(weight + (size_t)(first_out + k) * n_in);
    }
    for (unsigned i = 0; i < n_in / 4; i++) {
        float4 w[TILE];
#pragma unroll
        for (unsigned o = 0; o < TILE; o++)
            w[o] = weight_rows[o][i];
#pragma unroll
        for (unsigned t = 0; t < TILE; t++) {
            float4 x = in_rows[t][i];
#pragma unroll
            for (unsigned o = 0; o < TILE; o++) {
                sums[t][o] = fmaf(x.x, w[o].x, sums[t][o]);
                sums[t][o] = fmaf(x.y, w[o].y, sums[t][o]);
                sums[t][o] = fmaf(x.z, w[o].z, sums[t][o]);
                sums[t][o] = fmaf(x.w, w[o].w, sums[t][o]);
            }
        }
    }
#pragma unroll
    for (unsigned t = 0; t < TILE && first_token + t < n_tokens; t++) {
#pragma unroll
        for (unsigned o = 0; o < TILE; o++) {
            float y = sums[t][o] + bias[first_out + o];
            out[(size_t)(first_token + t) * n_out + first_out + o] = with_gelu ? gelu(y) : y;
        }
    }
}

/*
 * One warp per token (blockIdx.x) and head (blockIdx.y): attention to every token of the same
 * sentence, which is tokens [begin, end). Dynamic shared memory: one float per token of the longest
 * sentence. head_size is a multiple of 4.
 */
KERNEL attention(float *out, const float *q, const float *k, const float *v, const int *begins,
                 const int *ends, unsigned width, unsigned head_size, float scale)
{
    extern __shared__ float scores[];
    unsigned begin = begins[blockIdx.x], n = ends[blockIdx.x] - begin;
    size_t column = (size_t)blockIdx.y * head_size;
    const float4 *query = (const float4 *)(q + (size_t)blockIdx.x * width + column);
    float largest = -3.0e38f, sum = 0;

    for (unsigned j = threadIdx.x; j < n; j += WARP_LANES) {
        const float4 *key = (const float4 *)(k + (size_t)(begin + j) * width + column);
        float dot = 0;
        for (unsigned i = 0; i < head_size / 4; i++) {
            float4 a = query[i], b = key[i];
            dot += a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w;
        }
        scores[j] = dot * scale;
        largest = fmaxf(largest, dot * scale);
    }
    largest = warp_max(largest);
    for (unsigned j = threadIdx.x; j < n; j += WARP_LANES) {
        scores[j] = expf(scores[j] - largest);
        sum += scores[j];
    }
    sum = warp_sum(sum);
    __syncthreads();
    for (unsigned i = threadIdx.x; i < head_size; i += WARP_LANES) {
        const float *value = v + (size_t)begin * width + column + i;
        float y = 0;
        for (unsigned j = 0; j < n; j++)
            y = fmaf(scores[j], value[(size_t)j * width], y);
        out[(size_t)blockIdx.x * width + column + i] = y / sum;
    }
}

/* One block per sentence: the mean of its tokens' rows, scaled to length 1. */
KERNEL pool(float *out, const float *in, const int *sentence_begins, unsigned width)
{
    unsigned begin = sentence_begins[blockIdx.x], end = sentence_begins[blockIdx.x + 1];
    float *row = out + (size_t)blockIdx.x * width;
    float squares = 0;

    for (unsigned i = threadIdx.x; i < width; i += blockDim.x) {
        float sum = 0;
        for (unsigned t = begin; t < end; t++)
            sum += in[(size_t)t * width + i];
        row[i] = sum / (float)(end - begin);
        squares += row[i] * row[i];
    }
    float length = sqrtf(block_sum(squares));
    for (unsigned i = threadIdx.x; i < width; i += blockDim.x)
        row[i] /= fmaxf(length, 1e-12f);
}
