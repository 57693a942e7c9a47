/* SPDX-License-Identifier: MIT */
/*
 * The kernel: a tile of 16 by 16 results per block, a tile of each factor at a time in shared memory.
 *
 * Sums are floats, or integers for bytes that make integers. Plain, not fast.
 */
#include <cuda_runtime.h>
#include "tests/cublas/gemm.h"

#define TILE 16

struct f16 {
    uint16_t bits;
};
struct bf16 {
    uint16_t bits;
};

DEVICE_FN float widen(float x)
{
    return x;
}
DEVICE_FN float widen(f16 x)
{
    return half_to_float(x.bits);
}
DEVICE_FN float widen(bf16 x)
{
    return bfloat_to_float(x.bits);
}
DEVICE_FN int widen(int8_t x)
{
    return x;
}
DEVICE_FN int widen(int x)
{
    return x;
}

template <class Sum> DEVICE_FN void narrow(float *to, Sum x)
{
    *to = (float)x;
}
template <class Sum> DEVICE_FN void narrow(f16 *to, Sum x)
{
    to->bits = float_to_half((float)x);
}
template <class Sum> DEVICE_FN void narrow(bf16 *to, Sum x)
{
    to->bits = float_to_bfloat((float)x);
}
template <class Sum> DEVICE_FN void narrow(int *to, Sum x)
{
    *to = (int)x;
}

DEVICE_FN float scalar_value(enum gemm_scalar type, const void *at, float value)
{
    if (!at)
        return value;
    if (type == GEMM_SCALAR_F16)
        return half_to_float(*(const uint16_t *)at);
    return type == GEMM_SCALAR_S32 ? (float)*(const int *)at : *(const float *)at;
}

/* Matrix number `i`: the i-th of an array of pointers, or at a distance from the first. */
template <class T> DEVICE_FN T *matrix(void *base, int arrays, long long stride, int i)
{
    return arrays ? ((T *const *)base)[i] : (T *)base + stride * i;
}

template <class In, class Out, class Sum> DEVICE_FN void multiply(const struct gemm &gemm, int i)
{
    __shared__ Sum left[TILE][TILE + 1];
    __shared__ Sum right[TILE][TILE + 1];
    const In *a = matrix<In>((void *)gemm.a, gemm.arrays, gemm.a_stride, i);
    const In *b = matrix<In>((void *)gemm.b, gemm.arrays, gemm.b_stride, i);
    Out *c = matrix<Out>(gemm.c, gemm.arrays, gemm.c_stride, i);
    int x = threadIdx.x;
    int y = threadIdx.y;
    int row = blockIdx.x * TILE + x;
    int col = blockIdx.y * TILE + y;
    Sum sum = 0;

    for (int from = 0; from < gemm.k; from += TILE) {
        int across = from + y; /* of the left factor, whose rows lie beside each other */
        int along = from + x;

        left[y][x] = 0;
        right[y][x] = 0;
        if (row < gemm.m && across < gemm.k)
            left[y][x] = widen(a[gemm.a_transposed ? across + (size_t)row * gemm.a_rows
                                                   : row + (size_t)across * gemm.a_rows]);
        if (col < gemm.n && along < gemm.k)
            right[y][x] = widen(b[gemm.b_transposed ? col + (size_t)along * gemm.b_rows
                                                    : along + (size_t)col * gemm.b_rows]);
        __syncthreads();
        for (int l = 0; l < TILE; l++)
            sum += left[l][x] * right[y][l];
        __syncthreads();
    }
    if (row >= gemm.m || col >= gemm.n)
        return;
    Sum alpha = (Sum)scalar_value(gemm.scalar, gemm.alpha_at, gemm.alpha);
    Sum beta = (Sum)scalar_value(gemm.scalar, gemm.beta_at, gemm.beta);
    Out *at = c + row + (size_t)col * gemm.c_rows;

    /* Without beta, what is there may be anything, even no number. */
    narrow(at, beta == 0 ? alpha * sum : alpha * sum + beta * (Sum)widen(*at));
}

#define KERNELS(ROW)                                                                               \
    ROW(GEMM_F32_F32, gemm_f32_f32, float, float, float)                                           \
    ROW(GEMM_F16_F16, gemm_f16_f16, f16, f16, float)                                               \
    ROW(GEMM_F16_F32, gemm_f16_f32, f16, float, float)                                             \
    ROW(GEMM_BF16_BF16, gemm_bf16_bf16, bf16, bf16, float)                                         \
    ROW(GEMM_BF16_F32, gemm_bf16_f32, bf16, float, float)                                          \
    ROW(GEMM_S8_S32, gemm_s8_s32, int8_t, int, int)                                                \
    ROW(GEMM_S8_F32, gemm_s8_f32, int8_t, float, float)

#define DEFINE(kind, name, in, out, sum)                                                           \
    extern "C" __global__ void name(struct gemm gemm)                                              \
    {                                                                                              \
        for (int i = blockIdx.z; i < gemm.count; i += gridDim.z)                                   \
            multiply<in, out, sum>(gemm, i);                                                       \
    }
KERNELS(DEFINE)

extern "C" cudaError_t gemm_launch(enum gemm_kind kind, const struct gemm *gemm,
                                   cudaStream_t stream)
{
    dim3 grid((gemm->m + TILE - 1) / TILE, (gemm->n + TILE - 1) / TILE,
              gemm->count < 65535 ? gemm->count : 65535);
    dim3 block(TILE, TILE);

    switch (kind) {
#define LAUNCH(kind, name, in, out, sum)                                                           \
    case kind:                                                                                     \
        name<<<grid, block, 0, stream>>>(*gemm);                                                   \
        break;
        KERNELS(LAUNCH)
    }
    return cudaGetLastError();
}
