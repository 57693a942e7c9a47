/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Executable graphs.
 */

#include "tests/sim/graph.h"

struct exec {
    struct graph *graph; /* a hidden copy */
    struct graph *source;
    uint64_t source_id; /* of the graph that it was made of, which may be gone */
    uint64_t flags;
    struct marker *last; /* of the newest launch; NULL before the first */
};

CUresult exec_resolve(CUgraphExec handle, struct exec **out);
/* Its node that stands for the program's node; INVALID_VALUE when it has none of that type. */
CUresult exec_node(const struct exec *exec, CUgraphNode handle, CUgraphNodeType type,
                   struct node **out);
/* Submits one run of the graph. */
CUresult exec_launch(struct exec *exec, struct stream *stream);
/*
 * Gives the nodes of `to` what the nodes of `from` at the same places do. On failure nothing is
 * changed and *info says what does not match.
 */
CUresult exec_update(const struct exec *exec, struct graph *to, const struct graph *from,
                     CUgraphExecUpdateResultInfo *info);
/* Whether a node of an executable graph may do that from now on: SUCCESS, or what is wrong. */
CUgraphExecUpdateResult exec_may_become(const struct exec *exec, const struct task *old,
                                        const struct task *changed);
