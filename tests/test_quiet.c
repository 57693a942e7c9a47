/* SPDX-License-Identifier: MIT */
#include "runtime/quiet.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(quiet, .timeout = 30);

static bool is_blocked(int number)
{
    sigset_t mask;

    sigprocmask(SIG_BLOCK, NULL, &mask);
    return sigismember(&mask, number);
}

static bool is_pending(int number)
{
    sigset_t pending;

    sigpending(&pending);
    return sigismember(&pending, number);
}

static int pipe_that_nobody_reads(void)
{
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    close(ends[0]);
    return ends[1];
}

Test(quiet, a_pipe_that_nobody_reads_ends_nothing)
{
    quiet_write(pipe_that_nobody_reads(), "text", 4);
    cr_expect_not(is_pending(SIGPIPE));
    cr_expect_not(is_blocked(SIGPIPE));
}

Test(quiet, a_file_that_has_reached_the_limit_ends_nothing)
{
    struct rlimit least = {.rlim_cur = 2, .rlim_max = RLIM_INFINITY};
    FILE *file = tmpfile();
    struct quiet quiet;

    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &least), 0);
    quiet_begin(&quiet);
    cr_expect_eq(write(fileno(file), "text", 4), 2);
    cr_expect_eq(write(fileno(file), "xt", 2), -1);
    quiet_end(&quiet);
    cr_expect_eq(errno, EFBIG);
    cr_expect_not(is_pending(SIGXFSZ));
}

Test(quiet, a_signal_that_was_there_before_stays_the_programs)
{
    sigset_t one;

    sigemptyset(&one);
    sigaddset(&one, SIGPIPE);
    sigprocmask(SIG_BLOCK, &one, NULL);
    raise(SIGPIPE);
    quiet_write(pipe_that_nobody_reads(), "text", 4);
    cr_expect(is_pending(SIGPIPE));
    cr_expect(is_blocked(SIGPIPE));
}

Test(quiet, afterwards_the_program_is_ended_as_ever)
{
    int fd = pipe_that_nobody_reads();
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        quiet_write(fd, "text", 4);
        (void)!write(fd, "text", 4);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect(WIFSIGNALED(status));
    cr_expect_eq(WTERMSIG(status), SIGPIPE);
}
