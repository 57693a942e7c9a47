/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One product of matrices, or many of one size: what every entry point of the library becomes, and
 * what the kernel is given, by value.
 *
 *     c = alpha * op_a(a) * op_b(b) + beta * c,  matrices by columns
 */

#include <cuda_runtime_api.h>

/* Types of values: of what is multiplied, and what is stored. Each row is a kernel. */
enum gemm_kind {
    GEMM_F32_F32,
    GEMM_F16_F16,
    GEMM_F16_F32,
    GEMM_BF16_BF16,
    GEMM_BF16_F32,
    GEMM_S8_S32,
    GEMM_S8_F32,
};

/* Of alpha and beta */
enum gemm_scalar {
    GEMM_SCALAR_F32,
    GEMM_SCALAR_F16,
    GEMM_SCALAR_S32,
};

struct gemm {
    /* With `arrays`, each points to an array of `count` pointers in device memory. */
    const void *a;
    const void *b;
    void *c;
    long long a_stride; /* in values, from one matrix to the next */
    long long b_stride;
    long long c_stride;
    int a_rows; /* from one column to the next, in values */
    int b_rows;
    int c_rows;
    int m;
    int n;
    int k;
    int count;
    int arrays;
    int a_transposed;
    int b_transposed;
    /* Values, or, where the pointers are set, what those point to in device memory. */
    enum gemm_scalar scalar;
    float alpha;
    float beta;
    const void *alpha_at;
    const void *beta_at;
};

#ifdef __cplusplus
extern "C"
#endif
    cudaError_t
    gemm_launch(enum gemm_kind kind, const struct gemm *gemm, cudaStream_t stream);
