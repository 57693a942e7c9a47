/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Reading GGUF model files, versions 2 and 3, little-endian.
 *
 * The header alone is read, into memory of its own: strings and arrays below point into it and live
 * as long as the struct gguf. No text in it is NUL-terminated; show it through text_escape().
 *
 * Every file is taken to be hostile: what gguf_open() accepts has been checked whole, so that the
 * functions after it cannot fail.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "planner/source.h"
#include "planner/tensor.h"

enum {
    GGUF_MAX_DIMS = 4,
    GGUF_MAX_KEY = 65535,
    GGUF_MAX_NAME = 127, /* ggml's own limit is 63; programs built on it raise it to this */
    GGUF_MAX_ENTRIES = 1 << 16,
    GGUF_MAX_TENSORS = 1 << 17,
    GGUF_MAX_ITEMS = 1 << 21, /* of an array: vocabularies have some hundred thousand */
    GGUF_MAX_ALIGNMENT = 1 << 20,
};

/* Types of metadata values; the numbers are the file's. */
enum gguf_kind {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_KIND_COUNT,
};

/* GGUF_TYPE_F32 and so on: numbers of the tensor types that gguf_types.def knows. */
enum gguf_type_id {
#define TYPE(id, name, block_elements, block_bytes) GGUF_TYPE_##name = id,
#include "planner/gguf_types.def"
};

/* One value: of an entry, or an item of an array. Unsigned kinds and BOOL are in `u`, signed ones
 * in `i`, F32 and F64 in `f`. */
struct gguf_value {
    enum gguf_kind kind;
    union {
        uint64_t u;
        int64_t i;
        double f;
        struct text string;
        struct {
            enum gguf_kind kind; /* of the items; never GGUF_ARRAY */
            uint64_t n_items;
            const uint8_t *items; /* for gguf_items() */
        } array;
    };
};

struct gguf_entry {
    struct text key;
    struct gguf_value value;
};

struct gguf {
    const struct source *source; /* NULL for one that was parsed in memory */
    uint32_t version;
    uint32_t alignment;
    uint64_t file_bytes;
    uint64_t data_offset; /* of the data section, from the beginning of the file */
    uint64_t unused;      /* bytes behind the last tensor and its padding */
    const struct gguf_entry *entries;
    size_t n_entries;
    const struct tensor *tensors; /* in file order, which is the order of their data */
    size_t n_tensors;
};

/*
 * Opens a file. On failure returns a negative errno and writes one line to `error` that names the
 * file, the offset where it went wrong and why: -EINVAL for a file that is not a valid GGUF file,
 * -ENOMEM, or what opening and reading gave.
 */
int gguf_open(const char *path, char *error, size_t error_size, struct gguf **out);

/* The same for a file already in memory, which must outlive *out; `name` is used in `error`. */
int gguf_parse(const char *name, const void *data, size_t size, char *error, size_t error_size,
               struct gguf **out);

struct gguf *gguf_free(struct gguf *gguf); /* NULL is fine; returns NULL */

/* NULL when there is none of that name. Logarithmic in the number of entries or tensors. */
const struct gguf_entry *gguf_entry_find(const struct gguf *gguf, const char *key);
const struct tensor *gguf_tensor_find(const struct gguf *gguf, const char *name);

/* A whole non-negative number, of any integer kind. -ENOENT: no such key; -ERANGE: negative or not
 * an integer. */
int gguf_get_u64(const struct gguf *gguf, const char *key, uint64_t *out);
/* Any number. -ENOENT, -ERANGE as above. */
int gguf_get_f64(const struct gguf *gguf, const char *key, double *out);
/* -ENOENT; -ERANGE: not a string. */
int gguf_get_string(const struct gguf *gguf, const char *key, struct text *out);

/* Walks an array: for (i = gguf_items(v); gguf_items_next(&i, &item);) */
struct gguf_items {
    enum gguf_kind kind;
    uint64_t left;
    const uint8_t *at;
};
struct gguf_items gguf_items(const struct gguf_value *array);
bool gguf_items_next(struct gguf_items *items, struct gguf_value *out);

/* NULL when the number is unknown: never assigned, removed, or another project's own. */
const struct tensor_type *gguf_type_find(uint32_t id);
const char *gguf_kind_name(enum gguf_kind kind);
