/* SPDX-License-Identifier: MIT */
#pragma once

#include "tests/sim/stream.h"

struct event {
    struct event *next;
    struct context *context;
    unsigned int flags;
    struct marker *marker;   /* of the latest record; NULL before the first */
    struct capture *capture; /* recorded into a capture that is still open */
};
/* An open capture has ended: events recorded in it stand for nothing any more. */
void event_forget_capture(const struct capture *capture);
/* The event stands for that from now on. */
void event_set_marker(struct event *event, struct marker *marker);
/* A host function as work. NULL without memory. */
struct work *host_function_new(CUhostFn fn, void *user_data);
void event_free_of_context(const struct context *context);
