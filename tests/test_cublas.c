/* SPDX-License-Identifier: MIT */
/*
 * The stand-in for cuBLAS against products computed by the host, in double precision: every entry
 * point, types, transpositions, leading dimensions, and sizes at the edges of a tile.
 */
#include <criterion/criterion.h>
#include <cublas_v2.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"
#include "tests/half.h"

/* One product, or several of one size. */
struct shape {
    cublasOperation_t op_a, op_b;
    int m, n, k;
    int gap; /* added to each leading dimension */
    float alpha, beta;
};

#define COUNT 3 /* of the batched calls */

struct matrix {
    double *values; /* what the device has, widened */
    void *host;
    char *device;
    size_t bytes; /* of one matrix */
    int rows;     /* leading dimension */
    cudaDataType type;
};

static cublasHandle_t handle;

static void open_library(void)
{
    cr_assert_eq(cublasCreate(&handle), CUBLAS_STATUS_SUCCESS);
}

TestSuite(cublas, .init = open_library, .timeout = 60);

static size_t type_bytes(cudaDataType type)
{
    switch (type) {
    case CUDA_R_8I:
        return 1;
    case CUDA_R_16F:
    case CUDA_R_16BF:
        return 2;
    default:
        return 4;
    }
}

static double get(const struct matrix *matrix, const void *data, size_t i)
{
    uint32_t wide;
    float value;

    switch (matrix->type) {
    case CUDA_R_8I:
        return ((const int8_t *)data)[i];
    case CUDA_R_32I:
        return ((const int *)data)[i];
    case CUDA_R_16F:
        return (double)float_of(((const uint16_t *)data)[i]);
    case CUDA_R_16BF:
        wide = (uint32_t)((const uint16_t *)data)[i] << 16;
        memcpy(&value, &wide, sizeof(value));
        return (double)value;
    default:
        return (double)((const float *)data)[i];
    }
}

static void put(const struct matrix *matrix, size_t i, float value)
{
    uint32_t bits;

    switch (matrix->type) {
    case CUDA_R_8I:
        ((int8_t *)matrix->host)[i] = (int8_t)(value * 127);
        return;
    case CUDA_R_32I:
        ((int *)matrix->host)[i] = (int)(value * 1000);
        return;
    case CUDA_R_16F:
        ((uint16_t *)matrix->host)[i] = half_of(value);
        return;
    case CUDA_R_16BF:
        memcpy(&bits, &value, sizeof(bits));
        ((uint16_t *)matrix->host)[i] = (uint16_t)(bits >> 16);
        return;
    default:
        ((float *)matrix->host)[i] = value;
    }
}

static struct matrix matrix_new(cudaDataType type, int rows, int cols, int gap)
{
    static uint32_t state = 1;
    struct matrix matrix = {.type = type, .rows = (rows > 1 ? rows : 1) + gap};
    size_t values = (size_t)matrix.rows * (size_t)(cols > 1 ? cols : 1);

    matrix.bytes = values * type_bytes(type);
    matrix.host = malloc(COUNT * matrix.bytes);
    matrix.values = malloc(COUNT * values * sizeof(double));
    for (size_t i = 0; i < COUNT * values; i++) {
        state = state * 1664525 + 1013904223;
        put(&matrix, i, (float)(int)(state >> 8 & 0xffff) / 32768 - 1);
        matrix.values[i] = get(&matrix, matrix.host, i);
    }
    cr_assert_eq(cudaMalloc((void **)&matrix.device, COUNT * matrix.bytes), cudaSuccess);
    cr_assert_eq(cudaMemcpy(matrix.device, matrix.host, COUNT * matrix.bytes, cudaMemcpyDefault),
                 cudaSuccess);
    return matrix;
}

static void matrix_free(struct matrix *matrix)
{
    cudaFree(matrix->device);
    free(matrix->values);
    free(matrix->host);
}

struct product {
    struct shape shape;
    struct matrix a, b, c;
};

static struct product product_new(const struct shape *shape, cudaDataType in, cudaDataType out)
{
    bool ta = shape->op_a != CUBLAS_OP_N;
    bool tb = shape->op_b != CUBLAS_OP_N;

    return (struct product){
        .shape = *shape,
        .a = matrix_new(in, ta ? shape->k : shape->m, ta ? shape->m : shape->k, shape->gap),
        .b = matrix_new(in, tb ? shape->n : shape->k, tb ? shape->k : shape->n, shape->gap),
        .c = matrix_new(out, shape->m, shape->n, shape->gap),
    };
}

