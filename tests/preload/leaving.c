/* SPDX-License-Identifier: MIT */
/*
 * A program that goes on using the driver while it ends: in atexit() handlers, in a destructor, and
 * in a thread that nobody stops. The argument is a library that frees memory in its destructor.
 */

#include <pthread.h>
#include <unistd.h>
#include "tests/preload/probe.h"

static CUresult (*memory_info)(size_t *, size_t *);
static CUresult (*set_current)(CUcontext);
static CUcontext context;

static void *keep_asking(void *argument)
{
    size_t free_bytes;
    size_t total_bytes;

    set_current(context);
    for (;;)
        (void)memory_info(&free_bytes, &total_bytes);
    return NULL;
}

static void ask_once(void)
{
    size_t free_bytes;
    size_t total_bytes;

    (void)memory_info(&free_bytes, &total_bytes);
}

int main(int argc, char **argv)
{
    CUresult (*current)(CUcontext *);
    pthread_t thread;
    void *driver;

    alarm(30);
    atexit(ask_once);
    check(argc > 1 && dlopen(argv[1], RTLD_NOW) != NULL, "cannot load the library");
    driver = dlopen("libcuda.so.1", RTLD_NOW);
    memory_info = (CUresult(*)(size_t *, size_t *))dlsym(driver, "cuMemGetInfo_v2");
    set_current = (CUresult(*)(CUcontext))dlsym(driver, "cuCtxSetCurrent");
    current = (CUresult(*)(CUcontext *))dlsym(driver, "cuCtxGetCurrent");
    check(current(&context) == CUDA_SUCCESS && context, "no current context");
    check(in_shim((void *)memory_info), "cuMemGetInfo is in %s", owner((void *)memory_info));
    pthread_create(&thread, NULL, keep_asking, NULL);
    usleep(20000);
    return finish();
}
