/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Who wrote what has changed. Inside of streaming.h.
 *
 * Between two digests, a piece was written by somebody who was given a pointer to it, or by
 * somebody who has one from elsewhere: from device memory, say. The latter can write anything at
 * any launch, and must be known. A change is explained by a parameter of a function that only ever
 * pointed to what changed. If one cannot be explained so, every launch of one lap is looked at by
 * itself.
 *
 * Locking: the pager's.
 */

#include "runtime/streaming.h"

/* After a comparison: notes what was given to somebody together with what changed, for it may be
 * written next, and which changes nobody explains. How many of these there are, or -ENOMEM. */
int blame_changes(struct streaming *s);

/* Before a launch of that lap: what has changed since the launch before is its doing. 0, -EAGAIN
 * when there is no safe point, or another -errno. */
int blame_launch(struct pager *pager, const struct driver *drv, const struct launch *launch);
