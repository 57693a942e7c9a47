/* SPDX-License-Identifier: MIT */
/*
 * A kernel that is redirected is given addresses that mean what it reads for a while only. If it
 * leaves one in memory, a later kernel follows it. So before and after the first redirected
 * launches of each function all that they may write, which is what they name and do not read a copy
 * of, is searched for words in the windows.
 */
#include "tests/gpu/look/look.h"

#include <stdlib.h>
#include <string.h>
#include "runtime/streaming.h"

enum { FIRST = 2 }; /* redirected launches of a function that are looked at */

static const uint64_t piece_bytes = 16 * MIB;

static uint64_t redirected, searched, found, bytes_searched;
static uint64_t standing; /* before the launch that is looked at */

static bool is_in_window(uint64_t value)
{
    for (int i = 0; i < DEVICES_MAX; i++) {
        const struct streaming *streaming = pagers.cards[i].streaming;

        for (struct window *w = streaming ? streaming->windows.all : NULL; w; w = w->hh.next) {
            if (value - w->base < (uint64_t)(w->to - w->from + 1) << residency.slot_shift)
                return true;
        }
    }
    return false;
}

static bool names_window(const struct launch *launch, const struct redirect *redirect)
{
    const struct layout *layout = layout_known(launch->layout);
    bool names = false;

    for (uint32_t i = 0; layout && redirect->kernel_params && i < layout->n_words && !names; i++) {
        const struct layout_word *word = &layout->words[i];
        uint64_t value;

        memcpy(&value, (const char *)redirect->kernel_params[word->param] + word->at,
               sizeof(value));
        names = is_in_window(value);
    }
    return names;
}

/* Under the pager's lock. */
static uint64_t search_memory(const struct driver *drv, CUdeviceptr at, uint64_t bytes)
{
    uint64_t *words = malloc(piece_bytes);
    uint64_t n = 0;

    for (uint64_t done = 0; words && done < bytes; done += piece_bytes) {
        uint64_t part = min_u64(bytes - done, piece_bytes);

        if (drv->cuMemcpyDtoH_v2(words, at + done, part) != CUDA_SUCCESS)
            break;
        for (uint64_t i = 0; i < part / sizeof(*words); i++)
            n += is_in_window(words[i]);
        bytes_searched += part;
    }
    free(words);
    return n;
}

/* The bytes from there on that the launch may have written; 0 for a word that is no address. */
static uint64_t writable(const struct driver *drv, CUdeviceptr at)
{
    struct range *range = residency_range(at);
    CUdeviceptr base;
    uint64_t bytes;
    size_t all;

    if (range) {
        bytes = range_extent(range, at);
        return residency_takes_turns(at, bytes) ? 0 : bytes;
    }
    if (drv->cuMemGetAddressRange_v2(&base, &all, at) != CUDA_SUCCESS || is_in_window(at))
        return 0;
    return base + all - at;
}

struct search {
    const struct driver *drv;
    uint64_t found;
};

static void search_word(void *context, const struct layout_word *word, uint64_t value)
{
    struct search *search = context;
    CUdeviceptr at = align_up(value, sizeof(uint64_t));

    search->found += search_memory(search->drv, at, writable(search->drv, at));
}

static uint64_t search_all(const struct driver *drv, const struct launch *launch)
{
    struct search search = {.drv = drv};

    layout_scan(launch->layout, launch->kernel_params, launch->extra, search_word, &search);
    return search.found;
}

/* What was there before the launch, left by others, is not its own. The gate has been entered, and
 * whoever holds the lock may wait for that: then it is left for another launch. */
static bool escapes_before(const struct driver *drv, const struct launch *launch,
                           const struct redirect *redirect, struct seen *seen)
{
    bool names;

    if (!redirect || pager_capture_is_open() || pthread_mutex_trylock(&pagers.lock))
        return false;
    names = names_window(launch, redirect);
    redirected += names;
    names = names && seen->redirected < FIRST && drv->cuCtxSynchronize() == CUDA_SUCCESS;
    if (names) {
        seen->redirected++;
        standing = search_all(drv, launch);
    }
    pthread_mutex_unlock(&pagers.lock);
    return names;
}

static void escapes_after(const struct driver *drv, const struct launch *launch, struct seen *seen)
{
    uint64_t left;

    if (drv->cuCtxSynchronize() != CUDA_SUCCESS)
        return;
    pthread_mutex_lock(&pagers.lock);
    left = less_u64(search_all(drv, launch), standing);
    pthread_mutex_unlock(&pagers.lock);
    searched++;
    found += left;
    seen->guilty |= left != 0;
}

static void escapes_print(FILE *out)
{
    fprintf(out,
            ", \"redirected\": %llu, \"searched\": %llu, \"bytes\": %llu, \"escaped_words\": %llu",
            (unsigned long long)redirected, (unsigned long long)searched,
            (unsigned long long)bytes_searched, (unsigned long long)found);
}

const struct look look_escapes = {
    .name = "escapes",
    .before = escapes_before,
    .after = escapes_after,
    .print = escapes_print,
};
