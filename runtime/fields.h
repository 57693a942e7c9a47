/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Text files of ours, line by line and field by field, read as if their writer were an enemy.
 *
 * A line is words separated by spaces: numbers in decimal, marks of 16 hexadecimal digits, and
 * texts in quotes in which \xNN is a byte. Empty lines and those that begin with # say nothing.
 *
 * Pure, but for fields_load(). Locking: the caller's.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    FIELDS_FILE_MAX = 64 << 20, /* bytes of a file, */
    FIELDS_LINE_MAX = 32 << 10, /* of a line, */
    FIELDS_TEXT_MAX = 4096,     /* and of a text, decoded */
};

/* What is left of a line. */
struct fields {
    const char *at, *end;
};

struct lines {
    const char *at, *end;
    unsigned int number; /* of the last line that was given, from 1 */
};

/*
 * Reads a file that is this user's own, or root's, and that nobody else may write. The bytes are
 * the caller's to free. 0, or -errno and one line in `error` that names the file.
 */
int fields_load(const char *path, char *error, size_t error_size, char **out, size_t *out_size);

/* Writes "name:number: what" to `error`, without the number when it is 0, and with nothing in it
 * that drives a terminal. */
void fields_say(char *error, size_t error_size, const char *name, unsigned int number,
                const char *what);

/* The next line that says something; false behind the last. *out_bad: it is too long, or has bytes
 * that are no text. */
bool lines_next(struct lines *lines, struct fields *out, bool *out_bad);

/* Each takes the next field; false when it is not there or not of that kind, then nothing is. */
bool fields_word(struct fields *fields, const char *word); /* this very one */
bool fields_number(struct fields *fields, uint64_t *out);
bool fields_mark(struct fields *fields, uint64_t *out); /* "-" is 0 */
/* Into `out`, NUL-terminated; texts have no NUL in them. */
bool fields_text(struct fields *fields, char out[FIELDS_TEXT_MAX + 1]);
/* One of these; *out is its index. */
bool fields_choice(struct fields *fields, const char *const *words, size_t n, size_t *out);
bool fields_end(struct fields *fields);

/* As the readers above have it. */
void fields_put_mark(FILE *out, uint64_t mark);
void fields_put_text(FILE *out, const char *text);
