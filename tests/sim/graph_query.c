/* SPDX-License-Identifier: MIT */
/*
 * Graphs as wholes: made, copied, destroyed, asked about; and their edges.
 */
#include <stdio.h>
#include <string.h>

#include "tests/sim/calls.h"
#include "tests/sim/graph.h"

CUresult sim_cuGraphCreate(CUgraph *graph, unsigned int flags)
{
    struct graph *created;

    if (!graph || flags)
        return CUDA_ERROR_INVALID_VALUE;
    created = graph_new(false);
    if (!created)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *graph = (CUgraph)created;
    return CUDA_SUCCESS;
}

CUresult sim_cuGraphDestroy(CUgraph graph)
{
    struct graph *gone;
    CUresult res = graph_resolve(graph, &gone);

    if (res)
        return res;
    if (gone->owner)
        return CUDA_ERROR_INVALID_VALUE;
    gone->destroyed = true;
    if (!gone->n_captures)
        graph_free(gone);
    return CUDA_SUCCESS;
}

CUresult sim_cuGraphClone(CUgraph *graph_clone, CUgraph original_graph)
{
    struct graph *original;
    struct graph *copy;
    CUresult res = graph_resolve(original_graph, &original);

    if (res)
        return res;
    if (!graph_clone)
        return CUDA_ERROR_INVALID_VALUE;
    if (original->n_memory)
        return CUDA_ERROR_NOT_SUPPORTED;
    res = graph_copy(original, false, &copy);
    if (!res)
        *graph_clone = (CUgraph)copy;
    return res;
}

CUresult sim_cuGraphNodeFindInClone(CUgraphNode *node, CUgraphNode original_node,
                                    CUgraph cloned_graph)
{
    struct node *original;
    struct node *found;
    struct graph *clone;
    CUresult res = node_resolve(original_node, &original);

    if (!res)
        res = graph_resolve(cloned_graph, &clone);
    if (res)
        return res;
    found = graph_find_copy(clone, original->id);
    if (!node || !found)
        return CUDA_ERROR_INVALID_VALUE;
    *node = (CUgraphNode)found;
    return CUDA_SUCCESS;
}

CUresult sim_cuGraphDestroyNode(CUgraphNode node)
{
    struct node *gone;
    CUresult res = node_resolve(node, &gone);

    if (res)
        return res;
    if (gone->graph->n_memory)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (gone->graph->n_captures)
        return CUDA_ERROR_INVALID_VALUE;
    graph_remove_node(gone);
    return CUDA_SUCCESS;
}

CUresult sim_cuGraphNodeGetType(CUgraphNode node, CUgraphNodeType *type)
{
    struct node *asked;
    CUresult res = node_resolve(node, &asked);

    if (!res && !type)
        res = CUDA_ERROR_INVALID_VALUE;
    if (!res)
        *type = asked->task.type;
    return res;
}

/* Fills an array of the program's, as far as it reaches; what is left of it becomes NULL. */
struct answer {
    CUgraphNode *nodes;    /* NULL: only the number is asked for */
    CUgraphNode *others;   /* the other ends of edges; NULL where there are none */
    CUgraphEdgeData *data; /* NULL: edges must be plain */
    size_t room;
    size_t n;
    bool lossy;
};

static void answer_add(struct answer *answer, struct node *node, struct node *other,
                       const CUgraphEdgeData *data)
{
    static const CUgraphEdgeData plain;
    size_t at = answer->n++;

    if (!answer->nodes || at >= answer->room)
        return;
    answer->nodes[at] = (CUgraphNode)node;
    if (answer->others)
        answer->others[at] = (CUgraphNode)other;
    if (answer->data)
        answer->data[at] = data ? *data : plain;
    else if (data && memcmp(data, &plain, sizeof(plain)) != 0)
        answer->lossy = true;
}

static CUresult answer_end(const struct answer *answer, size_t *out_n)
{
    if (answer->lossy)
        return CUDA_ERROR_LOSSY_QUERY;
    for (size_t i = answer->n; answer->nodes && i < answer->room; i++) {
        answer->nodes[i] = NULL;
        if (answer->others)
            answer->others[i] = NULL;
    }
    *out_n = answer->nodes && answer->room < answer->n ? answer->room : answer->n;
    return CUDA_SUCCESS;
}

