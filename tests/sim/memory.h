/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Physical memory, the device address window, and what the program has in it.
 *
 * Physical memory is host memory whose first reading gives MEMORY_PATTERN, never zero. The window
 * (tests/sim/mmu.h) is divided into regions: native allocations, slabs of small ones, and address
 * reservations. A page of the window points at physical memory once something is mapped there.
 */

#include "tests/sim/core.h"
#include "tests/sim/mmu.h"
#include "tests/sim/ranges.h"

/* As a float -2.7e7, as a half -15.6, as an index far out of any range. */
#define MEMORY_PATTERN 0xcb

#define ON_HOST        (-1) /* in place of a device ordinal */

struct physical {
    uint64_t bytes;
    int device; /* ordinal, or ON_HOST */
    uint8_t *memory;
    unsigned int refs;        /* program's handles plus mappings; freed at 0 */
    unsigned int handle_refs; /* what cuMemRelease still has to give back */
    unsigned int mappings;
    int shared_fd; /* for a host handle the host may access: the memory as a file; else -1 */
    CUmemAllocationProp prop;
};

/* OUT_OF_MEMORY at exactly SIM_VRAM or SIM_HOST_RAM. Holds one reference. `bytes`: whole pages. */
CUresult physical_new(int device, uint64_t bytes, struct physical **out);
void physical_get(struct physical *physical);
void physical_put(struct physical *physical);
/* Makes the memory mappable for the host. Pages that point at it must be set again. */
CUresult physical_share(struct physical *physical);

/* Accounting of pinned host memory that is no struct physical. */
CUresult memory_take_host(uint64_t bytes);
void memory_give_host(uint64_t bytes);
uint64_t memory_device_used(int device);
uint64_t memory_device_most(void); /* of all cards together, ever */
uint64_t memory_host_used(void);

struct vmm_mapping; /* tests/sim/vmm.c */

struct page {
    uint8_t *memory;             /* NULL: nothing is mapped */
    struct vmm_mapping *mapping; /* NULL for native memory */
    int16_t device;              /* where the memory lies: ordinal, or ON_HOST */
    uint8_t readable;            /* one bit per device */
    uint8_t writable;
    bool pooled;           /* access is the pool's to say, not cuCtxEnablePeerAccess */
    uint64_t touch_launch; /* 1 + number of the launch that touched it last */
    size_t touch_index;
};

CUresult mmu_start(void);
bool mmu_holds(uint64_t address); /* in the window */
struct page *mmu_page(uint64_t address);
/* A region of whole pages, at `hint` if that is possible; 0 when there is no room. */
uint64_t mmu_take_region(uint64_t bytes, uint64_t alignment, uint64_t hint);
void mmu_give_region(uint64_t base);
void mmu_map(uint64_t base, const struct physical *physical, uint64_t bytes,
             struct vmm_mapping *mapping);
void mmu_unmap(uint64_t base, uint64_t bytes);
void mmu_set_access(uint64_t base, uint64_t bytes, int device, bool read, bool write);
bool mmu_device_may(const struct page *page, int device, bool write);
/* `step` 1 or -1: by one context more, or fewer. */
void mmu_enable_peer(int from, int to, int step);

/*
 * Host memory behind [address, address + bytes) as the copy engine of `device` sees it: the start
 * of it, how many of the bytes lie in one piece, and whether the piece is host memory. NULL when
 * the first byte is not accessible. Addresses outside the window must be pinned memory.
 */
uint8_t *mmu_copy_span(int device, uint64_t address, uint64_t bytes, bool write, uint64_t *span,
                       bool *on_host);

/* A kernel runs between these two, on one device. mmu_end_kernel() says whether it faulted. */
void mmu_begin_kernel(int device, uint64_t launch);
bool mmu_end_kernel(uint64_t *fault_address, bool *fault_write);
void mmu_note_fault(uint64_t address, bool write);
/* The thing nearest to an address, in words, for messages. */
void memory_describe(uint64_t address, char *out, size_t size);

/* Native device allocations. */
struct slab;
struct pool;
struct segment;
struct graph_memory;

struct allocation {
    struct range range; /* what the program asked for */
    struct context *context;
    int device;
    struct physical *physical; /* one of these three */
    struct slab *slab;
    struct segment *segment;
    struct pool *pool;                 /* NULL unless stream-ordered */
    struct graph_memory *graph_memory; /* NULL unless it is that of a graph's node */
    bool freeing;                      /* cuMemFreeAsync has been called */
    bool open; /* stream-ordered: between its allocation and its free, in stream order */
    bool sync_memops;
    uint64_t id;
    struct allocation *next_unlisted;
};
extern struct ranges allocations;

CUresult allocation_new(struct context *context, uint64_t bytes, struct allocation **out);
/* One in a pool's segment, not begun. */
CUresult allocation_new_pooled(struct context *context, struct pool *pool, uint64_t bytes,
                               struct allocation **out);
/* Makes it findable, and lets go of its address, for another to have while its free is queued. */
void allocation_list(struct allocation *allocation);
void allocation_unlist(struct allocation *allocation);
/* The allocation that had this address when it had this id; NULL when it is gone. */
struct allocation *allocation_find(uint64_t address, uint64_t id);
void allocation_free(struct allocation *allocation);
void allocation_free_of_context(const struct context *context);
uint64_t memory_next_id(void);

/* Pinned and managed host memory. */
enum host_kind { HOST_ALLOCATED, HOST_REGISTERED, HOST_MANAGED };

struct host_range {
    struct range range;
    enum host_kind kind;
    unsigned int flags;
    struct context *context;
    int device;
    uint64_t mapped_bytes; /* what the simulator mmap'ed: 0 for HOST_REGISTERED */
    uint64_t id;
};
extern struct ranges host_ranges;
void host_free_of_context(const struct context *context);
struct host_range *host_range_find(uint64_t address);
CUresult host_free_managed(struct host_range *host);
