/* SPDX-License-Identifier: MIT */
#include "runtime/company.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const unsigned char card[16] = {1, 2, 3};
static const unsigned char other_card[16] = {1, 2, 4};
static char name[] = "/tmp/company-XXXXXX";
static int ready[2];

static void make_file(void)
{
    int fd = mkstemp(name);

    cr_assert_geq(fd, 0);
    cr_assert_eq(fchmod(fd, 0644), 0);
    close(fd);
    cr_assert_eq(pipe(ready), 0);
}

static void remove_file(void)
{
    unlink(name);
}

TestSuite(company, .timeout = 30, .init = make_file, .fini = remove_file);

static void tell(const unsigned char which[16], uint64_t held, uint64_t wanted)
{
    struct company_claim claim = {held, wanted};

    company_tell(0, which, &claim);
}

/* Another process, which has and wants this until it is killed. */
static pid_t neighbour(const unsigned char which[16], uint64_t held, uint64_t wanted, uid_t user)
{
    pid_t pid = fork();
    char byte;

    if (pid == 0) {
        company_reset();
        if (user && setuid(user))
            _exit(1);
        if (company_open(name))
            _exit(1);
        tell(which, 0, 0);
        tell(which, held, wanted);
        (void)!write(ready[1], "", 1);
        for (;;)
            pause();
    }
    cr_assert_gt(pid, 0);
    cr_assert_eq(read(ready[0], &byte, 1), 1);
    return pid;
}

static void kill_it(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void join(void)
{
    cr_assert_eq(company_open(name), 0);
    tell(card, 0, 0);
}

Test(company, is_told_what_others_have_and_want_until_they_end)
{
    struct company_claim claims[COMPANY_MOST];
    pid_t first = neighbour(card, 3 * GIB, 9 * GIB, 0);
    pid_t second = neighbour(card, 0, 5 * MIB + 1, 0);

    join();
    cr_assert_eq(company_ask(0, claims), 2);
    cr_expect_eq(claims[0].held + claims[1].held, 3 * GIB);
    cr_expect_eq(claims[0].wanted + claims[1].wanted, 9 * GIB + 5 * MIB);
    kill_it(first);
    cr_assert_eq(company_ask(0, claims), 1);
    cr_expect_eq(claims[0].wanted, 5 * MIB);
    kill_it(second);
    cr_expect_eq(company_ask(0, claims), 0);
}

Test(company, is_that_of_one_card)
{
    struct company_claim claims[COMPANY_MOST];
    pid_t pid = neighbour(other_card, GIB, GIB, 0);

    join();
    cr_expect_eq(company_ask(0, claims), 0);
    tell(card, 1, 1);
    company_tell(1, other_card, &(struct company_claim){0, 0});
    cr_expect_eq(company_ask(0, claims), 0, "a process is not its own company");
    cr_expect_eq(company_ask(1, claims), 1);
    kill_it(pid);
}

Test(company, is_news_when_it_comes_and_goes)
{
    pid_t pid;

    join();
    cr_expect_not(company_has_news());
    pid = neighbour(card, 0, GIB, 0);
    for (int i = 0; i < 100 && !company_has_news(); i++)
        usleep(20000);
    cr_expect(company_has_news());
    company_hear();
    cr_expect_not(company_has_news());
    kill_it(pid);
    for (int i = 0; i < 100 && !company_has_news(); i++)
        usleep(20000);
    cr_expect(company_has_news());
}

Test(company, of_other_users_is_not_believed)
{
    struct company_claim claims[COMPANY_MOST];
    pid_t pid;

    if (geteuid() != 0)
        cr_skip_test("only root has other users' processes");
    pid = neighbour(card, GIB, GIB, 65534);
    join();
    cr_expect_eq(company_ask(0, claims), 0);
    kill_it(pid);
}

Test(company, is_none_where_there_is_no_file_of_all)
{
    struct company_claim claims[COMPANY_MOST];

    cr_expect_neq(company_open("/"), 0);
    tell(card, GIB, GIB);
    cr_expect_eq(company_ask(0, claims), 0);
}
