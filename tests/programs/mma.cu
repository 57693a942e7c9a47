/* SPDX-License-Identifier: MIT */
/*
 * Matrix products by the instructions for them: halves with m16n8k16 and m16n8k8, bytes with m16n8k32.
 * One warp makes a tile of 16 rows and 8 columns. The left matrix lies by rows, the right by columns.
 */
#include "tests/half.h"
#include "tests/programs/program.h"

#define ROWS   1024
#define COLS   1024
#define HALVES 32 /* depth of the product of halves */
#define BYTES  64 /* and of the product of bytes */

extern "C" const char program_name[] = "mma";

struct products {
    const uint16_t *half_left;
    const uint16_t *half_right;
    float *half_out;
    float *half_out_by_8;
    const int8_t *byte_left;
    const int8_t *byte_right;
    int *byte_out;
};

__device__ void mma_16(float *sum, const uint32_t *a, const uint32_t *b)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

__device__ void mma_8(float *sum, const uint32_t *a, const uint32_t *b)
{
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(b[0]));
}

__device__ void mma_32(int *sum, const uint32_t *a, const uint32_t *b)
{
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* A lane has rows group and group + 8, and in each two columns; `per_word` values lie in a word. */
template <class T> __device__ void store_tile(T *out, const T *sum, int row, int col)
{
    int group = threadIdx.x / 4;
    int pair = threadIdx.x % 4 * 2;

    for (int i = 0; i < 4; i++)
        out[(row + group + i / 2 * 8) * COLS + col + pair + i % 2] = sum[i];
}

__global__ void multiply_halves(float *out, float *out_by_8, const uint32_t *left,
                                const uint32_t *right)
{
    const int words = HALVES / 2;
    int row = blockIdx.y * 16;
    int col = blockIdx.x * 8;
    int group = threadIdx.x / 4;
    int member = threadIdx.x % 4;
    float sum[4] = {0, 0, 0, 0};
    float sum_by_8[4] = {0, 0, 0, 0};

    for (int k = 0; k < words; k += 8) {
        const uint32_t *above = left + (row + group) * words + k + member;
        const uint32_t *below = above + 8 * words;
        const uint32_t *beside = right + (col + group) * words + k + member;
        uint32_t a[4] = {above[0], below[0], above[4], below[4]};
        uint32_t b[2] = {beside[0], beside[4]};

        mma_16(sum, a, b);
        mma_8(sum_by_8, a, b);
        mma_8(sum_by_8, a + 2, b + 1);
    }
    store_tile(out, sum, row, col);
    store_tile(out_by_8, sum_by_8, row, col);
}

__global__ void multiply_bytes(int *out, const uint32_t *left, const uint32_t *right)
{
    const int words = BYTES / 4;
    int row = blockIdx.y * 16;
    int col = blockIdx.x * 8;
    int group = threadIdx.x / 4;
    int member = threadIdx.x % 4;
    int sum[4] = {0, 0, 0, 0};

    for (int k = 0; k < words; k += 8) {
        const uint32_t *above = left + (row + group) * words + k + member;
        const uint32_t *below = above + 8 * words;
        const uint32_t *beside = right + (col + group) * words + k + member;
        uint32_t a[4] = {above[0], below[0], above[4], below[4]};
        uint32_t b[2] = {beside[0], beside[4]};

        mma_32(sum, a, b);
    }
    store_tile(out, sum, row, col);
}

static void work(cudaStream_t stream, void *data)
{
    const struct products *products = (const struct products *)data;
    dim3 grid(COLS / 8, ROWS / 16);

    multiply_halves<<<grid, 32, 0, stream>>>(products->half_out, products->half_out_by_8,
                                             (const uint32_t *)products->half_left,
                                             (const uint32_t *)products->half_right);
    multiply_bytes<<<grid, 32, 0, stream>>>(products->byte_out,
                                            (const uint32_t *)products->byte_left,
                                            (const uint32_t *)products->byte_right);
}

static const uint16_t *upload_halves(uint16_t *halves, size_t count)
{
    float *values = (float *)host_memory(count * sizeof(float));

    fill_floats(values, count);
    for (size_t i = 0; i < count; i++)
        halves[i] = half_of(values[i]);
    return (const uint16_t *)upload(halves, count * sizeof(*halves));
}

static void compare_halves(const struct products *products, const uint16_t *left,
                           const uint16_t *right)
{
    size_t bytes = ROWS * COLS * sizeof(float);
    float *expected = (float *)host_memory(bytes);

    for (int row = 0; row < ROWS; row++)
        for (int col = 0; col < COLS; col++) {
            double sum = 0;

            for (int k = 0; k < HALVES; k++)
                sum += (double)float_of(left[row * HALVES + k]) * float_of(right[col * HALVES + k]);
            expected[row * COLS + col] = (float)sum;
        }
    compare_floats("m16n8k16 of halves", (float *)download(products->half_out, bytes), expected,
                   ROWS * COLS, 1e-5);
    compare_floats("m16n8k8 of halves", (float *)download(products->half_out_by_8, bytes),
                   expected, ROWS * COLS, 1e-5);
}

static void compare_bytes(const struct products *products, const int8_t *left, const int8_t *right)
{
    size_t bytes = ROWS * COLS * sizeof(int);
    int *expected = (int *)host_memory(bytes);

    for (int row = 0; row < ROWS; row++)
        for (int col = 0; col < COLS; col++)
            for (int k = 0; k < BYTES; k++)
                expected[row * COLS + col] += left[row * BYTES + k] * right[col * BYTES + k];
    compare_ints("m16n8k32 of bytes", (int *)download(products->byte_out, bytes), expected,
                 ROWS * COLS);
}

extern "C" void program_run(void)
{
    static uint16_t half_left[ROWS * HALVES], half_right[COLS * HALVES];
    static int8_t byte_left[ROWS * BYTES], byte_right[COLS * BYTES];
    struct products products;

    products.half_left = upload_halves(half_left, ROWS * HALVES);
    products.half_right = upload_halves(half_right, COLS * HALVES);
    fill_bytes(byte_left, sizeof(byte_left), -128, 127);
    fill_bytes(byte_right, sizeof(byte_right), -128, 127);
    products.byte_left = (const int8_t *)upload(byte_left, sizeof(byte_left));
    products.byte_right = (const int8_t *)upload(byte_right, sizeof(byte_right));
    products.half_out = (float *)device_memory(ROWS * COLS * sizeof(float));
    products.half_out_by_8 = (float *)device_memory(ROWS * COLS * sizeof(float));
    products.byte_out = (int *)device_memory(ROWS * COLS * sizeof(int));
    repeat(work, &products, 1);
    compare_halves(&products, half_left, half_right);
    compare_bytes(&products, byte_left, byte_right);
}
