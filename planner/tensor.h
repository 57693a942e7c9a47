/* SPDX-License-Identifier: MIT */
#pragma once

/* A tensor in a file, whatever the file's format. */

#include <stdint.h>

#include "planner/text.h"

enum {
    TENSOR_MAX_DIMS = 8,
};

struct tensor_type {
    const char *name;
    uint32_t block_elements;
    uint32_t block_bytes;
};

struct source;

struct tensor {
    struct text name;               /* first: indexes sort pointers to it */
    const struct tensor_type *type; /* NULL when this project does not know it */
    uint32_t type_id;               /* the number that a GGUF file has for it; else 0 */
    uint32_t n_dims;
    uint64_t dims[TENSOR_MAX_DIMS]; /* dims[0] is contiguous; 1 beyond n_dims */
    uint64_t elements;
    uint64_t offset;             /* from the beginning of the file */
    uint64_t bytes;              /* for an unknown type: up to the next tensor, padding included */
    const struct source *source; /* the file; NULL for one that was parsed in memory */
};
