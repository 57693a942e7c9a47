/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a program says a node shall do, as a task. INVALID_VALUE and such as the calls answer; on
 * failure there is no task.
 */

#include "tests/sim/graph.h"

CUresult task_of_kernel(const CUDA_KERNEL_NODE_PARAMS *params, struct task *out);
CUresult task_of_copy(const CUDA_MEMCPY3D *params, CUcontext ctx, struct task *out);
CUresult task_of_memset(const CUDA_MEMSET_NODE_PARAMS *params, CUcontext ctx, struct task *out);
CUresult task_of_host(const CUDA_HOST_NODE_PARAMS *params, struct task *out);
CUresult task_of_event(CUgraphNodeType type, CUevent event, struct task *out);
/* `into`: the graph it will be embedded in; NULL for none. */
CUresult task_of_child(CUgraph handle, const struct graph *into, struct task *out);
/* Tells the address in the parameters. */
CUresult task_of_alloc(CUDA_MEM_ALLOC_NODE_PARAMS *params, struct task *out);
CUresult task_of_free(CUdeviceptr address, const struct graph *graph, struct task *out);
/* Any of these. */
CUresult task_of_params(CUgraphNodeParams *params, const struct graph *into, struct task *out);
