/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Around every launch that reads staged copies, on the device and in the same stream. Before it:
 * looks whether the homes are still what was copied, by samples; those that are not are copied
 * again. Behind it: looks whether it has written to the copies. What it wrote is taken to the home
 * before anything that follows in that stream can look there. Of both the host is told.
 *
 * That launches leave memory alone is learned from what they did, so it is a prediction; this is
 * what makes it no more than that.
 *
 * Locking: guard_check() and guard_launch() none, between guard_init() and guard_fini(); all else
 * the pager's. The guard's context is current.
 */

#include <stdbool.h>
#include <stdint.h>
#include "runtime/driver.h"

enum {
    GUARD_AT_ONCE = 32, /* entries of one launch of a kernel */
    /* Units from which the check takes one sample of GUARD_SAMPLE units; powers of two. So much of
     * what is copied crosses the link a second time. */
    GUARD_APART = 512,
    GUARD_SAMPLE = 4,
};

/* PTX of both. */
extern const char guard_kernel_text[];

/* What the kernels are given of one slot. */
struct guard_entry {
    uint64_t slot;     /* where the copy is, */
    uint64_t home;     /* and what it is a copy of; both 16-aligned */
    uint64_t units;    /* of 16 bytes */
    uint64_t expected; /* address of the digest */
    uint64_t flag;     /* address of the piece's flag */
    uint64_t state;    /* address of the slot's state */
    uint64_t apart;    /* units of which one sample is compared; GUARD_SAMPLE: all are */
};

enum guard_flag {
    GUARD_SILENT,
    GUARD_WRITTEN, /* a launch wrote to the copy; it is in the home now */
    GUARD_CHANGED, /* the home is not what was expected */
};

struct guard {
    CUmodule module; /* NULL: there is none */
    CUfunction before;
    CUfunction behind;
    CUdeviceptr states;  /* of slots, */
    CUdeviceptr checks;  /* and of checks */
    uint64_t n_checks;   /* so far */
    CUdeviceptr digests; /* of pieces */
    uint32_t *flags;     /* pinned: whether any is set, then one for each piece */
};

/* `digests`: what pieces are expected to be; 0 for those that will be taken on the device. 0 or
 * -errno: this driver cannot run it. */
int guard_init(struct guard *guard, const struct driver *drv, CUstream stream, uint32_t n_slots,
               uint32_t n_pieces, const uint64_t *digests);
/* Nothing that it launched is in flight. `alive`: the context still is. */
void guard_fini(struct guard *guard, const struct driver *drv, bool alive);

/* Where the guard looks up what a piece is expected to be. */
static inline CUdeviceptr guard_digest(const struct guard *guard, uint32_t piece)
{
    return guard->digests + piece * sizeof(uint64_t);
}

struct guard_entry guard_entry(const struct guard *guard, uint32_t slot, uint32_t piece);

/* Before a launch in the same stream, which has waited for the copies. 0 or -errno. */
int guard_check(struct guard *guard, const struct driver *drv, CUstream stream,
                const struct guard_entry *entries, uint32_t n);

/* Behind a launch in the same stream. 0 or -errno. */
int guard_launch(const struct guard *guard, const struct driver *drv, CUstream stream,
                 const struct guard_entry *entries, uint32_t n);

/* Whether something was found, by launches that have been executed. */
static inline bool guard_noticed(const struct guard *guard)
{
    return guard->flags && __atomic_load_n(guard->flags, __ATOMIC_RELAXED);
}

enum guard_flag guard_flag(const struct guard *guard, uint32_t piece);
