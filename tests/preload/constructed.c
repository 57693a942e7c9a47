/* SPDX-License-Identifier: MIT */
/*
 * Loads a library (the argument) whose constructor uses the driver, while other threads look calls
 * up: the loader's lock and ours must not wait for each other.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include "tests/preload/probe.h"

static atomic_bool done;

static void *look_up(void *argument)
{
    while (!done) {
        void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);

        if (!driver)
            continue;
        (void)dlsym(driver, "cuMemAlloc_v2");
        (void)dlsym(driver, "cuNoSuchCall");
        dlclose(driver);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    CUresult (*result)(void);
    pthread_t threads[3];
    void *library;
    void *driver;

    alarm(30);
    for (size_t i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, look_up, NULL);
    library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
    done = true;
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    if (!check(library != NULL, "%s", dlerror()))
        return finish();

    result = (CUresult(*)(void))dlsym(library, "constructor_result");
    check(result && result() == CUDA_SUCCESS, "the constructor's calls answer %d",
          result ? (int)result() : -1);
    driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    check(driver && in_shim(dlsym(driver, "cuMemAlloc_v2")), "cuMemAlloc_v2 is not ours");
    return finish();
}
