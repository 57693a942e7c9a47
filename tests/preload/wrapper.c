/* SPDX-License-Identifier: MIT */
/*
 * Another preload library that wraps dlsym() itself, as capture tools do, for a name of its own.
 */

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>
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

/* By hand: AddressSanitizer looks names up before its strcmp() works. */
static bool is_answer(const char *symbol)
{
    const char *name = "wrapper_answer";

    while (*name && *name == *symbol) {
        name++;
        symbol++;
    }
    return *name == *symbol;
}

EXPORT void *dlsym(void *handle, const char *symbol)
{
    return is_answer(symbol) ? (void *)answer : next_dlsym(handle, symbol);
}
