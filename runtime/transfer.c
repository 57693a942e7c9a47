/* SPDX-License-Identifier: MIT */
#include "runtime/transfer.h"
#include "runtime/gate.h"
#include "runtime/watch.h"

enum {
    ATTEMPTS = 4,
};

int ticket_take(const struct driver *drv, CUstream stream, struct ticket *out)
{
    CUevent event;
    int r;

    r = driver_errno(drv->cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    if (r)
        return r;
    r = driver_errno(drv->cuEventRecord(event, stream));
    if (r) {
        (void)drv->cuEventDestroy_v2(event);
        return r;
    }
    out->event = event;
    return 0;
}

bool ticket_done(const struct driver *drv, const struct ticket *ticket)
{
    return !ticket->event || drv->cuEventQuery(ticket->event) == CUDA_SUCCESS;
}

int ticket_wait(const struct driver *drv, const struct ticket *ticket)
{
    return ticket->event ? driver_errno(WATCHED("for a stream to come to where memory is freed",
                                                drv->cuEventSynchronize(ticket->event)))
                         : 0;
}

void ticket_fini(const struct driver *drv, struct ticket *ticket)
{
    if (ticket->event)
        (void)drv->cuEventDestroy_v2(ticket->event);
    ticket->event = NULL;
}

int transfer_ready(struct transfer *transfer, const struct driver *drv)
{
    if (transfer->stream)
        return 0;
    return driver_errno(drv->cuStreamCreate(&transfer->stream, CU_STREAM_NON_BLOCKING));
}

int transfer_copy(struct transfer *transfer, const struct driver *drv, CUdeviceptr to,
                  CUdeviceptr from, uint64_t bytes)
{
    int r = transfer_ready(transfer, drv);

    return r ? r : driver_errno(drv->cuMemcpyDtoDAsync_v2(to, from, bytes, transfer->stream));
}

int transfer_await(struct transfer *transfer, const struct driver *drv, CUevent event)
{
    int r = transfer_ready(transfer, drv);

    return r ? r : driver_errno(drv->cuStreamWaitEvent(transfer->stream, event, 0));
}

int transfer_record(struct transfer *transfer, const struct driver *drv, CUevent event)
{
    int r = transfer_ready(transfer, drv);

    return r ? r : driver_errno(drv->cuEventRecord(event, transfer->stream));
}

int transfer_wait(struct transfer *transfer, const struct driver *drv)
{
    CUresult result;

    if (!transfer->stream)
        return 0;
    /* Copies that may still run must not outlive the memory they use, so a refusal is not taken. */
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        result = WATCHED("for copies of its own", drv->cuStreamSynchronize(transfer->stream));
        if (result == CUDA_SUCCESS)
            return 0;
    }
    if (!gate_capture_is_open())
        result = drv->cuCtxSynchronize();
    return driver_errno(result);
}

void transfer_fini(struct transfer *transfer, const struct driver *drv)
{
    if (transfer->stream)
        (void)drv->cuStreamDestroy_v2(transfer->stream);
    transfer->stream = NULL;
}
