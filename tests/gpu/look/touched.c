/* SPDX-License-Identifier: MIT */
/*
 * Canaries: before a launch every chunk that it is not foreseen to touch is made inaccessible, and
 * after it accessible again, with the device drained on either side. What the launch does there is
 * an error of its context, so a program is run again and again until nothing is found any more.
 *
 * Of each function the first launches are looked at, and then ever fewer: each costs two calls for
 * every chunk. Copies that other threads make meanwhile would be hit as well; programs that make
 * any are not asked.
 */
#include "tests/gpu/look/look.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST = 8 }; /* launches of a function that are looked at, all of them */

struct taken {
    CUdeviceptr at;
    uint64_t bytes;
    const struct vmm_access *access;
};

static struct taken *taken;
static size_t n_taken, room;
static uint64_t asked, excused, not_asked, chunks;

/* Where the launch is foreseen to be, end not included. */
struct stretches {
    size_t n;
    struct {
        CUdeviceptr from, to;
    } at[LOOK_WORDS_MAX];
};

static void foresee(const struct launch *launch, struct stretches *out)
{
    struct look_words words;

    look_words(launch, &words);
    out->n = 0;
    for (size_t i = 0; i < words.n; i++) {
        struct range *range = residency_range(words.at[i]);

        if (!range)
            continue;
        out->at[out->n].from = words.at[i];
        out->at[out->n++].to = words.at[i] + range_extent(range, words.at[i]);
    }
}

static bool is_foreseen(const struct stretches *stretches, const struct block *block)
{
    CUdeviceptr from = block_address(block);

    for (size_t i = 0; i < stretches->n; i++) {
        if (stretches->at[i].from < from + block->bytes && from < stretches->at[i].to)
            return true;
    }
    return false;
}

static void take(const struct driver *drv, const struct block *block)
{
    const struct vmm_access *access = &block->range->pager->access;
    struct vmm_access none = *access;

    if (n_taken == room) {
        struct taken *grown = realloc(taken, (2 * room + 64) * sizeof(*taken));

        if (!grown)
            return;
        taken = grown;
        room = 2 * room + 64;
    }
    for (size_t i = 0; i < none.n; i++)
        none.devices[i].flags = CU_MEM_ACCESS_FLAGS_PROT_NONE;
    if (vmm_grant(drv, block_address(block), block->bytes, &none))
        return;
    taken[n_taken++] = (struct taken){block_address(block), block->bytes, access};
}

static void take_all(const struct driver *drv, const struct launch *launch)
{
    struct stretches stretches;

    n_taken = 0;
    pthread_mutex_lock(&pagers.lock);
    foresee(launch, &stretches);
    for (struct range *range = residency.ranges; range; range = range->next) {
        for (uint32_t i = 0; i < range->n_blocks; i++) {
            if (range->blocks[i].chunk && !is_foreseen(&stretches, &range->blocks[i]))
                take(drv, &range->blocks[i]);
        }
    }
    pthread_mutex_unlock(&pagers.lock);
    chunks += n_taken;
}

static bool touched_before(const struct driver *drv, const struct launch *launch,
                           const struct redirect *redirect, struct seen *seen)
{
    if (seen->guilty) {
        excused++;
        return false;
    }
    if (seen->launches > FIRST && seen->launches & (seen->launches - 1))
        return false;
    if (redirect || pager_capture_is_open() || !layout_known(launch->layout) ||
        drv->cuCtxSynchronize() != CUDA_SUCCESS) {
        not_asked++;
        return false;
    }
    take_all(drv, launch);
    asked++;
    return true;
}

static void touched_after(const struct driver *drv, const struct launch *launch, struct seen *seen)
{
    CUresult result = drv->cuCtxSynchronize();

    if (result != CUDA_SUCCESS) {
        fprintf(stderr, "look: %s in launch %llu of %s\n", driver_error_name(drv, result),
                (unsigned long long)seen->launches, seen->name);
        seen->guilty = true;
        look_write();
        _exit(LOOK_FAULT);
    }
    pthread_mutex_lock(&pagers.lock);
    for (size_t i = 0; i < n_taken; i++)
        (void)vmm_grant(drv, taken[i].at, taken[i].bytes, taken[i].access);
    pthread_mutex_unlock(&pagers.lock);
}

static void touched_print(FILE *out)
{
    fprintf(out, ", \"asked\": %llu, \"excused\": %llu, \"not_asked\": %llu, \"chunks\": %llu",
            (unsigned long long)asked, (unsigned long long)excused, (unsigned long long)not_asked,
            (unsigned long long)chunks);
}

const struct look look_touched = {
    .name = "touched",
    .resident = true,
    .before = touched_before,
    .after = touched_after,
    .print = touched_print,
};
