/* SPDX-License-Identifier: MIT */
/*
 * Terms are told apart by what is known: weights are what was recognised, and of all other paged
 * memory the cache is those allocations of one size that come nearest to what was predicted of it,
 * if they come near. Programs allocate their caches once, layer by layer or in one.
 */
#include "runtime/tally.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "runtime/account.h"
#include "runtime/log.h"
#include "runtime/quiet.h"
#include "runtime/recognise.h"
#include "runtime/repute.h"
#include "runtime/util.h"

enum {
    NEAR_SHARE = 4, /* of what was predicted, by which a cache may miss it */
};

static struct account worst; /* the model's name is the plan's */
static uint64_t most_beside; /* paged bytes beside weights, when these and those were most */
static pid_t looked_by;

/* All paged memory of a card that no tensor was recognised in, or of it what has this size. */
static uint64_t others(const struct pager *pager, uint64_t bytes)
{
    uint64_t sum = 0;

    for (const struct range *range = residency.ranges; range; range = range->next) {
        if (range->pager == pager && !range->planned && (!bytes || range->bytes == bytes))
            sum += range->bytes;
    }
    return sum;
}

static uint64_t find_cache(const struct pager *pager, uint64_t predicted)
{
    uint64_t best = 0;

    for (const struct range *range = residency.ranges; range; range = range->next) {
        uint64_t sum;

        if (range->pager != pager || range->planned)
            continue;
        sum = others(pager, range->bytes);
        if (apart_u64(sum, predicted) < apart_u64(best, predicted))
            best = sum;
    }
    return apart_u64(best, predicted) <= predicted / NEAR_SHARE ? best : 0;
}

/* Of the program's memory, wherever it is. */
static void look_at_terms(const struct pager *pager, const struct planfile *plan)
{
    struct recognised sum = recognise_sum();
    uint64_t beside = others(pager, 0);

    if (sum.bytes + beside < worst.recognised + most_beside)
        return;
    most_beside = beside;
    worst.recognised = sum.bytes;
    worst.by_size = sum.by_size;
    worst.terms[ACCOUNT_WEIGHTS].actual = sum.bytes;
    worst.terms[ACCOUNT_CACHE].actual = plan->cache ? find_cache(pager, plan->cache) : 0;
    worst.terms[ACCOUNT_BUFFERS].actual = beside - worst.terms[ACCOUNT_CACHE].actual;
}

void tally_look(const struct pager *pager, const struct driver *drv)
{
    const struct planfile *plan = recognise_plan();
    const struct pool *pool = &pager->pools[TIER_DEVICE];
    uint64_t used, ours = pool->used + pool->kept;
    size_t free_bytes, total_bytes;

    if (!plan || !pagers.config.report.name[0] ||
        drv->cuMemGetInfo_v2(&free_bytes, &total_bytes) != CUDA_SUCCESS)
        return;
    looked_by = getpid();
    look_at_terms(pager, plan);
    used = total_bytes - free_bytes;
    if (used < worst.peak.actual)
        return;
    worst.total = total_bytes;
    worst.free = free_bytes;
    worst.ours = ours;
    worst.peak.actual = used;
    worst.terms[ACCOUNT_UNACCOUNTED].actual = used > ours ? used - ours : 0;
}

static void predict(const struct planfile *plan, struct account *a)
{
    a->model = plan->model;
    a->planned = plan->weights;
    a->terms[ACCOUNT_WEIGHTS].predicted = plan->weights;
    a->terms[ACCOUNT_CACHE].predicted = plan->cache;
    a->terms[ACCOUNT_BUFFERS].predicted = plan->buffers;
    a->terms[ACCOUNT_UNACCOUNTED].predicted = plan->driver;
    a->peak.predicted = plan->peak;
    a->error = plan->error;
}

void tally_write(const char *path)
{
    const struct planfile *plan = recognise_plan();
    struct quiet quiet;
    FILE *out = NULL;
    int fd;

    if (!plan || looked_by != getpid())
        return;
    quiet_begin(&quiet);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
    if (fd >= 0)
        out = fdopen(fd, "w");
    if (out) {
        predict(plan, &worst);
        repute_report(&worst.functions);
        account_print(&worst, out);
        roll_fini(&worst.functions);
    } else if (fd >= 0) {
        close(fd);
    }
    fd = !out || fclose(out);
    quiet_end(&quiet);
    if (fd)
        log_warn("cannot write the report to %s: %s", path, strerror(errno));
}
