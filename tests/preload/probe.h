/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * For programs that run under the preload: whose function is this, and does memory work through it.
 * A failed check() prints one line and makes finish() answer 1.
 */

#include <cuda.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int n_failed;

__attribute__((format(printf, 2, 3))) static inline bool check(bool holds, const char *format, ...)
{
    va_list args;

    if (holds)
        return true;
    n_failed++;
    printf("# failed: ");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    return false;
}

static inline int finish(void)
{
    fflush(stdout);
    return n_failed ? 1 : 0;
}

/* File name, without folders, of the object that holds `address`; "nowhere". */
static inline const char *owner(const void *address)
{
    const char *slash;
    Dl_info info;

    if (!address || !dladdr(address, &info) || !info.dli_fname)
        return "nowhere";
    slash = strrchr(info.dli_fname, '/');
    return slash ? slash + 1 : info.dli_fname;
}

static inline bool in_shim(const void *address)
{
    return strcmp(owner(address), "libvramshim.so") == 0;
}

static inline bool in_driver(const void *address)
{
    return strncmp(owner(address), "libcuda.so", 10) == 0;
}

/* The exported name nearest below `address`; "". */
static inline const char *exported_name(const void *address)
{
    Dl_info info;

    return address && dladdr(address, &info) && info.dli_sname ? info.dli_sname : "";
}

typedef void *(*find_fn)(void *context, const char *symbol);

static inline void *find_in_handle(void *handle, const char *symbol)
{
    return dlsym(handle, symbol);
}

/*
 * Writes 4 MiB to the device and reads them back, with functions found by `find`; the ones that the
 * shim stands in for must be its own.
 */
static inline void check_memory_works(find_fn find, void *context)
{
    CUresult (*init)(unsigned int) = find(context, "cuInit");
    CUresult (*retain)(CUcontext *, CUdevice) = find(context, "cuDevicePrimaryCtxRetain");
    CUresult (*set)(CUcontext) = find(context, "cuCtxSetCurrent");
    CUresult (*alloc)(CUdeviceptr *, size_t) = find(context, "cuMemAlloc_v2");
    CUresult (*upload)(CUdeviceptr, const void *, size_t) = find(context, "cuMemcpyHtoD_v2");
    CUresult (*download)(void *, CUdeviceptr, size_t) = find(context, "cuMemcpyDtoH_v2");
    CUresult (*release)(CUdeviceptr) = find(context, "cuMemFree_v2");
    size_t bytes = (size_t)4 << 20;
    unsigned char *sent = malloc(bytes);
    unsigned char *got = calloc(1, bytes);
    CUcontext ctx;
    CUdeviceptr at;

    if (!check(init && retain && set && alloc && upload && download && release && sent && got,
               "not every function was found"))
        goto free;
    check(in_shim(alloc), "cuMemAlloc_v2 is in %s", owner(alloc));
    check(in_shim(upload), "cuMemcpyHtoD_v2 is in %s", owner(upload));
    check(in_driver(set), "cuCtxSetCurrent is in %s", owner(set));
    for (size_t i = 0; i < bytes; i++)
        sent[i] = (unsigned char)(i * 31 >> 8);

    if (!check(init(0) == CUDA_SUCCESS, "cuInit") ||
        !check(retain(&ctx, 0) == CUDA_SUCCESS, "cuDevicePrimaryCtxRetain") ||
        !check(set(ctx) == CUDA_SUCCESS, "cuCtxSetCurrent") ||
        !check(alloc(&at, bytes) == CUDA_SUCCESS, "cuMemAlloc"))
        goto free;
    check(upload(at, sent, bytes) == CUDA_SUCCESS, "cuMemcpyHtoD");
    check(download(got, at, bytes) == CUDA_SUCCESS, "cuMemcpyDtoH");
    check(memcmp(sent, got, bytes) == 0, "what was read is not what was written");
    check(release(at) == CUDA_SUCCESS, "cuMemFree");

free:
    free(sent);
    free(got);
}
