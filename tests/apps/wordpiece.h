/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The WordPiece tokenizer of uncased BERT models, with the vocabulary of a GGUF file
 * (tokenizer.ggml.tokens: pieces that begin a word start with U+2581, the others are bare).
 *
 * Text is split at white space and punctuation, lower-cased, freed of accents (of the Latin, Greek
 * and Cyrillic scripts), and each word is cut into the longest pieces that the vocabulary has.
 * The process's LC_CTYPE must be a UTF-8 one.
 */

#include <stddef.h>
#include <stdint.h>
#include "planner/gguf.h"

struct wordpiece;

/*
 * Borrows the strings of `gguf`. On failure returns a negative errno and sets *reason to what the
 * file lacks.
 */
int wordpiece_new(const struct gguf *gguf, const char **reason, struct wordpiece **out);
struct wordpiece *wordpiece_free(struct wordpiece *wordpiece); /* NULL is fine; returns NULL */

/*
 * Token ids of a sentence, the opening and closing token included, at most `capacity` (at least 2):
 * what is longer is cut before the closing token. Returns how many there would be without the
 * limit.
 */
size_t wordpiece_encode(const struct wordpiece *wordpiece, const char *text, size_t size,
                        int32_t *out, size_t capacity);
