/* SPDX-License-Identifier: MIT */
/*
 * A thin skin over the driver for test programs: check, say what failed, end.
 */
#include "tests/apps/gpu.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void gpu_die(const struct gpu *gpu, const char *format, ...)
{
    va_list args;

    fflush(stdout);
    fprintf(stderr, "%s: ", gpu->program);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static const char *error_name(CUresult result)
{
    const char *name = NULL;

    return cuGetErrorName(result, &name) == CUDA_SUCCESS && name ? name : "unknown error";
}

static void check(const struct gpu *gpu, CUresult result, const char *call)
{
    if (result != CUDA_SUCCESS)
        gpu_die(gpu, "%s failed: %s", call, error_name(result));
}

#define CHECK(gpu, call, ...) check(gpu, call(__VA_ARGS__), #call)

void gpu_open(struct gpu *gpu, const char *program, const char *ptx, bool own_stream)
{
    *gpu = (struct gpu){.program = program};
    CHECK(gpu, cuInit, 0);
    CHECK(gpu, cuDeviceGet, &gpu->device, 0);
    CHECK(gpu, cuDevicePrimaryCtxRetain, &gpu->context, gpu->device);
    CHECK(gpu, cuCtxSetCurrent, gpu->context);
    CHECK(gpu, cuModuleLoadData, &gpu->module, ptx);
    if (own_stream)
        CHECK(gpu, cuStreamCreate, &gpu->stream, CU_STREAM_NON_BLOCKING);
}

void gpu_close(struct gpu *gpu)
{
    if (gpu->stream)
        CHECK(gpu, cuStreamDestroy, gpu->stream);
    CHECK(gpu, cuModuleUnload, gpu->module);
    CHECK(gpu, cuDevicePrimaryCtxRelease, gpu->device);
}

CUfunction gpu_function(const struct gpu *gpu, const char *name)
{
    CUfunction function;
    CUresult result = cuModuleGetFunction(&function, gpu->module, name);

    if (result != CUDA_SUCCESS)
        gpu_die(gpu, "cuModuleGetFunction of %s failed: %s", name, error_name(result));
    return function;
}

CUdeviceptr gpu_alloc(const struct gpu *gpu, size_t bytes, const char *what)
{
    CUdeviceptr at;
    CUresult result = cuMemAlloc(&at, bytes);

    if (result != CUDA_SUCCESS) {
        gpu_die(gpu, "cuMemAlloc of %.1f MB for %s failed: %s", (double)bytes / 1e6, what,
                error_name(result));
    }
    return at;
}

void gpu_free(const struct gpu *gpu, CUdeviceptr at)
{
    CHECK(gpu, cuMemFree, at);
}

void gpu_upload(const struct gpu *gpu, CUdeviceptr to, const void *from, size_t bytes)
{
    if (gpu->stream) {
        CHECK(gpu, cuMemcpyHtoDAsync, to, from, bytes, gpu->stream);
        CHECK(gpu, cuStreamSynchronize, gpu->stream);
    } else {
        CHECK(gpu, cuMemcpyHtoD, to, from, bytes);
    }
}

void gpu_download(const struct gpu *gpu, void *to, CUdeviceptr from, size_t bytes)
{
    if (gpu->stream) {
        CHECK(gpu, cuMemcpyDtoHAsync, to, from, bytes, gpu->stream);
        CHECK(gpu, cuStreamSynchronize, gpu->stream);
    } else {
        CHECK(gpu, cuMemcpyDtoH, to, from, bytes);
    }
}

void gpu_launch(const struct gpu *gpu, CUfunction function, struct gpu_shape shape, void **params)
{
    CHECK(gpu, cuLaunchKernel, function, shape.grid_x, shape.grid_y, 1, shape.block, 1, 1,
          shape.shared_bytes, gpu->stream, params, NULL);
}
