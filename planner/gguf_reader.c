/* SPDX-License-Identifier: MIT */
/*
 * The bounded reader of GGUF files.
 *
 * The one place where bytes of a file become numbers. A count is compared with what the bytes left
 * could hold at the least before anything is done that often; strings and arrays are never copied,
 * but walked over once, so that walking over them again cannot fail.
 */
#include "planner/gguf_reader.h"

#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "planner/text.h"

enum {
    MIN_STRING_BYTES = 8,
};

static const struct {
    const char *name;
    unsigned int bytes; /* 0: has no fixed size */
} kinds[GGUF_KIND_COUNT] = {
    [GGUF_U8] = {"u8", 1},       [GGUF_I8] = {"i8", 1},     [GGUF_U16] = {"u16", 2},
    [GGUF_I16] = {"i16", 2},     [GGUF_U32] = {"u32", 4},   [GGUF_I32] = {"i32", 4},
    [GGUF_F32] = {"f32", 4},     [GGUF_BOOL] = {"bool", 1}, [GGUF_STRING] = {"string", 0},
    [GGUF_ARRAY] = {"array", 0}, [GGUF_U64] = {"u64", 8},   [GGUF_I64] = {"i64", 8},
    [GGUF_F64] = {"f64", 8},
};

int reader_fail(struct reader *reader, size_t offset, const char *format, ...)
{
    char reason[320], line[384];
    va_list args;

    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    snprintf(line, sizeof(line), "offset %zu: %s", offset, reason);
    source_say(reader->error, reader->error_size, reader->name, line);
    return -EINVAL;
}

size_t reader_left(const struct reader *reader)
{
    return reader->size - reader->at;
}

/* The next bytes, of which there are enough, from the file. */
static int reader_fetch(struct reader *reader, uint64_t bytes, const char *what)
{
    int r = reader->source ? source_fill(reader->source, reader->at + bytes) : 0;

    if (r == 0)
        return 0;
    if (r == -EFBIG)
        return reader_fail(reader, reader->at, "the header, with %s in it, is longer than %d MiB",
                           what, SOURCE_MAX_HEAD >> 20);
    if (r == -ENODATA)
        return reader_fail(reader, reader->at, "the file became shorter while it was read");
    reader_fail(reader, reader->at, "%s", strerror(-r));
    return r;
}

int reader_take(struct reader *reader, uint64_t bytes, const char *what, const uint8_t **out)
{
    int r;

    if (bytes > reader_left(reader)) {
        return reader_fail(reader, reader->at, "%s needs %ju bytes, but only %zu are left", what,
                           (uintmax_t)bytes, reader_left(reader));
    }
    r = reader_fetch(reader, bytes, what);
    if (r)
        return r;
    *out = reader->data + reader->at;
    reader->at += bytes;
    return 0;
}

static uint64_t load(const uint8_t *at, unsigned int bytes)
{
    uint64_t value = 0;

    memcpy(&value, at, bytes);
    return le64toh(value);
}

int reader_u32(struct reader *reader, const char *what, uint32_t *out)
{
    const uint8_t *at = NULL;
    int r = reader_take(reader, sizeof(uint32_t), what, &at);

    if (!r)
        *out = (uint32_t)load(at, sizeof(uint32_t));
    return r;
}

int reader_u64(struct reader *reader, const char *what, uint64_t *out)
{
    const uint8_t *at = NULL;
    int r = reader_take(reader, sizeof(uint64_t), what, &at);

    if (!r)
        *out = load(at, sizeof(uint64_t));
    return r;
}

static int reader_string(struct reader *reader, const char *what, struct text *out)
{
    const uint8_t *at = NULL;
    uint64_t size = 0;
    int r = reader_u64(reader, what, &size);

    if (!r)
        r = reader_take(reader, size, what, &at);
    if (!r)
        *out = (struct text){.data = (const char *)at, .size = size};
    return r;
}

int reader_name(struct reader *reader, const char *what, size_t limit, struct text *out)
{
    size_t start = reader->at;
    struct text name;
    int r = reader_string(reader, what, &name);

    if (r)
        return r;
    if (name.size == 0)
        return reader_fail(reader, start, "%s is empty", what);
    if (name.size > limit) {
        return reader_fail(reader, start, "%s is %zu bytes long; the limit is %zu", what, name.size,
                           limit);
    }
    if (!text_is_clean(name.data, name.size)) {
        return reader_fail(reader, start, "%s \"%s\" has control characters or is not UTF-8", what,
                           text_show(name).text);
    }
    *out = name;
    return 0;
}

