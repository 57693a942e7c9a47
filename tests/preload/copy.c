/* SPDX-License-Identifier: MIT */
/*
 * A library that carries a runtime of its own: it opens the driver and keeps what it finds.
 */

#include <dlfcn.h>
#include <stddef.h>
#include "runtime/util.h"

void *copy_find(void *context, const char *symbol);
void copy_close(void);

static void *driver;

EXPORT void *copy_find(void *context, const char *symbol)
{
    if (!driver)
        driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    return driver ? dlsym(driver, symbol) : NULL;
}

EXPORT void copy_close(void)
{
    if (driver)
        dlclose(driver);
    driver = NULL;
}
