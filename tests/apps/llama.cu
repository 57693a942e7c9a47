/* SPDX-License-Identifier: MIT */
/*
 * Kernels of a llama decoder that computes one token at a time. Activations are float32, weights
 * are as the file has them: F32, F16, Q8_0 or Q4_0.
 *
 * A quantised row is a series of blocks of 32 numbers, each a half-precision scale followed by the
 * quants: Q8_0 has 32 signed bytes; Q4_0 has 16 bytes, whose low halves are numbers 0 to 15 and
 * whose high halves are numbers 16 to 31, all offset by 8. Blocks are 2-aligned only.
 */
#include "tests/cuda/device.cuh"

#define QUANTS     32
#define HALF       16 /* a thread's share of a block: rows are then long enough for a warp */
#define Q8_0_WORDS 17 /* a block in 16-bit words, scale included */
#define Q4_0_WORDS 9

DEVICE_FN float low_half(uint32_t pair)
{
    return half_to_float((uint16_t)pair);
}

DEVICE_FN float high_half(uint32_t pair)
{
    return half_to_float((uint16_t)(pair >> 16));
}

/*
 * Half of a block's numbers, without their scale. Of Q8_0 the first half is numbers 0 to 15; of Q4_0
 * it is the numbers in the first 8 bytes, 0 to 7 and then 16 to 23.
 */
DEVICE_FN void unpack_q8_0(const uint16_t *words, unsigned half, float out[HALF])
{
#pragma unroll
    for (unsigned i = 0; i < HALF / 2; i++) {
        int pair = (short)words[1 + half * HALF / 2 + i];
        out[2 * i] = (float)(signed char)pair;
        out[2 * i + 1] = (float)(pair >> 8);
    }
}

DEVICE_FN void unpack_q4_0(const uint16_t *words, unsigned half, float out[HALF])
{
#pragma unroll
    for (unsigned i = 0; i < HALF / 4; i++) {
        int word = words[1 + half * HALF / 4 + i];
        out[2 * i] = (float)((word & 15) - 8);
        out[2 * i + 8] = (float)((word >> 4 & 15) - 8);
        out[2 * i + 1] = (float)((word >> 8 & 15) - 8);
        out[2 * i + 9] = (float)((word >> 12) - 8);
    }
}

/* Where in the block numbers 0 to 7 and 8 to 15 of such a half are. */
DEVICE_FN unsigned first_q8_0(unsigned half)
{
    return half * 16;
}

DEVICE_FN unsigned second_q8_0(unsigned half)
{
    return half * 16 + 8;
}

DEVICE_FN unsigned first_q4_0(unsigned half)
{
    return half * 8;
}

DEVICE_FN unsigned second_q4_0(unsigned half)
{
    return half * 8 + 16;
}

/* One row of the embedding table: a thread per number, or per half block of a quantised row. */
KERNEL embed_f32(float *out, const float *table, const int *token, unsigned width)
{
    unsigned i = global_index();

    if (i < width)
        out[i] = table[(size_t)*token * width + i];
}

KERNEL embed_f16(float *out, const uint16_t *table, const int *token, unsigned width)
{
    unsigned i = global_index();

    if (i < width)
        out[i] = half_to_float(table[(size_t)*token * width + i]);
}

