/* SPDX-License-Identifier: MIT */
/*
 * Cards that use each other's memory. The driver lets a peer into its own allocations by itself;
 * into mapped memory it has to be let by name, into what is there and into what is yet to come.
 */
#include "runtime/card.h"
#include "runtime/pager.h"

/* The device of a context, which is made current for it. */
static int device_of(const struct driver *drv, CUcontext ctx, CUdevice *out)
{
    int r = driver_errno(drv->cuCtxPushCurrent_v2(ctx));

    if (r)
        return r;
    r = driver_errno(drv->cuCtxGetDevice(out));
    driver_pop_context(drv);
    return r;
}

static int grant_all(struct pager *pager, const struct driver *drv)
{
    int r = 0;

    for (struct range *range = residency.ranges; range && !r; range = range->next) {
        for (uint32_t i = 0; range->pager == pager && i < range->n_blocks && !r; i++) {
            const struct block *block = &range->blocks[i];

            r = vmm_grant(drv, block_address(block), block->bytes, &pager->access);
        }
    }
    return r;
}

int pager_peer_enabled(const struct driver *drv, CUcontext peer)
{
    struct pager *pager;
    CUdevice from;
    CUdevice to;
    int r;

    if (!drv->cuMemSetAccess || !drv->cuCtxGetDevice || !drv->cuCtxPushCurrent_v2 ||
        !drv->cuCtxPopCurrent_v2)
        return 0;
    r = driver_errno(drv->cuCtxGetDevice(&from));
    if (!r)
        r = device_of(drv, peer, &to);
    if (r)
        return r;
    if (from < 0 || from >= DEVICES_MAX || to < 0 || to >= DEVICES_MAX)
        return 0;
    pthread_mutex_lock(&pagers.lock);
    pager = &pagers.cards[to];
    vmm_access_add(&pager->access, to);
    vmm_access_add(&pager->access, from);
    r = grant_all(pager, drv);
    pthread_mutex_unlock(&pagers.lock);
    return r;
}
