/* SPDX-License-Identifier: MIT */
/*
 * Matrix products, tile by tile through shared memory. The sizes are no multiples of a tile.
 */
#include "tests/programs/program.h"

#define TILE  16
#define ROWS  1000
#define COLS  1010
#define DEPTH 20
#define PAIRS 4

extern "C" const char program_name[] = "matmul";

struct product {
    float *left[PAIRS];
    float *right[PAIRS];
    float *out[PAIRS];
};

__global__ void multiply(float *out, const float *left, const float *right, int rows, int cols,
                         int depth)
{
    __shared__ float a[TILE][TILE];
    __shared__ float b[TILE][TILE + 1];
    int row = blockIdx.y * TILE + threadIdx.y;
    int col = blockIdx.x * TILE + threadIdx.x;
    float sum = 0.0f;

    for (int from = 0; from < depth; from += TILE) {
        int k = from + threadIdx.x;
        int l = from + threadIdx.y;

        a[threadIdx.y][threadIdx.x] = row < rows && k < depth ? left[row * depth + k] : 0.0f;
        b[threadIdx.y][threadIdx.x] = l < depth && col < cols ? right[l * cols + col] : 0.0f;
        __syncthreads();
        for (int i = 0; i < TILE; i++)
            sum += a[threadIdx.y][i] * b[i][threadIdx.x];
        __syncthreads();
    }
    if (row < rows && col < cols)
        out[row * cols + col] = sum;
}

static void work(cudaStream_t stream, void *data)
{
    const struct product *product = (const struct product *)data;
    dim3 grid((COLS + TILE - 1) / TILE, (ROWS + TILE - 1) / TILE);

    for (int i = 0; i < PAIRS; i++)
        multiply<<<grid, dim3(TILE, TILE), 0, stream>>>(product->out[i], product->left[i],
                                                        product->right[i], ROWS, COLS, DEPTH);
}

extern "C" void program_run(void)
{
    struct product product;
    float *left[PAIRS];
    float *right[PAIRS];
    float *expected = (float *)host_memory(ROWS * COLS * sizeof(float));

    for (int i = 0; i < PAIRS; i++) {
        left[i] = (float *)host_memory(ROWS * DEPTH * sizeof(float));
        right[i] = (float *)host_memory(DEPTH * COLS * sizeof(float));
        fill_floats(left[i], ROWS * DEPTH);
        fill_floats(right[i], DEPTH * COLS);
        product.left[i] = (float *)upload(left[i], ROWS * DEPTH * sizeof(float));
        product.right[i] = (float *)upload(right[i], DEPTH * COLS * sizeof(float));
        product.out[i] = (float *)device_memory(ROWS * COLS * sizeof(float));
    }
    repeat(work, &product, 1);
    for (int i = 0; i < PAIRS; i++) {
        for (int row = 0; row < ROWS; row++)
            for (int col = 0; col < COLS; col++) {
                double sum = 0;

                for (int k = 0; k < DEPTH; k++)
                    sum += (double)left[i][row * DEPTH + k] * right[i][k * COLS + col];
                expected[row * COLS + col] = (float)sum;
            }
        compare_floats("product", (float *)download(product.out[i], ROWS * COLS * sizeof(float)),
                       expected, ROWS * COLS, 1e-5);
    }
}
