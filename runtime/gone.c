/* SPDX-License-Identifier: MIT */
/* What the program, or a fork, has taken from under the pager: memory, streams, contexts. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include "runtime/card.h"
#include "runtime/cold.h"
#include "runtime/company.h"
#include "runtime/gate.h"
#include "runtime/pager.h"
#include "runtime/recognise.h"
#include "runtime/stats.h"
#include "runtime/streaming.h"
#include "runtime/watch.h"

void pager_device_memory_freed(void)
{
    if (!atomic_load_explicit(&residency.bytes, memory_order_relaxed))
        return;
    pthread_mutex_lock(&pagers.lock);
    for (int i = 0; i < DEVICES_MAX; i++)
        pool_forgive(&pagers.cards[i].pools[TIER_DEVICE]);
    pthread_mutex_unlock(&pagers.lock);
}

void pager_stream_gone(CUstream stream)
{
    pthread_mutex_lock(&pagers.lock);
    for (int i = 0; i < DEVICES_MAX; i++) {
        for (struct pending *p = pagers.cards[i].pending; p; p = p->next)
            p->stream = p->stream == stream ? NULL : p->stream;
        streaming_stream_gone(&pagers.cards[i], stream);
    }
    pthread_mutex_unlock(&pagers.lock);
}

static void forget_pending(struct pager *pager, const struct driver *drv, CUcontext ctx)
{
    struct pending **at = &pager->pending;

    while (*at) {
        struct pending *pending = *at;

        if (pending->ctx != ctx) {
            at = &pending->next;
            continue;
        }
        *at = pending->next;
        card_unmap(pager, drv, pending->range);
        stats_sub(pending_frees, 1);
        free(pending);
    }
}

static void forget_transfer(struct pager *pager, CUcontext ctx)
{
    for (struct transfer **at = &pager->contexts; *at; at = &(*at)->next) {
        struct transfer *transfer = *at;

        if (transfer->ctx == ctx) {
            *at = transfer->next;
            free(transfer);
            return;
        }
    }
}

void pager_context_gone(const struct driver *drv, CUcontext ctx)
{
    struct range *range;
    struct range *next;

    pthread_mutex_lock(&pagers.lock);
    for (int i = 0; i < DEVICES_MAX; i++)
        streaming_context_gone(&pagers.cards[i], drv, ctx);
    DL_FOREACH_SAFE(residency.ranges, range, next)
    {
        if (range->ctx != ctx)
            continue;
        range_retract(range);
        card_unmap(range->pager, drv, range);
    }
    for (int i = 0; i < DEVICES_MAX; i++) {
        forget_pending(&pagers.cards[i], drv, ctx);
        forget_transfer(&pagers.cards[i], ctx);
    }
    pthread_mutex_unlock(&pagers.lock);
}

void pager_reset_after_fork(void)
{
    pthread_mutex_init(&pagers.lock, NULL);
    pthread_rwlock_init(&pagers.waits, NULL);
    memset(pagers.cards, 0, sizeof(pagers.cards));
    cold_reset();
    atomic_store(&pagers.host_calls, 0);
    atomic_store(&pagers.graph_calls, false);
    atomic_store(&pagers.value_waits, false);
    residency_reset();
    recognise_reset();
    gate_reset();
    watch_reset();
    company_reset();
}
