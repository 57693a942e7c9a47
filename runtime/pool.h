/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Physical memory of one tier of one device, in chunks.
 *
 * A chunk belongs to its holder from pool_take() to pool_give(), which never fails. Given chunks
 * are kept for reuse (creating one costs more than mapping it, and pinning host memory runs at 1 to
 * 2 GB/s), but never more bytes than are in use, so that an idle pool holds nothing. Host memory is
 * pinned as it is needed, one chunk at a time: small steps by construction.
 *
 * A host chunk is also mapped, for its whole life, at an address of its own (`alias`), from which
 * and to which the copy engine moves it while its home is mapped to something else.
 *
 * Locking: the caller's, for all calls.
 */

#include <stdint.h>
#include "runtime/driver.h"

/* Where the bytes of a home are. */
enum tier {
    TIER_DEVICE, /* device memory: full speed */
    TIER_HOST,   /* pinned host memory, mapped at the same address: right at any time, slow */
    TIER_DISK,   /* a page of the spill file: not mapped, brought back before anything touches it */
    TIER_COUNT,
};

enum {
    POOL_TIERS = TIER_DISK, /* those that are memory */
};

struct chunk {
    CUmemGenericAllocationHandle handle;
    uint64_t bytes;
    CUdeviceptr alias; /* 0 for device chunks */
    struct chunk *next;
};

struct pool {
    enum tier tier;
    CUmemAllocationProp prop;
    CUdevice device;
    uint64_t ceiling;     /* bytes that may be held, by the settings */
    uint64_t budget;      /* the same, or less: what the driver last would give */
    uint64_t used;        /* held by takers */
    uint64_t kept;        /* held for reuse */
    uint64_t granularity; /* chunk sizes are multiples of it */
    uint64_t n_classes;   /* the largest chunk in granules */
    struct chunk **spare; /* kept chunks, by granules - 1 */
};

enum {
    POOL_E_FULL = 1, /* the budget, or what the driver would give, is used up: evict and retry */
};

int pool_init(struct pool *pool, enum tier tier, const CUmemAllocationProp *prop, CUdevice device,
              uint64_t budget, uint64_t granularity, uint64_t largest_chunk);
void pool_fini(struct pool *pool, const struct driver *drv);

/* `bytes`: a multiple of the granularity, at most the largest chunk. 0, POOL_E_FULL or -errno. */
int pool_take(struct pool *pool, const struct driver *drv, uint64_t bytes, struct chunk **out);
void pool_give(struct pool *pool, const struct driver *drv, struct chunk *chunk);
/* The driver may have memory again that it refused before. */
static inline void pool_forgive(struct pool *pool)
{
    pool->budget = pool->ceiling;
}

/* Gives all kept chunks back to the driver. */
void pool_trim(struct pool *pool, const struct driver *drv);

/* What takers can still have, by the budget. */
static inline uint64_t pool_room(const struct pool *pool)
{
    return pool->budget > pool->used ? pool->budget - pool->used : 0;
}
