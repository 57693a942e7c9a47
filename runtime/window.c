/* SPDX-License-Identifier: MIT */
#include "runtime/window.h"

#include <errno.h>
#include <stdlib.h>
#include "runtime/log.h"
#include "runtime/stats.h"

enum {
    MAPPINGS_MOST = 1 << 16, /* of blocks beside stretches, in all windows together */
    MARGIN_LEAST = 16,
};

void windows_expect(struct windows *windows, uint32_t n)
{
    windows->margin = (uint32_t)max_u64(MAPPINGS_MOST / (2 * (uint64_t)n + 1), MARGIN_LEAST);
}

static uint64_t place_bytes(const struct window *window)
{
    return (uint64_t)(window->to - window->from + 1) << residency.slot_shift;
}

static CUdeviceptr place(const struct window *window, uint32_t block)
{
    return window->base + ((uint64_t)(block - window->from) << residency.slot_shift);
}

static void unmap(struct window *window, const struct driver *drv)
{
    uint32_t mapped = window->mapped;

    for (uint32_t i = 0; i < mapped; i++) {
        if (!window->bytes[i] ||
            vmm_unmap(drv, place(window, window->from + i), window->bytes[i]) == 0)
            window->mapped--;
    }
    if (window->mapped)
        log_warn("cannot unmap a window of %u blocks; its memory stays in use until the program "
                 "ends",
                 (unsigned int)mapped);
    else
        vmm_unreserve(drv, window->base, place_bytes(window));
}

/* One call for all of it costs little more than one for a block. A driver that will not have tiers
 * together is asked for each. */
static int grant(struct window *window, const struct driver *drv, const struct vmm_access *access)
{
    uint64_t bytes = 0;
    bool gaps = false;

    for (uint32_t i = 0; i < window->mapped; i++) {
        gaps |= !window->bytes[i];
        bytes += window->bytes[i];
    }
    if (!gaps && vmm_grant(drv, window->base, bytes, access) == 0)
        return 0;
    for (uint32_t i = 0; i < window->mapped; i++) {
        int r = window->bytes[i]
                    ? vmm_grant(drv, place(window, window->from + i), window->bytes[i], access)
                    : 0;

        if (r)
            return r;
    }
    return 0;
}

static int map(struct window *window, const struct driver *drv, const struct vmm_access *access,
               window_chunk_fn *chunk_of, void *context)
{
    for (uint32_t i = window->from; i <= window->to; i++) {
        const struct block *block = &window->range->blocks[i];
        const struct chunk *chunk = NULL;
        int r;

        if (i >= window->stretch.first && i <= window->stretch.last)
            chunk = chunk_of(context, block);
        if (!chunk)
            chunk = block->chunk;
        window->bytes[window->mapped] = 0;
        if (!chunk) { /* on the disk, where nothing may read it */
            window->mapped++;
            continue;
        }
        r = vmm_place(drv, place(window, i), chunk->bytes, chunk->handle);
        if (r)
            return r;
        window->bytes[window->mapped++] = chunk->bytes;
    }
    return grant(window, drv, access);
}

struct window *window_find(const struct windows *windows, const struct stretch *stretch)
{
    struct window *window;

    HASH_FIND(hh, windows->all, stretch, sizeof(*stretch), window);
    return window;
}

int window_open(struct windows *windows, const struct driver *drv, const struct vmm_access *access,
                struct range *range, const struct stretch *stretch, window_chunk_fn *chunk_of,
                void *context, struct window **out)
{
    uint32_t margin = windows->margin;
    uint32_t from = stretch->first > margin ? stretch->first - margin : 0;
    uint32_t to = (uint32_t)min_u64((uint64_t)stretch->last + margin, range->n_blocks - 1);
    struct window *window = calloc(1, sizeof(*window) + (to - from + 1) * sizeof(*window->bytes));
    int r;

    if (!window)
        return -ENOMEM;
    window->stretch = *stretch;
    window->range = range;
    window->from = from;
    window->to = to;
    r = driver_errno(drv->cuMemAddressReserve(&window->base, place_bytes(window),
                                              (uint64_t)1 << residency.slot_shift, 0, 0));
    if (r) {
        free(window);
        return r;
    }
    r = map(window, drv, access, chunk_of, context);
    if (r) {
        unmap(window, drv);
        free(window);
        return r;
    }
    HASH_ADD(hh, windows->all, stretch, sizeof(window->stretch), window);
    if (!window->hh.tbl) {
        unmap(window, drv);
        free(window);
        return -ENOMEM;
    }
    stats_add(windows, 1);
    *out = window;
    return 0;
}

void windows_close(struct windows *windows, const struct driver *drv, const struct range *range)
{
    struct window *window;
    struct window *next;

    HASH_ITER(hh, windows->all, window, next)
    {
        if (range && window->range != range)
            continue;
        HASH_DEL(windows->all, window);
        unmap(window, drv);
        stats_sub(windows, 1);
        free(window);
    }
}
