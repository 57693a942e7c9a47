/* SPDX-License-Identifier: MIT */
/*
 * A stand-in for cuBLAS: plain matrix products. Every call becomes a struct gemm and one launch.
 *
 * Beyond the handle nothing is remembered; a workspace is taken and not used; modes of mathematics
 * change nothing, as sums are always exact to a float. cudaGetLastError() of the calling thread is
 * used up by a launch, as by the real library.
 */
#include "tests/cublas/include/cublas_v2.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "runtime/util.h"
#include "tests/cublas/gemm.h"
#include "tests/half.h"

#define EXPORT __attribute__((visibility("default")))

struct cublasContext {
    cudaStream_t stream;
    cublasMath_t math;
    cublasPointerMode_t pointers;
};

static const struct {
    cublasStatus_t status;
    const char *name;
    const char *text;
} statuses[] = {
    {CUBLAS_STATUS_SUCCESS, "CUBLAS_STATUS_SUCCESS", "success"},
    {CUBLAS_STATUS_NOT_INITIALIZED, "CUBLAS_STATUS_NOT_INITIALIZED", "there is no handle"},
    {CUBLAS_STATUS_ALLOC_FAILED, "CUBLAS_STATUS_ALLOC_FAILED", "out of memory"},
    {CUBLAS_STATUS_INVALID_VALUE, "CUBLAS_STATUS_INVALID_VALUE", "a wrong argument"},
    {CUBLAS_STATUS_EXECUTION_FAILED, "CUBLAS_STATUS_EXECUTION_FAILED", "a launch failed"},
    {CUBLAS_STATUS_NOT_SUPPORTED, "CUBLAS_STATUS_NOT_SUPPORTED", "not supported"},
};

EXPORT const char *cublasGetStatusName(cublasStatus_t status)
{
    for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
        if (statuses[i].status == status)
            return statuses[i].name;
    return "unknown";
}

EXPORT const char *cublasGetStatusString(cublasStatus_t status)
{
    for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
        if (statuses[i].status == status)
            return statuses[i].text;
    return "unknown";
}

EXPORT cublasStatus_t cublasCreate_v2(cublasHandle_t *handle)
{
    if (!handle)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (cudaFree(NULL)) /* a context is needed now */
        return CUBLAS_STATUS_NOT_INITIALIZED;
    *handle = calloc(1, sizeof(**handle));
    return *handle ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}

EXPORT cublasStatus_t cublasDestroy_v2(cublasHandle_t handle)
{
    free(handle);
    return handle ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_INITIALIZED;
}

EXPORT cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void *workspace, size_t bytes)
{
    if (!handle)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    return (uintptr_t)workspace % 256 ? CUBLAS_STATUS_INVALID_VALUE : CUBLAS_STATUS_SUCCESS;
}

/* What a handle is told and tells. */
#define SET(name, type, member)                                                                    \
    EXPORT cublasStatus_t name(cublasHandle_t handle, type value)                                  \
    {                                                                                              \
        if (!handle)                                                                               \
            return CUBLAS_STATUS_NOT_INITIALIZED;                                                  \
        handle->member = value;                                                                    \
        return CUBLAS_STATUS_SUCCESS;                                                              \
    }
#define GET(name, type, expression)                                                                \
    EXPORT cublasStatus_t name(cublasHandle_t handle, type *value)                                 \
    {                                                                                              \
        if (!handle)                                                                               \
            return CUBLAS_STATUS_NOT_INITIALIZED;                                                  \
        if (!value)                                                                                \
            return CUBLAS_STATUS_INVALID_VALUE;                                                    \
        *value = expression;                                                                       \
        return CUBLAS_STATUS_SUCCESS;                                                              \
    }
SET(cublasSetStream_v2, cudaStream_t, stream)
GET(cublasGetStream_v2, cudaStream_t, handle->stream)
SET(cublasSetMathMode, cublasMath_t, math)
GET(cublasGetMathMode, cublasMath_t, handle->math)
SET(cublasSetPointerMode_v2, cublasPointerMode_t, pointers)
GET(cublasGetPointerMode_v2, cublasPointerMode_t, handle->pointers)
GET(cublasGetVersion_v2, int, 130000)

/* A matrix as a call has it: values, or pointers to them. */
struct operand {
    const void *at;
    cudaDataType type;
    int rows;
    long long stride;
};

struct call {
    cublasOperation_t op_a, op_b;
    int m, n, k;
    int count;
    bool arrays;
    const void *alpha, *beta;
    struct operand a, b, c;
    cublasComputeType_t compute;
};

static const struct {
    cudaDataType in;
    cudaDataType out;
    enum gemm_kind kind;
} kinds[] = {
    {CUDA_R_32F, CUDA_R_32F, GEMM_F32_F32},   {CUDA_R_16F, CUDA_R_16F, GEMM_F16_F16},
    {CUDA_R_16F, CUDA_R_32F, GEMM_F16_F32},   {CUDA_R_16BF, CUDA_R_16BF, GEMM_BF16_BF16},
    {CUDA_R_16BF, CUDA_R_32F, GEMM_BF16_F32}, {CUDA_R_8I, CUDA_R_32I, GEMM_S8_S32},
    {CUDA_R_8I, CUDA_R_32F, GEMM_S8_F32},
};