static CUresult list_nodes(CUgraph graph, CUgraphNode *nodes, size_t *n, bool roots)
{
    struct graph *asked;
    struct answer answer = {.nodes = nodes};
    CUresult res = graph_resolve(graph, &asked);

    if (res || !n)
        return res ? res : CUDA_ERROR_INVALID_VALUE;
    answer.room = *n;
    for (size_t i = 0; i < asked->n_nodes; i++)
        if (!roots || !asked->nodes[i]->n_edges)
            answer_add(&answer, asked->nodes[i], NULL, NULL);
    return answer_end(&answer, n);
}

CUresult sim_cuGraphGetNodes(CUgraph graph, CUgraphNode *nodes, size_t *num_nodes)
{
    return list_nodes(graph, nodes, num_nodes, false);
}

CUresult sim_cuGraphGetRootNodes(CUgraph graph, CUgraphNode *root_nodes, size_t *num_root_nodes)
{
    return list_nodes(graph, root_nodes, num_root_nodes, true);
}

CUresult sim_cuGraphGetEdges_v2(CUgraph graph, CUgraphNode *from, CUgraphNode *to,
                                CUgraphEdgeData *edge_data, size_t *num_edges)
{
    struct graph *asked;
    struct answer answer = {.nodes = from, .others = to, .data = edge_data};
    CUresult res = graph_resolve(graph, &asked);

    if (res)
        return res;
    if (!num_edges || !from != !to || (edge_data && !from))
        return CUDA_ERROR_INVALID_VALUE;
    answer.room = *num_edges;
    for (size_t i = 0; i < asked->n_nodes; i++) {
        struct node *node = asked->nodes[i];

        for (size_t e = 0; e < node->n_edges; e++)
            answer_add(&answer, node->edges[e].from, node, &node->edges[e].data);
    }
    return answer_end(&answer, num_edges);
}

CUresult sim_cuGraphGetEdges(CUgraph graph, CUgraphNode *from, CUgraphNode *to, size_t *num_edges)
{
    return sim_cuGraphGetEdges_v2(graph, from, to, NULL, num_edges);
}

CUresult sim_cuGraphNodeGetDependencies_v2(CUgraphNode node, CUgraphNode *dependencies,
                                           CUgraphEdgeData *edge_data, size_t *num_dependencies)
{
    struct node *asked;
    struct answer answer = {.nodes = dependencies, .data = edge_data};
    CUresult res = node_resolve(node, &asked);

    if (res)
        return res;
    if (!num_dependencies || (edge_data && !dependencies))
        return CUDA_ERROR_INVALID_VALUE;
    answer.room = *num_dependencies;
    for (size_t i = 0; i < asked->n_edges; i++)
        answer_add(&answer, asked->edges[i].from, NULL, &asked->edges[i].data);
    return answer_end(&answer, num_dependencies);
}

CUresult sim_cuGraphNodeGetDependencies(CUgraphNode node, CUgraphNode *dependencies,
                                        size_t *num_dependencies)
{
    return sim_cuGraphNodeGetDependencies_v2(node, dependencies, NULL, num_dependencies);
}

CUresult sim_cuGraphNodeGetDependentNodes_v2(CUgraphNode node, CUgraphNode *dependent_nodes,
                                             CUgraphEdgeData *edge_data,
                                             size_t *num_dependent_nodes)
{
    struct node *asked;
    struct answer answer = {.nodes = dependent_nodes, .data = edge_data};
    CUresult res = node_resolve(node, &asked);

    if (res)
        return res;
    if (!num_dependent_nodes || (edge_data && !dependent_nodes))
        return CUDA_ERROR_INVALID_VALUE;
    answer.room = *num_dependent_nodes;
    for (size_t i = 0; i < asked->graph->n_nodes; i++) {
        struct node *other = asked->graph->nodes[i];
        const struct edge *edge = node_edge_from(other, asked);

        if (edge)
            answer_add(&answer, other, NULL, &edge->data);
    }
    return answer_end(&answer, num_dependent_nodes);
}

CUresult sim_cuGraphNodeGetDependentNodes(CUgraphNode node, CUgraphNode *dependent_nodes,
                                          size_t *num_dependent_nodes)
{
    return sim_cuGraphNodeGetDependentNodes_v2(node, dependent_nodes, NULL, num_dependent_nodes);
}

/* Adds or removes edges until one cannot be. */
static CUresult change_edges(CUgraph handle, const CUgraphNode *from, const CUgraphNode *to,
                             const CUgraphEdgeData *data, size_t n,
                             CUresult (*change)(struct node *, struct node *,
                                                const CUgraphEdgeData *))
{
    struct graph *graph;
    CUresult res = graph_resolve(handle, &graph);

    if (!res && n && (!from || !to))
        res = CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < n && !res; i++) {
        struct node *first;
        struct node *second;

        res = node_resolve(from[i], &first);
        if (!res)
            res = node_resolve(to[i], &second);
        if (!res && (first->graph != graph || second->graph != graph))
            res = CUDA_ERROR_INVALID_VALUE;
        if (!res)
            res = change(first, second, data ? &data[i] : NULL);
    }
    return res;
}

