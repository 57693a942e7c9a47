/* SPDX-License-Identifier: MIT */
/*
 * A program linked with a library that looks a name up while it is being relocated.
 */

#include "tests/preload/probe.h"

int early_answer(void);

int main(void)
{
    void *driver;

    check(early_answer() == 1, "the early look-up went wrong");
    check(dlsym(RTLD_DEFAULT, "printf") != NULL, "nothing is found after an early look-up");
    driver = dlopen("libcuda.so.1", RTLD_NOW);
    check(driver && in_shim(dlsym(driver, "cuMemAlloc_v2")), "cuMemAlloc_v2 is not ours");
    return finish();
}
