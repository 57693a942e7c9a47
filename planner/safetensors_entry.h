/* SPDX-License-Identifier: MIT */
#pragma once

/* What the header of a safetensors file says of one tensor. For planner/safetensors.c alone. */

#include "planner/scan.h"
#include "planner/tensor.h"

struct entry {
    unsigned int has; /* the keys that were there, each once */
    struct text type;
    uint64_t dims[TENSOR_MAX_DIMS]; /* as written: the last one is contiguous */
    uint32_t n_dims;
    uint64_t begin, end; /* of the data section */
};

/* Takes the value of a tensor's key: type, shape and offsets have to be there. False: what is wrong
 * is in `scan`. */
bool entry_take(struct scan *scan, struct entry *out);
