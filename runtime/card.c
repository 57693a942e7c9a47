/* SPDX-License-Identifier: MIT */
/*
 * Finding out what a card can do, and reaching a safe point on it.
 *
 * A safe point is had by closing the gate and synchronising every context that ever allocated, on
 * whichever card, and the primary contexts of the other cards: they copy from card to card. Work
 * that reaches the device by ways the gate does not see is drained too, as long as nobody submits
 * more of it meanwhile; every submitting call of the table passes the gate for that reason.
 *
 * The drain waits without a limit, so it is not begun while the device may be waiting for the host:
 * a queued host function, a wait on a memory value. A kernel that spins on a flag which only the
 * draining thread would set cannot be seen; such a program must not be paged.
 */
#include "runtime/card.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/cold.h"
#include "runtime/cut.h"
#include "runtime/evict.h"
#include "runtime/gate.h"
#include "runtime/host_memory.h"
#include "runtime/log.h"
#include "runtime/move.h"
#include "runtime/recognise.h"
#include "runtime/stats.h"
#include "runtime/streaming.h"
#include "runtime/vmm.h"
#include "runtime/watch.h"

enum {
    GATE_PATIENCE_MS = 2000,
    LOOKS_MAX = 4,     /* at a card that does not answer */
    ATTEMPTS = 3,      /* of a call that has no reason to fail */
    ADDRESS_SHARE = 4, /* of the address space that a limit leaves, for homes, */
    PINNED_SHARE =
        8,           /* and of it for pinned memory, whose chunks have addresses of their own too */
    LATER_SHARE = 4, /* of the card that a process may come to have that finds it full */
};

struct pagers pagers = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .waits = PTHREAD_RWLOCK_INITIALIZER,
};

uint64_t card_host_budget(const struct config *config)
{
    return amount_resolve(config->ram, host_memory_available(""), host_memory_total(""));
}

static int attribute(const struct driver *drv, CUdevice_attribute what, CUdevice device)
{
    int value = 0;

    return drv->cuDeviceGetAttribute(&value, what, device) == CUDA_SUCCESS ? value : 0;
}

static bool has_vmm(const struct driver *drv, CUdevice device)
{
    return drv->cuMemAddressReserve && drv->cuMemCreate && drv->cuMemMap && drv->cuMemSetAccess &&
           drv->cuMemUnmap && drv->cuMemRelease && drv->cuMemGetAllocationGranularity &&
           attribute(drv, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, device);
}

static CUmemAllocationProp prop_at(CUmemLocationType type, int id)
{
    return (CUmemAllocationProp){
        .type = CU_MEM_ALLOCATION_TYPE_PINNED,
        .location = {.type = type, .id = id},
    };
}

/* Attributes are not enough: whether a chunk can be created and mapped is tried. */
static bool prop_works(const struct driver *drv, CUdevice device, const CUmemAllocationProp *prop,
                       uint64_t granularity)
{
    struct chunk *chunk;
    struct pool pool;
    bool works = false;

    if (pool_init(&pool, TIER_HOST, prop, device, granularity, granularity, granularity))
        return false;
    if (pool_take(&pool, drv, granularity, &chunk) == 0) {
        works = true;
        pool_give(&pool, drv, chunk);
    }
    pool_fini(&pool, drv);
    return works;
}

static bool find_host_prop(const struct driver *drv, CUdevice device, uint64_t granularity,
                           CUmemAllocationProp *out)
{
    int node = attribute(drv, CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID, device);

    *out = prop_at(CU_MEM_LOCATION_TYPE_HOST_NUMA, node);
    if (node >= 0 && prop_works(drv, device, out, granularity))
        return true;
    *out = prop_at(CU_MEM_LOCATION_TYPE_HOST, 0);
    return prop_works(drv, device, out, granularity);
}

static uint64_t granularity_of(const struct driver *drv, const CUmemAllocationProp *prop)
{
    size_t bytes = 0;

    if (drv->cuMemGetAllocationGranularity(&bytes, prop, CU_MEM_ALLOC_GRANULARITY_MINIMUM) !=
        CUDA_SUCCESS)
        return 0;
    return bytes;
}

static int refuse(struct pager *pager, const char *why)
{
    log_warn("device %d %s; its allocations are left to the driver and are not paged",
             pager->device, why);
    pager->state = CARD_REFUSED;
    return PAGER_E_NATIVE;
}

