/* SPDX-License-Identifier: MIT */
/*
 * What the program uploads is looked through: for addresses of its memory, which kernels may follow
 * unseen, and for bytes that a file of its holds.
 */
#include <stdlib.h>
#include <string.h>
#include "runtime/backing.h"
#include "runtime/cold_parts.h"
#include "runtime/pager.h"

enum {
    SHARE = 4, /* part of memory that is for what stays there, at most */
};

static uint64_t bytes_escaped(const struct pager *pager)
{
    uint64_t bytes = 0;

    for (struct range *range = residency.ranges; range; range = range->next)
        bytes += range->pager == pager && range->escaped ? range->mapped_bytes : 0;
    return bytes;
}

/* From now on the range is in memory for good, as long as such ranges do not take too much of it.
 * Others come before launches that find their addresses. */
static void escape(const struct driver *drv, struct range *range)
{
    struct pager *pager = range->pager;
    struct block **blocks;

    if (range->escaped || (bytes_escaped(pager) + range->mapped_bytes) * SHARE > cold_memory(pager))
        return;
    range->escaped = true;
    blocks = calloc(range->n_blocks, sizeof(struct block *));
    if (!blocks)
        return;
    pager->launch++;
    for (uint32_t i = 0; i < range->n_blocks; i++) {
        blocks[i] = &range->blocks[i];
        blocks[i]->launch = pager->launch;
    }
    (void)cold_need(pager, drv, blocks, range->n_blocks);
    free(blocks);
}

void pager_note_source(CUdeviceptr to, const void *from, uint64_t n)
{
    struct range *range;

    if (!residency_block(to))
        return;
    pthread_mutex_lock(&pagers.lock);
    range = residency_range(to);
    if (range)
        backing_note(&range->sources, to - range->base, from, n);
    pthread_mutex_unlock(&pagers.lock);
}

void pager_scan(const struct driver *drv, const void *bytes, uint64_t n)
{
    const char *end = (const char *)bytes + n;
    uint64_t base = atomic_load_explicit(&residency.base, memory_order_relaxed);
    uint64_t size = atomic_load_explicit(&residency.bytes, memory_order_acquire);

    for (const char *at = bytes; at + sizeof(uint64_t) <= end; at += sizeof(uint64_t)) {
        struct range *range;
        uint64_t word;

        memcpy(&word, at, sizeof(word));
        if (likely(word - base >= size))
            continue;
        pthread_mutex_lock(&pagers.lock);
        range = residency_range(word);
        if (range) {
            reach_expect_addresses();
            escape(drv, range);
        }
        pthread_mutex_unlock(&pagers.lock);
    }
}
