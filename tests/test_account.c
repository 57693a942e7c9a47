/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/account.h"
#include "runtime/util.h"

#define HEAD  "vramshim-report 2\nmodel \"a model\"\ncard 100 20 70\nrecognised 50 5 60\n"
#define TERMS "term weights 60 50\nterm cache 3 4\nterm buffers 5 6\nterm unaccounted 9 10\n"
#define GOOD                                                                                       \
    HEAD TERMS "peak 85 80 6\nfunction 00000000000000aa \"attend\"\n"                              \
               "function 00000000000000ab \"attend\"\nend\n"

static int parse(const char *text, char error[256], struct account *out)
{
    return account_parse("report", text, strlen(text), error, 256, out);
}

static char *print(const struct account *account)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    account_print(account, out);
    fclose(out);
    return text;
}

Test(account, is_read_to_the_last_number)
{
    struct account a;
    char error[256];

    cr_assert_eq(parse(GOOD, error, &a), 0, "%s", error);
    cr_expect_str_eq(a.model, "a model");
    cr_expect(a.total == 100 && a.free == 20 && a.ours == 70);
    cr_expect(a.recognised == 50 && a.by_size == 5 && a.planned == 60);
    cr_expect(a.terms[ACCOUNT_WEIGHTS].predicted == 60 && a.terms[ACCOUNT_WEIGHTS].actual == 50);
    cr_expect(a.terms[ACCOUNT_UNACCOUNTED].predicted == 9);
    cr_expect(a.peak.predicted == 85 && a.peak.actual == 80 && a.error == 6);
    cr_assert_eq(a.functions.n, 2);
    cr_expect_str_eq(a.functions.list[1].name, "attend");
    cr_expect_eq(a.functions.list[1].digest, 0xab);
    account_fini(&a);
}

Test(account, is_printed_as_it_was_read)
{
    struct account a;
    char error[256];
    char *text;

    cr_assert_eq(parse(GOOD, error, &a), 0);
    text = print(&a);
    cr_expect_str_eq(text, GOOD);
    free(text);
    account_fini(&a);
}

Test(account, is_refused_wherever_it_is_cut)
{
    struct account a;
    char error[256];

    for (size_t n = 0; n < sizeof(GOOD) - 2; n++)
        cr_assert_eq(account_parse("report", GOOD, n, error, sizeof(error), &a), -EINVAL,
                     "cut at %zu", n);
}

/* What is read of it is read of what it is printed as, too. */
Test(account, with_any_byte_changed_is_refused_or_read_the_same_twice)
{
    char text[] = GOOD;

    for (size_t at = 0; at < sizeof(GOOD) - 1; at++) {
        for (int byte = 0; byte < 256; byte += 5) {
            struct account a, again;
            char error[256] = "";
            char *printed;

            text[at] = (char)byte;
            if (account_parse("report", text, sizeof(GOOD) - 1, error, sizeof(error), &a)) {
                cr_assert(error[0] && !strpbrk(error, "\n\x1b"));
                continue;
            }
            printed = print(&a);
            cr_assert_eq(parse(printed, error, &again), 0, "%s", printed);
            cr_assert_eq(a.peak.actual, again.peak.actual);
            free(printed);
            account_fini(&a);
            account_fini(&again);
        }
        text[at] = GOOD[at];
    }
}

Test(account, is_refused_when_the_card_has_less_than_is_taken_of_it)
{
    static const char *const cards[] = {"card 10 11 0", "card 10 0 11"};

    for (size_t i = 0; i < ARRAY_SIZE(cards); i++) {
        struct account account;
        char text[512], error[128];

        snprintf(text, sizeof(text),
                 "vramshim-report 2\nmodel \"m\"\n%s\nrecognised 0 0 0\nterm weights 0 0\n"
                 "term cache 0 0\nterm buffers 0 0\nterm unaccounted 0 0\npeak 0 0 0\nend\n",
                 cards[i]);
        cr_assert_eq(account_parse("r", text, strlen(text), error, sizeof(error), &account),
                     -EINVAL);
        cr_expect(strstr(error, "less memory than is free or taken"), "%s", error);
    }
}

Test(account, is_missed_when_the_peak_is_further_off_than_was_said)
{
    struct account a = {.peak = {.predicted = 85, .actual = 80}, .error = 5};

    cr_expect_not(account_is_missed(&a));
    a.peak.actual = 79;
    cr_expect(account_is_missed(&a));
    a.peak.actual = 91;
    cr_expect(account_is_missed(&a));
}
