/* SPDX-License-Identifier: MIT */
/*
 * A stack of layers, each four matrices of halves that the same few vectors are multiplied with, by
 * cuBLAS; what comes out, bent, is what the next layer is given.
 *
 *   plain     a call for each matrix
 *   strided   a call for a layer: the matrices lie at equal distances
 *   pointers  a call for a layer: the library finds them through an array of pointers in device memory
 *
 * gemms --form FORM --weights BYTES --passes N; prints one line of JSON, see tests/gpu/README.md.
 */
#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GROUP  4
#define ROWS   4
#define PASSES 1024
#define WIDE   8192
#define NARROW 256

static const char *form = "";
static unsigned long long weights;
static int passes, width, layers;
static uint16_t *matrices, *vectors;
static float *products;
static void **left, **right, **out; /* arrays of pointers, on the device */
static cublasHandle_t handle;
static cudaStream_t stream;

__attribute__((noreturn)) static void die(const char *call, int error)
{
    fprintf(stderr, "gemms: %s gives error %d\n", call, error);
    exit(1);
}

static void require(const char *call, int error)
{
    if (error)
        die(call, error);
}
#define CHECK(call) require(#call, (int)(call))

__device__ static uint32_t mix(uint64_t place)
{
    uint64_t word = (place + 1) * 0x9e3779b97f4a7c15ull;

    word ^= word >> 29;
    word *= 0xbf58476d1ce4e5b9ull;
    return (uint32_t)(word >> 32);
}

/* Halves of either sign, from 1/32 up to 1/16. */
__global__ void fill(uint16_t *to, unsigned long long n, unsigned long long from)
{
    unsigned long long stride = (unsigned long long)gridDim.x * blockDim.x;

    for (unsigned long long i = (unsigned long long)blockIdx.x * blockDim.x + threadIdx.x; i < n;
         i += stride)
        to[i] = (uint16_t)((mix(from + i) & 0x83ff) | 10 << 10);
}

/* The next vectors, of the sum of what the group gave, within [-1, 1]. */
__global__ void bend(uint16_t *vectors, const float *products, int n)
{
    int i = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    float sum = 0.0f;

    if (i >= n)
        return;
    for (int k = 0; k < GROUP; k++)
        sum += products[k * n + i];
    sum = sum / (1.0f + (sum < 0.0f ? -sum : sum));
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(vectors[i]) : "f"(sum));
}

static uint16_t *matrix(int layer, int k)
{
    return matrices + ((size_t)layer * GROUP + k) * width * width;
}

