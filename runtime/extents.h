/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a launch names of paged memory: where each buffer begins, and how far it is taken to go.
 *
 * Locking: the pager's.
 */

#include <stdbool.h>
#include <stdint.h>
#include "runtime/layout.h"
#include "runtime/redirect.h"
#include "runtime/residency.h"
#include "runtime/trust.h"

enum {
    EXTENTS_MAX = 128, /* words of one launch that name our memory; more are read in place */
};

struct extent {
    CUdeviceptr address;
    struct range *range;
    uint64_t bytes;
    bool staged; /* the launch reads a copy of it */
    const struct layout_word *word;
};

struct extents {
    size_t n;
    bool more; /* there are others that are not in the list */
    struct extent list[EXTENTS_MAX];
};

uint32_t extent_first(const struct extent *extent);
uint32_t extent_last(const struct extent *extent);
/* Some of it is read from the ring, when it is there. */
bool extent_has_turns(const struct extent *extent);
/* As it is noted that the launch is given this. */
struct trust_use extent_use(const struct launch *launch, const struct extent *extent);

/* Calls for each block that the launch names on this card. */
#define EACH_BLOCK(extents, pager_, block_)                                                        \
    for (const struct extent *e_ = (extents)->list; e_ < (extents)->list + (extents)->n; e_++)     \
        if (e_->range->pager == (pager_))                                                          \
            for (struct block *block_ = &e_->range->blocks[extent_first(e_)],                      \
                              *last_ = &e_->range->blocks[extent_last(e_)];                        \
                 block_ <= last_; block_++)
