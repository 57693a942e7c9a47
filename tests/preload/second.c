/* SPDX-License-Identifier: MIT */
/*
 * Another preload library, of the plain kind: wraps one call we stand in for, one that we do not,
 * and one of the C library's, and finds the next of each by RTLD_NEXT. Built at -O0, where a
 * compiler turns no call into a jump.
 */

#include <cuda.h>
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>
#include "tests/preload/second.h"

static struct second_seen seen;

EXPORT const struct second_seen *second_seen(void)
{
    return &seen;
}

EXPORT CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes)
{
    CUresult (*next)(size_t *, size_t *) = dlsym(RTLD_NEXT, "cuMemGetInfo_v2");

    seen.memory_info++;
    seen.next_memory_info = (void *)next;
    return next(free_bytes, total_bytes);
}

EXPORT CUresult cuDeviceGetCount(int *count)
{
    CUresult (*next)(int *) = dlsym(RTLD_NEXT, "cuDeviceGetCount");

    seen.count++;
    seen.next_count = (void *)next;
    return next(count);
}

EXPORT pid_t getppid(void)
{
    pid_t (*next)(void) = dlsym(RTLD_NEXT, "getppid");

    seen.getppid++;
    seen.next_getppid = (void *)next;
    return next();
}
