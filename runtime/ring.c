/* SPDX-License-Identifier: MIT */
#include "runtime/ring.h"

#include <errno.h>
#include <stdlib.h>
#include "runtime/stats.h"
#include "runtime/util.h"

enum {
    LOOK_AHEAD = 64, /* turns */
};

static int slot_init(struct ring *ring, const struct driver *drv, struct pool *pool,
                     const struct vmm_access *access, struct slot *slot)
{
    CUdeviceptr at = ring->base + (uint64_t)(slot - ring->slots) * ring->slot_bytes;
    int r = pool_take(pool, drv, ring->slot_bytes, &slot->chunk);

    if (r) {
        slot->chunk = NULL;
        return r < 0 ? r : -ENOMEM;
    }
    r = vmm_map(drv, at, ring->slot_bytes, slot->chunk->handle, access);
    if (r)
        return r;
    slot->at = at;
    r = driver_errno(drv->cuEventCreate(&slot->staged, CU_EVENT_DISABLE_TIMING));
    if (!r)
        r = driver_errno(drv->cuEventCreate(&slot->used, CU_EVENT_DISABLE_TIMING));
    return r;
}

static void slot_fini(struct ring *ring, const struct driver *drv, struct pool *pool,
                      struct slot *slot, bool alive)
{
    if (slot->used && alive)
        (void)drv->cuEventDestroy_v2(slot->used);
    if (slot->staged && alive)
        (void)drv->cuEventDestroy_v2(slot->staged);
    if (slot->at && vmm_unmap(drv, slot->at, ring->slot_bytes))
        return;
    if (slot->chunk)
        pool_give(pool, drv, slot->chunk);
    *slot = (struct slot){.chunk = NULL};
}

int ring_init(struct ring *ring, const struct driver *drv, struct pool *pool,
              const struct vmm_access *access, uint32_t n_slots, uint64_t slot_bytes)
{
    int r;

    *ring = (struct ring){.slot_bytes = slot_bytes};
    ring->slots = calloc(n_slots, sizeof(*ring->slots));
    if (!ring->slots)
        return -ENOMEM;
    r = driver_errno(drv->cuMemAddressReserve(&ring->base, n_slots * slot_bytes, slot_bytes, 0, 0));
    if (r) {
        ring->base = 0;
        goto fail;
    }
    ring->n_slots = n_slots;
    for (uint32_t i = 0; i < n_slots; i++) {
        r = slot_init(ring, drv, pool, access, &ring->slots[i]);
        if (r)
            goto fail;
    }
    stats_add(ring_bytes, n_slots * slot_bytes);
    return 0;

fail:
    for (uint32_t i = 0; i < ring->n_slots; i++)
        slot_fini(ring, drv, pool, &ring->slots[i], true);
    if (ring->base)
        vmm_unreserve(drv, ring->base, n_slots * slot_bytes);
    free(ring->slots);
    *ring = (struct ring){.n_slots = 0};
    return r;
}

void ring_fini(struct ring *ring, const struct driver *drv, struct pool *pool, bool alive)
{
    if (!ring->slots)
        return;
    for (uint32_t i = 0; i < ring->n_slots; i++)
        slot_fini(ring, drv, pool, &ring->slots[i], alive);
    vmm_unreserve(drv, ring->base, ring->n_slots * ring->slot_bytes);
    stats_sub(ring_bytes, ring->n_slots * ring->slot_bytes);
    free(ring->slots);
    *ring = (struct ring){.n_slots = 0};
}

static int copy_into(const struct driver *drv, struct transfer *transfer, const struct turn *turn,
                     struct slot *slot, const struct ahead_buffer *buffer)
{
    int r;

    if (!buffer)
        return transfer_copy(transfer, drv, slot->at, turn->source, turn->bytes);
    r = transfer_ready(transfer, drv);
    return r ? r
             : driver_errno(drv->cuMemcpyHtoDAsync_v2(slot->at, buffer->memory, turn->bytes,
                                                      transfer->stream));
}

