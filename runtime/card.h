/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One device's pager: its pools, its contexts, what waits to be freed. Inside of pager.h; all of it
 * is under the pager's lock.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include "runtime/ahead.h"
#include "runtime/config.h"
#include "runtime/gate.h"
#include "runtime/costs.h"
#include "runtime/driver.h"
#include "runtime/residency.h"
#include "runtime/spill.h"
#include "runtime/transfer.h"
#include "runtime/vmm.h"

enum {
    DEVICES_MAX = VMM_DEVICES_MAX,
};

enum {
    /* Leave it to the driver: not ours, too small, or paging is not possible here. */
    PAGER_E_NATIVE = 1,
};

/* Freed in stream order, or while a capture was open; mapped until then. */
struct pending {
    struct range *range;
    CUcontext ctx;
    CUstream stream; /* of the free, by identity; NULL matches none */
    bool later;      /* waits for a safe point, not for a ticket */
    struct ticket ticket;
    struct pending *next;
};

/* How far the plan that the user gave has been followed on a card. */
struct following {
    bool refuted; /* what it says is not so */
    bool scaled;
    double scale; /* of what it says stays, for this budget */
    double carry; /* bytes that are to stay and do not make a block yet */
    unsigned int attempts;
    bool has_pinned; /* all that it pins has come, and was looked at */
};

enum card_state {
    CARD_UNKNOWN, /* not looked at yet */
    CARD_PAGED,
    CARD_REFUSED, /* this driver or card cannot: everything goes to the driver */
};

struct pager {
    enum card_state state;
    CUdevice device;
    CUuuid uuid;          /* of the whole card */
    CUuuid identity;      /* of what this process has of it; zeroes before it was asked for */
    uint64_t total_bytes; /* of the card */
    uint64_t granularity;
    struct profile costs; /* what is known of them; may be nothing */
    struct pool pools[POOL_TIERS];
    struct vmm_access access;  /* the device and those that reach into its memory */
    struct transfer *contexts; /* that ever allocated here */
    struct pending *pending;   /* oldest first */
    uint64_t request;          /* number of the last fetch */
    uint64_t launch;    /* of the last launch or copy that may not find anything on the disk */
    uint32_t looks;     /* at it that failed */
    bool observed;      /* launches on resident memory are looked into too */
    uint64_t next_look; /* milliseconds: when room_follow() is due */
    struct following planned;
    struct streaming *streaming; /* NULL until something was away */
};

/* The disk tier, which all cards share; see cold.h. */
struct cold {
    struct spill spill;
    char *bounces; /* pinned, COLD_BOUNCES of them: on the way to the disk and back */
    uint64_t bounce_bytes;
    struct ahead ahead;
    const struct driver *drv;
    bool tried; /* to open it */
};

struct pagers {
    pthread_mutex_t lock;
    pthread_rwlock_t waits; /* for contexts, against captures that begin; taken before the lock */
    struct config config;
    struct pager cards[DEVICES_MAX];
    struct cold cold;
    _Atomic uint64_t small;  /* allocations below are left to the driver */
    _Atomic int host_calls;  /* queued host functions that have not returned */
    atomic_bool graph_calls; /* the program has put a host function into a graph */
    atomic_bool value_waits; /* the program has made a stream wait for a memory value */
};

extern struct pagers pagers;

static inline bool card_capture_is_open(void)
{
    return gate_capture_is_open();
}

/* Looks at the device once: can it page, what are its budgets. 0 or PAGER_E_NATIVE. A context of it
 * is current. */
int card_open(const struct driver *drv, CUdevice device, struct pager **out);
/* The same for the device of the current context, which is told too. */
int card_current(const struct driver *drv, CUcontext *out_ctx, struct pager **out);

/* The card, or the part of it that is one by itself, as every process knows it. */
const unsigned char *card_identity(struct pager *pager, const struct driver *drv);

/* Pinned host memory that all cards together may take. */
uint64_t card_host_budget(const struct config *config);

/* The engine of a context, made at first use; NULL when memory is short. */
struct transfer *card_transfer(struct pager *pager, CUcontext ctx);

/* Whether a drain may be waited for without harm: the device does not wait for the host as far as
 * is known, and no capture would be broken. */
bool card_may_drain(void);

/*
 * A safe point: the gate is closed and every context of the card is drained, one of them current.
 * False, and nothing changed, when that cannot be had now. Ended by card_leave().
 */
bool card_enter(struct pager *pager, const struct driver *drv, struct transfer **out);
void card_leave(const struct driver *drv);

/* Own driver calls while the program may be capturing: legal, and not captured. */
struct own_calls {
    bool exchanged;
    CUstreamCaptureMode mode;
};
struct own_calls own_calls_begin(const struct driver *drv);
void own_calls_end(const struct driver *drv, struct own_calls *own);

/* Takes the range's chunks from it and recycles it. No work uses it any more. */
void card_unmap(struct pager *pager, const struct driver *drv, struct range *range);

/* Frees what has become free. With `wait`, waits for the oldest that has not; false when none was
 * left to wait for. */
bool card_reclaim(struct pager *pager, const struct driver *drv, bool wait);

enum card_leave_for {
    CARD_LEAVE_FOR_HOST,
    CARD_LEAVE_FOR_DISK, /* what may go there, and is not of the current launch; */
    CARD_LEAVE_BESIDE,   /* of that, what the plan that is running does not use */
};

/* The least recently used blocks whose home is in `tier`, worth `bytes`, other than those of
 * request `except`; fewer when there are no more. *out is the caller's to free. */
size_t card_oldest(struct pager *pager, enum tier tier, uint64_t bytes, uint64_t except,
                   enum card_leave_for to, struct block ***out);

/* Evicts least recently used blocks, other than those of request `except`, worth `bytes`. Between
 * card_enter() and card_leave(). Bytes freed. */
uint64_t card_evict(struct pager *pager, const struct driver *drv, struct transfer *transfer,
                    uint64_t bytes, uint64_t except);
