/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Reading in place against copying ahead. Inside of streaming.h.
 *
 * A kernel that reads few bytes of what it is given (the experts it needs, the rows of an
 * embedding) is better left to read them over the link. How many it reads cannot be known, but how
 * long it takes can: while launches are compared they all read in place, and are timed. What is
 * read in less time than it takes to copy is not copied.
 *
 * Locking: the pager's.
 */

#include "runtime/streaming.h"

struct probe;

/* Before a launch that reads what is away: times it. NULL when there is nothing to time. */
struct redirect *weigh_launch(struct streaming *s, const struct driver *drv,
                              const struct launch *launch, const struct extents *extents,
                              struct pager *pager);
/* It was given to the driver. */
void weigh_launched(const struct streaming *s, const struct driver *drv, struct redirect *redirect);

/* More buffers have been named since, so that it is known better where those end that were timed.
 */
void weigh_look_again(struct streaming *s);

/*
 * At a safe point, with a ring, unless the settings have decided: decides for every piece that
 * takes turns whether it should. Returns how many should not after all. The link is
 * measured where `costs` do not tell it.
 */
uint32_t weigh_pieces(struct streaming *s, const struct driver *drv, const struct profile *costs);

/* With a ring that holds nothing yet: milliseconds in which a byte is copied; 0 when that cannot be
 * measured. */
double weigh_link(struct streaming *s, const struct driver *drv);

/* `alive`: the context still is. */
void weigh_forget(struct streaming *s, const struct driver *drv, bool alive);
