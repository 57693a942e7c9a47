/* SPDX-License-Identifier: MIT */
/*
 * Copies over the link: each way from pinned memory, from memory that is not, both ways at once,
 * and on the card. Each is made once before it is timed, so that pages and tables are there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"
#include "tools/measure_parts.h"

enum {
    TIMES = 3,
    IN_A_ROW = 2,
    BOTH_IN_A_ROW = 6, /* each way; more, as neither begin nor end is at once */
    SMALL_BYTES = 4096,
    SMALL_COPIES = 64,
};

struct buffers {
    CUdeviceptr up, down;
    char *pinned_up, *pinned_down;
    char *pageable;
};

enum copy { UP, DOWN, PAGEABLE_UP, PAGEABLE_DOWN, ON_CARD, COPIES };

static int copy(const struct meter *meter, const struct buffers *at, enum copy which,
                CUstream stream, uint64_t bytes)
{
    switch (which) {
    case UP:
        TRY(cuMemcpyHtoDAsync_v2(at->up, at->pinned_up, bytes, stream));
        break;
    case DOWN:
        TRY(cuMemcpyDtoHAsync_v2(at->pinned_down, at->down, bytes, stream));
        break;
    case PAGEABLE_UP:
        TRY(cuMemcpyHtoDAsync_v2(at->up, at->pageable, bytes, stream));
        break;
    case PAGEABLE_DOWN:
        TRY(cuMemcpyDtoHAsync_v2(at->pageable, at->down, bytes, stream));
        break;
    case ON_CARD:
    default:
        TRY(cuMemcpyDtoDAsync_v2(at->up, at->down, bytes, stream));
        break;
    }
    return 0;
}

/* Median bytes per second of copies in a row. */
static int rate_of(const struct meter *meter, const struct buffers *at, enum copy which,
                   double *out)
{
    double rates[TIMES];
    double ns;
    int r = copy(meter, at, which, meter->stream, meter->bytes);

    TRY(cuStreamSynchronize(meter->stream));
    for (int i = 0; i < TIMES && !r; i++) {
        TRY(cuEventRecord(meter->begin, meter->stream));
        for (int j = 0; j < IN_A_ROW && !r; j++)
            r = copy(meter, at, which, meter->stream, meter->bytes);
        TRY(cuEventRecord(meter->end, meter->stream));
        r = r ? r : meter_elapsed(meter, &ns);
        rates[i] = r ? 0 : (double)meter->bytes * IN_A_ROW * 1e9 / ns;
    }
    if (!r)
        *out = meter_median(rates, TIMES);
    return r;
}

/* Both ways: from the first copy's begin to the end of the last, in either direction. */
static int both_once(const struct meter *meter, const struct buffers *at, CUevent other, double *ns)
{
    int r = 0;

    TRY(cuEventRecord(meter->begin, meter->stream));
    TRY(cuStreamWaitEvent(meter->beside, meter->begin, 0));
    for (int i = 0; i < BOTH_IN_A_ROW && !r; i++) {
        r = copy(meter, at, UP, meter->stream, meter->bytes);
        r = r ? r : copy(meter, at, DOWN, meter->beside, meter->bytes);
    }
    TRY(cuEventRecord(other, meter->beside));
    TRY(cuStreamWaitEvent(meter->stream, other, 0));
    TRY(cuEventRecord(meter->end, meter->stream));
    return r ? r : meter_elapsed(meter, ns);
}

static int both_ways(struct meter *meter, const struct buffers *at)
{
    double rates[TIMES];
    CUevent other;
    double ns, rate;
    int r = 0;

    TRY(cuEventCreate(&other, CU_EVENT_DISABLE_TIMING));
    for (int i = 0; i < TIMES && !r; i++) {
        r = both_once(meter, at, other, &ns);
        rates[i] = r ? 0 : (double)meter->bytes * 2 * BOTH_IN_A_ROW * 1e9 / ns;
    }
    (void)meter->gpu->cu.cuEventDestroy_v2(other);
    if (r)
        return r;
    rate = meter_median(rates, TIMES);
    meter_note(meter, "link", "B/s", rate, "both ways at once");
    METER_TELL(meter, link_both, rate);
    return 0;
}

