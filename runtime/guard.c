/* SPDX-License-Identifier: MIT */
/*
 * What the kernels need, and how they are launched. What they do stands in guard_kernel.c.
 */
#include "runtime/guard.h"

#include <errno.h>
#include <string.h>
#include "runtime/stats.h"

enum {
    THREADS = 128,
    BLOCKS = 64,      /* for each slot, behind a launch */
    CHECK_BLOCKS = 8, /* before one: there is little to read */
    STATE_BYTES = 16,
    CHECKS = 1024, /* that may run at a time */
    CHECK_BYTES = 8,
};

#define SEED_STEP 0x2545f4914f6cdd1du /* so that the next check looks elsewhere */

/* Behind the states of slots those of checks, and behind these whether any home has changed. */
static CUdeviceptr check_state(const struct guard *guard, uint64_t number)
{
    return guard->checks + number % CHECKS * CHECK_BYTES;
}

static CUdeviceptr changed_flag(const struct guard *guard)
{
    return check_state(guard, 0) + CHECKS * CHECK_BYTES;
}

static size_t state_bytes(uint32_t n_slots)
{
    return n_slots * STATE_BYTES + CHECKS * CHECK_BYTES + STATE_BYTES;
}

int guard_init(struct guard *guard, const struct driver *drv, CUstream stream, uint32_t n_slots,
               uint32_t n_pieces, const uint64_t *digests)
{
    size_t bytes = (n_pieces + 1) * sizeof(uint32_t);
    void *flags = NULL;
    int r;

    if (!drv->cuMemHostAlloc || !drv->cuMemFreeHost)
        return -ENOSYS;
    *guard = (struct guard){.module = NULL};
    r = driver_errno(drv->cuModuleLoadData(&guard->module, guard_kernel_text));
    if (r) {
        guard->module = NULL;
        return r;
    }
    r = driver_errno(drv->cuModuleGetFunction(&guard->behind, guard->module, "vramshim_guard"));
    if (!r)
        r = driver_errno(drv->cuModuleGetFunction(&guard->before, guard->module, "vramshim_check"));
    if (!r)
        r = driver_errno(drv->cuMemAlloc_v2(&guard->states, state_bytes(n_slots)));
    if (r)
        guard->states = 0;
    guard->checks = guard->states + n_slots * STATE_BYTES;
    if (!r)
        r = driver_errno(drv->cuMemAlloc_v2(&guard->digests, (n_pieces + 1) * sizeof(*digests)));
    if (r)
        guard->digests = 0;
    if (!r)
        r = driver_errno(drv->cuMemcpyHtoDAsync_v2(guard->digests, digests,
                                                   n_pieces * sizeof(*digests), stream));
    if (!r)
        r = driver_errno(drv->cuMemHostAlloc(&flags, bytes, CU_MEMHOSTALLOC_DEVICEMAP));
    if (!r) {
        guard->flags = flags;
        memset(flags, 0, bytes);
        r = driver_errno(drv->cuMemsetD32Async(guard->states, 0, state_bytes(n_slots) / 4, stream));
    }
    if (!r)
        r = driver_errno(drv->cuStreamSynchronize(stream));
    if (r)
        guard_fini(guard, drv, true);
    return r;
}

void guard_fini(struct guard *guard, const struct driver *drv, bool alive)
{
    if (guard->flags && alive)
        (void)drv->cuMemFreeHost(guard->flags);
    if (guard->states && alive)
        (void)drv->cuMemFree_v2(guard->states);
    if (guard->digests && alive)
        (void)drv->cuMemFree_v2(guard->digests);
    if (guard->module && alive)
        (void)drv->cuModuleUnload(guard->module);
    *guard = (struct guard){.module = NULL};
}

struct guard_entry guard_entry(const struct guard *guard, uint32_t slot, uint32_t piece)
{
    return (struct guard_entry){
        .expected = guard_digest(guard, piece),
        .flag = (uint64_t)(uintptr_t)&guard->flags[1 + piece],
        .state = guard->states + (uint64_t)slot * STATE_BYTES,
    };
}

/* As many entries as the kernels take at a time, the unused ones zero. */
struct batch {
    struct guard_entry entries[GUARD_AT_ONCE];
    uint32_t n;
};

static struct batch batch_of(const struct guard_entry *entries, uint32_t n)
{
    struct batch batch = {.n = n < GUARD_AT_ONCE ? n : GUARD_AT_ONCE};

    memcpy(batch.entries, entries, batch.n * sizeof(*entries));
    return batch;
}

/* What the check reads of homes. */
static uint64_t sampled(const struct guard_entry *entries, uint32_t n)
{
    uint64_t units = 0;

    for (uint32_t i = 0; i < n; i++) {
        if (entries[i].home != entries[i].slot)
            units += entries[i].units / entries[i].apart * GUARD_SAMPLE;
    }
    return units * 16;
}

int guard_check(struct guard *guard, const struct driver *drv, CUstream stream,
                const struct guard_entry *entries, uint32_t n)
{
    CUdeviceptr any = (CUdeviceptr)(uintptr_t)guard->flags;
    CUdeviceptr changed = changed_flag(guard);
    int r = 0;

    for (uint32_t done = 0; done < n && !r; done += GUARD_AT_ONCE) {
        uint64_t number = __atomic_add_fetch(&guard->n_checks, 1, __ATOMIC_RELAXED);
        struct batch batch = batch_of(entries + done, n - done);
        CUdeviceptr state = check_state(guard, number);
        uint64_t seed = number * SEED_STEP;
        void *params[] = {batch.entries, &any, &state, &changed, &seed};

        r = driver_errno(drv->cuLaunchKernel(guard->before, CHECK_BLOCKS, batch.n, 1, THREADS, 1, 1,
                                             0, stream, params, NULL));
    }
    if (!r)
        stats_add(bytes_compared, sampled(entries, n));
    return r;
}

int guard_launch(const struct guard *guard, const struct driver *drv, CUstream stream,
                 const struct guard_entry *entries, uint32_t n)
{
    CUdeviceptr any = (CUdeviceptr)(uintptr_t)guard->flags;
    int r = 0;

    for (uint32_t done = 0; done < n && !r; done += GUARD_AT_ONCE) {
        struct batch batch = batch_of(entries + done, n - done);
        void *params[] = {batch.entries, &any};

        r = driver_errno(drv->cuLaunchKernel(guard->behind, BLOCKS, batch.n, 1, THREADS, 1, 1, 0,
                                             stream, params, NULL));
    }
    return r;
}

enum guard_flag guard_flag(const struct guard *guard, uint32_t piece)
{
    return (enum guard_flag)__atomic_load_n(&guard->flags[1 + piece], __ATOMIC_RELAXED);
}
