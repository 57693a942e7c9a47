/* SPDX-License-Identifier: MIT */
/*
 * A trial runs alone: the device is drained before it and waited for behind it, because beside
 * copies and other launches a function that does next to nothing takes long too. There are as many
 * trials as a program has functions that read weights.
 */
#include "runtime/trial.h"

#include <stdlib.h>
#include <uthash.h>

struct trial {
    uint64_t function;
    uint64_t bytes; /* that it reads in place, if it reads all */
    CUevent begin, end;
    bool ended; /* `end` was recorded */
    enum trial_verdict verdict;
    UT_hash_handle hh;
};

static void drop_events(struct trial *trial, const struct driver *drv, bool alive)
{
    if (trial->begin && alive)
        (void)drv->cuEventDestroy_v2(trial->begin);
    if (trial->end && alive)
        (void)drv->cuEventDestroy_v2(trial->end);
    trial->begin = trial->end = NULL;
}

/* What cannot be timed is taken to read all. */
static enum trial_verdict judge(const struct streaming *s, const struct driver *drv,
                                const struct trial *trial)
{
    float ms = 0;

    if (!trial->ended || s->link <= 0 || drv->cuEventSynchronize(trial->end) != CUDA_SUCCESS ||
        drv->cuEventElapsedTime(&ms, trial->begin, trial->end) != CUDA_SUCCESS)
        return TRIAL_COPY;
    return (double)ms < s->link * (double)trial->bytes ? TRIAL_IN_PLACE : TRIAL_COPY;
}

enum trial_verdict trial_find(const struct streaming *s, CUfunction function)
{
    uint64_t key = (uintptr_t)function;
    const struct trial *trial;

    HASH_FIND(hh, s->trials, &key, sizeof(key), trial);
    return trial ? trial->verdict : TRIAL_FIRST;
}

void trial_begin(struct pager *pager, const struct driver *drv, const struct launch *launch,
                 uint64_t bytes, struct redirect *redirect)
{
    struct streaming *s = pager->streaming;
    struct transfer *transfer;
    struct trial *trial;

    if (!card_enter(pager, drv, &transfer))
        return;
    card_leave(drv);
    trial = calloc(1, sizeof(*trial));
    if (!trial)
        return;
    trial->function = (uintptr_t)launch->function;
    trial->bytes = bytes;
    trial->verdict = TRIAL_COPY;
    HASH_ADD(hh, s->trials, function, sizeof(trial->function), trial);
    if (drv->cuEventElapsedTime &&
        drv->cuEventCreate(&trial->begin, CU_EVENT_DEFAULT) == CUDA_SUCCESS &&
        drv->cuEventCreate(&trial->end, CU_EVENT_DEFAULT) == CUDA_SUCCESS &&
        drv->cuEventRecord(trial->begin, launch->stream) == CUDA_SUCCESS)
        redirect->trial = trial;
}

void trial_launched(struct streaming *s, const struct driver *drv, struct redirect *redirect)
{
    struct trial *trial = redirect->trial;

    trial->ended = drv->cuEventRecord(trial->end, redirect->stream) == CUDA_SUCCESS;
    trial->verdict = judge(s, drv, trial);
    drop_events(trial, drv, true);
}

void trials_forget(struct streaming *s, const struct driver *drv, bool alive)
{
    struct trial *trial;
    struct trial *next;

    HASH_ITER(hh, s->trials, trial, next)
    {
        HASH_DEL(s->trials, trial);
        drop_events(trial, drv, alive);
        free(trial);
    }
}
