/* SPDX-License-Identifier: MIT */
/*
 * What the program uploads is looked through: for addresses of its memory, which kernels may follow
 * unseen, and for bytes that a file of its holds. While there is a disk tier all uploads are, else
 * those that are small, as tables of addresses are.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include "runtime/backing.h"
#include "runtime/cold_parts.h"
#include "runtime/pager.h"

enum {
    SHARE = 4,   /* part of memory that is for what stays there, at most */
    STEP = 4096, /* bytes that are read at a time */
    ALIGNED = 4,
    WORDS_FOR_ONE = 32, /* of a table one is an address, at least */
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

/* The next word from *at on that may be an address of ours; false when there is none. */
static bool next_address(const char **at, const char *end, uint64_t *out)
{
    uint64_t base = atomic_load_explicit(&residency.base, memory_order_relaxed);
    uint64_t size = atomic_load_explicit(&residency.bytes, memory_order_acquire);

    while (*at + sizeof(uint64_t) <= end) {
        memcpy(out, *at, sizeof(*out));
        *at += sizeof(uint64_t);
        if (unlikely(*out - base < size))
            return true;
    }
    return false;
}

/* What the words say of themselves. Numbers look like addresses now and then: they are a table when
 * so many of them do that this is no accident. */
enum found {
    FOUND_NOTHING,
    FOUND_ADDRESS,
    FOUND_TABLE,
};

static enum found judge(const char *bytes, uint64_t n)
{
    const char *at = bytes;
    uint64_t aligned = 0;
    bool any = false;
    uint64_t word;

    while (next_address(&at, bytes + n, &word)) {
        aligned += is_aligned(word, ALIGNED);
        any = true;
    }
    if (!any)
        return FOUND_NOTHING;
    return aligned * WORDS_FOR_ONE >= n / sizeof(word) ? FOUND_TABLE : FOUND_ADDRESS;
}

static void look_through(const struct driver *drv, const char *bytes, uint64_t n)
{
    enum found found = judge(bytes, n);
    const char *at = bytes;
    uint64_t word;

    if (found == FOUND_NOTHING || (found == FOUND_ADDRESS && !residency_spills()))
        return;
    while (next_address(&at, bytes + n, &word)) {
        struct range *range;

        pthread_mutex_lock(&pagers.lock);
        range = residency_range(word);
        if (range && found == FOUND_TABLE)
            range_escape(range, word);
        if (range && residency_spills()) {
            reach_expect_addresses();
            escape(drv, range);
        }
        pthread_mutex_unlock(&pagers.lock);
    }
}

/* What the program names need not be readable: then the driver will tell it so. */
static bool read_own(void *to, const void *from, uint64_t n)
{
    struct iovec local = {.iov_base = to, .iov_len = n};
    struct iovec remote = {.iov_base = (void *)(uintptr_t)from, .iov_len = n};

    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)n;
}

void pager_scan(const struct driver *drv, const void *bytes, uint64_t n)
{
    uint64_t words[STEP / sizeof(uint64_t)];

    if (residency_spills()) {
        look_through(drv, bytes, n);
        return;
    }
    for (uint64_t done = 0; done + sizeof(words[0]) <= n; done += STEP) {
        uint64_t step = min_u64(n - done, STEP);

        if (!read_own(words, (const char *)bytes + done, step))
            return;
        look_through(drv, (const char *)words, step);
    }
}
