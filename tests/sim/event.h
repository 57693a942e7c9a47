/* SPDX-License-Identifier: MIT */
#pragma once

#include "tests/sim/stream.h"

struct event {
    struct event *next;
    struct context *context;
    unsigned int flags;
    struct marker *marker;   /* of the latest record; NULL before the first */
    struct capture *capture; /* recorded into a capture that is still open */
    struct stream *captured_in;
    uint64_t captured_at; /* how much that stream had recorded */
};
/* An open capture has ended: events recorded in it stand for nothing any more. */
void event_forget_capture(const struct capture *capture);
void event_free_of_context(const struct context *context);
