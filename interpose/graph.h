/* SPDX-License-Identifier: MIT */
#pragma once

/* Getting the memory that nodes of graphs name into one tier, for a driver that wants it so. */

#include <stdbool.h>
#include "runtime/driver.h"

/* Whether something changed by which a call may be accepted that was refused. */
bool graph_gather_copy(const struct driver *drv, const CUDA_MEMCPY3D *copy);
bool graph_gather_memset(const struct driver *drv, const CUDA_MEMSET_NODE_PARAMS *set);
bool graph_gather_params(const struct driver *drv, const CUgraphNodeParams *params);
bool graph_gather_graph(const struct driver *drv, CUgraph graph);

/* A call that gives a node its parameters, made again once the memory they name is gathered. */
#define WITH_GATHERED(gather, call)                                                                \
    CUresult result = (call);                                                                      \
                                                                                                   \
    if (result == CUDA_ERROR_INVALID_VALUE && (gather))                                            \
        result = (call);                                                                           \
    return result
