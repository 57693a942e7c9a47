/* SPDX-License-Identifier: MIT */
/*
 * Another preload library that wraps dlsym() itself, as capture tools do, for a name of its own.
 */

#include <dlfcn.h>
#include <stddef.h>
#include <string.h>
#include "runtime/util.h"

static int answer(void)
{
    return 42;
}

static void *next_dlsym(void *handle, const char *symbol)
{
    static void *(*next)(void *, const char *);

    if (!next)
        next = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
    if (!next)
        next = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.17");
    if (!next)
        next = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
    return next(handle, symbol);
}

EXPORT void *dlsym(void *handle, const char *symbol)
{
    return strcmp(symbol, "wrapper_answer") == 0 ? (void *)answer : next_dlsym(handle, symbol);
}