static double expected(const struct product *product, int batch, int row, int col)
{
    const struct shape *shape = &product->shape;
    const double *a =
        product->a.values + (size_t)batch * (product->a.bytes / type_bytes(product->a.type));
    const double *b =
        product->b.values + (size_t)batch * (product->b.bytes / type_bytes(product->b.type));
    const double *c =
        product->c.values + (size_t)batch * (product->c.bytes / type_bytes(product->c.type));
    double sum = 0;

    for (int i = 0; i < shape->k; i++)
        sum +=
            a[shape->op_a != CUBLAS_OP_N ? i + row * product->a.rows : row + i * product->a.rows] *
            b[shape->op_b != CUBLAS_OP_N ? col + i * product->b.rows : i + col * product->b.rows];
    sum *= (double)shape->alpha;
    /* Without beta, what was there is not looked at. */
    return shape->beta == 0 ? sum : sum + (double)shape->beta * c[row + col * product->c.rows];
}

/* What lies between columns must be as it was. */
static void check(struct product *product, int count, double tolerance)
{
    const struct matrix *c = &product->c;
    size_t values = c->bytes / type_bytes(c->type);
    char *got = malloc(COUNT * c->bytes);
    size_t wrong = 0;

    cr_assert_eq(cudaMemcpy(got, c->device, COUNT * c->bytes, cudaMemcpyDeviceToHost), cudaSuccess);
    for (size_t i = 0; i < COUNT * values; i++) {
        int batch = (int)(i / values);
        int row = (int)(i % values) % c->rows;
        int col = (int)(i % values) / c->rows;
        bool inside = batch < count && row < product->shape.m && col < product->shape.n;
        double want = inside ? expected(product, batch, row, col) : c->values[i];

        wrong += !(fabs(get(c, got, i) - want) <= (inside ? tolerance * (1 + fabs(want)) : 0));
    }
    cr_expect_eq(wrong, 0, "%zu of %zu values are wrong", wrong, COUNT * values);
    free(got);
    matrix_free(&product->a);
    matrix_free(&product->b);
    matrix_free(&product->c);
}

static const struct shape shapes[] = {
    {CUBLAS_OP_N, CUBLAS_OP_N, 16, 16, 16, 0, 1, 0},
    {CUBLAS_OP_N, CUBLAS_OP_N, 17, 15, 33, 3, 0.5f, 0.25f},
    {CUBLAS_OP_T, CUBLAS_OP_N, 31, 33, 17, 0, 1, 1},
    {CUBLAS_OP_N, CUBLAS_OP_T, 5, 40, 16, 1, -1, 0},
    {CUBLAS_OP_T, CUBLAS_OP_T, 33, 18, 47, 2, 2, -0.5f},
    {CUBLAS_OP_C, CUBLAS_OP_N, 1, 1, 70, 0, 1, 0},
    {CUBLAS_OP_N, CUBLAS_OP_N, 20, 1, 1, 0, 1, 0},
    {CUBLAS_OP_N, CUBLAS_OP_N, 4, 7, 0, 0, 1, 0.5f},
};

static const struct type_row {
    cudaDataType in, out;
    cublasComputeType_t compute;
    double tolerance;
} types[] = {
    {CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F, 1e-5},
    {CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32, 1e-5},
    {CUDA_R_16F, CUDA_R_16F, CUBLAS_COMPUTE_32F, 1e-3},
    {CUDA_R_16F, CUDA_R_16F, CUBLAS_COMPUTE_16F, 1e-3},
    {CUDA_R_16F, CUDA_R_32F, CUBLAS_COMPUTE_32F, 1e-5},
    {CUDA_R_16BF, CUDA_R_16BF, CUBLAS_COMPUTE_32F, 1e-2},
    {CUDA_R_16BF, CUDA_R_32F, CUBLAS_COMPUTE_32F, 1e-5},
    {CUDA_R_8I, CUDA_R_32I, CUBLAS_COMPUTE_32I, 0},
    {CUDA_R_8I, CUDA_R_32F, CUBLAS_COMPUTE_32F, 1e-5},
};

/* Scalars as the compute type wants them. */
union scalar {
    float f32;
    uint16_t f16;
    int s32;
};

static union scalar scalar_of(cublasComputeType_t compute, float value)
{
    switch (compute) {
    case CUBLAS_COMPUTE_16F:
        return (union scalar){.f16 = half_of(value)};
    case CUBLAS_COMPUTE_32I:
        return (union scalar){.s32 = (int)value};
    default:
        return (union scalar){.f32 = value};
    }
}

