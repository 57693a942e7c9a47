/* SPDX-License-Identifier: MIT */
#include "runtime/replay.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/log.h"
#include "runtime/replay_read.h"
#include "runtime/residency.h"

enum {
    ATTEMPTS = 3, /* of what must not be left undone */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct replay *replays; /* uthash, by exec */
atomic_bool replays_noted;

static void make_opaque(struct replay *replay, const char *why)
{
    replay_clear(replay);
    replay->opaque = why;
    log_debug("a graph is launched by the driver alone: %s", why);
}

static struct replay *find_locked(CUgraphExec exec)
{
    struct replay *replay;

    HASH_FIND_PTR(replays, &exec, replay);
    return replay;
}

static struct replay *find_or_add(CUgraphExec exec)
{
    struct replay *replay = find_locked(exec);

    if (replay)
        return replay;
    replay = calloc(1, sizeof(*replay));
    if (!replay)
        return NULL;
    replay->exec = exec;
    HASH_ADD_PTR(replays, exec, replay);
    if (!replay->hh.tbl) {
        free(replay);
        return NULL;
    }
    return replay;
}

void replay_note(const struct driver *drv, CUgraphExec exec, CUgraph graph, bool whole)
{
    struct replay *replay;
    const char *why;

    pthread_mutex_lock(&lock);
    replay = find_or_add(exec);
    if (replay) {
        replay->whole = whole;
        why = replay_read(drv, replay, graph);
        if (why)
            make_opaque(replay, why);
        atomic_store(&replays_noted, true);
    }
    pthread_mutex_unlock(&lock);
}

void replay_update(const struct driver *drv, CUgraphExec exec, CUgraph graph)
{
    struct replay *replay = replay_find(exec);
    const char *why = replay ? replay_read(drv, replay, graph) : NULL;

    if (why)
        make_opaque(replay, why);
}

void replay_drop(const struct driver *drv, CUgraphExec exec)
{
    struct replay *replay;

    pthread_mutex_lock(&lock);
    replay = find_locked(exec);
    if (replay) {
        HASH_DEL(replays, replay);
        if (replay->done)
            (void)drv->cuEventDestroy_v2(replay->done);
        replay_clear(replay);
        free(replay);
        atomic_store(&replays_noted, replays != NULL);
    }
    pthread_mutex_unlock(&lock);
}

struct replay *replay_find(CUgraphExec exec)
{
    struct replay *replay;

    if (!replay_are_there())
        return NULL;
    pthread_mutex_lock(&lock);
    replay = find_locked(exec);
    pthread_mutex_unlock(&lock);
    return replay;
}

/* NULL when there is nothing to be changed; a node that is not in it makes it opaque. */
static struct replay_step *step_to_change(CUgraphExec exec, CUgraphNode node, enum replay_kind kind,
                                          struct replay **out)
{
    struct replay *replay = replay_find(exec);

