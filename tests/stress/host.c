/* SPDX-License-Identifier: MIT */
/*
 * Host memory that copies under way still read or write, so it is reused only after everything has
 * been waited for.
 */
#include "tests/stress/churn.h"

#include <stdlib.h>
#include <string.h>

enum {
    ARENA_BYTES = 4 << 20,
};

static void wait_for_all(struct worker *worker)
{
    for (int i = 0; i < STREAM_INDEX_COUNT; i++)
        CHECK(worker, cuStreamSynchronize, worker->streams[i]);
    downloads_settle_all(worker);
}

uint8_t *arena_take(struct worker *worker, size_t bytes)
{
    uint8_t *at;

    if (bytes > ARENA_BYTES)
        churn_die(worker, "asked for %zu bytes of the arena", bytes);
    if (!worker->arena)
        CHECK(worker, cuMemHostAlloc, (void **)&worker->arena, ARENA_BYTES, 0);
    if (worker->arena_used + bytes > ARENA_BYTES) {
        wait_for_all(worker);
        worker->arena_used = 0;
    }
    at = worker->arena + worker->arena_used;
    worker->arena_used += bytes;
    return at;
}

void download_expect(struct worker *worker, uint8_t *got, const uint8_t *expected, size_t bytes,
                     enum stream_index stream, bool pageable)
{
    uint8_t *kept = malloc(bytes);

    if (!kept)
        churn_die(worker, "no host memory to remember %zu bytes", bytes);
    memcpy(kept, expected, bytes);
    worker->downloads[worker->n_downloads++] =
        (struct download){got, kept, bytes, stream, pageable};
    if (worker->n_downloads == DOWNLOADS_MAX)
        wait_for_all(worker);
}

static void settle(struct worker *worker, size_t index)
{
    struct download *download = &worker->downloads[index];

    if (memcmp(download->got, download->expected, download->bytes))
        churn_die(worker, "an asynchronous copy of %zu bytes to the host brought the wrong bytes",
                  download->bytes);
    free(download->expected);
    if (download->pageable)
        free(download->got);
    *download = worker->downloads[--worker->n_downloads];
}

void downloads_settle(struct worker *worker, enum stream_index stream)
{
    for (size_t i = worker->n_downloads; i-- > 0;)
        if (worker->downloads[i].stream == stream)
            settle(worker, i);
}

void downloads_settle_all(struct worker *worker)
{
    while (worker->n_downloads)
        settle(worker, worker->n_downloads - 1);
}
