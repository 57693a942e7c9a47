/* SPDX-License-Identifier: MIT */
#pragma once

/* Where in a pass a tensor is read, by its name. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "planner/tensor.h"

struct order {
    const struct tensor *tensor;
    int section; /* before the blocks, in them (1), behind */
    int stack;   /* of several stacks of blocks that run one after the other */
    uint64_t block;
    struct text label; /* of the stack: the name up to the number, without a dot */
    size_t index;      /* in the file */
};

struct order order_of(const struct tensor *tensor, size_t index);

/* For qsort(). */
int order_compare(const void *left, const void *right);

/* Whether a block begins with this one; `before` is the one read before it, NULL for the first. */
bool order_begins_block(const struct order *order, const struct order *before);
