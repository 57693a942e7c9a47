/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What is seen of how a program places its memory: in the environment, on its command line, in the
 * script it runs and in what it prints. The rows of signs.def. Pure: texts in, signs out.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sign {
#define SIGN(name, meaning) SIGN_##name,
#include "planner/signs.def"
    SIGN_COUNT,
};

enum sign_place {
    SIGN_ENVIRONMENT,
    SIGN_ARGUMENT,
    SIGN_COMMAND,
    SIGN_MODULE,
    SIGN_PATH,
    SIGN_SCRIPT,
    SIGN_OUTPUT,
};

struct clue {
    enum sign sign;
    enum sign_place place;
    const char *name, *value; /* as in signs.def */
};

/* Zero: nothing was seen. */
struct signs {
    const struct clue *seen[SIGN_COUNT]; /* the first that showed it */
    const char *program;                 /* a row of engines.def; NULL: not known */
};

#define SIGN_BIT(name) ((uint64_t)1 << SIGN_##name)

/* "NAME=value" each, NULL behind the last. */
void signs_read_environment(char *const *entries, struct signs *signs);
/* A command with its arguments, NULL behind the last. */
void signs_read_command(char *const *arguments, struct signs *signs);
/* Of a script, or what was printed: SIGN_SCRIPT or SIGN_OUTPUT. */
void signs_read_text(enum sign_place place, const char *text, size_t n, struct signs *signs);

/* The script that a command runs: the first argument that ends in .py; NULL when there is none. */
const char *signs_script(char *const *arguments);

/* One of the signs in a mask of SIGN_BIT(). */
bool signs_have(const struct signs *signs, uint64_t mask);
unsigned int signs_count(const struct signs *signs, uint64_t mask);
/* What shows the first of them; NULL. */
const struct clue *signs_clue(const struct signs *signs, uint64_t mask);
/* "-ngl in the arguments" */
void clue_describe(const struct clue *clue, char *out, size_t size);

/* For tests: NULL behind the last one. */
const struct clue *clue_at(size_t index);