static int space_ready(const struct driver *drv, uint64_t budgets, uint64_t most,
                       uint64_t slot_bytes)
{
    uint64_t bytes = 64 * GIB;

    if (atomic_load(&residency.bytes))
        return 0;
    while (bytes < 8 * budgets)
        bytes *= 2;
    while (bytes > most)
        bytes /= 2;
    return residency_init(drv, bytes, slot_bytes, slot_bytes);
}

/* Reserved addresses count for RLIMIT_AS, as memory does that nobody uses. More than a share of
 * what is left is not taken, or the program would find none. */
static void tell_if_cramped(const struct pager *pager, uint64_t budgets)
{
    uint64_t space = atomic_load(&residency.bytes);

    if (space < budgets)
        log_warn("device %d: only %llu MiB of address space can be reserved for %llu MiB of memory "
                 "(ulimit -v); what finds no addresses is left to the driver",
                 pager->device, (unsigned long long)(space / MIB),
                 (unsigned long long)(budgets / MIB));
}

static int open_pools(struct pager *pager, const struct driver *drv, uint64_t device_budget,
                      uint64_t host_budget, const CUmemAllocationProp *host)
{
    CUmemAllocationProp device = prop_at(CU_MEM_LOCATION_TYPE_DEVICE, pager->device);
    uint64_t later = amount_resolve(pagers.config.vram, pager->total_bytes, pager->total_bytes);
    uint64_t measure = max_u64(device_budget, later / LATER_SHARE);
    uint64_t chunk = cut_chunk(pagers.config.chunk, measure, pager->granularity);
    uint64_t addresses = host_memory_addresses();
    uint64_t budgets;
    uint64_t bounces;
    uint64_t slot;

    host_budget = min_u64(host_budget, addresses / PINNED_SHARE);
    budgets = device_budget + host_budget;
    if (budgets > addresses / ADDRESS_SHARE)
        return refuse(pager, "has too little address space (ulimit -v)");
    if (space_ready(drv, budgets + cold_wish(budgets), addresses / ADDRESS_SHARE, chunk))
        return refuse(pager, "has no address space to spare (ulimit -v)");
    tell_if_cramped(pager, budgets);
    slot = residency.space.slot_bytes;
    bounces = cold_open(drv, slot, host_budget);
    host_budget = host_budget > 2 * bounces ? host_budget - bounces : host_budget;
    vmm_access_add(&pager->access, pager->device);
    if (pool_init(&pager->pools[TIER_DEVICE], TIER_DEVICE, &device, pager->device, device_budget,
                  pager->granularity, slot) ||
        pool_init(&pager->pools[TIER_HOST], TIER_HOST, host, pager->device, host_budget,
                  pager->granularity, slot))
        return refuse(pager, "cannot be managed: no host memory for the tables");
    atomic_store(&pagers.small, cut_small(atomic_load(&pagers.small), measure));
    log_info("device %d: paging, device budget %llu MiB, host budget %llu MiB, chunk %llu MiB",
             pager->device, (unsigned long long)(device_budget / MIB),
             (unsigned long long)(host_budget / MIB), (unsigned long long)(slot / MIB));
    pager->state = CARD_PAGED;
    return 0;
}

static int look(struct pager *pager, const struct driver *drv)
{
    CUmemAllocationProp device = prop_at(CU_MEM_LOCATION_TYPE_DEVICE, pager->device);
    CUmemAllocationProp host;
    size_t free_bytes;
    size_t total_bytes;

    if (!has_vmm(drv, pager->device))
        return refuse(pager, "has no virtual memory management");
    pager->granularity = granularity_of(drv, &device);
    if (!pager->granularity || drv->cuMemGetInfo_v2(&free_bytes, &total_bytes) != CUDA_SUCCESS)
        return ++pager->looks < LOOKS_MAX ? PAGER_E_NATIVE : refuse(pager, "cannot be looked at");
    if (!find_host_prop(drv, pager->device, pager->granularity, &host))
        return refuse(pager, "cannot map pinned host memory at device addresses");
    pager->granularity = max_u64(pager->granularity, granularity_of(drv, &host));
    pager->total_bytes = total_bytes;
    if (drv->cuDeviceGetUuid)
        (void)drv->cuDeviceGetUuid(&pager->uuid, pager->device);
    costs_look(drv, pager->device, &pagers.config.profile, &pager->costs);
    recognise_card(drv, pager->device);
    return open_pools(pager, drv, amount_resolve(pagers.config.vram, free_bytes, total_bytes),
                      card_host_budget(&pagers.config), &host);
}

