/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Stream-ordered memory.
 */

#include "tests/sim/memory.h"
#include "tests/sim/stream.h"

/* Frees an allocation of either kind, with its pool's accounts. */
void allocation_retire(struct allocation *allocation);
/* allocation_new(), once more after pool_make_room(). */
CUresult allocation_new_or_drain(struct context *context, uint64_t bytes, struct allocation **out);
/* Before memory is declared full: runs what is queued, as on a real card it long would have, and
 * has pools give back what they hold above their thresholds. */
void pool_make_room(int device);
/* A call has waited for work of the device: what was freed before is anybody's, and pools give back
 * what they hold above their thresholds. */
void pool_device_synchronised(int device);
