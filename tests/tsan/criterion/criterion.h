/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The part of Criterion's interface that suites of this tree use, for builds with ThreadSanitizer.
 *
 * Criterion itself cannot run there: it starts tests through memory at addresses of its choice,
 * which TSan keeps for its own. Here each test is a forked child of a process without threads, and
 * what is printed is the same TAP. What is defined here is weak, so that a suite may have several
 * sources.
 */

#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define TSAN_SHARED __attribute__((weak))
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

struct tsan_test {
    const char *name;
    void (*run)(void);
    void (*init)(void);
    void (*fini)(void);
    double timeout; /* seconds */
    bool disabled;
    struct tsan_test *next;
};

/* What a suite has for all its tests; one suite per program. */
TSAN_SHARED struct tsan_test tsan_suite;
TSAN_SHARED struct tsan_test *tsan_tests;

/* How a child ends, beside the ways programs end by themselves. */
enum {
    TSAN_FAILED = 100,
    TSAN_SKIPPED = 77,
};

TSAN_SHARED int tsan_failures;

TSAN_SHARED void tsan_register(struct tsan_test *test)
{
    test->next = tsan_tests;
    tsan_tests = test;
}

#define TestSuite(suite, ...)                                                                      \
    __attribute__((constructor)) static void suite##_register_suite(void)                          \
    {                                                                                              \
        tsan_suite = (struct tsan_test){__VA_ARGS__};                                              \
    }                                                                                              \
    struct tsan_suite_##suite

#define Test(suite, test, ...)                                                                     \
    static void suite##_##test(void);                                                              \
    __attribute__((constructor)) static void suite##_##test##_register(void)                       \
    {                                                                                              \
        static struct tsan_test self = {                                                           \
            .name = #suite "::" #test, .run = suite##_##test, ##__VA_ARGS__};                      \
        tsan_register(&self);                                                                      \
    }                                                                                              \
    static void suite##_##test(void)

TSAN_SHARED void tsan_complain(const char *file, int line, const char *what)
{
    printf("# %s:%d: %s\n", file, line, what);
}

TSAN_SHARED void tsan_explain(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    printf("#   ");
    vprintf(format, args);
    printf("\n");
    va_end(args);
}

#define tsan_check(fatal, condition, what, ...)                                                    \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            tsan_complain(__FILE__, __LINE__, what);                                               \
            __VA_OPT__(tsan_explain(__VA_ARGS__);)                                                 \
            tsan_failures++;                                                                       \
            if (fatal) {                                                                           \
                fflush(stdout);                                                                    \
                _exit(TSAN_FAILED);                                                                \
            }                                                                                      \
        }                                                                                          \
    } while (0)

#define cr_skip_test(...)                                                                          \
    do {                                                                                           \
        __VA_OPT__(tsan_explain(__VA_ARGS__);)                                                     \
        fflush(stdout);                                                                            \
        _exit(TSAN_SKIPPED);                                                                       \
    } while (0)

