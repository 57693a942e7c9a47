/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Joins the space, the pools and the residency map into paged allocations: one pager per device,
 * one lock for all of them. Handlers call this; it never learns who intercepted what.
 *
 * Unless said otherwise a function takes the pager's lock itself, may be called from any thread,
 * and works on the device of the current context.
 */

#include <stdbool.h>
#include <stdint.h>
#include "runtime/card.h"
#include "runtime/config.h"
#include "runtime/driver.h"
#include "runtime/layout.h"
#include "runtime/redirect.h"
#include "runtime/residency.h"
#include "runtime/stats.h"

/* What the program is told of an allocation. */
struct pager_allocation {
    CUdeviceptr base;
    uint64_t bytes;
    uint64_t id;
    CUcontext ctx;
    CUdevice device;
    CUmemoryPool mempool;
};

/* Before the first call of the driver is passed on. `config` is copied. */
void pager_setup(const struct config *config);

/* 0, PAGER_E_NATIVE, or -ENOMEM when every tier is full. `mempool`: NULL, or the pool the program
 * named. */
int pager_alloc(const struct driver *drv, uint64_t bytes, CUmemoryPool mempool, CUdeviceptr *out);

/* Below the small-allocation limit: the driver serves it better. */
bool pager_is_small(uint64_t bytes);

/*
 * The same in stream order. Memory whose free the same stream has already been given is used again
 * without waiting for it, as the driver's pools do. `stream` identifies it here and in
 * pager_free_async(): CU_STREAM_LEGACY for the legacy default stream, NULL for one that has no
 * name of its own.
 */
int pager_alloc_async(const struct driver *drv, uint64_t bytes, CUmemoryPool mempool,
                      CUstream stream, CUdeviceptr *out);

/*
 * Unmaps the allocation that begins at `address`, which no work in flight may use any more: the
 * caller has waited. PAGER_E_NATIVE when it is not ours, -EINVAL when `address` lies inside one of
 * ours but does not begin it.
 */
int pager_free(const struct driver *drv, CUdeviceptr address);

/* Frees it when `stream` gets there; `identity` as above. Results as pager_free(), or a negative
 * errno with nothing done. */
int pager_free_async(const struct driver *drv, CUdeviceptr address, CUstream stream,
                     CUstream identity);

/* Frees it at the next safe point at which no capture is open. Results as pager_free(). */
int pager_free_later(const struct driver *drv, CUdeviceptr address);

/* Gives back what was freed in stream order and has been passed by its stream. Never waits. */
void pager_reclaim(const struct driver *drv);

/* False when `address` is not inside a live allocation of ours. */
bool pager_describe(CUdeviceptr address, struct pager_allocation *out);

/* The driver is out of device memory for a request of `bytes` that it must serve itself: moves the
 * least recently used homes out. True when it is worth asking the driver again. */
bool pager_give_way(const struct driver *drv, uint64_t bytes);

/* The current context's device may use the memory of `peer`'s from now on: the driver has said so.
 * -errno when some of the paged memory cannot be reached so. */
int pager_peer_enabled(const struct driver *drv, CUcontext peer);

/* Memory pools of the program whose allocations may be paged: a device's own, and those made with
 * nothing but a device for a location. */
void pager_pool_made(CUmemoryPool pool);
void pager_pool_gone(CUmemoryPool pool);
bool pager_pool_is_plain(const struct driver *drv, CUmemoryPool pool);

/* Moves what lies in device memory of [address, address + bytes), if the rest of it does not, out
 * as well. 1 when all of it is in one tier: the driver may now take one call for it. 0 when it is
 * not, or what cold_result() tells when it cannot be brought back from the disk. */
int pager_gather(const struct driver *drv, CUdeviceptr address, uint64_t bytes);

/*
 * Bytes from `address`, at most `bytes`, that one copy or memset may cover. While a capture is open
 * that is never more than one chunk: what is captured is run later, when homes have moved.
 */
static inline uint64_t pager_run(uint64_t address, uint64_t bytes)
{
    if (unlikely(card_capture_is_open()))
        return residency_block_run(address, bytes);
    return residency_run(address, bytes);
}

/* Whether a copy or memset that begins at `address` has to wait until what is there is back from
 * the disk: inside the gate, which is then left, and entered again after pager_bring(). */
static inline bool pager_must_bring(uint64_t address)
{
    return unlikely(residency_any_on_disk()) && residency_is_on_disk(address);
}
/* What lies at both of them, 0 for none, at the same time. */
CUresult pager_bring(const struct driver *drv, CUdeviceptr to, CUdeviceptr from);

/* What the program copies into device memory may be addresses, which kernels follow unseen. */
void pager_scan(const struct driver *drv, const void *bytes, uint64_t n);
/* Or what a file holds that the program has mapped. */
void pager_note_source(CUdeviceptr to, const void *from, uint64_t n);

/* The program gave device memory back to the driver itself: what was refused may be had now. */
void pager_device_memory_freed(void);

/* `stream` is being destroyed: its handle may come to mean another stream. */
void pager_stream_gone(CUstream stream);

/* The context's memory is gone (destroyed, reset): forgets its allocations and gives their chunks
 * back. No driver call is made in that context. */
