/* SPDX-License-Identifier: MIT */
#pragma once

/* Getting the memory that nodes of graphs name into one tier, for a driver that wants it so. */

#include <stdbool.h>
#include "runtime/cold.h"
#include "runtime/driver.h"

/* 1: a call may be accepted now that was refused; 0, also without parameters, or why not:
 * cold_result(). */
int graph_gather_copy(const struct driver *drv, const CUDA_MEMCPY3D *copy);
int graph_gather_memset(const struct driver *drv, const CUDA_MEMSET_NODE_PARAMS *set);
int graph_gather_params(const struct driver *drv, const CUgraphNodeParams *params);
int graph_gather_graph(const struct driver *drv, CUgraph graph);

enum {
    GATHER_TRIES = 4, /* between gathering and the call other threads may take memory apart again */
};

/* A call that gives a node its parameters, made again once the memory they name is gathered. */
#define GATHERED(result, gather, call)                                                             \
    CUresult result = (call);                                                                      \
                                                                                                   \
    for (int tries = 0; result == CUDA_ERROR_INVALID_VALUE && tries < GATHER_TRIES; tries++) {     \
        int gathered = (gather);                                                                   \
                                                                                                   \
        if (!gathered)                                                                             \
            break;                                                                                 \
        result = gathered > 0 ? (call) : cold_result(gathered);                                    \
    }

#define WITH_GATHERED(gather, call)                                                                \
    GATHERED(result, gather, call);                                                                \
    return result