    *out = replay;
    if (!replay || replay->opaque)
        return NULL;
    for (uint32_t i = 0; i < replay->n_steps; i++) {
        struct replay_step *step = &replay->steps[i];

        if (step->node == node && (kind == REPLAY_NOTHING || step->kind == kind))
            return step;
    }
    make_opaque(replay, "a node was changed that is not known");
    return NULL;
}

void replay_set_kernel(const struct driver *drv, CUgraphExec exec, CUgraphNode node,
                       const CUDA_KERNEL_NODE_PARAMS *params)
{
    struct replay *replay;
    struct replay_step *step = step_to_change(exec, node, REPLAY_KERNEL, &replay);
    struct replay_kernel *kernel;

    if (!step)
        return;
    kernel = replay_kernel_new(drv, params);
    if (!kernel) {
        make_opaque(replay, "the parameters of a kernel are not known");
        return;
    }
    kernel->n_attributes = step->kernel->n_attributes;
    memcpy(kernel->attributes, step->kernel->attributes, sizeof(kernel->attributes));
    free(step->kernel);
    step->kernel = kernel;
    replay->counted = false;
}

void replay_set_copy(const struct driver *drv, CUgraphExec exec, CUgraphNode node,
                     const CUDA_MEMCPY3D *params)
{
    struct replay *replay;
    struct replay_step *step = step_to_change(exec, node, REPLAY_COPY, &replay);
    const char *why;

    if (!step)
        return;
    step->copy = *params;
    why = replay_check_copy(drv, params);
    if (why)
        make_opaque(replay, why);
}

void replay_set_memset(CUgraphExec exec, CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS *params)
{
    struct replay *replay;
    struct replay_step *step = step_to_change(exec, node, REPLAY_MEMSET, &replay);

    if (step)
        step->memset = *params;
}

void replay_set_host(CUgraphExec exec, CUgraphNode node, const CUDA_HOST_NODE_PARAMS *params)
{
    struct replay *replay;
    struct replay_step *step = step_to_change(exec, node, REPLAY_HOST, &replay);

    if (step)
        step->host = *params;
}

void replay_set_enabled(CUgraphExec exec, CUgraphNode node, bool enabled)
{
    struct replay *replay;
    struct replay_step *step = step_to_change(exec, node, REPLAY_NOTHING, &replay);

    if (step)
        step->disabled = !enabled;
}

void replay_set_unknown(CUgraphExec exec)
{
    struct replay *replay = replay_find(exec);

    if (replay && !replay->opaque)
        make_opaque(replay, "a node was changed in a way that is not followed");
}

static int by_value(const void *left, const void *right)
{
    const uint64_t *a = left;
    const uint64_t *b = right;

    return *a < *b ? -1 : *a > *b;
}

struct word_list {
    uint64_t *at;
    uint32_t n;
};

static void note_word(void *context, const struct layout_word *word, uint64_t value)
{
    struct word_list *list = context;
    struct residency_view view = residency_view();
    struct block *block;

    (void)word;
    if (residency_view_slot(&view, value, &block))
        list->at[list->n++] = value;
}

void replay_count_words(struct replay *replay)
{
    struct residency_view view = residency_view();
    struct word_list list = {.n = 0};
    size_t most = 0;
    uint32_t n = 0;

    if (replay->counted || !view.bytes)
        return;
    for (uint32_t i = 0; i < replay->n_steps; i++) {
        if (replay->steps[i].kind == REPLAY_KERNEL)
            most += replay->steps[i].kernel->layout->n_words;
    }
    list.at = calloc(most + 1, sizeof(*list.at));
    if (!list.at)
        return;
    for (uint32_t i = 0; i < replay->n_steps; i++) {
        const struct replay_step *step = &replay->steps[i];

        if (step->kind == REPLAY_KERNEL)
            (void)layout_scan(step->kernel->layout, step->kernel->params, NULL, note_word, &list);
    }
    qsort(list.at, list.n, sizeof(*list.at), by_value);
    for (uint32_t i = 0; i < list.n; i++) {
        if (!n || list.at[i] >> view.slot_shift != list.at[n - 1] >> view.slot_shift)
            list.at[n++] = list.at[i];
    }
    free(replay->words);
    replay->words = list.at;
    replay->n_words = n;
    replay->counted = true;
}

static CUresult record_end(const struct driver *drv, struct replay *replay)
{
    CUresult result = CUDA_SUCCESS;

    if (!replay->done)
        result = drv->cuEventCreate(&replay->done, CU_EVENT_DISABLE_TIMING);
    return result == CUDA_SUCCESS ? replay->mode->cuEventRecord(replay->done, replay->stream)
                                  : result;
}

static CUresult order_locked(const struct driver *drv, struct replay *replay, CUstream stream,
                             bool single)
{
    CUresult result = CUDA_SUCCESS;
    bool elsewhere = replay->stream_gone || replay->stream != stream || replay->mode != drv;

    if (replay->launched && elsewhere && (single || replay->single)) {
        if (!replay->stream_gone)
            result = record_end(drv, replay);
        if (result == CUDA_SUCCESS)
            result = drv->cuStreamWaitEvent(stream, replay->done, 0);
    }
    if (result != CUDA_SUCCESS)
        return result;
    replay->launched = true;
    replay->single = single;
    replay->stream_gone = false;
    replay->stream = stream;
    replay->mode = drv;
    return CUDA_SUCCESS;
}

/* Locked, as another thread may destroy a stream, and looks for what was launched in it. */
CUresult replay_order(const struct driver *drv, struct replay *replay, CUstream stream, bool single)
{
    CUresult result;

    pthread_mutex_lock(&lock);
    result = order_locked(drv, replay, stream, single);
    pthread_mutex_unlock(&lock);
    return result;
}

/* What was launched in it is followed by an event from now on, or over. */
static void leave_stream(const struct driver *drv, struct replay *replay)
{
    CUresult result = CUDA_ERROR_UNKNOWN;

    for (int attempt = 0; attempt < ATTEMPTS && !replay->stream_gone; attempt++)
        replay->stream_gone = record_end(drv, replay) == CUDA_SUCCESS;
    for (int attempt = 0; attempt < ATTEMPTS && !replay->stream_gone && result; attempt++)
        result = replay->mode->cuStreamSynchronize(replay->stream);
    replay->launched = replay->stream_gone;
}

void replay_stream_going(const struct driver *drv, CUstream stream)
{
    if (!replay_are_there())
        return;
    pthread_mutex_lock(&lock);
    for (struct replay *replay = replays; replay; replay = replay->hh.next) {
        if (replay->launched && !replay->stream_gone && replay->stream == stream)
            leave_stream(drv, replay);
    }
    pthread_mutex_unlock(&lock);
}
