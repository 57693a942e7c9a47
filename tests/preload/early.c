/* SPDX-License-Identifier: MIT */
/*
 * A library with an indirect function, whose resolver looks something up while the loader is still
 * relocating: before any constructor, and before a preload library is relocated itself.
 */

#include <dlfcn.h>
#include <stddef.h>
#include "runtime/util.h"

static int found(void)
{
    return 1;
}

static int not_found(void)
{
    return 2;
}

/* clang does not count the attribute below as a use. */
__attribute__((used)) static int (*resolve(void))(void)
{
    return dlsym(RTLD_DEFAULT, "early_no_such_name") ? not_found : found;
}

EXPORT int early_answer(void) __attribute__((ifunc("resolve")));
