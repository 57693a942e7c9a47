/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A bounded reader over the bytes of a GGUF file, and the values in them. For planner/gguf.c alone.
 *
 * Bytes are looked at only after reader_take() has compared their number with what is left; it
 * never adds to a position first, so nothing can wrap. Every function that returns int gives 0, or
 * -EINVAL after writing the one line that says what is wrong.
 */

#include "planner/gguf.h"
#include "planner/source.h"

struct reader {
    const char *name;      /* of the file, for messages */
    struct source *source; /* fills `data` as it is needed; NULL: all of it is there */
    const uint8_t *data;
    size_t size;
    size_t at;
    char *error;
    size_t error_size;
};

/* Writes "name: offset N: ..."; returns -EINVAL. What comes from the file goes through text_show.
 */
__attribute__((format(printf, 3, 4))) int reader_fail(struct reader *reader, size_t offset,
                                                      const char *format, ...);

size_t reader_left(const struct reader *reader);
int reader_take(struct reader *reader, uint64_t bytes, const char *what, const uint8_t **out);
int reader_u32(struct reader *reader, const char *what, uint32_t *out);
int reader_u64(struct reader *reader, const char *what, uint64_t *out);

/* A key or tensor name: not empty, at most `limit` bytes, printable UTF-8. */
int reader_name(struct reader *reader, const char *what, size_t limit, struct text *out);

/* A value's type and the value, arrays included. */
int reader_value(struct reader *reader, struct gguf_value *out);

/* Decodes a value other than an array, whose bytes are known to be there; returns its end. */
const uint8_t *reader_decode(enum gguf_kind kind, const uint8_t *at, struct gguf_value *out);
