/* SPDX-License-Identifier: MIT */

/*
 * The tokens of PTX.
 *
 * A word swallows its dots, so that `ld.global.v2.f32` and `%tid.x` are each one token, but the two
 * of `.reg.b32` are not; it also swallows `::` as in `.shared::cta`, but not the single colon that
 * follows a label.
 */

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/ptx_lex.h"

static bool is_word_start(char c)
{
    return isalpha((unsigned char)c) || c == '_' || c == '$' || c == '%' || c == '.';
}

static bool is_word_char(char c)
{
    return is_word_start(c) || isdigit((unsigned char)c);
}

int lex_fail(struct lex *lex, int line, const char *format, ...)
{
    if (!lex->failed && lex->error_size) {
        int n = snprintf(lex->error, lex->error_size, "line %d%s: ", line, lex->where);
        if (n >= 0 && (size_t)n < lex->error_size) {
            va_list args;
            va_start(args, format);
            vsnprintf(lex->error + n, lex->error_size - (size_t)n, format, args);
            va_end(args);
        }
    }
    lex->failed = true;
    lex->token.kind = LEX_END;
    lex->token.length = 0;
    return -1;
}

int lex_fail_token(struct lex *lex, const char *expected)
{
    const struct lex_token *token = &lex->token;
    int length = token->length > 60 ? 60 : (int)token->length;

    if (token->kind == LEX_END)
        return lex_fail(lex, token->line, "the text ends where %s is expected", expected);
    return lex_fail(lex, token->line, "'%.*s' where %s is expected", length, token->text, expected);
}

static void skip_block_comment(struct lex *lex)
{
    lex->at += 2;
    while (*lex->at && !(lex->at[0] == '*' && lex->at[1] == '/')) {
        lex->line += *lex->at == '\n';
        lex->at++;
    }
    if (*lex->at)
        lex->at += 2;
}

static void skip_space(struct lex *lex)
{
    for (;;) {
        if (isspace((unsigned char)*lex->at)) {
            lex->line += *lex->at == '\n';
            lex->at++;
        } else if (lex->at[0] == '/' && lex->at[1] == '/') {
            lex->at += strcspn(lex->at, "\n");
        } else if (lex->at[0] == '/' && lex->at[1] == '*') {
            skip_block_comment(lex);
        } else {
            return;
        }
    }
}

static void take_word(struct lex *lex)
{
    bool directive = *lex->at == '.';

    lex->token.kind = LEX_WORD;
    do
        lex->at += lex->at[0] == ':' ? 2 : 1;
    while ((is_word_char(*lex->at) && !(directive && *lex->at == '.')) ||
           (lex->at[0] == ':' && lex->at[1] == ':'));
}

static bool is_exact_float(const char *at)
{
    return at[0] == '0' && at[1] && strchr("fFdD", at[1]) && isxdigit((unsigned char)at[2]);
}

/* 0f3F800000 and 0d3FF0000000000000: the image of the number. */
static void take_exact_float(struct lex *lex)
{
    size_t digits = lex->at[1] == 'f' || lex->at[1] == 'F' ? 8 : 16;
    size_t n = 0;

    lex->token.kind = digits == 8 ? LEX_FLOAT : LEX_DOUBLE;
    lex->at += 2;
    for (; n < digits && isxdigit((unsigned char)*lex->at); n++, lex->at++) {
        int digit = tolower((unsigned char)*lex->at);
        int value = isdigit(digit) ? digit - '0' : digit - 'a' + 10;
        lex->token.bits = lex->token.bits << 4 | (uint64_t)value;
    }
    if (n < digits || is_word_char(*lex->at))
        lex_fail(lex, lex->line, "the number needs %zu hexadecimal digits", digits);
}

static void take_decimal_float(struct lex *lex)
{
    char *end;
    double value = strtod(lex->at, &end);

    lex->token.kind = LEX_DOUBLE;
    memcpy(&lex->token.bits, &value, sizeof(value));
    lex->at = end;
}

