/* SPDX-License-Identifier: MIT */
/*
 * How fast the PTX interpreter is: thread instructions per second, kernel by kernel.
 *
 *   bench KERNELS.ptx [--check] [name...]
 *
 * Each kernel's result is compared with the host's first. Then it is launched until a quarter of a
 * second is over, and a line says how many thread instructions a launch has and how many went by in
 * a second of the wall clock and in a second of processor time, which other programs do not
 * disturb. --check stops after the comparison.
 */
#include <cuda.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/util.h"
#include "tests/half.h"
#include "tests/sim/sim.h"

#define ROWS     2048
#define COLUMNS  4096
#define QUANTS   32
#define SIDE     256
#define TILE     16
#define NUMBERS  (1u << 20)
#define SECONDS  0.25
#define DISTANCE 1e-3

struct block_q8_0 {
    uint16_t scale;
    int8_t quants[QUANTS];
};

struct block_q4_0 {
    uint16_t scale;
    uint8_t quants[QUANTS / 2];
};

struct block_q8_1 {
    uint16_t scale, sum;
    int8_t quants[QUANTS];
};

static void die(const char *what, CUresult res)
{
    fprintf(stderr, "bench: %s failed: %d\n", what, (int)res);
    exit(1);
}

#define DO(call)                                                                                   \
    do {                                                                                           \
        CUresult res_ = (call);                                                                    \
        if (res_)                                                                                  \
            die(#call, res_);                                                                      \
    } while (0)

static uint32_t random_bits(void)
{
    static uint32_t state = 1;

    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

static float random_number(void)
{
    return (float)(random_bits() % 2001) / 1000.0f - 1.0f;
}

static CUdeviceptr upload(const void *data, size_t bytes)
{
    CUdeviceptr address;

    DO(cuMemAlloc_v2(&address, bytes));
    DO(cuMemcpyHtoD_v2(address, data, bytes));
    return address;
}

static void *allocate(size_t bytes)
{
    void *memory = malloc(bytes);

    if (!memory)
        die("malloc", 0);
    return memory;
}

/* One launch and what it must give. */
struct job {
    unsigned int grid[2], block[2];
    CUdeviceptr buffers[3];
    void *params[4];
    unsigned int n;
    float factor;
    CUdeviceptr out;
    float *expected;
    size_t n_expected;
};

static void job_out(struct job *job, size_t n)
{
    job->expected = calloc(n, sizeof(float));
    job->n_expected = n;
    if (!job->expected)
        die("calloc", 0);
    job->out = upload(job->expected, n * sizeof(float));
    job->buffers[0] = job->out;
    for (int i = 0; i < 3; i++)
        job->params[i] = &job->buffers[i];
    job->params[3] = &job->n;
}

static void matvec_shape(struct job *job, unsigned int n)
{
    job->grid[0] = ROWS;
    job->grid[1] = 1;
    job->block[0] = 32;
    job->block[1] = 4;
    job->n = n;
    job_out(job, ROWS);
}

static struct block_q8_1 *vector_q8_1(void)
{
    struct block_q8_1 *vector = allocate(COLUMNS / QUANTS * sizeof(*vector));

    for (unsigned int i = 0; i < COLUMNS / QUANTS; i++) {
        float scale = float_of(half_of(random_number() / 100));
        int sum = 0;
        for (unsigned int j = 0; j < QUANTS; j++) {
            vector[i].quants[j] = (int8_t)(random_bits() % 255 - 127);
            sum += vector[i].quants[j];
        }
        vector[i].scale = half_of(scale);
        vector[i].sum = half_of(scale * (float)sum);
    }
    return vector;
}

static void q8_0_init(struct job *job)
{
    const unsigned int n = COLUMNS / QUANTS;
    struct block_q8_0 *weights = allocate((size_t)ROWS * n * sizeof(*weights));
    struct block_q8_1 *in = vector_q8_1();

    matvec_shape(job, n);
    for (size_t i = 0; i < (size_t)ROWS * n; i++) {
        int dot = 0;
        weights[i].scale = half_of(random_number() / 100);
        for (unsigned int j = 0; j < QUANTS; j++) {
            weights[i].quants[j] = (int8_t)random_bits();
            dot += weights[i].quants[j] * in[i % n].quants[j];
        }
        job->expected[i / n] += float_of(weights[i].scale) * float_of(in[i % n].scale) * (float)dot;
    }
    job->buffers[1] = upload(weights, (size_t)ROWS * n * sizeof(*weights));
    job->buffers[2] = upload(in, n * sizeof(*in));
    free(weights);
    free(in);
}

static void q4_0_init(struct job *job)
{
    const unsigned int n = COLUMNS / QUANTS;
    struct block_q4_0 *weights = allocate((size_t)ROWS * n * sizeof(*weights));
    struct block_q8_1 *in = vector_q8_1();

    matvec_shape(job, n);
    for (size_t i = 0; i < (size_t)ROWS * n; i++) {
        const struct block_q8_1 *x = &in[i % n];
        int dot = 0;
        weights[i].scale = half_of(random_number() / 100);
        for (unsigned int j = 0; j < QUANTS / 2; j++) {
            weights[i].quants[j] = (uint8_t)random_bits();
            dot += (weights[i].quants[j] & 15) * x->quants[j];
            dot += (weights[i].quants[j] >> 4) * x->quants[j + QUANTS / 2];
        }
        job->expected[i / n] +=
            float_of(weights[i].scale) * (float_of(x->scale) * (float)dot - 8 * float_of(x->sum));
    }
    job->buffers[1] = upload(weights, (size_t)ROWS * n * sizeof(*weights));
    job->buffers[2] = upload(in, n * sizeof(*in));
    free(weights);
    free(in);
}

static void f16_init(struct job *job)
{
    uint16_t *weights = allocate((size_t)ROWS * COLUMNS * sizeof(*weights));
    float *in = allocate(COLUMNS * sizeof(*in));

    matvec_shape(job, COLUMNS / 2);
    for (unsigned int i = 0; i < COLUMNS; i++)
        in[i] = random_number() / 10;
    for (size_t i = 0; i < (size_t)ROWS * COLUMNS; i++) {
        weights[i] = half_of(random_number() / 10);
        job->expected[i / COLUMNS] += float_of(weights[i]) * in[i % COLUMNS];
    }
    job->buffers[1] = upload(weights, (size_t)ROWS * COLUMNS * sizeof(*weights));
    job->buffers[2] = upload(in, COLUMNS * sizeof(*in));
    free(weights);
    free(in);
}

static void matmul_init(struct job *job)
{
    const size_t n = SIDE;
    float *a = allocate(n * n * sizeof(*a));
    float *b = allocate(n * n * sizeof(*b));

    job->grid[0] = job->grid[1] = SIDE / TILE;
    job->block[0] = job->block[1] = TILE;
    job->n = SIDE;
    job_out(job, n * n);
    for (size_t i = 0; i < n * n; i++) {
        a[i] = random_number();
        b[i] = random_number();
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            for (size_t j = 0; j < n; j++)
                job->expected[i * n + j] += a[i * n + k] * b[k * n + j];
    job->buffers[1] = upload(a, n * n * sizeof(*a));
    job->buffers[2] = upload(b, n * n * sizeof(*b));
    free(a);
    free(b);
}

static void axpy_init(struct job *job)
{
    float *in = allocate(NUMBERS * sizeof(*in));

    job->grid[0] = NUMBERS / 256;
    job->grid[1] = 1;
    job->block[0] = 256;
    job->block[1] = 1;
    job->n = NUMBERS;
    job->factor = 0.5f;
    job_out(job, NUMBERS);
    for (size_t i = 0; i < NUMBERS; i++) {
        in[i] = random_number();
        job->expected[i] = in[i] * job->factor;
    }
    job->buffers[1] = upload(in, NUMBERS * sizeof(*in));
    job->params[2] = &job->factor;
    free(in);
}

/* Nothing to compute: what is left is the cost of a launch. */
static void nothing_init(struct job *job)
{
    job->grid[0] = job->grid[1] = 1;
    job->block[0] = 32;
    job->block[1] = 1;
    job_out(job, 1);
}

static const struct {
    const char *name;
    void (*init)(struct job *job);
} kernels[] = {
    {"q8_0", q8_0_init},     {"q4_0", q4_0_init}, {"f16", f16_init},
    {"matmul", matmul_init}, {"axpy", axpy_init}, {"nothing", nothing_init},
};

static void job_launch(struct job *job, CUfunction function)
{
    DO(cuLaunchKernel(function, job->grid[0], job->grid[1], 1, job->block[0], job->block[1], 1, 0,
                      NULL, job->params, NULL));
    DO(cuCtxSynchronize());
}

static bool job_check(const struct job *job, const char *name)
{
    float *got = allocate(job->n_expected * sizeof(*got));
    bool right = true;

    DO(cuMemcpyDtoH_v2(got, job->out, job->n_expected * sizeof(*got)));
    for (size_t i = 0; i < job->n_expected && right; i++) {
        right = fabsf(got[i] - job->expected[i]) <= DISTANCE * (1 + fabsf(job->expected[i]));
        if (!right)
            fprintf(stderr, "bench: %s gives %g at %zu instead of %g\n", name, (double)got[i], i,
                    (double)job->expected[i]);
    }
    free(got);
    return right;
}

static double seconds(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t instructions_so_far(void)
{
    struct sim_stats stats;

    sim_get_stats(&stats);
    return stats.thread_instructions;
}

static void job_time(struct job *job, const char *name, CUfunction function)
{
    double wall = seconds(CLOCK_MONOTONIC);
    double processor = seconds(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t before = instructions_so_far();
    uint64_t instructions;
    uint64_t launches = 0;
    double passed;

    do {
        job_launch(job, function);
        launches++;
        passed = seconds(CLOCK_MONOTONIC) - wall;
    } while (passed < SECONDS);
    processor = seconds(CLOCK_PROCESS_CPUTIME_ID) - processor;
    instructions = instructions_so_far() - before;
    printf("%-8s %10llu thread instructions %8.1f us %8.1f M/s %8.1f M per second of processor\n",
           name, (unsigned long long)(instructions / launches), 1e6 * passed / (double)launches,
           (double)instructions / passed / 1e6, (double)instructions / processor / 1e6);
}

static bool bench(size_t which, CUmodule module, bool only_check)
{
    const char *name = kernels[which].name;
    struct job job = {.n = 0};
    CUfunction function;
    bool right;

    DO(cuModuleGetFunction(&function, module, name));
    kernels[which].init(&job);
    job_launch(&job, function);
    right = job_check(&job, name);
    if (right && !only_check)
        job_time(&job, name, function);
    for (int i = 0; i < 3; i++)
        if (job.buffers[i])
            DO(cuMemFree_v2(job.buffers[i]));
    free(job.expected);
    return right;
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t size = 0;

    if (!file || getdelim(&text, &size, '\0', file) < 0) {
        perror(path);
        exit(1);
    }
    fclose(file);
    return text;
}

static bool wanted(const char *name, char **names, int n)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(names[i], name))
            return true;
    return n == 0;
}

int main(int argc, char **argv)
{
    bool only_check = argc > 2 && !strcmp(argv[2], "--check");
    CUcontext context;
    CUmodule module;
    bool right = true;
    char *text;

    if (argc < 2) {
        fprintf(stderr, "usage: bench KERNELS.ptx [--check] [name...]\n");
        return 2;
    }
    text = read_file(argv[1]);
    DO(cuInit(0));
    DO(cuDevicePrimaryCtxRetain(&context, 0));
    DO(cuCtxSetCurrent(context));
    DO(cuModuleLoadData(&module, text));
    free(text);
    argv += 2 + only_check;
    argc -= 2 + only_check;
    for (size_t i = 0; i < ARRAY_SIZE(kernels); i++)
        if (wanted(kernels[i].name, argv, argc))
            right &= bench(i, module, only_check);
    return right ? 0 : 1;
}
