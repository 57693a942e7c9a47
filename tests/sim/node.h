/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a node of a graph does: everything about it but its place in the graph.
 *
 * The same description comes from captured work and from explicit calls, and makes new work for
 * each launch. It owns what its pointers name.
 */

#include "tests/sim/copy.h"
#include "tests/sim/module.h"

struct graph;
struct graph_memory;

enum {
    KERNEL_ATTRIBUTES_MAX = 32,
};

struct kernel_task {
    struct function *function;
    struct context *context;
    struct ptx_launch shape; /* its parameters are the ones below */
    uint8_t *params;         /* packed */
    size_t params_bytes;
    void **pointers; /* one for each parameter, into `params` */
    size_t n_params;
    CUkernel kernel;         /* NULL when it was given as a function */
    uint32_t attributes_set; /* one bit for each number */
    CUlaunchAttributeValue attributes[KERNEL_ATTRIBUTES_MAX];
};

struct copy_task {
    struct copy_side dst;
    struct copy_side src;
    struct copy_box box;
    CUDA_MEMCPY3D asked; /* the same in the words of the interface */
    struct context *context;
};

struct memset_task {
    CUDA_MEMSET_NODE_PARAMS asked;
    struct context *context;
};

struct task {
    CUgraphNodeType type;
    union {
        struct kernel_task *kernel;
        struct copy_task *copy;
        struct memset_task memset;
        CUDA_HOST_NODE_PARAMS host;
        struct graph *child;
        CUevent event; /* may be gone by the launch */
        struct graph_memory *memory;
    };
};

/* Takes the description of work that was never submitted, and the work; on failure only that. */
CUresult task_of_work(struct work *work, struct task *out);
/* `hidden`: whether an embedded graph is. */
CUresult task_copy(const struct task *task, bool hidden, struct task *out);
void task_fini(struct task *task);
/* New work that does what a kernel, copy, memset or host node does, its stream not yet set.
 * INVALID_HANDLE when its function was unloaded. */
CUresult task_work(const struct task *task, struct work **out);
/* The context that a kernel, copy or memset node runs in; NULL for the others. */
struct context *task_context(const struct task *task);