int card_open(const struct driver *drv, CUdevice device, struct pager **out)
{
    struct pager *pager;
    int r = 0;

    if (device < 0 || device >= DEVICES_MAX)
        return PAGER_E_NATIVE;
    pager = &pagers.cards[device];
    if (pager->state == CARD_UNKNOWN) {
        pager->device = device;
        r = look(pager, drv);
    }
    if (pager->state != CARD_PAGED)
        return r ? r : PAGER_E_NATIVE;
    *out = pager;
    return 0;
}

/* What is called beyond the mapping calls, without asking again. Every driver that can map has
 * them; one that does not is no driver to page on. */
static bool has_calls(const struct driver *drv)
{
    return drv->cuCtxGetCurrent && drv->cuCtxGetDevice && drv->cuCtxPushCurrent_v2 &&
           drv->cuCtxPopCurrent_v2 && drv->cuCtxSynchronize && drv->cuDeviceGetAttribute &&
           drv->cuMemGetInfo_v2 && drv->cuMemAddressFree && drv->cuMemcpyDtoDAsync_v2 &&
           drv->cuStreamCreate && drv->cuStreamDestroy_v2 && drv->cuStreamSynchronize &&
           drv->cuEventCreate && drv->cuEventDestroy_v2 && drv->cuEventRecord &&
           drv->cuEventQuery && drv->cuEventSynchronize;
}

int card_current(const struct driver *drv, CUcontext *out_ctx, struct pager **out)
{
    CUdevice device;

    if (!has_calls(drv) || drv->cuCtxGetCurrent(out_ctx) != CUDA_SUCCESS || !*out_ctx ||
        drv->cuCtxGetDevice(&device) != CUDA_SUCCESS)
        return PAGER_E_NATIVE;
    return card_open(drv, device, out);
}

const unsigned char *card_identity(struct pager *pager, const struct driver *drv)
{
    static const CUuuid unasked;

    if (memcmp(&pager->identity, &unasked, sizeof(unasked)) == 0 &&
        (!drv->cuDeviceGetUuid_v2 ||
         drv->cuDeviceGetUuid_v2(&pager->identity, pager->device) != CUDA_SUCCESS))
        pager->identity = pager->uuid;
    return (const unsigned char *)pager->identity.bytes;
}

struct transfer *card_transfer(struct pager *pager, CUcontext ctx)
{
    struct transfer *transfer = pager->contexts;

    while (transfer && transfer->ctx != ctx)
        transfer = transfer->next;
    if (transfer)
        return transfer;
    transfer = calloc(1, sizeof(*transfer));
    if (!transfer)
        return NULL;
    transfer->ctx = ctx;
    transfer->next = pager->contexts;
    pager->contexts = transfer;
    return transfer;
}

static bool drain(const struct driver *drv, CUcontext ctx)
{
    CUresult result;

    if (drv->cuCtxPushCurrent_v2(ctx) != CUDA_SUCCESS)
        return false;
    result =
        WATCHED("for the work on the device, so that memory can move", drv->cuCtxSynchronize());
    driver_pop_context(drv);
    return result == CUDA_SUCCESS;
}

bool card_may_drain(void)
{
    return !card_capture_is_open() && !atomic_load(&pagers.host_calls) &&
           !atomic_load(&pagers.value_waits);
}

/* The primary contexts of the other cards: what they copy may be this card's memory. */
static bool drain_other_cards(struct pager *pager, const struct driver *drv)
{
    unsigned int flags;
    CUcontext ctx;
    bool drained;
    int n_devices;
    int active;

    if (!drv->cuDeviceGetCount || !drv->cuDevicePrimaryCtxGetState ||
        !drv->cuDevicePrimaryCtxRetain || !drv->cuDevicePrimaryCtxRelease_v2)
        return true;
    if (drv->cuDeviceGetCount(&n_devices) != CUDA_SUCCESS)
        return false;
    for (CUdevice device = 0; device < n_devices; device++) {
        if (device == pager->device)
            continue;
        if (drv->cuDevicePrimaryCtxGetState(device, &flags, &active) != CUDA_SUCCESS)
            return false;
        if (!active)
            continue;
        if (drv->cuDevicePrimaryCtxRetain(&ctx, device) != CUDA_SUCCESS)
            return false;
        drained = drain(drv, ctx);
        driver_release_primary(drv, device);
        if (!drained)
            return false;
    }
    return true;
}

