/* SPDX-License-Identifier: MIT */
/*
 * Many threads whose first use of the driver is the same moment, each by another way: look-up,
 * exported function, query. All see the same functions, and a bad setting is answered once
 * (the caller counts the lines).
 */

#include <pthread.h>
#include <unistd.h>
#include "tests/preload/probe.h"

#define THREADS 16

static pthread_barrier_t barrier;
static void *driver;

static void *run(void *argument)
{
    CUresult (*get)(const char *, void **, int, cuuint64_t);
    CUresult (*exported)(size_t *, size_t *);
    size_t number = (size_t)argument;
    size_t figures[2];
    void *found = NULL;

    pthread_barrier_wait(&barrier);
    if (number % 3 == 0)
        return dlsym(driver, "cuMemAlloc_v2");
    if (number % 3 == 1) {
        get =
            (CUresult(*)(const char *, void **, int, cuuint64_t))dlsym(driver, "cuGetProcAddress");
        return get("cuMemAlloc", &found, 12000, 0) == CUDA_SUCCESS ? found : NULL;
    }
    exported = (CUresult(*)(size_t *, size_t *))dlsym(RTLD_DEFAULT, "cuMemGetInfo_v2");
    (void)exported(&figures[0], &figures[1]);
    return dlsym(driver, "cuMemAlloc_v2");
}

int main(void)
{
    pthread_t threads[THREADS];
    void *expected = dlsym(RTLD_DEFAULT, "cuMemAlloc_v2");
    void *found;

    alarm(30);
    driver = dlopen("libcuda.so.1", RTLD_NOW);
    if (!check(driver != NULL, "%s", dlerror()))
        return finish();
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (size_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, run, (void *)i);
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &found);
        check(found == expected, "thread %zu got a function in %s", i, owner(found));
    }
    check(in_shim(expected), "cuMemAlloc_v2 is in %s", owner(expected));
    check_memory_works(find_in_handle, driver);
    return finish();
}
