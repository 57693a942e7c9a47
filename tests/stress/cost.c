/* SPDX-License-Identifier: MIT */
/*
 * Makes one call as often as it is told, for counting instructions.
 *
 *   cost launch|download|upload|table|attribute|fill TIMES
 *
 * There are several hundred paged allocations, all in device memory. The launch has 16 pointers to
 * as many of them; the other calls are on memory that is not paged.
 */
#include <cuda.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RANGES = 400,
    RANGE_BYTES = 2 << 20,
    POINTERS = 16,
};

static CUdeviceptr ranges[RANGES];
static CUdeviceptr small;
static CUfunction function;
static void *params[POINTERS];

static CUresult launch(void)
{
    return cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, NULL, params, NULL);
}

static CUresult download(void)
{
    char byte;

    return cuMemcpyDtoH(&byte, small, 1);
}

static CUresult upload(void)
{
    static char bytes[32 << 10];

    return cuMemcpyHtoDAsync(small, bytes, sizeof(bytes), NULL);
}

static CUresult table(void)
{
    static uint64_t words[8];

    return cuMemcpyHtoDAsync(small, words, sizeof(words), NULL);
}

static CUresult attribute(void)
{
    unsigned int type;

    return cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, small);
}

static CUresult fill(void)
{
    return cuMemsetD8(small, 0, 1);
}

static const struct {
    const char *name;
    CUresult (*call)(void);
} calls[] = {
    {"launch", launch}, {"download", download},   {"upload", upload},
    {"table", table},   {"attribute", attribute}, {"fill", fill},
};

static void must(CUresult result, const char *what)
{
    if (result == CUDA_SUCCESS)
        return;
    fprintf(stderr, "cost: %s fails with %d\n", what, result);
    exit(2);
}

#define MUST(call, ...) must(call(__VA_ARGS__), #call)

static void prepare(void)
{
    CUcontext context;
    CUmodule module = NULL;

    MUST(cuInit, 0);
    MUST(cuDevicePrimaryCtxRetain, &context, 0);
    MUST(cuModuleGetFunction, &function, module, "");
    for (size_t i = 0; i < RANGES; i++)
        MUST(cuMemAlloc, &ranges[i], RANGE_BYTES);
    MUST(cuMemAlloc, &small, 100);
    for (size_t i = 0; i < POINTERS; i++)
        params[i] = &ranges[i * 23];
    MUST(launch);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 3 && i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (strcmp(calls[i].name, argv[1]) != 0)
            continue;
        prepare();
        for (long n = strtol(argv[2], NULL, 10); n > 0; n--)
            MUST(calls[i].call);
        return 0;
    }
    fprintf(stderr, "usage: cost launch|download|upload|table|attribute|fill TIMES\n");
    return 2;
}
