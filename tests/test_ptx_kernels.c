/* SPDX-License-Identifier: MIT */

/* Kernels of tests/cuda/kernels.cu, built to PTX by clang, against the same in plain C. */

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/test_ptx_support.h"

static struct ptx_module *module;

static void load(void)
{
    const char *path = getenv("PTX_KERNELS");
    char *text;

    if (!path)
        cr_skip_test("no clang, so no kernels");
    text = fake_read_file(path);
    module = fake_load(text);
    free(text);
}

static void unload(void)
{
    ptx_module_free(module);
    fake_reset();
}

TestSuite(ptx_kernels, .init = load, .fini = unload);

/* `params` is a struct laid out as the kernel's parameters. */
static void run(const char *name, unsigned int blocks, unsigned int threads, size_t shared,
                const void *params)
{
    const struct ptx_kernel *kernel = ptx_module_kernel(module, name);
    struct ptx_launch launch = {
        .grid = {blocks, 1, 1},
        .block = {threads, 1, 1},
        .dynamic_shared_bytes = shared,
        .params = params,
    };
    struct ptx_fault fault;
    uint64_t instructions = 0;

    cr_assert_not_null(kernel, "%s", name);
    cr_assert_eq(ptx_kernel_run(kernel, &launch, &fault, &instructions), PTX_DONE,
                 "%s: line %d, address %#lx", name, fault.line, fault.address);
    cr_assert_gt(instructions, blocks * threads);
}

static float noise(void)
{
    static uint32_t state = 12345;

    state = state * 1664525 + 1013904223;
    return (float)(state >> 8) / (1 << 23) - 1;
}

static uint64_t upload_noise(size_t n)
{
    uint64_t at = fake_alloc(n * sizeof(float));
    float *values = fake_host(at);

    for (size_t i = 0; i < n; i++)
        values[i] = noise();
    return at;
}

static void assert_close(float got, double expected, double tolerance, const char *what, size_t i)
{
    cr_assert(fabs(got - expected) <= tolerance, "%s %zu is %g, not %g", what, i, got, expected);
}

Test(ptx_kernels, multiply_a_matrix_and_a_vector)
{
    enum { ROWS = 37, COLUMNS = 1000 };
    static const unsigned int threads[] = {32, 64, 256, 1024};
    uint64_t weights = upload_noise(ROWS * COLUMNS);
    uint64_t in = upload_noise(COLUMNS);
    uint64_t out = fake_alloc(ROWS * sizeof(float));
    const struct {
        uint64_t out, weights, in;
        uint32_t columns;
    } params = {out, weights, in, COLUMNS};

    for (size_t t = 0; t < 4; t++) {
        run("matvec", ROWS, threads[t], 0, &params);
        for (size_t row = 0; row < ROWS; row++) {
            double sum = 0;
            for (size_t i = 0; i < COLUMNS; i++)
                sum += (double)((float *)fake_host(weights))[row * COLUMNS + i] *
                       ((float *)fake_host(in))[i];
            assert_close(((float *)fake_host(out))[row], sum, 2e-5, "row", row);
        }
    }
}

Test(ptx_kernels, normalise_exponentials)
{
    enum { ROWS = 5, COLUMNS = 777 };
    uint64_t values = upload_noise(ROWS * COLUMNS);
    float *row = fake_host(values);
    float *before = malloc(ROWS * COLUMNS * sizeof(float));
    const struct {
        uint64_t values;
        uint32_t columns;
    } params = {values, COLUMNS};

    for (size_t i = 0; i < ROWS * COLUMNS; i++)
        row[i] *= 20;
    memcpy(before, row, ROWS * COLUMNS * sizeof(float));
    run("softmax", ROWS, 96, 0, &params);
    for (size_t r = 0; r < ROWS; r++) {
        double sum = 0;
        for (size_t i = 0; i < COLUMNS; i++)
            sum += exp(before[r * COLUMNS + i]);
        for (size_t i = 0; i < COLUMNS; i++) {
            double expected = exp(before[r * COLUMNS + i]) / sum;
            assert_close(row[r * COLUMNS + i], expected, 1e-5 * expected + 1e-30, "element", i);
        }
    }
    free(before);
}

