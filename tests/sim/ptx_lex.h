/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * PTX text as tokens, one of lookahead.
 *
 * An error is sticky: the first one is kept, and from then on the token is LEX_END, so that every
 * loop of the parser, which all stop there, unwinds by itself.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lex_kind {
    LEX_END,
    LEX_WORD,    /* name, register, opcode with its modifiers, or directive with its dot */
    LEX_INTEGER, /* `bits` is the value */
    LEX_FLOAT,   /* 0f00000000: `bits` is the f32 image */
    LEX_DOUBLE,  /* 0d0000000000000000 or 1.5: `bits` is the f64 image */
    LEX_STRING,  /* without its quotes */
    LEX_SYMBOL,  /* one character of punctuation */
};

struct lex_token {
    enum lex_kind kind;
    const char *text; /* into the source text */
    size_t length;
    int line;
    uint64_t bits;
};

struct lex {
    struct lex_token token; /* the next one to be taken */
    const char *at;
    int line;
    char where[160]; /* ", kernel f" or empty, for messages */
    char *error;
    size_t error_size;
    bool failed;
};

/* Locking: none, as everywhere in the parser. `text` must outlive the lexer and what it returns. */
void lex_init(struct lex *lex, const char *text, char *error, size_t error_size);
/* Steps over the current token. */
void lex_next(struct lex *lex);
/* Goes back (or on) to a place taken from an earlier token. */
void lex_seek(struct lex *lex, struct lex_token token);

/* Records "line N, kernel K: <message>". Always returns -1. */
int lex_fail(struct lex *lex, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Records that the current token was not expected. Always returns -1. */
int lex_fail_token(struct lex *lex, const char *expected);

bool lex_is(const struct lex *lex, const char *text);
/* Takes the token if it is `text`. */
bool lex_accept(struct lex *lex, const char *text);
/* Takes the token, which must be `text`. */
void lex_expect(struct lex *lex, const char *text);
/* Takes a whole number in [0, limit]; 0 after recording an error. */
uint64_t lex_expect_size(struct lex *lex, uint64_t limit);
/* Takes a word that is no directive; a token of kind LEX_END after recording an error. */
struct lex_token lex_expect_name(struct lex *lex);

bool token_is(const struct lex_token *token, const char *text);
