/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The ring: device memory in which the streamed pieces of a pass take turns.
 *
 * Every piece has one slot for good, so that windows are mapped once. Turns are staged in the order
 * of the pass, each as soon as the turn before it in its slot is over. All order between the copies
 * and the launches that read them is by events; nothing here waits.
 *
 * Positions are visits counted from when the ring was made, laps included; they only grow. Where
 * the pass has several phases each has a cycle of turns of its own, and the same slots.
 *
 * Locking: the pager's. A context of the device is current, and always the same one.
 */

#include <stdbool.h>
#include <stdint.h>
#include "runtime/ahead.h"
#include "runtime/pass.h"
#include "runtime/pool.h"
#include "runtime/transfer.h"
#include "runtime/vmm.h"

struct slot {
    struct chunk *chunk;
    CUdeviceptr at;      /* where the copies find it */
    bool holds;          /* the bytes of turn's piece, or a copy of them is queued */
    uint32_t turn;       /* that it holds, if it does */
    uint64_t from;       /* position of that turn's visit, */
    uint64_t to;         /* and the last position at which it is still needed */
    unsigned int pins;   /* launches that read it and have not been marked as used yet */
    CUevent staged;      /* the copy is done */
    CUevent used;        /* the last launch that read it is done */
    bool was_used;       /* `used` was recorded since the slot was last filled */
    CUstream use_stream; /* in which */
    bool from_disk;      /* what it was last filled with has no home */
    CUstream waiter;     /* has already waited for `staged`; NULL for nobody known by name */
};

struct turn {
    CUdeviceptr source;  /* of the copy: mapped for good; 0 when it is on the disk, */
    uint32_t page;       /* there, */
    uint64_t page_bytes; /* and how long that is */
    uint64_t bytes;
    uint32_t slot;
    uint32_t visit; /* position in the pass */
    uint32_t until; /* visits after it that begin before it is over */
    uint32_t piece; /* whose turn: a piece may have several in a pass, all in one slot */
    bool idle;      /* nobody reads it here: it is not staged any more */
};

/* The turns of a phase. */
struct ring_cycle {
    uint32_t first; /* turn */
    uint32_t n;     /* of turns; 0: nothing is staged in it */
    uint32_t visit; /* position in the pass where the phase begins */
    uint32_t n_visits;
    uint32_t then; /* cycle that comes after a lap of it, most likely */
};

/* The copy of a turn was queued to the slot, and its event `staged` behind that, which may be
 * recorded once more behind what is done with the copy. 0 or -errno. */
typedef int ring_staged_fn(void *context, const struct driver *drv, const struct turn *turn,
                           const struct slot *slot);

struct ring {
    ring_staged_fn *staged; /* NULL: nobody wants to know */
    void *context;          /* of that */
    uint32_t n_slots;
    struct slot *slots;
    uint32_t n_turns;
    struct turn *turns; /* by visit */
    uint32_t n_cycles;
    struct ring_cycle cycles[PASS_PHASES];
    uint32_t here;      /* cycle that the program is in, */
    uint64_t entered;   /* and the position at which its first lap there began */
    uint32_t next;      /* turn to be staged, */
    uint32_t cycle;     /* in this cycle, */
    uint64_t begin;     /* in the lap of it that begins at this position */
    uint64_t leave;     /* position where the first cycle's last lap begins, UINT64_MAX: unknown, */
    uint32_t leave_for; /* before it is left for this one */
    bool rewind;        /* earlier turns have to be staged again */
    CUdeviceptr base;   /* the slots' addresses */
    uint64_t slot_bytes;
    bool waits;              /* some turn has to be fetched from the disk */
    struct ahead *ahead;     /* for what is on the disk */
    const uint32_t *noticed; /* not 0: a slot was written to; what has no home is only there */
};

enum {
    RING_NO_TURN = UINT32_MAX,
};

/* Takes at most `n_slots` chunks of `slot_bytes` from the pool; ring->n_slots says how many it got.
 * 0 or -errno; a ring that failed is empty. */
int ring_init(struct ring *ring, const struct driver *drv, struct pool *pool,
              const struct vmm_access *access, uint32_t n_slots, uint64_t slot_bytes);
/* Nothing is in flight that uses it. The turns are the caller's. `alive`: the context still is. */
void ring_fini(struct ring *ring, const struct driver *drv, struct pool *pool, bool alive);

/*
 * The program is in a cycle that has turns, and a lap of it began at position `begin`. It is left
 * for `leave_for` at the end of the lap that begins at `leave`, or nobody knows when.
 */
void ring_enter(struct ring *ring, uint32_t cycle, uint64_t begin, uint64_t leave,
                uint32_t leave_for);
/* The position at which the present lap ends. */
uint64_t ring_lap_end(const struct ring *ring, uint64_t now);

/*
 * Position `now` has been reached: queues what can be staged of so many visits from there on. Waits
 * only for `until`, a turn, if that comes soon; what is on the disk may have to be read first, and
 * what has no home may not be overwritten before it is known that nobody wrote to it. 0, -ESTALE
 * when somebody did, or -errno.
 */
int ring_advance(struct ring *ring, const struct driver *drv, struct transfer *transfer,
                 uint64_t now, uint64_t visits, uint32_t until);

/* Whether the slot of this turn holds its piece. */
static inline bool ring_holds(const struct ring *ring, uint32_t turn)
{
    const struct slot *slot = &ring->slots[ring->turns[turn].slot];

    return slot->holds && ring->turns[slot->turn].piece == ring->turns[turn].piece;
}

/* A launch in `stream` is going to read what the slot holds. 0 or -errno. */
int ring_pin(struct ring *ring, const struct driver *drv, uint32_t slot, CUstream stream);
/* A launch is going to be given the home of a turn's piece: whatever it does there is done before
 * the piece is staged again. */
void ring_hold(struct ring *ring, uint32_t turn);
/* It has been given to the driver, or refused by it. */
void ring_unpin(struct ring *ring, const struct driver *drv, struct transfer *transfer,
                uint32_t slot, CUstream stream);

/* The handle may come to mean another stream. */
void ring_forget_stream(struct ring *ring, CUstream stream);

/* What was staged may be out of date: it is staged again. */
void ring_distrust_all(struct ring *ring);
