/* SPDX-License-Identifier: MIT */
/*
 * The structure of graphs: nodes, edges, copies, orders.
 *
 * An edge is kept with the node that waits, in the order in which edges were added: the order that
 * updates of executable graphs compare. Questions the other way round look at all nodes. Nothing
 * keeps a program from closing a circle with added edges; instantiation finds it.
 */
#include "tests/sim/graph.h"

#include <stdlib.h>
#include <string.h>

#include "tests/sim/memory.h"

struct graph *graph_new(bool hidden)
{
    struct graph *graph = calloc(1, sizeof(*graph));

    if (!graph)
        return NULL;
    if (!hidden && !handle_add(graph, HANDLE_GRAPH)) {
        free(graph);
        return NULL;
    }
    graph->hidden = hidden;
    graph->id = memory_next_id();
    return graph;
}

static void node_free(struct node *node)
{
    if (!node->graph->hidden)
        handle_remove(node);
    task_fini(&node->task);
    free(node->edges);
    free(node);
}

void graph_free(struct graph *graph)
{
    if (!graph)
        return;
    for (size_t i = 0; i < graph->n_nodes; i++)
        node_free(graph->nodes[i]);
    user_references_drop(graph);
    if (!graph->hidden)
        handle_remove(graph);
    free(graph->users);
    free(graph->nodes);
    free(graph);
}

CUresult graph_resolve(CUgraph handle, struct graph **out)
{
    struct graph *graph = (struct graph *)handle;

    if (!handle_is(graph, HANDLE_GRAPH) || graph->destroyed)
        return CUDA_ERROR_INVALID_VALUE;
    *out = graph;
    return CUDA_SUCCESS;
}

CUresult node_resolve(CUgraphNode handle, struct node **out)
{
    if (!handle_is(handle, HANDLE_GRAPH_NODE))
        return CUDA_ERROR_INVALID_VALUE;
    *out = (struct node *)handle;
    return CUDA_SUCCESS;
}

/* A node without edges at the end of the graph; takes the task, also when it fails. */
static struct node *node_append(struct graph *graph, struct task *task)
{
    struct node **nodes = realloc(graph->nodes, (graph->n_nodes + 1) * sizeof(struct node *));
    struct node *node = nodes ? calloc(1, sizeof(*node)) : NULL;

    if (nodes)
        graph->nodes = nodes;
    if (!node || (!graph->hidden && !handle_add(node, HANDLE_GRAPH_NODE))) {
        free(node);
        task_fini(task);
        return NULL;
    }
    node->graph = graph;
    node->id = memory_next_id();
    node->task = *task;
    node->index = graph->n_nodes;
    nodes[graph->n_nodes++] = node;
    if (task->type == CU_GRAPH_NODE_TYPE_GRAPH)
        task->child->owner = graph;
    graph->n_memory +=
        task->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC || task->type == CU_GRAPH_NODE_TYPE_MEM_FREE;
    return node;
}

struct edge *node_edge_from(const struct node *node, const struct node *from)
{
    for (size_t i = 0; i < node->n_edges; i++)
        if (node->edges[i].from == from)
            return &node->edges[i];
    return NULL;
}

CUresult graph_add_edge(struct node *from, struct node *to, const CUgraphEdgeData *data)
{
    struct edge *edges;

    if (from->graph != to->graph || from == to || node_edge_from(to, from))
        return CUDA_ERROR_INVALID_VALUE;
    edges = realloc(to->edges, (to->n_edges + 1) * sizeof(*edges));
    if (!edges)
        return CUDA_ERROR_OUT_OF_MEMORY;
    to->edges = edges;
    edges[to->n_edges] = (struct edge){.from = from};
    if (data)
        edges[to->n_edges].data = *data;
    to->n_edges++;
    return CUDA_SUCCESS;
}

static void edge_drop(struct node *to, struct edge *edge)
{
    size_t after = to->n_edges - (size_t)(edge - to->edges) - 1;

    memmove(edge, edge + 1, after * sizeof(*edge));
    to->n_edges--;
}