#define EMBED_QUANTISED(type, words_per_block)                                                     \
    KERNEL embed_##type(float *out, const uint16_t *table, const int *token, unsigned width)       \
    {                                                                                              \
        unsigned n_blocks = width / QUANTS, block = global_index() / 2, half = global_index() % 2; \
        const uint16_t *words = table + ((size_t)*token * n_blocks + block) * words_per_block;     \
        float *to = out + block * QUANTS, numbers[HALF];                                           \
                                                                                                   \
        if (block >= n_blocks)                                                                     \
            return;                                                                                \
        unpack_##type(words, half, numbers);                                                       \
        _Pragma("unroll")                                                                          \
        for (unsigned i = 0; i < HALF / 2; i++) {                                                  \
            to[first_##type(half) + i] = numbers[i] * half_to_float(words[0]);                     \
            to[second_##type(half) + i] = numbers[i + 8] * half_to_float(words[0]);                \
        }                                                                                          \
    }
EMBED_QUANTISED(q8_0, Q8_0_WORDS)
EMBED_QUANTISED(q4_0, Q4_0_WORDS)

/*
 * out[o] = sum over i of weight[o][i] * in[i], plus residual[o] unless that is null; out and
 * residual may be the same. One warp per output; lanes take parts of the row in turn and their sums
 * are added last.
 */
DEVICE_FN void store_sum(float *out, const float *residual, unsigned row, float sum)
{
    sum = warp_sum(sum);
    if (lane_index() == 0)
        out[row] = residual ? residual[row] + sum : sum;
}

#define MATVEC_ROW() ((blockIdx.x * blockDim.x + threadIdx.x) / WARP_LANES)

KERNEL matvec_f32(float *out, const float *weight, const float *in, const float *residual,
                  unsigned n_in, unsigned n_out)
{
    unsigned row = MATVEC_ROW();
    const float4 *w = (const float4 *)(weight + (size_t)row * n_in), *x = (const float4 *)in;
    float sum = 0;

    if (row >= n_out)
        return;
    for (unsigned i = lane_index(); i < n_in / 4; i += WARP_LANES) {
        float4 a = w[i], b = x[i];
        sum = fmaf(a.x, b.x, sum);
        sum = fmaf(a.y, b.y, sum);
        sum = fmaf(a.z, b.z, sum);
        sum = fmaf(a.w, b.w, sum);
    }
    store_sum(out, residual, row, sum);
}

KERNEL matvec_f16(float *out, const uint16_t *weight, const float *in, const float *residual,
                  unsigned n_in, unsigned n_out)
{
    unsigned row = MATVEC_ROW();
    const uint4 *w = (const uint4 *)(weight + (size_t)row * n_in);
    const float4 *x = (const float4 *)in;
    float sum = 0;

    if (row >= n_out)
        return;
    for (unsigned i = lane_index(); i < n_in / 8; i += WARP_LANES) {
        uint4 a = w[i];
        float4 b = x[2 * i], c = x[2 * i + 1];
        sum = fmaf(low_half(a.x), b.x, sum);
        sum = fmaf(high_half(a.x), b.y, sum);
        sum = fmaf(low_half(a.y), b.z, sum);
        sum = fmaf(high_half(a.y), b.w, sum);
        sum = fmaf(low_half(a.z), c.x, sum);
        sum = fmaf(high_half(a.z), c.y, sum);
        sum = fmaf(low_half(a.w), c.z, sum);
        sum = fmaf(high_half(a.w), c.w, sum);
    }
    store_sum(out, residual, row, sum);
}

#define MATVEC_QUANTISED(type, words_per_block)                                                    \
    KERNEL matvec_##type(float *out, const uint16_t *weight, const float *in,                      \
                         const float *residual, unsigned n_in, unsigned n_out)                     \
    {                                                                                              \
        unsigned row = MATVEC_ROW(), n_blocks = n_in / QUANTS;                                     \
        const uint16_t *words = weight + (size_t)row * n_blocks * words_per_block;                 \
        float sum = 0;                                                                             \
                                                                                                   \
        if (row >= n_out)                                                                          \
            return;                                                                                \
        for (unsigned at = lane_index(); at < 2 * n_blocks; at += WARP_LANES) {                    \
            const uint16_t *block = words + (size_t)(at / 2) * words_per_block;                    \
            const float *x = in + at / 2 * QUANTS;                                                 \
            const float4 *first = (const float4 *)(x + first_##type(at % 2));                      \
            const float4 *second = (const float4 *)(x + second_##type(at % 2));                    \
            float numbers[HALF], part = 0;                                                         \
            unpack_##type(block, at % 2, numbers);                                                 \
            _Pragma("unroll")                                                                      \
            for (unsigned i = 0; i < HALF / 4; i++) {                                              \
                float4 b = i < 2 ? first[i] : second[i - 2];                                       \
                part = fmaf(numbers[4 * i], b.x, part);                                            \
                part = fmaf(numbers[4 * i + 1], b.y, part);                                        \
                part = fmaf(numbers[4 * i + 2], b.z, part);                                        \
                part = fmaf(numbers[4 * i + 3], b.w, part);                                        \
            }                                                                                      \
            sum = fmaf(part, half_to_float(block[0]), sum);                                        \
        }                                                                                          \
        store_sum(out, residual, row, sum);                                                        \
    }
MATVEC_QUANTISED(q8_0, Q8_0_WORDS)
MATVEC_QUANTISED(q4_0, Q4_0_WORDS)

/* One block of 32 to 1024 threads: out = in / sqrt(mean of squares + epsilon) * weight. */
KERNEL rms_norm(float *out, const float *in, const float *weight, unsigned width, float epsilon)
{
    static __shared__ float partial[WARP_LANES];
    float squares = 0;

    for (unsigned i = threadIdx.x; i < width; i += blockDim.x)
        squares = fmaf(in[i], in[i], squares);
    squares = warp_sum(squares);
    if (lane_index() == 0)
        partial[threadIdx.x / WARP_LANES] = squares;
    __syncthreads();
    squares = 0;
    for (unsigned i = 0; i < blockDim.x / WARP_LANES; i++)
        squares += partial[i];
    float scale = 1.0f / sqrtf(squares / (float)width + epsilon);
    for (unsigned i = threadIdx.x; i < width; i += blockDim.x)
        out[i] = in[i] * scale * weight[i];
}

/*
 * Rotary position embedding of neighbouring pairs, in place; blockIdx.x is the head. `turns` has the
 * cosine and sine of each of a head's n_pairs angles at this position.
 */
KERNEL rope(float *x, const float2 *turns, unsigned head_size, unsigned n_pairs)
{
    float2 *pairs = (float2 *)(x + (size_t)blockIdx.x * head_size);

    for (unsigned i = threadIdx.x; i < n_pairs; i += blockDim.x) {
        float2 p = pairs[i], turn = turns[i];
        pairs[i] = float2{p.x * turn.x - p.y * turn.y, p.x * turn.y + p.y * turn.x};
    }
}

/*
 * One warp per head: attention of one query to n positions of the caches, whose rows hold the key
 * (value) heads of one position; `group` query heads share one of them. Dynamic shared memory: one
 * float per position. head_size is a multiple of 4.
 */
KERNEL attention(float *out, const float *q, const float *keys, const float *values, unsigned n,
                 unsigned head_size, unsigned group, unsigned row_width, float scale)
{
    extern __shared__ float scores[];
    size_t column = (size_t)(blockIdx.x / group) * head_size;
    const float4 *query = (const float4 *)(q + (size_t)blockIdx.x * head_size);
    float largest = -3.0e38f, sum = 0;

    for (unsigned j = threadIdx.x; j < n; j += WARP_LANES) {
        const float4 *key = (const float4 *)(keys + (size_t)j * row_width + column);
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
        float y = 0;
        for (unsigned j = 0; j < n; j++)
            y = fmaf(scores[j], values[(size_t)j * row_width + column + i], y);
        out[(size_t)blockIdx.x * head_size + i] = y / sum;
    }
}

/* gate = gate * sigmoid(gate) * up */
KERNEL swiglu(float *gate, const float *up, unsigned n)
{
    unsigned i = global_index();

    if (i < n)
        gate[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}
