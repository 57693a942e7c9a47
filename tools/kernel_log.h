/* SPDX-License-Identifier: MIT */
#pragma once

/* What the kernel's log says of errors of cards ("Xid"), wherever it may be read. */

#include <stdbool.h>
#include <stddef.h>

struct xid {
    unsigned int number;
    const char *line; /* the driver's words, without the log's time and place */
};

/*
 * Calls `take` with each error of the card in `slot`, as 0000:01:00.0, or of any where that is
 * empty; oldest first. `root` is before the log's name. 0, or -ENOENT when none can be read, with
 * why in `why`.
 */
int kernel_log_read(const char *root, const char *slot,
                    void (*take)(const struct xid *xid, void *context), void *context, char *why,
                    size_t size);
