/* SPDX-License-Identifier: MIT */
/*
 * What the programs of this folder share. Knows nothing of vramshim.
 */
#include "tests/programs/program.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int graph;
static cudaStream_t stream;
static void *blocks[256]; /* of the host, until the end */
static size_t n_blocks;
static size_t bytes_used;
static size_t values_right;
static uint64_t checksum = 0xcbf29ce484222325u;
static uint64_t random_state = 0x9e3779b97f4a7c15u;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
    va_list args;

    fprintf(stderr, "%s: ", program_name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

void require(cudaError_t error, const char *call)
{
    if (error)
        fail("%s failed: %s", call, cudaGetErrorName(error));
}

void skip(const char *why)
{
    fprintf(stderr, "%s: skipped: %s\n", program_name, why);
    exit(77);
}

void count_memory(size_t bytes)
{
    bytes_used += bytes;
}

void *device_memory(size_t bytes)
{
    void *pointer = NULL;

    CHECK(cudaMalloc(&pointer, bytes));
    count_memory(bytes);
    return pointer;
}

void *host_memory(size_t bytes)
{
    void *pointer = calloc(1, bytes);

    if (!pointer || n_blocks == sizeof(blocks) / sizeof(blocks[0]))
        fail("no memory");
    blocks[n_blocks++] = pointer;
    return pointer;
}

void *upload(const void *from, size_t bytes)
{
    void *to = device_memory(bytes);

    CHECK(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice));
    return to;
}

void *download(const void *from, size_t bytes)
{
    uint8_t *to = host_memory(bytes);

    CHECK(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost));
    for (size_t i = 0; i < bytes; i++)
        checksum = (checksum ^ to[i]) * 0x100000001b3u;
    return to;
}

static uint32_t random_next(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 32);
}

void fill_floats(float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] = (float)(int32_t)random_next() / 2147483648.0f;
}

void fill_bytes(int8_t *values, size_t count, int low, int high)
{
    for (size_t i = 0; i < count; i++)
        values[i] = (int8_t)(low + (int)(random_next() % (uint32_t)(high - low + 1)));
}

int wants_graph(void)
{
    return graph;
}

cudaStream_t program_stream(void)
{
    return stream;
}

void repeat(void (*work)(cudaStream_t stream, void *data), void *data, int times)
{
    cudaGraph_t recorded = NULL;
    cudaGraphExec_t exec = NULL;

    if (graph) {
        CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
        work(stream, data);
        CHECK(cudaStreamEndCapture(stream, &recorded));
        CHECK(cudaGraphInstantiate(&exec, recorded, 0));
    }
    for (int i = 0; i < times; i++) {
        if (exec)
            CHECK(cudaGraphLaunch(exec, stream));
        else
            work(stream, data);
    }
    CHECK(cudaGetLastError());
    CHECK(cudaStreamSynchronize(stream));
    if (exec) {
        CHECK(cudaGraphExecDestroy(exec));
        CHECK(cudaGraphDestroy(recorded));
    }
}

void compare_floats(const char *what, const float *got, const float *expected, size_t count,
                    double tolerance)
{
    for (size_t i = 0; i < count; i++) {
        double limit = tolerance * (1 + fabs(expected[i]));

        /* Written so that a NaN is wrong. */
        if (!(fabs((double)got[i] - expected[i]) <= limit))
            fail("%s: value %zu is %.9g, not %.9g", what, i, got[i], expected[i]);
    }
    values_right += count;
}

void compare_ints(const char *what, const int *got, const int *expected, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (got[i] != expected[i])
            fail("%s: value %zu is %d, not %d", what, i, got[i], expected[i]);
    values_right += count;
}

int main(int argc, char **argv)
{
    graph = argc == 2 && !strcmp(argv[1], "--graph");
    if (argc > 1 && !graph) {
        fprintf(stderr, "usage: %s [--graph]\n", program_name);
        return 2;
    }
    CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    program_run();
    CHECK(cudaDeviceSynchronize());
    CHECK(cudaStreamDestroy(stream));
    printf("%s: %zu values right, %zu bytes used, checksum %016" PRIx64 "\n", program_name,
           values_right, bytes_used, checksum);
    while (n_blocks)
        free(blocks[--n_blocks]);
    return 0;
}
