/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Kernels as work.
 */

#include "tests/sim/node.h"

/* Work that is to be submitted: limits checked, parameters packed. */
CUresult launch_new(CUfunction func, struct context *context, struct ptx_launch shape,
                    void **kernel_params, void **extra, struct work **out);
/* Work that does what a node says. INVALID_HANDLE when its function was unloaded. */
CUresult launch_again(const struct kernel_task *task, struct work **out);
CUresult kernel_task_copy(const struct kernel_task *task, struct kernel_task **out);
void kernel_task_free(struct kernel_task *task);