/* `buffer`: where the turn's bytes are, NULL when they are at home. */
static int stage(struct ring *ring, const struct driver *drv, struct transfer *transfer,
                 const struct turn *turn, struct slot *slot, struct ahead_buffer *buffer)
{
    int r;

    slot->holds = false;
    r = transfer_await(transfer, drv, slot->was_used ? slot->used : slot->staged);
    if (!r)
        r = copy_into(drv, transfer, turn, slot, buffer);
    if (!r)
        r = transfer_record(transfer, drv, slot->staged);
    if (!r && ring->staged)
        r = ring->staged(ring->context, drv, turn, slot);
    if (r)
        return r;
    if (buffer)
        ahead_taken(buffer, slot->staged);
    slot->from_disk = buffer != NULL;
    slot->was_used = false;
    slot->waiter = NULL;
    slot->holds = true;
    slot->turn = (uint32_t)(turn - ring->turns);
    stats_add(chunks_streamed, 1);
    stats_add(bytes_streamed, turn->bytes);
    return 0;
}

/* What was read of the slot has ended, if it has to have; -EAGAIN when it has not. */
static int let_go(const struct ring *ring, const struct driver *drv, const struct slot *slot,
                  bool wait)
{
    CUresult result;

    if (!slot->from_disk || !slot->was_used)
        return 0;
    result = wait ? drv->cuEventSynchronize(slot->used) : drv->cuEventQuery(slot->used);
    if (result != CUDA_SUCCESS)
        return result == CUDA_ERROR_NOT_READY ? -EAGAIN : driver_errno(result);
    return ring->noticed && __atomic_load_n(ring->noticed, __ATOMIC_RELAXED) ? -ESTALE : 0;
}

static int fill(struct ring *ring, const struct driver *drv, struct transfer *transfer,
                const struct turn *turn, struct slot *slot, bool wait)
{
    struct ahead_page page = {turn->page, turn->page_bytes};
    struct ahead_buffer *buffer = NULL;
    int r = let_go(ring, drv, slot, wait);

    if (!r && !turn->source)
        r = ahead_take(ring->ahead, drv, &page, wait, &buffer);
    return r ? r : stage(ring, drv, transfer, turn, slot, buffer);
}

static const struct ring_cycle *cycle_of_next(const struct ring *ring)
{
    return &ring->cycles[ring->cycle];
}

/* The pages that come next are read meanwhile. */
static void read_ahead(struct ring *ring, const struct driver *drv)
{
    const struct ring_cycle *cycle = cycle_of_next(ring);
    struct ahead_page pages[AHEAD_MAX];
    uint32_t most = (uint32_t)min_u64(cycle->n, LOOK_AHEAD);
    uint32_t n = 0;

    if (!ring->ahead)
        return;
    for (uint32_t i = 0; i < most && n < ring->ahead->n; i++) {
        uint32_t at = cycle->first + (ring->next - cycle->first + i) % cycle->n;

        if (!ring->turns[at].source && !ring_holds(ring, at))
            pages[n++] = (struct ahead_page){ring->turns[at].page, ring->turns[at].page_bytes};
    }
    if (n)
        ahead_want(ring->ahead, drv, pages, n);
}

/* From the end of a lap to the begin of what most likely follows. */
static void go_on(struct ring *ring)
{
    const struct ring_cycle *cycle = cycle_of_next(ring);
    bool leaves = ring->cycle == 0 && ring->begin == ring->leave;

    ring->begin += cycle->n_visits;
    ring->cycle = leaves && ring->cycles[ring->leave_for].n ? ring->leave_for : cycle->then;
    ring->next = cycle_of_next(ring)->first;
}

static uint64_t lap_begin(const struct ring *ring, uint64_t now)
{
    uint64_t n_visits = ring->cycles[ring->here].n_visits;

    return ring->entered + (now - ring->entered) / n_visits * n_visits;
}

uint64_t ring_lap_end(const struct ring *ring, uint64_t now)
{
    return lap_begin(ring, now) + ring->cycles[ring->here].n_visits;
}

static uint64_t position_of(const struct ring *ring, uint32_t turn)
{
    return ring->begin + (ring->turns[turn].visit - cycle_of_next(ring)->visit);
}

/* Back to the first turn that is not over. */
static void rewind_to(struct ring *ring, uint64_t now)
{
    const struct ring_cycle *cycle = &ring->cycles[ring->here];

    ring->rewind = false;
    ring->cycle = ring->here;
    ring->begin = lap_begin(ring, now);
    for (ring->next = cycle->first; ring->next < cycle->first + cycle->n; ring->next++) {
        if (position_of(ring, ring->next) + ring->turns[ring->next].until >= now)
            return;
    }
    go_on(ring);
}

