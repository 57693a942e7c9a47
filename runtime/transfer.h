/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The shim's own copies, and knowing when work is done.
 *
 * A ticket means "done when everything given to a stream so far is done". Taking one and asking it
 * never waits. Locking: none; a ticket has one owner.
 */

#include <stdbool.h>
#include <stdint.h>
#include "runtime/driver.h"

struct ticket {
    CUevent event; /* NULL: done */
};

/* The context of `stream` must be current. */
int ticket_take(const struct driver *drv, CUstream stream, struct ticket *out);
/* An error counts as not done: in a broken context nothing is worth reusing. */
bool ticket_done(const struct driver *drv, const struct ticket *ticket);
int ticket_wait(const struct driver *drv, const struct ticket *ticket);
void ticket_fini(const struct driver *drv, struct ticket *ticket);

/*
 * One engine per context: a stream of its own that waits for no other, made at first use, gone with
 * its context.
 */
struct transfer {
    CUcontext ctx;
    CUstream stream; /* NULL until first use */
    struct transfer *next;
};

/* Makes its stream, if there is none yet; the transfer's context must be current. */
int transfer_ready(struct transfer *transfer, const struct driver *drv);

/* Queues a copy between two mapped device addresses; the transfer's context must be current. */
int transfer_copy(struct transfer *transfer, const struct driver *drv, CUdeviceptr to,
                  CUdeviceptr from, uint64_t bytes);
/* What is queued from now on waits for the event. */
int transfer_await(struct transfer *transfer, const struct driver *drv, CUevent event);
/* The event is done when everything queued so far is. */
int transfer_record(struct transfer *transfer, const struct driver *drv, CUevent event);
/* Returns when everything queued is done; its error otherwise. */
int transfer_wait(struct transfer *transfer, const struct driver *drv);
/* The context is still alive and current. */
void transfer_fini(struct transfer *transfer, const struct driver *drv);
