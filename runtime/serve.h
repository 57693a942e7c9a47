/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a launch is given while a plan with a ring runs: copies of what takes turns, as far as
 * nothing of unknown effect has been submitted since they were made. Inside of streaming.h.
 *
 * Locking: the pager's.
 */

#include <stdbool.h>
#include "runtime/streaming.h"

/* Notes what is launched and what it is given, as long as that is not trusted. */
void serve_note(struct pager *pager, const struct driver *drv, const struct launch *launch,
                const struct extents *extents);
/* NULL when it is the program's own launch. */
struct redirect *serve_launch(struct pager *pager, const struct driver *drv,
                              const struct launch *launch, struct extents *extents);

/* Events of another context may be gone before they are looked at. */
bool serve_is_own_context(const struct streaming *s, const struct driver *drv);
