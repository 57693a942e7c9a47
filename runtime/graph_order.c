/* SPDX-License-Identifier: MIT */
#include "runtime/graph_order.h"

#include <errno.h>
#include <stdlib.h>
#include "runtime/table.h"

enum {
    NODES_MAX = 1 << 20, /* of one graph */
};

struct numbered {
    CUgraphNode node;
    uint32_t index;
    uint32_t waits; /* for so many nodes that are not in the order yet */
    UT_hash_handle hh;
};

static CUresult get_edges(const struct driver *drv, CUgraph graph, CUgraphNode *from,
                          CUgraphNode *to, CUgraphEdgeData *data, size_t *n)
{
    if (drv->cuGraphGetEdges_v2)
        return drv->cuGraphGetEdges_v2(graph, from, to, data, n);
    return drv->cuGraphGetEdges(graph, from, to, n);
}

static bool read_edges(const struct driver *drv, CUgraph graph, struct graph_order *all)
{
    CUgraphEdgeData *data;
    bool good;

    if (get_edges(drv, graph, NULL, NULL, NULL, &all->n_edges) != CUDA_SUCCESS ||
        all->n_edges > NODES_MAX)
        return false;
    all->from = calloc(all->n_edges + 1, sizeof(CUgraphNode));
    all->to = calloc(all->n_edges + 1, sizeof(CUgraphNode));
    data = calloc(all->n_edges + 1, sizeof(*data));
    good = all->from && all->to && data &&
           (!all->n_edges ||
            get_edges(drv, graph, all->from, all->to, data, &all->n_edges) == CUDA_SUCCESS);
    free(data);
    return good;
}

static bool read_nodes(const struct driver *drv, CUgraph graph, struct graph_order *all)
{
    if (drv->cuGraphGetNodes(graph, NULL, &all->n) != CUDA_SUCCESS || all->n > NODES_MAX)
        return false;
    all->nodes = calloc(all->n + 1, sizeof(CUgraphNode));
    return all->nodes &&
           (!all->n || drv->cuGraphGetNodes(graph, all->nodes, &all->n) == CUDA_SUCCESS) &&
           read_edges(drv, graph, all);
}

static int by_from(const void *left, const void *right)
{
    const uint32_t *a = left;
    const uint32_t *b = right;

    return a[0] != b[0] ? (a[0] < b[0] ? -1 : 1) : a[1] < b[1] ? -1 : a[1] > b[1];
}

/* Each edge as numbers of nodes, in order. False for an edge of a node that is not there. */
static bool number_edges(const struct graph_order *all, struct numbered *numbered, uint32_t *edges)
{
    struct numbered *table = NULL;
    struct numbered *from, *to;
    bool good = true;

    for (size_t i = 0; i < all->n; i++) {
        numbered[i] = (struct numbered){.node = all->nodes[i], .index = (uint32_t)i};
        HASH_ADD_PTR(table, node, &numbered[i]);
        good &= numbered[i].hh.tbl != NULL;
    }
    for (size_t i = 0; i < all->n_edges && good; i++) {
        HASH_FIND_PTR(table, &all->from[i], from);
        HASH_FIND_PTR(table, &all->to[i], to);
        good = from && to;
        if (!good)
            break;
        edges[2 * i] = from->index;
        edges[2 * i + 1] = to->index;
        to->waits++;
    }
    HASH_CLEAR(hh, table);
    qsort(edges, good ? all->n_edges : 0, 2 * sizeof(*edges), by_from);
    return good;
}

/* The first edge that leads away from the node, or where it would be. */
static size_t first_edge(const uint32_t *edges, size_t n, uint32_t from)
{
    size_t low = 0;

    while (low < n) {
        size_t middle = low + (n - low) / 2;

        if (edges[2 * middle] < from)
            low = middle + 1;
        else
            n = middle;
    }
    return low;
}

/*
 * Numbers of nodes, each after all that it waits for. As they were added, where that is such an
 * order: a captured graph is run as it was captured.
 */
static bool put_in_order(const struct graph_order *all, struct numbered *numbered,
                         const uint32_t *edges, uint32_t *order)
{
    bool sorted = true;
    size_t n = 0;

    for (size_t i = 0; i < all->n_edges; i++)
        sorted &= edges[2 * i] < edges[2 * i + 1];
    for (size_t i = 0; i < all->n; i++) {
        if (sorted || !numbered[i].waits)
            order[n++] = (uint32_t)i;
    }
    for (size_t done = 0; !sorted && done < n; done++) {
        for (size_t e = first_edge(edges, all->n_edges, order[done]);
             e < all->n_edges && edges[2 * e] == order[done]; e++) {
            if (--numbered[edges[2 * e + 1]].waits == 0)
                order[n++] = edges[2 * e + 1];
        }
    }
    return n == all->n;
}

static bool sort_nodes(struct graph_order *all)
{
    struct numbered *numbered = calloc(all->n + 1, sizeof(*numbered));
    uint32_t *edges = calloc(2 * all->n_edges + 1, sizeof(*edges));
    uint32_t *order = calloc(all->n + 1, sizeof(*order));
    CUgraphNode *sorted = calloc(all->n + 1, sizeof(CUgraphNode));
    bool good = numbered && edges && order && sorted && number_edges(all, numbered, edges) &&
                put_in_order(all, numbered, edges, order);

    for (size_t i = 0; good && i < all->n; i++)
        sorted[i] = all->nodes[order[i]];
    if (good) {
        free(all->nodes);
        all->nodes = sorted;
    } else {
        free(sorted);
    }
    free(order);
    free(edges);
    free(numbered);
    return good;
}

int graph_order_read(const struct driver *drv, CUgraph graph, struct graph_order *out)
{
    struct graph_order all = {.nodes = NULL};

    if (!read_nodes(drv, graph, &all) || !sort_nodes(&all)) {
        graph_order_fini(&all);
        return -EIO;
    }
    *out = all;
    return 0;
}

void graph_order_fini(struct graph_order *all)
{
    free(all->nodes);
    free(all->from);
    free(all->to);
}
