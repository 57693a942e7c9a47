/* SPDX-License-Identifier: MIT */
/*
 * Children. Argument "before": forked by a parent that has looked calls up but not initialised
 * CUDA; such a child may use CUDA. "after": forked by one that has; there the driver's own errors
 * come back, nothing of ours stands in their way, and the parent does not notice. "exec": a child
 * that becomes another program starts afresh.
 */

#include <sys/wait.h>
#include <unistd.h>
#include "tests/preload/probe.h"

static void *driver;

static int use_cuda(void)
{
    check_memory_works(find_in_handle, driver);
    return finish();
}

static int find_it_gone(void)
{
    CUresult (*alloc)(CUdeviceptr *, size_t) = dlsym(RTLD_DEFAULT, "cuMemAlloc_v2");
    CUresult (*launch)(CUgraphExec, CUstream) = dlsym(RTLD_DEFAULT, "cuGraphLaunch");
    void *looked_up = dlsym(driver, "cuMemAlloc_v2");
    CUdeviceptr at;

    check(in_driver(looked_up), "in the child, cuMemAlloc_v2 is in %s", owner(looked_up));
    check(in_shim((void *)alloc), "the exported cuMemAlloc_v2 is in %s", owner((void *)alloc));
    check(alloc(&at, 1 << 22) != CUDA_SUCCESS, "cuMemAlloc works in the child");
    check(launch(NULL, NULL) != CUDA_SUCCESS, "cuGraphLaunch works in the child");
    return finish();
}

static void check_child(int (*run)(void))
{
    int status = -1;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        alarm(20);
        exit(run());
    }
    check(child > 0 && waitpid(child, &status, 0) == child, "cannot fork");
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the child ended with status 0x%x",
          (unsigned int)status);
}

static int run_again(void)
{
    execl("/proc/self/exe", "forks", "use", (char *)NULL);
    return 1;
}

int main(int argc, char **argv)
{
    const char *when = argc > 1 ? argv[1] : "";
    void *alloc;

    driver = dlopen("libcuda.so.1", RTLD_NOW);
    if (!check(driver != NULL, "%s", dlerror()))
        return finish();
    alloc = dlsym(driver, "cuMemAlloc_v2");
    check(in_shim(alloc), "cuMemAlloc_v2 is in %s", owner(alloc));

    if (strcmp(when, "use") == 0)
        return use_cuda();
    if (strcmp(when, "before") == 0) {
        check_child(use_cuda);
        check_child(use_cuda);
        return use_cuda();
    }
    check_memory_works(find_in_handle, driver);
    check_child(strcmp(when, "exec") == 0 ? run_again : find_it_gone);
    check_memory_works(find_in_handle, driver);
    return finish();
}