/* Integers have no halves. */
static struct shape shape_for(const struct shape *shape, cublasComputeType_t compute)
{
    struct shape whole = *shape;

    if (compute == CUBLAS_COMPUTE_32I) {
        whole.alpha = shape->alpha < 0 ? -1 : 2;
        whole.beta = shape->beta == 0 ? 0 : 3;
    }
    return whole;
}

Test(cublas, multiplies_every_type_in_every_shape)
{
    for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
        for (size_t s = 0; s < ARRAY_SIZE(shapes); s++) {
            struct shape shape = shape_for(&shapes[s], types[t].compute);
            struct product p = product_new(&shape, types[t].in, types[t].out);
            union scalar alpha = scalar_of(types[t].compute, shape.alpha);
            union scalar beta = scalar_of(types[t].compute, shape.beta);

            cr_assert_eq(cublasGemmEx(handle, shape.op_a, shape.op_b, shape.m, shape.n, shape.k,
                                      &alpha, p.a.device, p.a.type, p.a.rows, p.b.device, p.b.type,
                                      p.b.rows, &beta, p.c.device, p.c.type, p.c.rows,
                                      types[t].compute, CUBLAS_GEMM_DEFAULT),
                         CUBLAS_STATUS_SUCCESS);
            check(&p, 1, types[t].tolerance);
        }
    }
}

Test(cublas, multiplies_batches_by_stride)
{
    for (size_t s = 0; s < ARRAY_SIZE(shapes); s++) {
        const struct shape *shape = &shapes[s];
        struct product p = product_new(shape, CUDA_R_32F, CUDA_R_32F);

        cr_assert_eq(cublasSgemmStridedBatched(
                         handle, shape->op_a, shape->op_b, shape->m, shape->n, shape->k,
                         &shape->alpha, (float *)p.a.device, p.a.rows, (long long)p.a.bytes / 4,
                         (float *)p.b.device, p.b.rows, (long long)p.b.bytes / 4, &shape->beta,
                         (float *)p.c.device, p.c.rows, (long long)p.c.bytes / 4, COUNT),
                     CUBLAS_STATUS_SUCCESS);
        check(&p, COUNT, 1e-5);
    }
}

Test(cublas, multiplies_batches_of_halves_by_stride)
{
    const struct shape *shape = &shapes[1];
    struct product p = product_new(shape, CUDA_R_16F, CUDA_R_32F);

    cr_assert_eq(cublasGemmStridedBatchedEx(
                     handle, shape->op_a, shape->op_b, shape->m, shape->n, shape->k, &shape->alpha,
                     p.a.device, CUDA_R_16F, p.a.rows, (long long)p.a.bytes / 2, p.b.device,
                     CUDA_R_16F, p.b.rows, (long long)p.b.bytes / 2, &shape->beta, p.c.device,
                     CUDA_R_32F, p.c.rows, (long long)p.c.bytes / 4, 2, CUBLAS_COMPUTE_32F,
                     CUBLAS_GEMM_DEFAULT_TENSOR_OP),
                 CUBLAS_STATUS_SUCCESS);
    check(&p, 2, 1e-5);
}

/* An array of pointers in device memory, in reverse order of address when `reverse`. */
static void **pointers_of(const struct matrix *matrix)
{
    void *pointers[COUNT];
    void **array;

    for (int i = 0; i < COUNT; i++)
        pointers[i] = matrix->device + (size_t)i * matrix->bytes;
    cr_assert_eq(cudaMalloc((void **)&array, sizeof(pointers)), cudaSuccess);
    cr_assert_eq(cudaMemcpy(array, pointers, sizeof(pointers), cudaMemcpyHostToDevice),
                 cudaSuccess);
    return array;
}

Test(cublas, multiplies_batches_by_pointers_in_device_memory)
{
    for (size_t s = 0; s < ARRAY_SIZE(shapes); s++) {
        const struct shape *shape = &shapes[s];
        struct product p = product_new(shape, CUDA_R_32F, CUDA_R_32F);

        cr_assert_eq(
            cublasSgemmBatched(handle, shape->op_a, shape->op_b, shape->m, shape->n, shape->k,
                               &shape->alpha, (const float *const *)pointers_of(&p.a), p.a.rows,
                               (const float *const *)pointers_of(&p.b), p.b.rows, &shape->beta,
                               (float *const *)pointers_of(&p.c), p.c.rows, COUNT),
            CUBLAS_STATUS_SUCCESS);
        check(&p, COUNT, 1e-5);
    }
}

