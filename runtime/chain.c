/* SPDX-License-Identifier: MIT */
/*
 * One event for each launch between being given out and being followed: were there one for all, a
 * thread could record it behind its own launch before another one's was waited for.
 */
#include "runtime/chain.h"

static void drop(struct chain *chain, const struct driver *drv, CUevent event)
{
    if (chain->n_spare < CHAIN_SPARES)
        chain->spare[chain->n_spare++] = event;
    else
        (void)drv->cuEventDestroy_v2(event);
}

static int take(struct chain *chain, const struct driver *drv, CUevent *out)
{
    if (chain->n_spare) {
        *out = chain->spare[--chain->n_spare];
        return 0;
    }
    return driver_errno(drv->cuEventCreate(out, CU_EVENT_DISABLE_TIMING));
}

static int wait_for_copies(struct chain *chain, const struct driver *drv, struct transfer *transfer,
                           CUstream stream)
{
    int r = 0;

    if (!transfer->stream)
        return 0;
    if (!chain->fence)
        r = take(chain, drv, &chain->fence);
    if (!r)
        r = transfer_record(transfer, drv, chain->fence);
    return r ? r : driver_errno(drv->cuStreamWaitEvent(stream, chain->fence, 0));
}

bool chain_join(struct chain *chain, const struct driver *drv, struct transfer *transfer,
                struct redirect *redirect)
{
    CUevent event;

    if (take(chain, drv, &event))
        return false;
    if (wait_for_copies(chain, drv, transfer, redirect->stream)) {
        drop(chain, drv, event);
        return false;
    }
    redirect->ended = event;
    chain->n_open++;
    return true;
}

void chain_ended(const struct driver *drv, struct redirect *redirect)
{
    redirect->astray |=
        redirect->ended && drv->cuEventRecord(redirect->ended, redirect->stream) != CUDA_SUCCESS;
}

bool chain_follow(struct chain *chain, const struct driver *drv, struct transfer *transfer,
                  struct redirect *redirect)
{
    bool follows = !redirect->astray && transfer_await(transfer, drv, redirect->ended) == 0;

    drop(chain, drv, redirect->ended);
    redirect->ended = NULL;
    chain->n_open--;
    return follows;
}

void chain_forsake(const struct driver *drv, struct redirect *redirect)
{
    (void)drv->cuEventDestroy_v2(redirect->ended);
    redirect->ended = NULL;
}

void chain_fini(struct chain *chain, const struct driver *drv, bool alive)
{
    for (uint32_t i = 0; alive && i < chain->n_spare; i++)
        (void)drv->cuEventDestroy_v2(chain->spare[i]);
    if (alive && chain->fence)
        (void)drv->cuEventDestroy_v2(chain->fence);
    *chain = (struct chain){.fence = NULL};
}
