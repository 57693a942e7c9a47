/* SPDX-License-Identifier: MIT */
/*
 * User objects: things of the program that live as long as the graphs that refer to them.
 *
 * A destructor belongs to the program and may take its locks, so it never runs where the last
 * reference went, but when the call that dropped it ends. It may make no driver call, like a host
 * function.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/calls.h"
#include "tests/sim/graph.h"

struct user_object {
    struct user_object *next; /* among those to be destroyed */
    CUhostFn destroy;
    void *pointer;
    uint64_t references;
};

static struct user_object *due;

static void object_put(struct user_object *object, unsigned int count)
{
    object->references -= count;
    if (object->references)
        return;
    handle_remove(object);
    object->next = due;
    due = object;
}

void user_objects_settle(void)
{
    struct thread *thread;

    while (due) {
        struct user_object *object = due;

        due = object->next;
        thread = core_thread();
        thread->in_host_function = true;
        core_unlock();
        object->destroy(object->pointer);
        core_lock();
        thread->in_host_function = false;
        free(object);
    }
}

static struct user_reference *reference_of(const struct graph *graph,
                                           const struct user_object *object)
{
    for (size_t i = 0; i < graph->n_users; i++)
        if (graph->users[i].object == object)
            return &graph->users[i];
    return NULL;
}

CUresult user_references_copy(const struct graph *from, struct graph *to)
{
    if (!from->n_users)
        return CUDA_SUCCESS;
    to->users = calloc(from->n_users, sizeof(*to->users));
    if (!to->users)
        return CUDA_ERROR_OUT_OF_MEMORY;
    to->n_users = from->n_users;
    memcpy(to->users, from->users, from->n_users * sizeof(*to->users));
    for (size_t i = 0; i < to->n_users; i++)
        to->users[i].object->references += to->users[i].count;
    return CUDA_SUCCESS;
}

void user_references_drop(struct graph *graph)
{
    for (size_t i = 0; i < graph->n_users; i++)
        object_put(graph->users[i].object, graph->users[i].count);
    graph->n_users = 0;
}

static bool count_is_valid(CUuserObject object, unsigned int count)
{
    return count && count <= INT_MAX && handle_is(object, HANDLE_USER_OBJECT);
}

CUresult sim_cuUserObjectCreate(CUuserObject *object_out, void *ptr, CUhostFn destroy,
                                unsigned int initial_refcount, unsigned int flags)
{
    struct user_object *object;

    if (!object_out || !destroy || !initial_refcount || initial_refcount > INT_MAX ||
        flags != CU_USER_OBJECT_NO_DESTRUCTOR_SYNC)
        return CUDA_ERROR_INVALID_VALUE;
    object = calloc(1, sizeof(*object));
    if (!object || !handle_add(object, HANDLE_USER_OBJECT)) {
        free(object);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    object->destroy = destroy;
    object->pointer = ptr;
    object->references = initial_refcount;
    *object_out = (CUuserObject)object;
    return CUDA_SUCCESS;
}

CUresult sim_cuUserObjectRetain(CUuserObject object, unsigned int count)
{
    if (!count_is_valid(object, count))
        return CUDA_ERROR_INVALID_VALUE;
    ((struct user_object *)object)->references += count;
    return CUDA_SUCCESS;
}

CUresult sim_cuUserObjectRelease(CUuserObject object, unsigned int count)
{
    struct user_object *released = (struct user_object *)object;

    if (!count_is_valid(object, count) || released->references < count)
        return CUDA_ERROR_INVALID_VALUE;
    object_put(released, count);
    return CUDA_SUCCESS;
}

CUresult sim_cuGraphRetainUserObject(CUgraph graph, CUuserObject object, unsigned int count,
                                     unsigned int flags)
{
    struct user_object *kept = (struct user_object *)object;
    struct user_reference *reference;
    struct graph *holder;
    CUresult res = graph_resolve(graph, &holder);

    if (res)
        return res;
    if (!count_is_valid(object, count) || flags & ~(unsigned int)CU_GRAPH_USER_OBJECT_MOVE ||
        (flags && kept->references < count))
        return CUDA_ERROR_INVALID_VALUE;
    reference = reference_of(holder, kept);
    if (!reference) {
        reference = realloc(holder->users, (holder->n_users + 1) * sizeof(*holder->users));
        if (!reference)
            return CUDA_ERROR_OUT_OF_MEMORY;
        holder->users = reference;
        reference += holder->n_users++;
        *reference = (struct user_reference){.object = kept};
    }
    reference->count += count;
    if (!flags)
        kept->references += count;
    return CUDA_SUCCESS;
}

CUresult sim_cuGraphReleaseUserObject(CUgraph graph, CUuserObject object, unsigned int count)
{
    struct user_reference *reference;
    struct graph *holder;
    CUresult res = graph_resolve(graph, &holder);

    if (res)
        return res;
    reference = reference_of(holder, (struct user_object *)object);
    if (!reference || !count_is_valid(object, count) || reference->count < count)
        return CUDA_ERROR_INVALID_VALUE;
    reference->count -= count;
    object_put(reference->object, count);
    if (!reference->count)
        *reference = holder->users[--holder->n_users];
    return CUDA_SUCCESS;
}
