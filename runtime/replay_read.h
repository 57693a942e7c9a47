/* SPDX-License-Identifier: MIT */
#pragma once

/* What a graph holds, read node by node through the driver into the steps of a replay. */

#include "runtime/replay.h"

/* Why the graph cannot be read, a text that stays, or NULL when the replay has its steps. Those it
 * had are gone either way; some may be there when it could not be read. */
const char *replay_read(const struct driver *drv, struct replay *replay, CUgraph graph);
void replay_clear(struct replay *replay);

/* For the setters. NULL when the parameters are not known, or memory is short; free() it. */
struct replay_kernel *replay_kernel_new(const struct driver *drv,
                                        const CUDA_KERNEL_NODE_PARAMS *params);
/* Why it cannot be made later, or NULL. */
const char *replay_check_copy(const struct driver *drv, const CUDA_MEMCPY3D *copy);
