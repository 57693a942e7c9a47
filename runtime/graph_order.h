/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The nodes of a graph in one of the orders that its edges allow: as they were added, where that is
 * one.
 */

#include <stddef.h>
#include "runtime/driver.h"

struct graph_order {
    CUgraphNode *nodes;
    size_t n;
    CUgraphNode *from; /* edges, in no order */
    CUgraphNode *to;
    size_t n_edges;
};

/* 0; -EIO when the driver does not tell of the nodes, or memory is short. `drv` has
 * cuGraphGetNodes and one of the calls for edges. */
int graph_order_read(const struct driver *drv, CUgraph graph, struct graph_order *out);
void graph_order_fini(struct graph_order *order);
