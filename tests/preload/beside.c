/* SPDX-License-Identifier: MIT */
/*
 * A linked program under two preload libraries, ours and tests/preload/second.c. The argument says
 * which comes first. Each call passes by all that stand in for it, in that order, and by none
 * twice.
 */

#include <unistd.h>
#include "tests/preload/probe.h"
#include "tests/preload/second.h"

static void check_ours_behind(const struct second_seen *seen)
{
    check(seen->memory_info == 1, "cuMemGetInfo came by %d times", seen->memory_info);
    check(in_shim(seen->next_memory_info), "the next cuMemGetInfo is in %s",
          owner(seen->next_memory_info));
}

static void check_ours_before(const struct second_seen *seen)
{
    check(in_shim((void *)cuMemGetInfo), "cuMemGetInfo is in %s", owner((void *)cuMemGetInfo));
    check(seen->memory_info == 0, "cuMemGetInfo came by though the driver was bound directly");
}

int main(int argc, char **argv)
{
    const struct second_seen *(*ask)(void) = dlsym(RTLD_DEFAULT, "second_seen");
    const struct second_seen *seen = ask();
    size_t free_bytes;
    size_t total_bytes;
    int n_devices;

    check(cuInit(0) == CUDA_SUCCESS, "cuInit");
    (void)cuDeviceGetCount(&n_devices);
    (void)cuMemGetInfo(&free_bytes, &total_bytes);
    (void)getppid();

    check(seen->count == 1, "cuDeviceGetCount came by %d times", seen->count);
    check(in_driver(seen->next_count), "the next cuDeviceGetCount is in %s",
          owner(seen->next_count));
    check(seen->getppid == 1, "getppid came by %d times", seen->getppid);
    check(strncmp(owner(seen->next_getppid), "libc.so", 7) == 0, "the next getppid is in %s",
          owner(seen->next_getppid));
    if (argc > 1 && strcmp(argv[1], "ours-first") == 0)
        check_ours_before(seen);
    else
        check_ours_behind(seen);
    return finish();
}