Test(cublas, multiplies_batches_of_halves_by_pointers)
{
    const struct shape *shape = &shapes[4];
    struct product p = product_new(shape, CUDA_R_16F, CUDA_R_16F);
    uint16_t alpha = half_of(shape->alpha);
    uint16_t beta = half_of(shape->beta);

    cr_assert_eq(cublasGemmBatchedEx(handle, shape->op_a, shape->op_b, shape->m, shape->n, shape->k,
                                     &alpha, (const void *const *)pointers_of(&p.a), CUDA_R_16F,
                                     p.a.rows, (const void *const *)pointers_of(&p.b), CUDA_R_16F,
                                     p.b.rows, &beta, pointers_of(&p.c), CUDA_R_16F, p.c.rows,
                                     COUNT, CUBLAS_COMPUTE_16F, CUBLAS_GEMM_DEFAULT),
                 CUBLAS_STATUS_SUCCESS);
    check(&p, COUNT, 2e-3);
}

Test(cublas, reads_scalars_from_device_memory)
{
    const struct shape *shape = &shapes[4];
    struct product p = product_new(shape, CUDA_R_32F, CUDA_R_32F);
    float *scalars;

    cr_assert_eq(cudaMalloc((void **)&scalars, 8), cudaSuccess);
    cr_assert_eq(cudaMemcpy(scalars, &shape->alpha, 4, cudaMemcpyHostToDevice), cudaSuccess);
    cr_assert_eq(cudaMemcpy(scalars + 1, &shape->beta, 4, cudaMemcpyHostToDevice), cudaSuccess);
    cr_assert_eq(cublasSetPointerMode(handle, CUBLAS_POINTER_MODE_DEVICE), CUBLAS_STATUS_SUCCESS);
    cr_assert_eq(cublasSgemm(handle, shape->op_a, shape->op_b, shape->m, shape->n, shape->k,
                             scalars, (float *)p.a.device, p.a.rows, (float *)p.b.device, p.b.rows,
                             scalars + 1, (float *)p.c.device, p.c.rows),
                 CUBLAS_STATUS_SUCCESS);
    check(&p, 1, 1e-5);
}

Test(cublas, multiplies_on_the_stream_it_was_given)
{
    struct product p = product_new(&shapes[0], CUDA_R_32F, CUDA_R_32F);
    cudaStream_t stream;
    cudaStream_t got;

    cr_assert_eq(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
    cr_assert_eq(cublasSetStream(handle, stream), CUBLAS_STATUS_SUCCESS);
    cr_assert_eq(cublasGetStream(handle, &got), CUBLAS_STATUS_SUCCESS);
    cr_expect_eq(got, stream);
    cr_assert_eq(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 16, 16, 16, &p.shape.alpha,
                             (float *)p.a.device, p.a.rows, (float *)p.b.device, p.b.rows,
                             &p.shape.beta, (float *)p.c.device, p.c.rows),
                 CUBLAS_STATUS_SUCCESS);
    cr_expect_eq(cudaStreamQuery(stream), cudaErrorNotReady);
    cr_assert_eq(cudaStreamSynchronize(stream), cudaSuccess);
    check(&p, 1, 1e-5);
}

Test(cublas, refuses_wrong_arguments)
{
    float one = 1;

    cr_expect_eq(
        cublasSgemm(NULL, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, NULL, 1, NULL, 1, &one, NULL, 1),
        CUBLAS_STATUS_NOT_INITIALIZED);
    cr_expect_eq(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, -1, 1, 1, &one, NULL, 1, NULL, 1,
                             &one, NULL, 1),
                 CUBLAS_STATUS_INVALID_VALUE);
    cr_expect_eq(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 4, 1, 1, &one, NULL, 3, NULL, 1,
                             &one, NULL, 4),
                 CUBLAS_STATUS_INVALID_VALUE);
    cr_expect_eq(cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_N, 1, 1, 1, &one, NULL, CUDA_R_8I, 1,
                              NULL, CUDA_R_16F, 1, &one, NULL, CUDA_R_32F, 1, CUBLAS_COMPUTE_32F,
                              CUBLAS_GEMM_DEFAULT),
                 CUBLAS_STATUS_NOT_SUPPORTED);
    cr_expect_eq(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 0, 1, 1, &one, NULL, 1, NULL, 1,
                             &one, NULL, 1),
                 CUBLAS_STATUS_SUCCESS);
    cr_expect_str_eq(cublasGetStatusName(CUBLAS_STATUS_NOT_SUPPORTED),
                     "CUBLAS_STATUS_NOT_SUPPORTED");
}
