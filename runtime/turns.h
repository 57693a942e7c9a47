/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The ring of a plan, who takes turns in it, and the windows onto it. Inside of streaming.h.
 *
 * Locking: the pager's. At a safe point, but for turns_chunk().
 */

#include <stdbool.h>
#include <stdint.h>
#include "runtime/streaming.h"

/* Chooses residents, moves homes, makes the ring and who takes turns in it; there is no ring when
 * all that is away is read in place. 0, -ENOENT when nothing is away, or -errno. */
int turns_begin(struct pager *pager, const struct driver *drv);
/* `alive`: the context still is. */
void turns_end(struct pager *pager, const struct driver *drv, bool alive);
/* Pieces that may take turns. */
uint32_t turns_count(const struct streaming *s);

/* Opens a window for a stretch of which some takes turns, if there is none yet. */
void turns_window(struct pager *pager, const struct driver *drv, struct range *range,
                  const struct stretch *stretch);
/* For all that was named in the lap, so that the first lap need not wait for them. One that cannot
 * be opened is tried again when it is needed. */
void turns_open_windows(struct pager *pager, const struct driver *drv);

/* window_chunk_fn: `context` is the struct streaming. */
const struct chunk *turns_chunk(void *context, const struct block *block);