static enum gemm_scalar scalar_type(cublasComputeType_t compute)
{
    switch (compute) {
    case CUBLAS_COMPUTE_16F:
    case CUBLAS_COMPUTE_16F_PEDANTIC:
        return GEMM_SCALAR_F16;
    case CUBLAS_COMPUTE_32I:
    case CUBLAS_COMPUTE_32I_PEDANTIC:
        return GEMM_SCALAR_S32;
    default:
        return GEMM_SCALAR_F32;
    }
}

static bool find_kind(const struct call *call, enum gemm_kind *out)
{
    enum gemm_scalar scalar = scalar_type(call->compute);

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (kinds[i].in != call->a.type || kinds[i].in != call->b.type ||
            kinds[i].out != call->c.type)
            continue;
        *out = kinds[i].kind;
        /* Integers are summed as integers, and halves alone as halves. */
        return (scalar == GEMM_SCALAR_S32) == (*out == GEMM_S8_S32) &&
               (scalar != GEMM_SCALAR_F16 || *out == GEMM_F16_F16);
    }
    return false;
}

static float scalar_on_host(enum gemm_scalar type, const void *at)
{
    switch (type) {
    case GEMM_SCALAR_F16:
        return float_of(*(const uint16_t *)at);
    case GEMM_SCALAR_S32:
        return (float)*(const int *)at;
    default:
        return *(const float *)at;
    }
}

static bool is_transposed(cublasOperation_t op)
{
    return op != CUBLAS_OP_N;
}

/* A column has at least as many values as the matrix has rows, as it lies. */
static bool sizes_are_right(const struct call *call)
{
    int a_least = is_transposed(call->op_a) ? call->k : call->m;
    int b_least = is_transposed(call->op_b) ? call->n : call->k;

    return call->m >= 0 && call->n >= 0 && call->k >= 0 && call->count >= 0 &&
           (unsigned int)call->op_a <= CUBLAS_OP_C && (unsigned int)call->op_b <= CUBLAS_OP_C &&
           call->a.rows >= (a_least > 1 ? a_least : 1) &&
           call->b.rows >= (b_least > 1 ? b_least : 1) &&
           call->c.rows >= (call->m > 1 ? call->m : 1) && call->alpha && call->beta;
}

static void set_scalars(const struct cublasContext *context, const struct call *call,
                        struct gemm *gemm)
{
    gemm->scalar = scalar_type(call->compute);
    if (context->pointers == CUBLAS_POINTER_MODE_DEVICE) {
        gemm->alpha_at = call->alpha;
        gemm->beta_at = call->beta;
        return;
    }
    gemm->alpha = scalar_on_host(gemm->scalar, call->alpha);
    gemm->beta = scalar_on_host(gemm->scalar, call->beta);
}

static cublasStatus_t run(const struct cublasContext *context, const struct call *call)
{
    enum gemm_kind kind;
    struct gemm gemm = {
        .a = call->a.at,
        .b = call->b.at,
        .c = (void *)call->c.at,
        .a_stride = call->a.stride,
        .b_stride = call->b.stride,
        .c_stride = call->c.stride,
        .a_rows = call->a.rows,
        .b_rows = call->b.rows,
        .c_rows = call->c.rows,
        .m = call->m,
        .n = call->n,
        .k = call->k,
        .count = call->count,
        .arrays = call->arrays,
        .a_transposed = is_transposed(call->op_a),
        .b_transposed = is_transposed(call->op_b),
    };

    if (!context)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!sizes_are_right(call))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (!find_kind(call, &kind))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (!call->m || !call->n || !call->count)
        return CUBLAS_STATUS_SUCCESS;
    set_scalars(context, call, &gemm);
    return gemm_launch(kind, &gemm, context->stream) ? CUBLAS_STATUS_EXECUTION_FAILED
                                                     : CUBLAS_STATUS_SUCCESS;
}

/* The calls. What differs is how matrices are given, and the types. */
#define CALL(name, params) EXPORT cublasStatus_t name(params);
#define PARAMS(...)        __VA_ARGS__
#include "tests/cublas/include/cublas_calls.def"

#define SIZES .op_a = op_a, .op_b = op_b, .m = m, .n = n, .k = k, .alpha = alpha, .beta = beta
#define TYPED(letter, value, data_type, compute_type)                                              \
    EXPORT cublasStatus_t letter(cublasHandle_t handle, cublasOperation_t op_a,                    \
                                 cublasOperation_t op_b, int m, int n, int k, const value *alpha,  \
                                 const value *a, int lda, const value *b, int ldb,                 \
                                 const value *beta, value *c, int ldc)                             \
    {                                                                                              \
        return run(handle, &(struct call){SIZES, .count = 1, .a = {a, data_type, lda, 0},          \
                                          .b = {b, data_type, ldb, 0},                             \
                                          .c = {c, data_type, ldc, 0}, .compute = compute_type});  \
    }
