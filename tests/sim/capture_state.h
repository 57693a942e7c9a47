/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Captures as they are, for the rules (capture.c) and the calls (capture_calls.c).
 */

#include "tests/sim/capture.h"
#include "tests/sim/graph.h"

struct node_set {
    struct node **nodes;
    CUgraphEdgeData *data;
    size_t n;
};

/* An event, and what it stood for when it was recorded. */
struct captured_event {
    struct captured_event *next;
    const struct event *event;
    struct node_set set;
};

struct capture {
    struct capture *next;
    struct stream *origin;
    CUstreamCaptureMode mode;
    uint64_t thread_id;
    bool invalidated;
    bool own_graph; /* not one that the program has */
    struct graph *graph;
    struct captured_event *events;
    uint64_t id;
};

/* A stream that takes part. */
struct branch {
    struct branch *next;
    struct stream *stream;
    struct capture *capture;
    struct node_set set;
};

extern struct capture *open_captures;
extern struct branch *branches;

void node_set_fini(struct node_set *set);
/* Adds a node that is not in it yet; `data`: NULL for a plain edge. */
CUresult node_set_add(struct node_set *set, struct node *node, const CUgraphEdgeData *data);
CUresult node_set_add_all(struct node_set *set, const struct node_set *from);
/* NULL when the stream takes part in none. */
struct branch *branch_of(const struct stream *stream);
CUresult branch_add(struct capture *capture, struct stream *stream);
/* Answers the error. */
CUresult capture_invalidate(struct capture *capture, CUresult error);
/* Ends the capture; a graph of the program's stays, and so does a new one if `keep`. */
void capture_close(struct capture *capture, bool keep);
