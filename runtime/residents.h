/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which pieces of a plan stay on the device, and their homes. Inside of streaming.h.
 *
 * Locking: the pager's. At a safe point.
 */

#include <stdbool.h>
#include <stdint.h>
#include "runtime/streaming.h"

/* Pieces learn how long a buffer they are part of. */
void residents_note_stretch(struct streaming *s, const struct range *range, uint32_t first,
                            uint32_t last);

/* Chooses residents and moves homes, and says how many slots a ring for all that is then away
 * should have: none, when all fits. 0 or -errno. */
int residents_place(struct pager *pager, const struct driver *drv, uint32_t *out_slots);
/* The same when nothing is to be streamed: what a ring would take is for residents too. */
int residents_place_alone(struct pager *pager, const struct driver *drv);