#define TYPED_STRIDED(name, value, data_type, compute_type)                                        \
    EXPORT cublasStatus_t name(cublasHandle_t handle, cublasOperation_t op_a,                      \
                               cublasOperation_t op_b, int m, int n, int k, const value *alpha,    \
                               const value *a, int lda, long long a_stride, const value *b,        \
                               int ldb, long long b_stride, const value *beta, value *c, int ldc,  \
                               long long c_stride, int count)                                      \
    {                                                                                              \
        return run(handle,                                                                         \
                   &(struct call){SIZES, .count = count, .a = {a, data_type, lda, a_stride},       \
                                  .b = {b, data_type, ldb, b_stride},                              \
                                  .c = {c, data_type, ldc, c_stride}, .compute = compute_type});   \
    }
#define TYPED_ARRAYS(name, value, data_type, compute_type)                                         \
    EXPORT cublasStatus_t name(cublasHandle_t handle, cublasOperation_t op_a,                      \
                               cublasOperation_t op_b, int m, int n, int k, const value *alpha,    \
                               const value *const a[], int lda, const value *const b[], int ldb,   \
                               const value *beta, value *const c[], int ldc, int count)            \
    {                                                                                              \
        return run(handle,                                                                         \
                   &(struct call){SIZES, .count = count, .arrays = true,                           \
                                  .a = {a, data_type, lda, 0}, .b = {b, data_type, ldb, 0},        \
                                  .c = {c, data_type, ldc, 0}, .compute = compute_type});          \
    }
TYPED(cublasSgemm_v2, float, CUDA_R_32F, CUBLAS_COMPUTE_32F)
TYPED(cublasHgemm, __half, CUDA_R_16F, CUBLAS_COMPUTE_16F)
TYPED_STRIDED(cublasSgemmStridedBatched, float, CUDA_R_32F, CUBLAS_COMPUTE_32F)
TYPED_STRIDED(cublasHgemmStridedBatched, __half, CUDA_R_16F, CUBLAS_COMPUTE_16F)
TYPED_ARRAYS(cublasSgemmBatched, float, CUDA_R_32F, CUBLAS_COMPUTE_32F)
TYPED_ARRAYS(cublasHgemmBatched, __half, CUDA_R_16F, CUBLAS_COMPUTE_16F)

EXPORT cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t op_a,
                                   cublasOperation_t op_b, int m, int n, int k, const void *alpha,
                                   const void *a, cudaDataType a_type, int lda, const void *b,
                                   cudaDataType b_type, int ldb, const void *beta, void *c,
                                   cudaDataType c_type, int ldc, cublasComputeType_t compute,
                                   cublasGemmAlgo_t algorithm)
{
    return run(handle,
               &(struct call){SIZES, .count = 1, .a = {a, a_type, lda, 0}, .b = {b, b_type, ldb, 0},
                              .c = {c, c_type, ldc, 0}, .compute = compute});
}

EXPORT cublasStatus_t cublasSgemmEx(cublasHandle_t handle, cublasOperation_t op_a,
                                    cublasOperation_t op_b, int m, int n, int k, const float *alpha,
                                    const void *a, cudaDataType a_type, int lda, const void *b,
                                    cudaDataType b_type, int ldb, const float *beta, void *c,
                                    cudaDataType c_type, int ldc)
{
    return cublasGemmEx(handle, op_a, op_b, m, n, k, alpha, a, a_type, lda, b, b_type, ldb, beta, c,
                        c_type, ldc, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
}

EXPORT cublasStatus_t cublasGemmStridedBatchedEx(
    cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k,
    const void *alpha, const void *a, cudaDataType a_type, int lda, long long a_stride,
    const void *b, cudaDataType b_type, int ldb, long long b_stride, const void *beta, void *c,
    cudaDataType c_type, int ldc, long long c_stride, int count, cublasComputeType_t compute,
    cublasGemmAlgo_t algorithm)
{
    return run(handle, &(struct call){SIZES, .count = count, .a = {a, a_type, lda, a_stride},
                                      .b = {b, b_type, ldb, b_stride},
                                      .c = {c, c_type, ldc, c_stride}, .compute = compute});
}

EXPORT cublasStatus_t cublasGemmBatchedEx(cublasHandle_t handle, cublasOperation_t op_a,
                                          cublasOperation_t op_b, int m, int n, int k,
                                          const void *alpha, const void *const a[],
                                          cudaDataType a_type, int lda, const void *const b[],
                                          cudaDataType b_type, int ldb, const void *beta,
                                          void *const c[], cudaDataType c_type, int ldc, int count,
                                          cublasComputeType_t compute, cublasGemmAlgo_t algorithm)
{
    return run(handle, &(struct call){SIZES, .count = count, .arrays = true,
                                      .a = {a, a_type, lda, 0}, .b = {b, b_type, ldb, 0},
                                      .c = {c, c_type, ldc, 0}, .compute = compute});
}
