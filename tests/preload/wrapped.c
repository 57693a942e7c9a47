/* SPDX-License-Identifier: MIT */
/*
 * A program under our library and, behind it, one that wraps dlsym() too: both get their look-ups.
 */

#include "tests/preload/probe.h"

int main(void)
{
    void *driver = dlopen("libcuda.so.1", RTLD_NOW);
    int (*answer)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "wrapper_answer");
    void *alloc;

    if (!check(driver != NULL, "%s", dlerror()))
        return finish();
    alloc = dlsym(driver, "cuMemAlloc_v2");
    check(answer && answer() == 42, "the other library's dlsym() was passed over");
    check(in_shim(alloc), "cuMemAlloc_v2 is in %s", owner(alloc));
    check_memory_works(find_in_handle, driver);
    return finish();
}
