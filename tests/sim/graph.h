/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Graphs: nodes in the order in which they were added, and what each depends on.
 */

#include "tests/sim/node.h"

struct edge {
    struct node *from;
    CUgraphEdgeData data;
};

struct node {
    struct graph *graph;
    uint64_t id;     /* never reused */
    uint64_t origin; /* id of the node that this is a copy of; 0 for none */
    struct task task;
    struct edge *edges; /* what it depends on, oldest first */
    size_t n_edges;
    size_t index; /* in its graph */
    bool disabled;
};

struct user_reference {
    struct user_object *object;
    unsigned int count;
};

struct graph {
    struct node **nodes;
    size_t n_nodes;
    uint64_t id;
    bool hidden;         /* inside an executable graph: its parts have no handles */
    struct graph *owner; /* of an embedded graph: the one whose node it is in */
    unsigned int n_captures;
    bool destroyed;        /* when the last capture into it ends */
    unsigned int n_memory; /* allocation and free nodes */
    unsigned int n_execs;  /* of a graph with such nodes */
    struct user_reference *users;
    size_t n_users;
};

struct graph *graph_new(bool hidden);
void graph_free(struct graph *graph); /* NULL is fine */
/* A copy whose nodes have these for origins. */
CUresult graph_copy(const struct graph *graph, bool hidden, struct graph **out);
CUresult graph_resolve(CUgraph handle, struct graph **out);
CUresult node_resolve(CUgraphNode handle, struct node **out);
/* The node of a graph, or of one embedded in it, that is a copy of that one. */
struct node *graph_find_copy(const struct graph *graph, uint64_t origin);

/*
 * Adds a node, which takes what the task owns; also when it fails. INVALID_VALUE for a dependency
 * that is not in the graph or is named twice. `data`: NULL for plain edges.
 */
CUresult graph_add(struct graph *graph, struct task *task, struct node *const *from,
                   const CUgraphEdgeData *data, size_t n, struct node **out);
CUresult graph_add_edge(struct node *from, struct node *to, const CUgraphEdgeData *data);
/* INVALID_VALUE when there is none with that data. */
CUresult graph_remove_edge(struct node *from, struct node *to, const CUgraphEdgeData *data);
void graph_remove_node(struct node *node);
struct edge *node_edge_from(const struct node *node, const struct node *from);
/* Whether `target` is one of the nodes, or something that one of them waits for. */
bool graph_reaches(struct node *const *nodes, size_t n, const struct node *target);
/* Its node of that type for that memory; NULL when it has none. */
struct node *graph_memory_node(const struct graph *graph, CUgraphNodeType type,
                               const struct graph_memory *memory);
/* The indices of the nodes, each after those it depends on; false when there is a cycle. */
bool graph_order(const struct graph *graph, size_t *order);

/* user_object.c: references that a graph holds. */
CUresult user_references_copy(const struct graph *from, struct graph *to);
void user_references_drop(struct graph *graph);
/* Runs the destructors that have become due, without the lock. */
void user_objects_settle(void);