static double load_float(const uint8_t *at)
{
    uint32_t bits = (uint32_t)load(at, sizeof(bits));
    float value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

const uint8_t *reader_decode(enum gguf_kind kind, const uint8_t *at, struct gguf_value *out)
{
    uint64_t bits = load(at, kind == GGUF_STRING ? sizeof(uint64_t) : kinds[kind].bytes);

    *out = (struct gguf_value){.kind = kind, .u = bits};
    if (kind == GGUF_STRING) {
        out->string.data = (const char *)at + sizeof(uint64_t);
        out->string.size = bits;
        return at + sizeof(uint64_t) + bits;
    }
    if (kind == GGUF_I8)
        out->i = (int8_t)bits;
    else if (kind == GGUF_I16)
        out->i = (int16_t)bits;
    else if (kind == GGUF_I32)
        out->i = (int32_t)bits;
    else if (kind == GGUF_F32)
        out->f = load_float(at);
    return at + kinds[kind].bytes;
}

static int reader_plain_value(struct reader *reader, enum gguf_kind kind, struct gguf_value *out)
{
    size_t start = reader->at;
    const uint8_t *at = NULL;
    struct text string;
    int r;

    if (kind == GGUF_STRING)
        r = reader_string(reader, "string", &string);
    else
        r = reader_take(reader, kinds[kind].bytes, kinds[kind].name, &at);
    if (r)
        return r;
    reader_decode(kind, reader->data + start, out);
    if (kind == GGUF_BOOL && out->u > 1)
        return reader_fail(reader, start, "a bool is %ju", (uintmax_t)out->u);
    return 0;
}

static int reader_kind(struct reader *reader, enum gguf_kind *out)
{
    size_t start = reader->at;
    uint32_t kind = 0;
    int r = reader_u32(reader, "value type", &kind);

    if (r)
        return r;
    if (kind >= GGUF_KIND_COUNT)
        return reader_fail(reader, start, "value type %d does not exist", (int)kind);
    *out = (enum gguf_kind)kind;
    return 0;
}

/* Walks over the items, so that nobody who walks over them later can fail. */
static int reader_items(struct reader *reader, enum gguf_kind kind, uint64_t n_items)
{
    const uint8_t *at;
    struct gguf_value item;
    int r = 0;

    if (kind != GGUF_STRING && kind != GGUF_BOOL)
        return reader_take(reader, n_items * kinds[kind].bytes, "array", &at);
    for (uint64_t i = 0; i < n_items && !r; i++)
        r = reader_plain_value(reader, kind, &item);
    return r;
}

static int reader_array(struct reader *reader, struct gguf_value *out)
{
    size_t start = reader->at;
    enum gguf_kind kind = GGUF_U8;
    uint64_t n_items = 0;
    unsigned int least;
    const uint8_t *items;
    int r = reader_kind(reader, &kind);

    if (!r)
        r = reader_u64(reader, "array length", &n_items);
    if (r)
        return r;
    if (kind == GGUF_ARRAY)
        return reader_fail(reader, start, "an array of arrays is not supported");
    least = kind == GGUF_STRING ? MIN_STRING_BYTES : kinds[kind].bytes;
    if (n_items > reader_left(reader) / least) {
        return reader_fail(reader, start, "an array of %ju %s values does not fit in %zu bytes",
                           (uintmax_t)n_items, kinds[kind].name, reader_left(reader));
    }
    if (n_items > GGUF_MAX_ITEMS) {
        return reader_fail(reader, start, "an array of %ju values is beyond the limit of %d",
                           (uintmax_t)n_items, GGUF_MAX_ITEMS);
    }
    items = reader->data + reader->at;
    r = reader_items(reader, kind, n_items);
    if (r)
        return r;
    *out = (struct gguf_value){.kind = GGUF_ARRAY};
    out->array.kind = kind;
    out->array.n_items = n_items;
    out->array.items = items;
    return 0;
}

int reader_value(struct reader *reader, struct gguf_value *out)
{
    enum gguf_kind kind = GGUF_U8;
    int r = reader_kind(reader, &kind);

    if (r)
        return r;
    return kind == GGUF_ARRAY ? reader_array(reader, out) : reader_plain_value(reader, kind, out);
}

const char *gguf_kind_name(enum gguf_kind kind)
{
    return (unsigned int)kind < GGUF_KIND_COUNT ? kinds[kind].name : "unknown";
}