Test(ptx_kernels, normalise_a_layer)
{
    enum { ROWS = 4, COLUMNS = 384 };
    uint64_t in = upload_noise(ROWS * COLUMNS);
    uint64_t gain = upload_noise(COLUMNS);
    uint64_t bias = upload_noise(COLUMNS);
    uint64_t out = fake_alloc(ROWS * COLUMNS * sizeof(float));
    const struct {
        uint64_t out, in, gain, bias;
        uint32_t columns;
        float epsilon;
    } params = {out, in, gain, bias, COLUMNS, 1e-5f};

    run("layernorm", ROWS, 128, 128 * sizeof(float), &params);
    for (size_t r = 0; r < ROWS; r++) {
        const float *row = (float *)fake_host(in) + r * COLUMNS;
        double mean = 0;
        double variance = 0;
        for (size_t i = 0; i < COLUMNS; i++)
            mean += row[i] / (double)COLUMNS;
        for (size_t i = 0; i < COLUMNS; i++)
            variance += (row[i] - mean) * (row[i] - mean) / COLUMNS;
        for (size_t i = 0; i < COLUMNS; i++)
            assert_close(((float *)fake_host(out))[r * COLUMNS + i],
                         (row[i] - mean) / sqrt(variance + 1e-5) * ((float *)fake_host(gain))[i] +
                             ((float *)fake_host(bias))[i],
                         1e-5, "element", i);
    }
}

Test(ptx_kernels, turn_pairs_by_position)
{
    enum { POSITIONS = 50, HEADS = 3, PAIRS = 16, N = POSITIONS * HEADS * PAIRS };
    uint64_t pairs = upload_noise(2 * N);
    float *after = fake_host(pairs);
    float before[2 * N];
    const struct {
        uint64_t pairs;
        uint32_t pairs_per_head, heads;
        float base;
    } params = {pairs, PAIRS, HEADS, 10000};

    memcpy(before, after, sizeof(before));
    run("rope", POSITIONS, 40, 0, &params);
    for (size_t i = 0; i < N; i++) {
        size_t position = i / (HEADS * PAIRS);
        double angle = (double)position * pow(10000, -(double)(i % PAIRS) / PAIRS);
        double x = before[2 * i];
        double y = before[2 * i + 1];
        assert_close(after[2 * i], x * cos(angle) - y * sin(angle), 2e-5, "first of pair", i);
        assert_close(after[2 * i + 1], x * sin(angle) + y * cos(angle), 2e-5, "second of pair", i);
    }
}

struct block_q8_0 {
    uint16_t scale;
    int8_t values[32];
};

/* Positive normal halves only: enough for a scale. */
static double half_value(uint16_t half)
{
    return ldexp(1024 + (half & 0x3ff), (half >> 10) - 25);
}

static double block_dot(const struct block_q8_0 *a, const struct block_q8_0 *b)
{
    int dot = 0;

    for (int i = 0; i < 32; i++)
        dot += a->values[i] * b->values[i];
    return dot * half_value(a->scale) * half_value(b->scale);
}

static uint64_t upload_blocks(size_t n)
{
    uint64_t at = fake_alloc(n * sizeof(struct block_q8_0));
    struct block_q8_0 *blocks = fake_host(at);

    for (size_t i = 0; i < n; i++) {
        blocks[i].scale = (uint16_t)(0x1c00 + i * 7 % 0x800);
        for (int j = 0; j < 32; j++)
            blocks[i].values[j] = (int8_t)(127 * noise());
    }
    return at;
}

