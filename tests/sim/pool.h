/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Stream-ordered memory.
 */

#include "tests/sim/memory.h"
#include "tests/sim/stream.h"

/* Frees an allocation of either kind, with its pool's accounts. */
void allocation_retire(struct allocation *allocation);
/* allocation_new(), once more after everything queued on the device has run. */
CUresult allocation_new_or_drain(struct context *context, uint64_t bytes, bool mapped,
                                 struct allocation **out);