CUresult graph_remove_edge(struct node *from, struct node *to, const CUgraphEdgeData *data)
{
    static const CUgraphEdgeData plain;
    struct edge *edge = node_edge_from(to, from);

    if (!edge || memcmp(&edge->data, data ? data : &plain, sizeof(plain)) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    edge_drop(to, edge);
    return CUDA_SUCCESS;
}

void graph_remove_node(struct node *node)
{
    struct graph *graph = node->graph;

    graph->n_memory -= node->task.type == CU_GRAPH_NODE_TYPE_MEM_ALLOC ||
                       node->task.type == CU_GRAPH_NODE_TYPE_MEM_FREE;
    for (size_t i = 0; i < graph->n_nodes; i++) {
        struct edge *edge = node_edge_from(graph->nodes[i], node);

        if (edge)
            edge_drop(graph->nodes[i], edge);
    }
    graph->n_nodes--;
    for (size_t i = node->index; i < graph->n_nodes; i++) {
        graph->nodes[i] = graph->nodes[i + 1];
        graph->nodes[i]->index = i;
    }
    node_free(node);
}

CUresult graph_add(struct graph *graph, struct task *task, struct node *const *from,
                   const CUgraphEdgeData *data, size_t n, struct node **out)
{
    struct node *node = node_append(graph, task);
    CUresult res = node ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;

    for (size_t i = 0; i < n && !res; i++)
        res = graph_add_edge(from[i], node, data ? &data[i] : NULL);
    if (res) {
        if (node)
            graph_remove_node(node);
        return res;
    }
    *out = node;
    return CUDA_SUCCESS;
}

static CUresult node_copy(const struct node *node, struct graph *to)
{
    struct task task;
    struct node *copy;
    CUresult res = task_copy(&node->task, to->hidden, &task);

    if (res)
        return res;
    copy = node_append(to, &task);
    if (!copy)
        return CUDA_ERROR_OUT_OF_MEMORY;
    copy->origin = node->id;
    copy->disabled = node->disabled;
    return CUDA_SUCCESS;
}

static CUresult edges_copy(const struct node *node, struct node *copy)
{
    CUresult res = CUDA_SUCCESS;

    for (size_t i = 0; i < node->n_edges && !res; i++)
        res = graph_add_edge(copy->graph->nodes[node->edges[i].from->index], copy,
                             &node->edges[i].data);
    return res;
}

CUresult graph_copy(const struct graph *graph, bool hidden, struct graph **out)
{
    struct graph *copy = graph_new(hidden);
    CUresult res = copy ? user_references_copy(graph, copy) : CUDA_ERROR_OUT_OF_MEMORY;

    for (size_t i = 0; i < graph->n_nodes && !res; i++)
        res = node_copy(graph->nodes[i], copy);
    for (size_t i = 0; i < graph->n_nodes && !res; i++)
        res = edges_copy(graph->nodes[i], copy->nodes[i]);
    if (res) {
        graph_free(copy);
        return res;
    }
    *out = copy;
    return CUDA_SUCCESS;
}

struct node *graph_find_copy(const struct graph *graph, uint64_t origin)
{
    struct node *found = NULL;

    for (size_t i = 0; i < graph->n_nodes && !found; i++) {
        struct node *node = graph->nodes[i];

        if (node->origin == origin)
            found = node;
        else if (node->task.type == CU_GRAPH_NODE_TYPE_GRAPH)
            found = graph_find_copy(node->task.child, origin);
    }
    return found;
}

struct node *graph_memory_node(const struct graph *graph, CUgraphNodeType type,
                               const struct graph_memory *memory)
{
    for (size_t i = 0; i < graph->n_nodes; i++)
        if (graph->nodes[i]->task.type == type && graph->nodes[i]->task.memory == memory)
            return graph->nodes[i];
    return NULL;
}

bool graph_order(const struct graph *graph, size_t *order)
{
    bool *placed = calloc(graph->n_nodes + 1, sizeof(*placed));
    size_t n = 0;
    size_t before;

    if (!placed)
        abort();
    do {
        before = n;
        for (size_t i = 0; i < graph->n_nodes; i++) {
            const struct node *node = graph->nodes[i];
            bool ready = !placed[i];

            for (size_t e = 0; e < node->n_edges && ready; e++)
                ready = placed[node->edges[e].from->index];
            if (ready) {
                placed[i] = true;
                order[n++] = i;
            }
        }
    } while (n > before && n < graph->n_nodes);
    free(placed);
    return n == graph->n_nodes;
}

static void mark_before(const struct node *node, bool *seen)
{
    if (seen[node->index])
        return;
    seen[node->index] = true;
    for (size_t i = 0; i < node->n_edges; i++)
        mark_before(node->edges[i].from, seen);
}

bool graph_reaches(struct node *const *nodes, size_t n, const struct node *target)
{
    bool *seen = calloc(target->graph->n_nodes, sizeof(*seen));
    bool reached;

    if (!seen)
        abort();
    for (size_t i = 0; i < n; i++)
        mark_before(nodes[i], seen);
    reached = seen[target->index];
    free(seen);
    return reached;
}