static void multiply(int layer)
{
    const float one = 1.0f;
    const float none = 0.0f;
    long long stride = (long long)width * width;
    int n = width * ROWS;

    if (!strcmp(form, "strided"))
        CHECK(cublasGemmStridedBatchedEx(handle, CUBLAS_OP_T, CUBLAS_OP_N, width, ROWS, width, &one,
                                         matrix(layer, 0), CUDA_R_16F, width, stride, vectors,
                                         CUDA_R_16F, width, 0, &none, products, CUDA_R_32F, width, n,
                                         GROUP, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
    else if (!strcmp(form, "pointers"))
        CHECK(cublasGemmBatchedEx(handle, CUBLAS_OP_T, CUBLAS_OP_N, width, ROWS, width, &one,
                                  (const void *const *)left + layer * GROUP, CUDA_R_16F, width,
                                  (const void *const *)right, CUDA_R_16F, width, &none, out,
                                  CUDA_R_32F, width, GROUP, CUBLAS_COMPUTE_32F,
                                  CUBLAS_GEMM_DEFAULT));
    for (int k = 0; k < GROUP && !strcmp(form, "plain"); k++)
        CHECK(cublasGemmEx(handle, CUBLAS_OP_T, CUBLAS_OP_N, width, ROWS, width, &one,
                           matrix(layer, k), CUDA_R_16F, width, vectors, CUDA_R_16F, width, &none,
                           products + (size_t)k * n, CUDA_R_32F, width, CUBLAS_COMPUTE_32F,
                           CUBLAS_GEMM_DEFAULT));
    bend<<<(n + 255) / 256, 256, 0, stream>>>(vectors, products, n);
}

static void *device_memory(size_t bytes)
{
    void *memory;

    CHECK(cudaMalloc(&memory, bytes));
    return memory;
}

static void **pointers(const void *first, size_t stride, int n)
{
    const char **array = (const char **)malloc(n * sizeof(*array));
    void **copy = (void **)device_memory(n * sizeof(*array));

    for (int i = 0; i < n; i++)
        array[i] = (const char *)first + i * stride;
    CHECK(cudaMemcpy(copy, array, n * sizeof(*array), cudaMemcpyHostToDevice));
    free(array);
    return copy;
}

static void start(void)
{
    size_t n = (size_t)width * width;

    matrices = (uint16_t *)device_memory(weights);
    vectors = (uint16_t *)device_memory((size_t)width * ROWS * 2);
    products = (float *)device_memory((size_t)width * ROWS * GROUP * sizeof(float));
    CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    CHECK(cublasCreate(&handle));
    CHECK(cublasSetStream(handle, stream));
    fill<<<256, 256>>>(matrices, n * GROUP * layers, 0);
    fill<<<16, 256>>>(vectors, (size_t)width * ROWS, weights);
    left = pointers(matrices, 2 * n, layers * GROUP);
    right = pointers(vectors, 0, GROUP);
    out = pointers(products, (size_t)width * ROWS * sizeof(float), GROUP);
    CHECK(cudaDeviceSynchronize());
}

static uint64_t digest(uint64_t so_far)
{
    size_t bytes = (size_t)width * ROWS * 2;
    uint8_t *copy = (uint8_t *)malloc(bytes);

    CHECK(cudaMemcpy(copy, vectors, bytes, cudaMemcpyDeviceToHost));
    for (size_t i = 0; i < bytes; i++)
        so_far = (so_far ^ copy[i]) * 0x100000001b3ull;
    free(copy);
    return so_far;
}

static double pass(void)
{
    static cudaEvent_t from, to;
    float ms;

    if (!from) {
        CHECK(cudaEventCreate(&from));
        CHECK(cudaEventCreate(&to));
    }
    CHECK(cudaEventRecord(from, stream));
    for (int layer = 0; layer < layers; layer++)
        multiply(layer);
    CHECK(cudaEventRecord(to, stream));
    CHECK(cudaStreamSynchronize(stream));
    CHECK(cudaEventElapsedTime(&ms, from, to));
    return ms / 1e3;
}

static int read_options(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--form"))
            form = argv[i + 1];
        else if (!strcmp(argv[i], "--weights"))
            weights = strtoull(argv[i + 1], NULL, 10);
        else if (!strcmp(argv[i], "--passes"))
            passes = atoi(argv[i + 1]);
        else
            return 0;
    }
    width = weights >= 2ull << 30 ? WIDE : NARROW;
    layers = (int)(weights / (2ull * GROUP * width * width));
    weights = 2ull * GROUP * width * width * layers;
    return argc % 2 && layers > 0 && passes > 0 && passes <= PASSES &&
           (!strcmp(form, "plain") || !strcmp(form, "strided") || !strcmp(form, "pointers"));
}

int main(int argc, char **argv)
{
    static double seconds[PASSES];
    uint64_t all = 0xcbf29ce484222325ull;

    if (!read_options(argc, argv)) {
        fprintf(stderr, "usage: gemms --form plain|strided|pointers --weights BYTES --passes N\n");
        return 2;
    }
    start();
    for (int i = 0; i < passes; i++) {
        seconds[i] = pass();
        all = digest(all);
    }
    printf("{\"weights\": %llu, \"other\": %llu, \"digest\": \"%016llx\", \"passes\": [", weights,
           (unsigned long long)(64 << 20) * (width == WIDE), (unsigned long long)all);
    for (int i = 0; i < passes; i++)
        printf("%s%.9f", i ? ", " : "", seconds[i]);
    printf("]}\n");
    CHECK(cublasDestroy(handle));
    return 0;
}