Test(ptx_kernels, multiply_quantised_blocks)
{
    enum { ROWS = 9, BLOCKS = 70 };
    uint64_t weights = upload_blocks(ROWS * BLOCKS);
    uint64_t in = upload_blocks(BLOCKS);
    uint64_t out = fake_alloc(ROWS * sizeof(float));
    const struct {
        uint64_t out, weights, in;
        uint32_t blocks;
    } params = {out, weights, in, BLOCKS};

    run("matvec_q8_0", ROWS, 32, 0, &params);
    for (size_t row = 0; row < ROWS; row++) {
        double sum = 0;
        double size = 0;
        for (size_t i = 0; i < BLOCKS; i++) {
            double dot = block_dot((struct block_q8_0 *)fake_host(weights) + row * BLOCKS + i,
                                   (struct block_q8_0 *)fake_host(in) + i);
            sum += dot;
            size += fabs(dot);
        }
        assert_close(((float *)fake_host(out))[row], sum, 1e-6 * size, "row", row);
    }
}

Test(ptx_kernels, gather_rows)
{
    enum { COLUMNS = 100 };
    static const int32_t tokens[] = {7, 0, 7, 19, 3};
    uint64_t table = fake_alloc(20 * COLUMNS * sizeof(uint16_t));
    uint64_t token_at = fake_upload(tokens, sizeof(tokens));
    uint64_t out = fake_alloc(5 * COLUMNS * sizeof(float));
    uint16_t *halves = fake_host(table);
    const struct {
        uint64_t out, table, tokens;
        uint32_t columns;
    } params = {out, table, token_at, COLUMNS};

    for (size_t i = 0; i < 20 * COLUMNS; i++)
        halves[i] = (uint16_t)(0x400 + i * 13 % 0x7000);
    run("gather", 5, 64, 0, &params);
    for (size_t i = 0; i < 5 * COLUMNS; i++) {
        uint16_t half = halves[(size_t)tokens[i / COLUMNS] * COLUMNS + i % COLUMNS];
        cr_assert_eq(((float *)fake_host(out))[i], (float)half_value(half), "element %zu", i);
    }
}

static float polynomial(float x, int degree)
{
    static const float coefficients[] = {0.5f, -1.25f, 2.0f, 3.5f};
    float y = 0;

    for (int i = degree; i >= 0; i--)
        y = fmaf(y, x, coefficients[i]);
    return y;
}

static float mixture(int kind, unsigned int i, int *calls)
{
    double history[4] = {1, 2, 3, 4};
    float x = 0.25f * (float)(i % 7);

    if (kind == 0) {
        x = polynomial(x, 3);
        history[i % 4] += x;
        ++*calls;
    } else if (kind == 1) {
        for (unsigned int j = 0; j < i % 5; j++) {
            x = polynomial(x, 2);
            history[j] += x;
            ++*calls;
        }
    } else if (kind == 2) {
        x = -x;
    } else {
        history[i / 3 % 4] *= x;
    }
    return x + (float)fma(history[0], history[1], history[2] * history[3]);
}

Test(ptx_kernels, call_index_and_diverge)
{
    enum { N = 1000 };
    int32_t kinds[N];
    uint64_t out = fake_alloc(N * sizeof(float));
    uint64_t kinds_at;
    int calls = 0;
    struct {
        uint64_t out, kinds;
        uint32_t n;
    } params = {out, 0, N};

    for (unsigned int i = 0; i < N; i++)
        kinds[i] = (int32_t)(i * 2654435761u >> 30);
    kinds_at = fake_upload(kinds, sizeof(kinds));
    params.kinds = kinds_at;
    run("mixture", 8, 128, 0, &params);
    for (unsigned int i = 0; i < N; i++)
        assert_close(((float *)fake_host(out))[i], mixture(kinds[i], i, &calls),
                     1e-6 * fabs(((float *)fake_host(out))[i]), "element", i);
    for (size_t i = 0; i < ptx_module_n_variables(module); i++) {
        if (!strcmp(ptx_module_variable(module, i)->name, "calls"))
            cr_assert_eq(*(int32_t *)fake_host(ptx_module_variable(module, i)->address), calls);
    }
}
