/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Reading safetensors files: a header of JSON, and data in the order of their offsets.
 *
 * The header alone is read; names point into memory of its own and live as long as the struct. As
 * with GGUF files, what is accepted was checked whole: data that neither overlap nor leave a hole
 * nor reach beyond the file, sizes that agree with shapes and types, names that are clean text and
 * there once.
 */

#include <stddef.h>
#include <stdint.h>

#include "planner/source.h"
#include "planner/tensor.h"

enum {
    SAFETENSORS_MAX_HEADER = 100000000, /* the format's own limit; see SOURCE_MAX_HEAD too */
    SAFETENSORS_MAX_TENSORS = 1 << 17,
    SAFETENSORS_MAX_NAME = 512,
};

struct safetensors {
    uint64_t file_bytes;
    uint64_t data_offset;
    const struct tensor *tensors; /* in the order of their data */
    size_t n_tensors;
};

/*
 * Opens a file. On failure returns a negative errno and writes one line to `error` that names the
 * file, the offset where it went wrong and why: -EINVAL for a file that is not valid, -ENOMEM, or
 * what opening and reading gave.
 */
int safetensors_open(const char *path, char *error, size_t error_size, struct safetensors **out);

/* The same for a file in memory, of which nothing is kept. */
int safetensors_parse(const char *name, const void *data, size_t size, char *error,
                      size_t error_size, struct safetensors **out);

struct safetensors *safetensors_free(struct safetensors *file); /* NULL is fine; returns NULL */

/* NULL when there is none of that name. */
const struct tensor *safetensors_find(const struct safetensors *file, struct text name);

/* Whether a file of that size that begins so is one of these, good or bad. */
bool safetensors_begin(const void *data, size_t size, uint64_t file_bytes);

/* NULL: there is no such type. */
const struct tensor_type *safetensors_type_find(struct text name);
