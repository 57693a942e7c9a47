/* SPDX-License-Identifier: MIT */
/*
 * A program that opens the driver by the name given and looks everything up by dlsym(). What
 * dlsym() and dlerror() say of names that do not exist is the C library's business, not changed by
 * us.
 */

#include "tests/preload/probe.h"

static void check_errors(void *driver)
{
    dlerror();
    check(!dlsym(driver, "cuNoSuchCall"), "a call that does not exist was found");
    check(dlerror() != NULL, "dlerror() does not tell of a failed look-up");
    check(dlsym(driver, "cuMemAlloc_v2") != NULL, "cuMemAlloc_v2 was not found");
    check(dlerror() == NULL, "dlerror() tells of a look-up that succeeded");
    check(dlsym(driver, "cuMemAlloc_v2") == dlsym(driver, "cuMemAlloc_v2"), "addresses differ");
    check(dlsym(RTLD_DEFAULT, "printf") == (void *)printf, "printf is not printf");
}

int main(int argc, char **argv)
{
    void *driver = dlopen(argc > 1 ? argv[1] : "libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    void *first;

    if (!check(driver != NULL, "%s", dlerror()))
        return finish();
    dlerror();
    first = dlsym(driver, "cuMemAlloc_v2");
    check(in_shim(first), "the first look-up gives a function in %s", owner(first));
    check(dlerror() == NULL, "dlerror() tells of our own look-ups");
    check_errors(driver);
    check_memory_works(find_in_handle, driver);
    return finish();
}
