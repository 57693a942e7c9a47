/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Blocks in memory, and the threads that run them.
 */

#include "tests/sim/ptx_lanes.h"

/* How the turn of a block ended. */
enum ptx_turn {
    PTX_TURN_DONE,
    PTX_TURN_TIRED,   /* it could go on, but has had its time */
    PTX_TURN_WAITS,   /* the same, and it seems to wait for another block */
    PTX_TURN_STOPPED, /* by a fault, its own or another block's */
};

/* Runs a block until it ends or its turn does. */
enum ptx_turn ptx_block_run(struct ptx_block *block);

/* Memory for one block, of one kernel after another. */
struct ptx_resident {
    struct ptx_resident *next; /* the owner's */
    struct ptx_block block;
    uint8_t *memory;
    size_t bytes;
    size_t warps; /* room for so many */
    /* What its constants were filled in for; kernel_id 0: for nothing. */
    uint64_t kernel_id;
    struct ptx_launch shape;
};

/*
 * Makes `resident` (NULL: a new one) fit the launch. Returns it, or NULL when there is no memory;
 * then the old one is gone.
 */
struct ptx_resident *ptx_resident_fit(struct ptx_resident *resident,
                                      struct ptx_launch_state *state);
/* Begins the block of this index in it. */
void ptx_resident_start(struct ptx_resident *resident, uint64_t index);
struct ptx_resident *ptx_resident_free(struct ptx_resident *resident); /* NULL is fine */

/* The launching thread has work enough for others to help. */
void ptx_grid_call(struct ptx_launch_state *state);

/* For a kernel that has been parsed. */
void ptx_kernel_sort_constants(struct ptx_kernel *kernel);

/*
 * Threads that are kept. ptx_pool_start() runs run(argument) in up to `n` of them, as they come to
 * it, and ptx_pool_finish() returns when none is in it any more; those that have not begun by then
 * do not begin. False when somebody else has the pool: then there is nothing to finish.
 * A child made by fork() has no threads and begins anew. Locking: thread-safe.
 */
bool ptx_pool_start(unsigned int n, void (*run)(void *argument), void *argument);
void ptx_pool_finish(void);
