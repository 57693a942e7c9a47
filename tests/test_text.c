/* SPDX-License-Identifier: MIT */
#include "planner/text.h"

#include <criterion/criterion.h>
#include <string.h>
#include "runtime/util.h"

static void expect(const char *text, size_t size, const char *shown)
{
    char out[64];

    text_escape(text, size, out, sizeof(out));
    cr_expect_str_eq(out, shown, "got \"%s\", not \"%s\"", out, shown);
}

#define EXPECT(text, shown) expect(text, sizeof(text) - 1, shown)

Test(text, shows_printable_text_as_it_is)
{
    EXPECT("", "");
    EXPECT("blk.0.attn_q.weight", "blk.0.attn_q.weight");
    EXPECT("Größe \xe4\xbd\xa0\xe5\xa5\xbd", "Größe \xe4\xbd\xa0\xe5\xa5\xbd");
    EXPECT("\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80");
}

Test(text, never_lets_a_terminal_see_what_it_would_obey)
{
    EXPECT("\x1b[31m", "\\x1b[31m");
    EXPECT("a\nb\r\t", "a\\x0ab\\x0d\\x09");
    EXPECT("nul\0end", "nul\\x00end");
    EXPECT("\x7f", "\\x7f");
    EXPECT("\xc2\x9b"
           "31m",
           "\\xc2\\x9b31m");
    EXPECT("\xe2\x80\xae", "\\xe2\\x80\\xae");
    EXPECT("\xef\xbb\xbf", "\\xef\\xbb\\xbf");
    EXPECT("a\\x1b", "a\\\\x1b");
}

Test(text, shows_broken_utf8_byte_by_byte)
{
    EXPECT("\xff", "\\xff");
    EXPECT("\x80", "\\x80");
    EXPECT("\xc3", "\\xc3");
    EXPECT("\xc0\xaf", "\\xc0\\xaf");
    EXPECT("\xe0\x80\xaf", "\\xe0\\x80\\xaf");
    EXPECT("\xed\xa0\x80", "\\xed\\xa0\\x80");
    EXPECT("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
}

Test(text, marks_what_it_had_to_cut)
{
    char out[12];

    cr_expect_str_eq(text_escape("12345678901", 11, out, sizeof(out)), "12345678901");
    cr_expect_str_eq(text_escape("123456789012", 12, out, sizeof(out)), "12345678...");
    cr_expect_str_eq(text_escape("\1\1\1", 3, out, sizeof(out)), "\\x01\\x01...");
    cr_expect_str_eq(text_escape("\1\1", 2, out, sizeof(out)), "\\x01\\x01");
}

Test(text, tells_clean_text_from_the_rest)
{
    cr_expect(text_is_clean("", 0));
    cr_expect(text_is_clean("\xe4\xbd\xa0", 3));
    cr_expect_not(text_is_clean("\xe4\xbd\xa0", 2));
    cr_expect_not(text_is_clean("a\0b", 3));
    cr_expect_not(text_is_clean("a\n", 2));
}
