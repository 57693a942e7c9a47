/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Memory that other processes have of the same cards (SIM_SHARED). A process that ends, however it
 * does, has none any more. Locking: the simulator's.
 */

#include <stdint.h>

/* Between these no other process takes or gives any; nothing happens when none is shared. */
void others_begin(void);
void others_end(void);

/* Of a card, or ON_HOST. */
uint64_t others_used(int device);

/* What this process has of it from now on. */
void others_tell(int device, uint64_t used);
