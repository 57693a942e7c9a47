/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/stats.h"
#include "runtime/util.h"

/* What stats_print() writes, in a buffer that the next call reuses. */
static const char *printed(void)
{
    static char text[16384];
    int ends[2];
    ssize_t n;

    cr_assert_eq(pipe(ends), 0);
    stats_print(ends[1]);
    close(ends[1]);
    n = read(ends[0], text, sizeof(text) - 1);
    close(ends[0]);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

Test(stats, names_every_counter_once)
{
    for (unsigned int i = 0; i < COUNTER_COUNT; i++) {
        cr_expect_gt(strlen(counter_name(i)), 0);
        for (unsigned int j = 0; j < i; j++)
            cr_expect_str_neq(counter_name(i), counter_name(j));
    }
}

static void *add_many(void *context)
{
    for (unsigned int i = 0; i < 10000; i++) {
        stats_add(launches, 1);
        stats_add(paged_bytes, 3);
        stats_sub(paged_bytes, 3);
    }
    return NULL;
}

Test(stats, adds_up_from_all_threads)
{
    pthread_t threads[4];

    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, add_many, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    cr_assert_eq(stats_get(launches), 40000);
    cr_assert_eq(stats_get(paged_bytes), 0);
}

Test(stats, prints_every_gauge_and_the_totals_that_are_not_zero)
{
    const char *text;

    stats_add(bytes_to_host, UINT64_MAX);
    text = printed();
    cr_assert_not_null(strstr(text, "vramshim: bytes_to_host 18446744073709551615\n"));
    for (unsigned int i = 0; i < COUNTER_COUNT; i++) {
        char line[128];

        snprintf(line, sizeof(line), "vramshim: %s 0\n", counter_name(i));
        cr_expect_eq(strstr(text, line) != NULL, counter_is_gauge(i), "%s", line);
    }
}

Test(stats, prints_every_counter_even_when_all_are_as_large_as_can_be)
{
    size_t lines = 0;

    for (unsigned int i = 0; i < COUNTER_COUNT; i++)
        atomic_store(&stats_counters[i], UINT64_MAX);
    for (const char *at = printed(); *at; at++)
        lines += *at == '\n';
    cr_assert_eq(lines, COUNTER_COUNT);
}
