/* SPDX-License-Identifier: MIT */
/*
 * Work under which homes must not move, because a drain would break it or never end: captures, host
 * functions, waits on memory values. It is counted here; card_enter() asks.
 */
#include <pthread.h>
#include "runtime/card.h"
#include "runtime/gate.h"
#include "runtime/log.h"
#include "runtime/pager.h"

enum {
    QUESTIONS = 3, /* after a capture, before its answer counts as none */
};

/* With the lock, so that no home is moving; and not while somebody waits. */
void pager_capture_began(void)
{
    pthread_rwlock_wrlock(&pagers.waits);
    pthread_mutex_lock(&pagers.lock);
    atomic_fetch_add(&gate_process.captures, 1);
    pthread_mutex_unlock(&pagers.lock);
    pthread_rwlock_unlock(&pagers.waits);
}

bool pager_wait_begin(void)
{
    pthread_rwlock_rdlock(&pagers.waits);
    if (!pager_capture_is_open())
        return true;
    pthread_rwlock_unlock(&pagers.waits);
    return false;
}

void pager_wait_end(void)
{
    pthread_rwlock_unlock(&pagers.waits);
}

void pager_capture_ended(void)
{
    int open = atomic_load(&gate_process.captures);

    while (open > 0 && !atomic_compare_exchange_weak(&gate_process.captures, &open, open - 1))
        ;
}

bool pager_capture_is_open(void)
{
    return card_capture_is_open();
}

bool pager_is_captured(const struct driver *drv, CUstream stream)
{
    CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;

    if (!pager_capture_is_open() || !drv->cuStreamIsCapturing)
        return false;
    for (int attempt = 0; attempt < QUESTIONS; attempt++) {
        if (drv->cuStreamIsCapturing(stream, &status) == CUDA_SUCCESS)
            return status != CU_STREAM_CAPTURE_STATUS_NONE;
    }
    return true;
}

void pager_host_call_began(void)
{
    atomic_fetch_add(&pagers.host_calls, 1);
}

void pager_host_call_ended(void)
{
    atomic_fetch_sub(&pagers.host_calls, 1);
}

void pager_value_wait_seen(void)
{
    if (!atomic_exchange(&pagers.value_waits, true))
        log_info("the program makes streams wait for memory values; what is not in device memory "
                 "now stays in host memory");
}

void pager_graph_calls_host(void)
{
    atomic_store(&pagers.graph_calls, true);
}