/* Of many small copies behind a large one: what the host needs to queue one, and what the engine
 * needs beside the bytes. */
static int small_copies(struct meter *meter, const struct buffers *at, double rate)
{
    double queue_ns, engine_ns;
    int r = copy(meter, at, UP, meter->stream, meter->bytes);

    TRY(cuEventRecord(meter->begin, meter->beside));
    for (int i = 0; i < SMALL_COPIES && !r; i++)
        r = copy(meter, at, UP, meter->stream, SMALL_BYTES);
    TRY(cuEventRecord(meter->end, meter->beside));
    r = r ? r : meter_elapsed(meter, &queue_ns);
    TRY(cuStreamSynchronize(meter->stream));
    if (r)
        return r;
    r = copy(meter, at, UP, meter->stream, meter->bytes);
    TRY(cuEventRecord(meter->begin, meter->stream));
    for (int i = 0; i < SMALL_COPIES && !r; i++)
        r = copy(meter, at, UP, meter->stream, SMALL_BYTES);
    TRY(cuEventRecord(meter->end, meter->stream));
    r = r ? r : meter_elapsed(meter, &engine_ns);
    if (r)
        return r;
    queue_ns /= SMALL_COPIES;
    engine_ns = engine_ns / SMALL_COPIES - SMALL_BYTES * 1e9 / rate;
    meter_note(meter, "link", "ns", queue_ns, "queueing a copy");
    meter_note(meter, "link", "ns", engine_ns, "a copy beside its bytes");
    METER_TELL(meter, copy_call, queue_ns);
    METER_TELL(meter, copy_latency, engine_ns);
    return 0;
}

static int measure_copies(struct meter *meter, const struct buffers *at)
{
    static const char *const names[COPIES] = {
        [UP] = "pinned memory to card",
        [DOWN] = "card to pinned memory",
        [PAGEABLE_UP] = "pageable memory to card",
        [PAGEABLE_DOWN] = "card to pageable memory",
        [ON_CARD] = "on the card",
    };
    double rates[COPIES];
    int r = 0;

    for (enum copy which = 0; which < COPIES; which++) {
        r = rate_of(meter, at, which, &rates[which]);
        if (r)
            return r;
        meter_note(meter, "link", "B/s", rates[which], "%s", names[which]);
    }
    METER_TELL(meter, h2d, rates[UP]);
    METER_TELL(meter, d2h, rates[DOWN]);
    METER_TELL(meter, pageable, rates[PAGEABLE_UP]);
    METER_TELL(meter, pageable_d2h, rates[PAGEABLE_DOWN]);
    METER_TELL(meter, d2d, rates[ON_CARD]);
    r = both_ways(meter, at);
    return r ? r : small_copies(meter, at, rates[UP]);
}

static int measure_buffers(struct meter *meter, char *pageable)
{
    struct buffers at = {.pageable = pageable};
    int r;

    TRY(cuMemAlloc_v2(&at.up, meter->bytes));
    TRY(cuMemAlloc_v2(&at.down, meter->bytes));
    TRY(cuMemsetD8_v2(at.down, 1, meter->bytes));
    TRY(cuMemHostAlloc((void **)&at.pinned_up, meter->bytes, 0));
    TRY(cuMemHostAlloc((void **)&at.pinned_down, meter->bytes, 0));
    r = measure_copies(meter, &at);
    TRY(cuMemFree_v2(at.up));
    TRY(cuMemFree_v2(at.down));
    TRY(cuMemFreeHost(at.pinned_up));
    TRY(cuMemFreeHost(at.pinned_down));
    return r;
}

int measure_link(struct meter *meter)
{
    char *pageable = malloc(meter->bytes);
    int r;

    if (!pageable)
        return -ENOMEM;
    memset(pageable, 1, meter->bytes);
    r = measure_buffers(meter, pageable);
    free(pageable);
    return r;
}