void pager_context_gone(const struct driver *drv, CUcontext ctx);

/* An upload of these bytes begins here: where a buffer begins is remembered, and of which tensor of
 * the plan it is. What is at `source` need not be readable. */
void pager_upload(const struct driver *drv, CUdeviceptr address, const void *source,
                  uint64_t bytes);

/* What company_is_due() for: when there is news, makes room for others on the card, or takes what
 * they left. Outside of the gate. */
void pager_hear(const struct driver *drv);

/* What cuMemGetInfo tells: on entry the driver's own figures. */
void pager_memory_info(const struct driver *drv, uint64_t *free_bytes, uint64_t *total_bytes);
/* What cuDeviceTotalMem tells; the driver's own figure in, the story's out. */
uint64_t pager_total_memory(uint64_t total_bytes);
/* The same for a card named by its UUID (NVML). -ENODEV when no pager runs on it. */
int pager_story(const unsigned char uuid[16], uint64_t *free_bytes, uint64_t *total_bytes);

/* Captures that are open in this process: while there are any, no home is moved. */
void pager_capture_began(void);
void pager_capture_ended(void);
bool pager_capture_is_open(void);
/* Whether the stream is, or may be, part of one. */
bool pager_is_captured(const struct driver *drv, CUstream stream);

/* A wait for a context would break captures in it. False when one is open; else none begins until
 * pager_wait_end(). Locking: not with the pager's lock held. */
bool pager_wait_begin(void);
void pager_wait_end(void);

/* Work that a drain might wait for while it waits for the very thread that drains: a host function
 * (it may want a lock that the caller of a launch holds) until it has run, and a wait on a memory
 * value for ever. While there is such work no home is moved. */
void pager_host_call_began(void);
void pager_host_call_ended(void);
void pager_value_wait_seen(void);

/* The program has put a host function into a graph: from now on launches of graphs may run some. */
void pager_graph_calls_host(void);
static inline bool pager_graphs_call_host(void)
{
    return atomic_load_explicit(&pagers.graph_calls, memory_order_relaxed);
}

/* In the child of a fork: the parent's CUDA state means nothing here. Locking: none held. */
void pager_reset_after_fork(void);

/* Sees to it that a launch finds its memory near, as far as that can be. Called by the inline
 * below, and returns what that does. */
struct redirect *pager_fetch(const struct driver *drv, const struct launch *launch);

/* The same for a launch of which nobody knows what its parameters are. */
struct redirect *pager_unknown_launch(const struct driver *drv, const struct launch *launch);

struct pager_look {
    struct residency_view view;
    uint64_t now;
    uint32_t away;
};

static inline __attribute__((always_inline)) void
pager_look_at(void *context, const struct layout_word *word, uint64_t value)
{
    struct pager_look *look = context;
    struct block *block;

    if (!residency_view_slot(&look->view, value, &block))
        return;
    block_touch(block, look->now);
    look->away |= atomic_load_explicit(&block->range->n_away, memory_order_relaxed);
}

/* For launches that give their parameters in other ways than most. */
uint32_t pager_look_slowly(const struct layout *layout, void *const *kernel_params,
                           void *const *extra, uint64_t now);

/*
 * Before a launch is given to the driver; costs a few instructions per parameter word while all
 * that the launch names is resident. Locking: none, unless something is away.
 *
 * Usually NULL. Otherwise the gate has been entered, the launch is to be made with the parameters
 * that are returned, and pager_launched() follows when the gate has been left.
 */
ALWAYS_INLINE struct redirect *pager_before_launch(const struct driver *drv, CUfunction function,
                                                   CUstream stream, void *const *kernel_params,
                                                   void *const *extra)
{
    struct pager_look look = {.view =
                                  residency_view()}; /* in registers: its address goes nowhere */
    const struct layout *layout;

    stats_add(launches, 1);
    if (!look.view.bytes)
        return NULL;
    layout = layout_find(drv, function);
    if (unlikely(!layout)) {
        struct launch unknown = {function, NULL, stream, kernel_params, extra};

        return pager_unknown_launch(drv, &unknown);
    }
    look.now = residency_tick();
    look.away = (layout->excused != NULL) | residency_spills();
    if (likely(kernel_params && !extra))
        layout_scan(layout, kernel_params, NULL, pager_look_at, &look);
    else
        look.away |= pager_look_slowly(layout, kernel_params, extra, look.now);
    if (unlikely(look.away)) {
        struct launch launch = {function, layout, stream, kernel_params, extra};

        return pager_fetch(drv, &launch);
    }
    return NULL;
}

/*
 * A graph with so many kernels, which name these addresses, is about to be launched. False when the
 * driver had better launch it as a whole: all of it is resident, or nobody can do better than read
 * in place what is not. Locking: as pager_before_launch().
 */
bool pager_wants_pieces(const uint64_t *addresses, size_t n, uint32_t n_kernels);

/* Directly before the launch, inside the gate. */
void pager_check(const struct driver *drv, struct redirect *redirect);
/* Directly behind it, still inside. */
void pager_guard(const struct driver *drv, struct redirect *redirect);
/* Outside of it. Whether the launch was accepted or not. */
void pager_launched(const struct driver *drv, struct redirect *redirect);