#define cr_assert(c, ...)              tsan_check(1, c, #c __VA_OPT__(, ) __VA_ARGS__)
#define cr_expect(c, ...)              tsan_check(0, c, #c __VA_OPT__(, ) __VA_ARGS__)
#define cr_assert_not(c, ...)          tsan_check(1, !(c), "not " #c __VA_OPT__(, ) __VA_ARGS__)
#define cr_expect_not(c, ...)          tsan_check(0, !(c), "not " #c __VA_OPT__(, ) __VA_ARGS__)
#define cr_assert_fail(...)            tsan_check(1, false, "reached" __VA_OPT__(, ) __VA_ARGS__)
#define cr_expect_fail(...)            tsan_check(0, false, "reached" __VA_OPT__(, ) __VA_ARGS__)
#define cr_assert_null(p, ...)         cr_assert((p) == NULL __VA_OPT__(, ) __VA_ARGS__)
#define cr_expect_null(p, ...)         cr_expect((p) == NULL __VA_OPT__(, ) __VA_ARGS__)
#define cr_assert_not_null(p, ...)     cr_assert((p) != NULL __VA_OPT__(, ) __VA_ARGS__)
#define cr_expect_not_null(p, ...)     cr_expect((p) != NULL __VA_OPT__(, ) __VA_ARGS__)
#define cr_assert_eq(a, b, ...)        cr_assert((a) == (b)__VA_OPT__(, ) __VA_ARGS__)
#define cr_expect_eq(a, b, ...)        cr_expect((a) == (b)__VA_OPT__(, ) __VA_ARGS__)
#define cr_assert_neq(a, b, ...)       cr_assert((a) != (b)__VA_OPT__(, ) __VA_ARGS__)
#define cr_expect_neq(a, b, ...)       cr_expect((a) != (b)__VA_OPT__(, ) __VA_ARGS__)
#define cr_assert_lt(a, b, ...)        cr_assert((a) < (b)__VA_OPT__(, ) __VA_ARGS__)
#define cr_expect_lt(a, b, ...)        cr_expect((a) < (b)__VA_OPT__(, ) __VA_ARGS__)
#define cr_assert_leq(a, b, ...)       cr_assert((a) <= (b)__VA_OPT__(, ) __VA_ARGS__)
#define cr_expect_leq(a, b, ...)       cr_expect((a) <= (b)__VA_OPT__(, ) __VA_ARGS__)
#define cr_assert_gt(a, b, ...)        cr_assert((a) > (b)__VA_OPT__(, ) __VA_ARGS__)
#define cr_expect_gt(a, b, ...)        cr_expect((a) > (b)__VA_OPT__(, ) __VA_ARGS__)
#define cr_assert_geq(a, b, ...)       cr_assert((a) >= (b)__VA_OPT__(, ) __VA_ARGS__)
#define cr_expect_geq(a, b, ...)       cr_expect((a) >= (b)__VA_OPT__(, ) __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)    cr_assert(strcmp(a, b) == 0 __VA_OPT__(, ) __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...)    cr_expect(strcmp(a, b) == 0 __VA_OPT__(, ) __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...)   cr_assert(strcmp(a, b) != 0 __VA_OPT__(, ) __VA_ARGS__)
#define cr_expect_str_neq(a, b, ...)   cr_expect(strcmp(a, b) != 0 __VA_OPT__(, ) __VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...) cr_assert(memcmp(a, b, n) == 0 __VA_OPT__(, ) __VA_ARGS__)
#define cr_expect_arr_eq(a, b, n, ...) cr_expect(memcmp(a, b, n) == 0 __VA_OPT__(, ) __VA_ARGS__)
#define cr_assert_float_eq(a, b, e, ...)                                                           \
    cr_assert(fabs((double)(a) - (double)(b)) <= (e)__VA_OPT__(, ) __VA_ARGS__)
#define cr_expect_float_eq(a, b, e, ...)                                                           \
    cr_expect(fabs((double)(a) - (double)(b)) <= (e)__VA_OPT__(, ) __VA_ARGS__)

TSAN_SHARED void tsan_run_child(const struct tsan_test *test)
{
    void (*init)(void) = test->init ? test->init : tsan_suite.init;
    void (*fini)(void) = test->fini ? test->fini : tsan_suite.fini;
    double timeout = test->timeout ? test->timeout : tsan_suite.timeout;

    /* Everything is slower here. */
    if (timeout)
        alarm(20 * timeout + 1);
    if (init)
        init();
    test->run();
    if (fini)
        fini();
    fflush(stdout);
    /* exit(), not _exit(): TSan turns the status of a process with races into one of its own. */
    exit(tsan_failures ? TSAN_FAILED : 0);
}

/* True when the test did not fail. */
TSAN_SHARED bool tsan_run(const struct tsan_test *test)
{
    int status = 0;
    pid_t child;

    fflush(stdout);
    child = fork();
    if (child == 0)
        tsan_run_child(test);
    if (child < 0 || waitpid(child, &status, 0) != child) {
        printf("not ok - %s cannot be started\n", test->name);
        return false;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == TSAN_SKIPPED)
        printf("ok - %s # SKIP\n", test->name);
    else if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        printf("ok - %s\n", test->name);
    else
        printf("not ok - %s ended with %s %d\n", test->name,
               WIFEXITED(status) ? "status" : "signal",
               WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    return WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == TSAN_SKIPPED);
}

TSAN_SHARED int main(void)
{
    unsigned int planned = 0;
    bool failed = false;

    for (struct tsan_test *test = tsan_tests; test; test = test->next)
        planned++;
    printf("TAP version 13\n1..%u\n", planned);
    for (struct tsan_test *test = tsan_tests; test; test = test->next) {
        if (test->disabled)
            printf("ok - %s # SKIP disabled\n", test->name);
        else if (!tsan_run(test))
            failed = true;
    }
    return failed;
}
