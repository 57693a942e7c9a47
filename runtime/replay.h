/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What an instantiated graph does, as a row of single pieces of work, so that its launch can be
 * made one by one while some of its memory is away. Doing them in this order in one stream is one
 * of the orders the graph allows.
 *
 * Read from the graph when it is instantiated, and kept equal to the executable graph by its
 * setters. A graph of which something is not understood is opaque: only the driver can launch it.
 *
 * Locking: its own, for the table. Launching, changing and destroying one executable graph at the
 * same time is an error of the program.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "runtime/driver.h"
#include "runtime/layout.h"
#include "runtime/table.h"

enum {
    REPLAY_ATTRIBUTES_MAX = 8,
};

enum replay_kind {
    REPLAY_NOTHING,
    REPLAY_KERNEL,
    REPLAY_COPY,
    REPLAY_MEMSET,
    REPLAY_HOST,
};

struct replay_kernel {
    CUfunction function; /* or a CUkernel */
    unsigned int grid[3];
    unsigned int block[3];
    unsigned int shared_bytes;
    unsigned int n_attributes;
    CUlaunchAttribute attributes[REPLAY_ATTRIBUTES_MAX];
    const struct layout *layout;
    void **params; /* each into `packed` */
    char packed[];
};

struct replay_step {
    CUgraphNode node;
    enum replay_kind kind;
    bool disabled;
    union {
        struct replay_kernel *kernel;
        CUDA_MEMCPY3D copy;
        CUDA_MEMSET_NODE_PARAMS memset;
        CUDA_HOST_NODE_PARAMS host;
    };
};

struct replay {
    CUgraphExec exec;
    bool whole;         /* only the driver may launch it, whatever it is updated to */
    const char *opaque; /* why only the driver can launch it; NULL when it need not */
    CUcontext ctx;      /* that was current when it was read */
    struct replay_step *steps;
    uint32_t n_steps;
    uint32_t capacity; /* of steps */
    uint32_t n_kernels;
    uint64_t *words; /* addresses that kernels name, no two in one slot, when there is a space */
    uint32_t n_words;
    bool counted; /* the words are up to date */
    /* The last launch: the next one comes after it, whatever the stream. */
    bool launched;
    bool single;               /* piece by piece */
    bool stream_gone;          /* `done` stands for it */
    CUstream stream;           /* it was made in, */
    const struct driver *mode; /* and by which table, which says what stream 0 is */
    CUevent done;
    UT_hash_handle hh;
};

/* `exec` was made from `graph`; `whole`: only the driver may launch it. When memory is
 * short nothing is known of it. */
void replay_note(const struct driver *drv, CUgraphExec exec, CUgraph graph, bool whole);
/* The same for one that is known to be updated; of others nothing was known. */
void replay_update(const struct driver *drv, CUgraphExec exec, CUgraph graph);
void replay_drop(const struct driver *drv, CUgraphExec exec);

extern atomic_bool replays_noted;

/* Whether anything is known of any. */
static inline bool replay_are_there(void)
{
    return atomic_load_explicit(&replays_noted, memory_order_relaxed);
}

/* NULL when nothing is known of it. */
struct replay *replay_find(CUgraphExec exec);

/* A node of it has been given other parameters; NULL for some that are not understood. */
void replay_set_kernel(const struct driver *drv, CUgraphExec exec, CUgraphNode node,
                       const CUDA_KERNEL_NODE_PARAMS *params);
void replay_set_copy(const struct driver *drv, CUgraphExec exec, CUgraphNode node,
                     const CUDA_MEMCPY3D *params);
void replay_set_memset(CUgraphExec exec, CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS *params);
void replay_set_host(CUgraphExec exec, CUgraphNode node, const CUDA_HOST_NODE_PARAMS *params);
void replay_set_enabled(CUgraphExec exec, CUgraphNode node, bool enabled);
void replay_set_unknown(CUgraphExec exec);

/* The addresses that its kernels name. */
void replay_count_words(struct replay *replay);

/*
 * A launch of it is about to be made: has `stream` wait for the last one, where the driver does not
 * see to that itself, because either of them is made piece by piece.
 */
CUresult replay_order(const struct driver *drv, struct replay *replay, CUstream stream,
                      bool single);
/* `stream` is about to be destroyed. */
void replay_stream_going(const struct driver *drv, CUstream stream);
