/* SPDX-License-Identifier: MIT */
/*
 * Products of halves and of bytes by the toolkit's fragments of matrices.
 */
#include "tests/half.h"
#include "tests/programs/program.h"

#include <mma.h>

#define ROWS  1024
#define COLS  1024
#define DEPTH 32

extern "C" const char program_name[] = "wmma";

using namespace nvcuda;

struct products {
    const half *half_left, *half_right;
    float *half_out;
    const signed char *byte_left, *byte_right;
    int *byte_out;
};

template <class In, class Out>
__global__ void multiply(Out *out, const In *left, const In *right)
{
    wmma::fragment<wmma::matrix_a, 16, 16, 16, In, wmma::row_major> a;
    wmma::fragment<wmma::matrix_b, 16, 16, 16, In, wmma::col_major> b;
    wmma::fragment<wmma::accumulator, 16, 16, 16, Out> sum;
    int row = blockIdx.y * 16;
    int col = blockIdx.x * 16;

    wmma::fill_fragment(sum, (Out)0);
    for (int k = 0; k < DEPTH; k += 16) {
        wmma::load_matrix_sync(a, left + row * DEPTH + k, DEPTH);
        wmma::load_matrix_sync(b, right + col * DEPTH + k, DEPTH);
        wmma::mma_sync(sum, a, b, sum);
    }
    wmma::store_matrix_sync(out + row * COLS + col, sum, COLS, wmma::mem_row_major);
}

static void work(cudaStream_t stream, void *data)
{
    const struct products *products = (const struct products *)data;
    dim3 grid(COLS / 16, ROWS / 16);

    multiply<<<grid, 32, 0, stream>>>(products->half_out, products->half_left,
                                      products->half_right);
    multiply<<<grid, 32, 0, stream>>>(products->byte_out, products->byte_left,
                                      products->byte_right);
}

extern "C" void program_run(void)
{
    static uint16_t halves[2][ROWS * DEPTH];
    static int8_t bytes[2][ROWS * DEPTH];
    static float floats[ROWS * DEPTH];
    float *expected = (float *)host_memory(ROWS * COLS * sizeof(float));
    int *expected_ints = (int *)host_memory(ROWS * COLS * sizeof(int));
    struct products products;

    for (int side = 0; side < 2; side++) {
        fill_floats(floats, ROWS * DEPTH);
        for (int i = 0; i < ROWS * DEPTH; i++)
            halves[side][i] = half_of(floats[i]);
        fill_bytes(bytes[side], ROWS * DEPTH, -128, 127);
    }
    products.half_left = (const half *)upload(halves[0], sizeof(halves[0]));
    products.half_right = (const half *)upload(halves[1], sizeof(halves[1]));
    products.byte_left = (const signed char *)upload(bytes[0], sizeof(bytes[0]));
    products.byte_right = (const signed char *)upload(bytes[1], sizeof(bytes[1]));
    products.half_out = (float *)device_memory(ROWS * COLS * sizeof(float));
    products.byte_out = (int *)device_memory(ROWS * COLS * sizeof(int));
    repeat(work, &products, 1);
    for (int row = 0; row < ROWS; row++)
        for (int col = 0; col < COLS; col++) {
            double sum = 0;
            int whole = 0;

            for (int k = 0; k < DEPTH; k++) {
                sum += (double)float_of(halves[0][row * DEPTH + k]) *
                       float_of(halves[1][col * DEPTH + k]);
                whole += bytes[0][row * DEPTH + k] * bytes[1][col * DEPTH + k];
            }
            expected[row * COLS + col] = (float)sum;
            expected_ints[row * COLS + col] = whole;
        }
    compare_floats("halves", (float *)download(products.half_out, ROWS * COLS * sizeof(float)),
                   expected, ROWS * COLS, 1e-5);
    compare_ints("bytes", (int *)download(products.byte_out, ROWS * COLS * sizeof(int)),
                 expected_ints, ROWS * COLS);
}