void ring_enter(struct ring *ring, uint32_t cycle, uint64_t begin, uint64_t leave,
                uint32_t leave_for)
{
    ring->here = cycle;
    ring->entered = begin;
    ring->leave = leave;
    ring->leave_for = leave_for;
    ring->rewind = true;
    for (uint32_t i = 0; i < ring->n_slots; i++)
        ring->slots[i].to = 0;
}

/* So soon that all before it can be in the ring, too. */
static bool comes_soon(const struct ring *ring, uint32_t turn)
{
    const struct ring_cycle *cycle = cycle_of_next(ring);

    return turn < ring->n_turns && turn - cycle->first < cycle->n &&
           (turn + cycle->n - ring->next) % cycle->n <= ring->n_slots;
}

static int advance(struct ring *ring, const struct driver *drv, struct transfer *transfer,
                   uint64_t now, uint64_t visits, uint32_t until)
{
    bool soon = comes_soon(ring, until);

    for (;;) {
        const struct turn *turn = &ring->turns[ring->next];
        struct slot *slot = &ring->slots[turn->slot];
        uint64_t from = position_of(ring, ring->next);
        bool over = turn->idle || from + turn->until < now;

        if (from >= now + min_u64(visits, cycle_of_next(ring)->n_visits))
            return 0;
        if (!over && !ring_holds(ring, ring->next)) {
            int r;

            if (slot->pins || (slot->holds && slot->to >= now))
                return 0;
            r = fill(ring, drv, transfer, turn, slot, soon && !ring_holds(ring, until));
            if (r)
                return r == -EAGAIN ? 0 : r;
        }
        if (!over) {
            slot->from = from;
            slot->to = from + turn->until;
        }
        if (++ring->next == cycle_of_next(ring)->first + cycle_of_next(ring)->n)
            go_on(ring);
    }
    return 0;
}

int ring_advance(struct ring *ring, const struct driver *drv, struct transfer *transfer,
                 uint64_t now, uint64_t visits, uint32_t until)
{
    int r;

    if (!ring->n_turns)
        return 0;
    if (ring->rewind)
        rewind_to(ring, now);
    r = advance(ring, drv, transfer, now, visits, until);
    read_ahead(ring, drv);
    return r;
}

/* A default stream is another one in every thread, perhaps. */
static bool has_name(CUstream stream)
{
    return stream && stream != CU_STREAM_LEGACY && stream != CU_STREAM_PER_THREAD;
}

int ring_pin(struct ring *ring, const struct driver *drv, uint32_t index, CUstream stream)
{
    struct slot *slot = &ring->slots[index];

    if (!has_name(stream) || slot->waiter != stream) {
        int r = driver_errno(drv->cuStreamWaitEvent(stream, slot->staged, 0));

        if (r)
            return r;
        slot->waiter = stream;
    }
    slot->pins++;
    return 0;
}

void ring_hold(struct ring *ring, uint32_t turn)
{
    struct slot *slot = &ring->slots[ring->turns[turn].slot];

    if (ring_holds(ring, turn)) {
        slot->holds = false;
        ring->rewind = true;
    }
    slot->pins++;
}

void ring_unpin(struct ring *ring, const struct driver *drv, struct transfer *transfer,
                uint32_t index, CUstream stream)
{
    struct slot *slot = &ring->slots[index];

    if (slot->was_used && (!has_name(stream) || slot->use_stream != stream))
        (void)transfer_await(transfer, drv, slot->used);
    if (drv->cuEventRecord(slot->used, stream) == CUDA_SUCCESS) {
        slot->was_used = true;
        slot->use_stream = stream;
        slot->pins--;
    }
}

void ring_forget_stream(struct ring *ring, CUstream stream)
{
    for (uint32_t i = 0; i < ring->n_slots; i++) {
        struct slot *slot = &ring->slots[i];

        slot->waiter = slot->waiter == stream ? NULL : slot->waiter;
        slot->use_stream = slot->use_stream == stream ? NULL : slot->use_stream;
    }
}

void ring_distrust_all(struct ring *ring)
{
    for (uint32_t i = 0; i < ring->n_slots; i++)
        ring->slots[i].holds = false;
    ring->rewind = true;
}
