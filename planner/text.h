/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Text that came from a file, made fit to be shown to a person.
 *
 * Nothing read from a model file reaches a terminal without passing through here: names in hostile
 * files carry escape sequences, right-to-left overrides and broken UTF-8.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that lie elsewhere, without a NUL behind them; show them through text_escape(). */
struct text {
    const char *data;
    size_t size;
};
bool text_equal(struct text text, const char *other);
/* By bytes, as memcmp() has it. */
int text_compare(struct text a, struct text b);
bool text_begins(struct text text, const char *start);
bool text_has(struct text text, const char *part);

/* Text cut and fit for a message. */
struct text_shown {
    char text[80];
};
struct text_shown text_show(struct text text);

/*
 * Bytes of the one valid UTF-8 character at `text`, and its code point; 0 when `size` bytes do not
 * begin with one (overlong forms, surrogates and values above U+10FFFF are not valid).
 */
size_t text_decode(const char *text, size_t size, unsigned int *out);

/* Whether a person may be shown this character: no control, no invisible format character. */
bool text_is_printable(unsigned int code_point);

/* Whether all of `text` is valid UTF-8 made of printable characters. True for empty text. */
bool text_is_clean(const char *text, size_t size);

/*
 * Writes `text` to `out`, which holds `out_size` bytes (at least 8), every byte that is not part of
 * a printable character as \xNN and a backslash as two; always NUL-terminated. What does not fit is
 * replaced by "..." at the end. Returns `out`.
 */
char *text_escape(const char *text, size_t size, char *out, size_t out_size);

/* "45.2 MiB"; one digit is enough to compare by eye, exact figures are in the JSON. Returns `out`.
 */
const char *text_size(uint64_t bytes, char out[32]);
