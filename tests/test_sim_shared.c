/* SPDX-License-Identifier: MIT */
#include "tests/sim_test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CARD = 8 * PAGE,
    THEIRS = 5 * PAGE,
};

static char name[64];
static int told[2]; /* by the other process, what came of its allocation */

static void make_name(void)
{
    snprintf(name, sizeof(name), "/tmp/sim-shared-%d", getpid());
    setenv("SIM_SHARED", name, 1);
    setenv("SIM_VRAM", "16MiB", 1);
    cr_assert_eq(pipe(told), 0);
}

static void remove_name(void)
{
    unlink(name);
}

TestSuite(sim_shared, .timeout = 30, .init = make_name, .fini = remove_name);

/* Another process, which has some memory and keeps it. */
static pid_t neighbour(CUresult expected)
{
    CUdeviceptr at;
    CUresult result;
    pid_t pid = fork();

    if (pid == 0) {
        start();
        result = cuMemAlloc_v2(&at, THEIRS);
        (void)!write(told[1], &result, sizeof(result));
        for (;;)
            pause();
    }
    cr_assert_gt(pid, 0);
    cr_assert_eq(read(told[0], &result, sizeof(result)), sizeof(result));
    cr_assert_eq(result, expected);
    return pid;
}

static void kill_it(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static size_t free_now(void)
{
    size_t free_bytes, total_bytes;

    ok(cuMemGetInfo_v2(&free_bytes, &total_bytes));
    cr_assert_eq(total_bytes, CARD);
    return free_bytes;
}

Test(sim_shared, what_others_have_is_not_free)
{
    pid_t other = neighbour(CUDA_SUCCESS);
    CUdeviceptr at;

    start();
    cr_expect_eq(free_now(), CARD - THEIRS);
    fails(cuMemAlloc_v2(&at, THEIRS), CUDA_ERROR_OUT_OF_MEMORY);
    ok(cuMemAlloc_v2(&at, CARD - THEIRS));
    cr_expect_eq(free_now(), 0);
    kill_it(other);
}

Test(sim_shared, what_was_had_by_one_that_was_killed_is_free)
{
    CUdeviceptr at;

    kill_it(neighbour(CUDA_SUCCESS));
    start();
    cr_expect_eq(free_now(), CARD);
    ok(cuMemAlloc_v2(&at, CARD));
}

Test(sim_shared, they_are_refused_what_this_one_has)
{
    pid_t other = neighbour(CUDA_SUCCESS);

    kill_it(neighbour(CUDA_ERROR_OUT_OF_MEMORY));
    kill_it(other);
}
