/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The memory of one range that a launch is given, and how it is served with it. Inside of
 * streaming.h, while a plan runs.
 *
 * Locking: the pager's.
 */

#include <stdbool.h>
#include <stdint.h>
#include "runtime/streaming.h"

/* What a launch is given of one range. A kernel may be given where something ends, too. */
struct group {
    struct extents *extents;
    struct range *range;
    struct streaming *s;
    struct window *window;
    struct redirect *redirect;
};

enum group_use {
    GROUP_RESIDENT, /* nothing of it takes turns */
    GROUP_IN_PLACE, /* had better be read there */
    GROUP_STREAMED,
};

enum group_use group_find_use(struct streaming *s, const struct launch *launch,
                              const struct group *group);
/* Bytes of what the group is given itself, not of the blocks that lies in, which take turns. */
uint64_t group_bytes(const struct streaming *s, const struct group *group);

/* Has the launch read copies, as the redirect, which is made if there is none, says. False: what
 * it is given is not all there, and it reads homes. */
bool group_redirect(struct pager *pager, const struct driver *drv, const struct launch *launch,
                    struct group *group, struct redirect **redirect);
/* The launch is given homes of pieces that take turns. What it does there is not looked at, so it
 * is done before they are staged again. False: that cannot be seen to. */
bool group_hold(struct pager *pager, const struct launch *launch, const struct group *group,
                struct redirect **redirect);