static void take_integer(struct lex *lex)
{
    bool binary = lex->at[0] == '0' && (lex->at[1] == 'b' || lex->at[1] == 'B');
    char *end;

    lex->token.kind = LEX_INTEGER;
    lex->token.bits = strtoull(lex->at + (binary ? 2 : 0), &end, binary ? 2 : 0);
    lex->at = end;
    if (*lex->at == 'U')
        lex->at++;
    if (is_word_char(*lex->at))
        lex_fail(lex, lex->line, "'%c' in a number", *lex->at);
}

static void take_number(struct lex *lex)
{
    size_t digits = strspn(lex->at, "0123456789");

    if (is_exact_float(lex->at))
        take_exact_float(lex);
    else if (strchr(".eE", lex->at[digits]) && lex->at[digits])
        take_decimal_float(lex);
    else
        take_integer(lex);
}

static void take_string(struct lex *lex)
{
    lex->token.kind = LEX_STRING;
    lex->token.text = ++lex->at;
    while (*lex->at && *lex->at != '"' && *lex->at != '\n')
        lex->at += lex->at[0] == '\\' && lex->at[1] ? 2 : 1;
    lex->token.length = (size_t)(lex->at - lex->token.text);
    if (*lex->at == '"')
        lex->at++;
    else
        lex_fail(lex, lex->line, "the string does not end");
}

void lex_next(struct lex *lex)
{
    if (lex->failed)
        return;
    skip_space(lex);
    lex->token = (struct lex_token){.kind = LEX_END, .text = lex->at, .line = lex->line};
    if (!*lex->at)
        return;
    if (*lex->at == '"') {
        take_string(lex);
        return;
    }
    if (is_word_start(*lex->at)) {
        take_word(lex);
    } else if (isdigit((unsigned char)*lex->at)) {
        take_number(lex);
    } else {
        lex->token.kind = LEX_SYMBOL;
        lex->at++;
    }
    if (!lex->failed)
        lex->token.length = (size_t)(lex->at - lex->token.text);
}

void lex_seek(struct lex *lex, struct lex_token token)
{
    lex->at = token.text;
    lex->line = token.line;
    lex_next(lex);
}

void lex_init(struct lex *lex, const char *text, char *error, size_t error_size)
{
    *lex = (struct lex){.at = text, .line = 1, .error = error, .error_size = error_size};
    lex_next(lex);
}

bool token_is(const struct lex_token *token, const char *text)
{
    return token->length == strlen(text) && !memcmp(token->text, text, token->length) &&
           token->kind != LEX_STRING;
}

bool lex_is(const struct lex *lex, const char *text)
{
    return token_is(&lex->token, text);
}

bool lex_accept(struct lex *lex, const char *text)
{
    if (!lex_is(lex, text))
        return false;
    lex_next(lex);
    return true;
}

void lex_expect(struct lex *lex, const char *text)
{
    char quoted[40];

    if (lex_accept(lex, text))
        return;
    snprintf(quoted, sizeof(quoted), "'%s'", text);
    lex_fail_token(lex, quoted);
}

uint64_t lex_expect_size(struct lex *lex, uint64_t limit)
{
    uint64_t value = lex->token.bits;

    if (lex->token.kind != LEX_INTEGER) {
        lex_fail_token(lex, "a whole number");
        return 0;
    }
    if (value > limit) {
        lex_fail(lex, lex->token.line, "%llu is more than %llu", (unsigned long long)value,
                 (unsigned long long)limit);
        return 0;
    }
    lex_next(lex);
    return value;
}

struct lex_token lex_expect_name(struct lex *lex)
{
    struct lex_token token = lex->token;

    if (token.kind != LEX_WORD || token.text[0] == '.') {
        lex_fail_token(lex, "a name");
        return lex->token;
    }
    lex_next(lex);
    return token;
}
