/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "runtime/nearest.h"
#include "runtime/util.h"

Test(nearest, counts_the_edits_between_two_words)
{
    static const struct {
        const char *a;
        const char *b;
        unsigned int distance;
    } cases[] = {
        {"", "", 0},         {"", "abc", 3},       {"abc", "", 3},           {"warn", "warn", 0},
        {"warn", "WARN", 0}, {"wran", "warn", 1},  {"wrn", "warn", 1},       {"waarn", "warn", 1},
        {"worn", "warn", 1}, {"debug", "info", 5}, {"kitten", "sitting", 3},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        cr_expect_eq(nearest_distance(cases[i].a, cases[i].b), cases[i].distance, "%s to %s: %u",
                     cases[i].a, cases[i].b, nearest_distance(cases[i].a, cases[i].b));
}

Test(nearest, compares_long_words_by_their_beginning)
{
    char a[3 * NEAREST_MAX];
    char b[3 * NEAREST_MAX];

    for (size_t i = 0; i < sizeof(a); i++) {
        a[i] = 'x';
        b[i] = i < NEAREST_MAX ? 'x' : 'y';
    }
    a[sizeof(a) - 1] = '\0';
    b[sizeof(b) - 1] = '\0';
    cr_assert_eq(nearest_distance(a, b), 0);
    cr_assert_eq(nearest_distance(a, ""), NEAREST_MAX);
}

Test(nearest, picks_the_first_of_equally_near_choices)
{
    static const char *const choices[] = {"error", "warn", "worn"};

    cr_assert_str_eq(nearest_choice("wern", choices, 3), "warn");
    cr_assert_null(nearest_choice("wern", choices, 0));
}
