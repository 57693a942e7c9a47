/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The shim's life within the process: settings when it begins to matter, fork, exit.
 */

#include "runtime/config.h"

/*
 * Reads the settings, sets up the log and the pager and watches for forks, the first time it is
 * called; answers the settings, which never change. Nothing of this happens in a process that loads
 * neither the driver nor NVML. Calls nothing of the dynamic loader, so it may wait for another
 * thread that is at it.
 */
const struct config *life_start(void);

/* cuInit() has succeeded: from now on a child of this process cannot use CUDA. */
void life_cuda_started(void);