CUresult sim_cuGraphAddDependencies_v2(CUgraph graph, const CUgraphNode *from,
                                       const CUgraphNode *to, const CUgraphEdgeData *edge_data,
                                       size_t num_dependencies)
{
    return change_edges(graph, from, to, edge_data, num_dependencies, graph_add_edge);
}

CUresult sim_cuGraphAddDependencies(CUgraph graph, const CUgraphNode *from, const CUgraphNode *to,
                                    size_t num_dependencies)
{
    return change_edges(graph, from, to, NULL, num_dependencies, graph_add_edge);
}

CUresult sim_cuGraphRemoveDependencies_v2(CUgraph graph, const CUgraphNode *from,
                                          const CUgraphNode *to, const CUgraphEdgeData *edge_data,
                                          size_t num_dependencies)
{
    struct graph *changed;
    CUresult res = graph_resolve(graph, &changed);

    if (!res && changed->n_memory)
        res = CUDA_ERROR_NOT_SUPPORTED;
    return res ? res
               : change_edges(graph, from, to, edge_data, num_dependencies, graph_remove_edge);
}

CUresult sim_cuGraphRemoveDependencies(CUgraph graph, const CUgraphNode *from,
                                       const CUgraphNode *to, size_t num_dependencies)
{
    return sim_cuGraphRemoveDependencies_v2(graph, from, to, NULL, num_dependencies);
}

static const char *type_name(CUgraphNodeType type)
{
    static const char *const names[] = {
        [CU_GRAPH_NODE_TYPE_KERNEL] = "kernel",
        [CU_GRAPH_NODE_TYPE_MEMCPY] = "memcpy",
        [CU_GRAPH_NODE_TYPE_MEMSET] = "memset",
        [CU_GRAPH_NODE_TYPE_HOST] = "host",
        [CU_GRAPH_NODE_TYPE_GRAPH] = "graph",
        [CU_GRAPH_NODE_TYPE_EMPTY] = "empty",
        [CU_GRAPH_NODE_TYPE_WAIT_EVENT] = "event wait",
        [CU_GRAPH_NODE_TYPE_EVENT_RECORD] = "event record",
        [CU_GRAPH_NODE_TYPE_MEM_ALLOC] = "mem alloc",
        [CU_GRAPH_NODE_TYPE_MEM_FREE] = "mem free",
    };

    return names[type];
}

static const char *kernel_name(const struct task *task)
{
    if (task->type != CU_GRAPH_NODE_TYPE_KERNEL)
        return "";
    return handle_is(task->kernel->function, HANDLE_FUNCTION) ? task->kernel->function->name
                                                              : "(unloaded)";
}

/* Topology, types and kernel names; `flags` ask for no more than that here. */
static void print_graph(FILE *file, const struct graph *graph)
{
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct node *node = graph->nodes[i];

        fprintf(file, "n%llu [label=\"%s %s\"];\n", (unsigned long long)node->id,
                type_name(node->task.type), kernel_name(&node->task));
        for (size_t e = 0; e < node->n_edges; e++)
            fprintf(file, "n%llu -> n%llu;\n", (unsigned long long)node->edges[e].from->id,
                    (unsigned long long)node->id);
        if (node->task.type == CU_GRAPH_NODE_TYPE_GRAPH) {
            fprintf(file, "subgraph cluster_%llu {\n", (unsigned long long)node->id);
            print_graph(file, node->task.child);
            fprintf(file, "}\n");
        }
    }
}

CUresult sim_cuGraphDebugDotPrint(CUgraph graph, const char *path, unsigned int flags)
{
    struct graph *asked;
    CUresult res = graph_resolve(graph, &asked);
    FILE *file;

    (void)flags;
    if (res || !path)
        return res ? res : CUDA_ERROR_INVALID_VALUE;
    file = fopen(path, "w");
    if (!file)
        return CUDA_ERROR_OPERATING_SYSTEM;
    fprintf(file, "digraph graph_%llu {\n", (unsigned long long)asked->id);
    print_graph(file, asked);
    fprintf(file, "}\n");
    return fclose(file) ? CUDA_ERROR_OPERATING_SYSTEM : CUDA_SUCCESS;
}