/* Every context that is known to use memory of some card, whichever it is of. */
static bool drain_all(struct pager *pager, const struct driver *drv)
{
    for (int i = 0; i < DEVICES_MAX; i++) {
        for (struct transfer *t = pagers.cards[i].contexts; t; t = t->next) {
            if (!card_may_drain() || !drain(drv, t->ctx))
                return false;
        }
    }
    return drain_other_cards(pager, drv);
}

bool card_enter(struct pager *pager, const struct driver *drv, struct transfer **out)
{
    if (!pager->contexts || !card_may_drain() || !gate_close(GATE_PATIENCE_MS)) {
        stats_add(moves_refused, 1);
        return false;
    }
    if (!drain_all(pager, drv))
        goto open;
    if (drv->cuCtxPushCurrent_v2(pager->contexts->ctx) != CUDA_SUCCESS)
        goto open;
    stats_add(safe_points, 1);
    *out = pager->contexts;
    return true;

open:
    gate_open();
    stats_add(moves_refused, 1);
    return false;
}

void card_leave(const struct driver *drv)
{
    driver_pop_context(drv);
    gate_open();
}

/* Without it a call of ours could break a capture, and left as it is it would allow too much. */
static bool exchange_mode(const struct driver *drv, struct own_calls *own)
{
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (drv->cuThreadExchangeStreamCaptureMode(&own->mode) == CUDA_SUCCESS)
            return true;
    }
    return false;
}

struct own_calls own_calls_begin(const struct driver *drv)
{
    struct own_calls own = {.exchanged = false, .mode = CU_STREAM_CAPTURE_MODE_RELAXED};

    if (card_capture_is_open() && drv->cuThreadExchangeStreamCaptureMode)
        own.exchanged = exchange_mode(drv, &own);
    return own;
}

void own_calls_end(const struct driver *drv, struct own_calls *own)
{
    if (own->exchanged)
        (void)exchange_mode(drv, own);
}

void card_unmap(struct pager *pager, const struct driver *drv, struct range *range)
{
    bool whole = true;

    streaming_forget(pager, drv, range);
    recognise_forget(range);
    for (uint32_t i = 0; i < range->n_blocks; i++) {
        struct block *block = &range->blocks[i];

        cold_forget(block);
        if (!block->chunk)
            continue;
        move_drop_shadow(pager->pools, drv, block);
        if (block_tier(block) == TIER_DEVICE)
            stats_sub(device_bytes, block->bytes);
        else
            stats_sub(host_bytes, block->bytes);
        if (vmm_unmap(drv, block_address(block), block->bytes)) {
            whole = false;
            continue;
        }
        pool_give(&pager->pools[block_tier(block)], drv, block->chunk);
        block->chunk = NULL;
    }
    stats_sub(paged_ranges, 1);
    stats_sub(paged_bytes, range->mapped_bytes);
    if (whole)
        range_give(range);
    else
        log_warn("cannot unmap all of the allocation at 0x%llx; its memory stays in use until the "
                 "program ends",
                 (unsigned long long)range->base);
}

static void pending_free(struct pager *pager, const struct driver *drv, struct pending *pending)
{
    ticket_fini(drv, &pending->ticket);
    card_unmap(pager, drv, pending->range);
    stats_sub(pending_frees, 1);
    free(pending);
}

static bool pending_is_free(struct pager *pager, const struct driver *drv, struct pending *pending,
                            bool wait)
{
    if (pending->later)
        return card_may_drain() && drain(drv, pending->ctx);
    if (wait && card_may_drain())
        (void)ticket_wait(drv, &pending->ticket);
    return ticket_done(drv, &pending->ticket);
}

bool card_reclaim(struct pager *pager, const struct driver *drv, bool wait)
{
    struct pending **at = &pager->pending;
    bool any = false;

    while (*at) {
        struct pending *pending = *at;

        if (!pending_is_free(pager, drv, pending, wait && !any)) {
            at = &pending->next;
            continue;
        }
        *at = pending->next;
        pending_free(pager, drv, pending);
        any = true;
    }
    return any;
}
