/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Windows: second addresses of a stretch of blocks, through which a launch reads what the ring
 * holds of them instead of their homes.
 *
 * In a window a block that takes turns in the ring is mapped to its slot's chunk, and every other
 * block to its home's. More blocks stand on either side, mapped to their homes, so that a kernel
 * that reads before or behind the stretch still finds the right bytes: all of the range, unless
 * that takes too many mappings for all windows together. A window is mapped once; it is good until
 * one of the homes moves.
 *
 * Locking: the pager's. A context of the device is current.
 */

#include <stdint.h>
#include "runtime/residency.h"
#include "runtime/table.h"
#include "runtime/vmm.h"

/* A stretch of blocks of one range, both ends included. */
struct stretch {
    uint64_t range; /* id */
    uint32_t first;
    uint32_t last;
    uint64_t parts; /* 0, or says which parts of it are meant */
};

struct window {
    struct stretch stretch;
    CUdeviceptr base;  /* where block `from` is mapped */
    uint32_t from, to; /* blocks that have a place, both ends included */
    uint32_t mapped;   /* of these, from the first on */
    struct range *range;
    UT_hash_handle hh;
    uint64_t bytes[]; /* that are mapped at each place */
};

struct windows {
    struct window *all; /* uthash, by stretch */
    uint32_t margin;    /* blocks on either side, as far as the range has any */
};

/* How many windows are expected; none is open. */
void windows_expect(struct windows *windows, uint32_t n);

/* The chunk that takes turns for a block; NULL for blocks that have none. */
typedef const struct chunk *window_chunk_fn(void *context, const struct block *block);

struct window *window_find(const struct windows *windows, const struct stretch *stretch);

/* 0 or -errno. */
int window_open(struct windows *windows, const struct driver *drv, const struct vmm_access *access,
                struct range *range, const struct stretch *stretch, window_chunk_fn *chunk_of,
                void *context, struct window **out);

/* No work that reads through them is in flight any more. `range`: NULL for all. */
void windows_close(struct windows *windows, const struct driver *drv, const struct range *range);

/* `address` lies in the range or where it ends. */
static inline CUdeviceptr window_address(const struct window *window, CUdeviceptr address)
{
    uint64_t from = window->range->base + ((uint64_t)window->from << residency.slot_shift);

    return address - from + window->base;
}
