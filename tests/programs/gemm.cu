/* SPDX-License-Identifier: MIT */
/*
 * Products by the library: batches whose matrices are found through arrays of pointers in device memory,
 * which nobody sees who looks at a launch; and batches of halves at equal distances.
 */
#include "tests/half.h"
#include "tests/programs/program.h"

#include <cublas_v2.h>

#define SIZE  192
#define DEPTH 16
#define COUNT 48
#define LEFT  (SIZE * DEPTH)
#define OUT   (SIZE * SIZE)

extern "C" const char program_name[] = "gemm";

static cublasHandle_t handle;

struct gemm {
    const float **left, **right; /* arrays of pointers, on the device */
    float **out;
    const uint16_t *half_left, *half_right;
    float *half_out;
};

static void require_blas(cublasStatus_t status, const char *call)
{
    if (status != CUBLAS_STATUS_SUCCESS)
        require(cudaErrorUnknown, call);
}
#define CHECK_BLAS(call) require_blas((call), #call)

static void work(cudaStream_t stream, void *data)
{
    const struct gemm *gemm = (const struct gemm *)data;
    const float one = 1.0f;
    const float none = 0.0f;

    CHECK_BLAS(cublasSetStream(handle, stream));
    CHECK_BLAS(cublasSgemmBatched(handle, CUBLAS_OP_N, CUBLAS_OP_T, SIZE, SIZE, DEPTH, &one,
                                  gemm->left, SIZE, gemm->right, SIZE, &none, gemm->out, SIZE,
                                  COUNT));
    CHECK_BLAS(cublasGemmStridedBatchedEx(handle, CUBLAS_OP_T, CUBLAS_OP_N, SIZE, SIZE, DEPTH, &one,
                                          gemm->half_left, CUDA_R_16F, DEPTH, LEFT,
                                          gemm->half_right, CUDA_R_16F, DEPTH, LEFT, &none,
                                          gemm->half_out, CUDA_R_32F, SIZE, OUT, COUNT,
                                          CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
}

/* Pointers to matrices that follow each other, in an order of its own. */
template <class T> static T **pointers(T *first, size_t stride, int step)
{
    T *array[COUNT];

    for (int i = 0; i < COUNT; i++)
        array[i] = first + i * step % COUNT * stride;
    return (T **)upload(array, sizeof(array));
}

static void compare(const char *what, const float *got, const float *left, const float *right,
                    int across, int along, const int *order)
{
    float *expected = (float *)host_memory(OUT * COUNT * sizeof(float));

    for (int i = 0; i < COUNT; i++) {
        const float *a = left + (size_t)(i * order[0] % COUNT) * LEFT;
        const float *b = right + (size_t)(i * order[1] % COUNT) * LEFT;
        float *c = expected + (size_t)(i * order[2] % COUNT) * OUT;

        for (int col = 0; col < SIZE; col++)
            for (int row = 0; row < SIZE; row++) {
                double sum = 0;

                for (int k = 0; k < DEPTH; k++)
                    sum += (double)a[row * across + k * along] * b[col * across + k * along];
                c[row + col * SIZE] = (float)sum;
            }
    }
    compare_floats(what, got, expected, OUT * COUNT, 1e-5);
}

extern "C" void program_run(void)
{
    static const int orders[] = {5, 7, 11}; /* none divides COUNT, so that each matrix has its turn */
    static const int in_order[] = {1, 1, 1};
    static float left[COUNT * LEFT], right[COUNT * LEFT];
    static uint16_t half_left[COUNT * LEFT], half_right[COUNT * LEFT];
    struct gemm gemm;
    float *out;

    fill_floats(left, COUNT * LEFT);
    fill_floats(right, COUNT * LEFT);
    for (int i = 0; i < COUNT * LEFT; i++) {
        half_left[i] = half_of(left[i]);
        half_right[i] = half_of(right[i]);
    }
    out = (float *)device_memory(COUNT * OUT * sizeof(float));
    gemm.left = pointers((const float *)upload(left, sizeof(left)), LEFT, orders[0]);
    gemm.right = pointers((const float *)upload(right, sizeof(right)), LEFT, orders[1]);
    gemm.out = pointers(out, OUT, orders[2]);
    gemm.half_left = (const uint16_t *)upload(half_left, sizeof(half_left));
    gemm.half_right = (const uint16_t *)upload(half_right, sizeof(half_right));
    gemm.half_out = (float *)device_memory(COUNT * OUT * sizeof(float));
    CHECK_BLAS(cublasCreate(&handle));
    repeat(work, &gemm, 1);
    CHECK_BLAS(cublasDestroy(handle));
    compare("by pointers", (float *)download(out, COUNT * OUT * sizeof(float)), left, right, 1,
            SIZE, orders);
    for (int i = 0; i < COUNT * LEFT; i++) {
        left[i] = float_of(half_left[i]);
        right[i] = float_of(half_right[i]);
    }
    compare("of halves", (float *)download(gemm.half_out, COUNT * OUT * sizeof(float)), left, right,
            DEPTH, 1, in_order);
}
