/* SPDX-License-Identifier: MIT */
#include "tests/bench/belady.h"

#include <stdlib.h>
#include <uthash.h>

struct page {
    uint64_t page;
    size_t last; /* position of its last use */
    int resident;
    UT_hash_handle hh;
};

/* The position of the next use of what is used at each position; n when there is none. */
static size_t *next_uses(const uint64_t *pages, size_t n)
{
    size_t *next = calloc(n, sizeof(*next));
    struct page *all = NULL;
    struct page *page;
    struct page *tmp;

    for (size_t i = n; next && i-- > 0;) {
        HASH_FIND(hh, all, &pages[i], sizeof(pages[i]), page);
        next[i] = page ? page->last : n;
        if (!page) {
            page = calloc(1, sizeof(*page));
            if (!page)
                abort();
            page->page = pages[i];
            HASH_ADD(hh, all, page, sizeof(page->page), page);
        }
        page->last = i;
    }
    HASH_ITER(hh, all, page, tmp)
    {
        HASH_DEL(all, page);
        free(page);
    }
    return next;
}

static struct page *victim(struct page *all, const size_t *next, int best)
{
    struct page *chosen = NULL;

    for (struct page *page = all; page; page = page->hh.next) {
        if (!page->resident)
            continue;
        if (!chosen || (best ? next[page->last] > next[chosen->last] : page->last < chosen->last))
            chosen = page;
    }
    return chosen;
}

int64_t belady_misses(const uint64_t *pages, size_t n, size_t from, size_t capacity, int best)
{
    size_t *next = next_uses(pages, n);
    struct page *all = NULL;
    struct page *page;
    struct page *tmp;
    size_t resident = 0;
    int64_t misses = 0;

    if (!next)
        return -1;
    for (size_t i = 0; i < n; i++) {
        HASH_FIND(hh, all, &pages[i], sizeof(pages[i]), page);
        if (!page) {
            page = calloc(1, sizeof(*page));
            if (!page)
                abort();
            page->page = pages[i];
            HASH_ADD(hh, all, page, sizeof(page->page), page);
        }
        page->last = i;
        if (page->resident)
            continue;
        misses += i >= from;
        page->resident = 1;
        if (++resident > capacity) {
            /* What is just being read may be the one that is not kept. */
            struct page *out = victim(all, next, best);

            out->resident = 0;
            resident--;
        }
    }
    HASH_ITER(hh, all, page, tmp)
    {
        HASH_DEL(all, page);
        free(page);
    }
    free(next);
    return misses;
}
