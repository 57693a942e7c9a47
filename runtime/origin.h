/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Bytes that are believed to be the same as in a file of the model, because they were uploaded as
 * one of its tensors. Nobody has compared them all: whoever wants to do without a copy of his own
 * compares them first, with the bytes that he holds.
 *
 * Locking: the pager's.
 */

#include <stdbool.h>
#include <stdint.h>
#include "runtime/residency.h"

struct origin {
    int fd;          /* open for reading as long as the process runs; not to be closed */
    uint64_t offset; /* in the file */
    uint64_t bytes;  /* from here on, at most as many as were asked for */
};

/* What is known of the bytes of a range from `offset` on; false when nothing is, of the first of
 * them. */
bool origin_find(const struct range *range, uint64_t offset, uint64_t bytes, struct origin *out);
