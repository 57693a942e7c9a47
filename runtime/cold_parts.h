/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Inside of cold.h: what its parts know of each other. Locking: the pager's.
 */

#include "runtime/cold.h"

enum {
    BOUNCES = 2,       /* buffers between memory and disk, which take turns */
    TURNING = BOUNCES, /* pages that no home is promised: what is to come back needs others to go */
};

char *cold_bounce(size_t i);
/* As large as one of them; for reading ahead, which nobody does at a safe point. */
char *cold_scratch(void);

/* The block is on the disk from now on, or no longer. */
void cold_count(struct block *block, bool there);

/* The block's page means nothing any more; a new one: 0, -ENOSPC or -errno. */
void cold_give_page(struct block *block);
int cold_take_page(struct block *block);

/* Bytes of homes that both memories of the card can hold. */
uint64_t cold_memory(const struct pager *pager);
uint64_t cold_bytes_of(struct block *const *blocks, size_t n);
