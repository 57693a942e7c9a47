/* SPDX-License-Identifier: MIT */
/*
 * First fit over a sorted array of holes. There is at most one hole more than there are runs handed
 * out, so space_take() grows the array before it can be needed and space_give() cannot fail. First
 * fit at the lowest address brings a freed address back soon, as the driver's own allocator does.
 */
#include "runtime/space.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/vmm.h"

struct space_hole {
    uint64_t slot;
    uint64_t n_slots;
};

static int reserve(struct space *space, const struct driver *drv, uint64_t bytes)
{
    CUdeviceptr base;
    int r = driver_errno(drv->cuMemAddressReserve(&base, bytes, space->slot_bytes, 0, 0));

    if (r)
        return r;
    space->base = base;
    space->n_slots = bytes / space->slot_bytes;
    return 0;
}

int space_init(struct space *space, const struct driver *drv, uint64_t bytes, uint64_t least_bytes,
               uint64_t slot_bytes)
{
    int r = -ENOMEM;

    *space = (struct space){.slot_bytes = slot_bytes};
    space->holes = calloc(4, sizeof(*space->holes));
    if (!space->holes)
        return -ENOMEM;
    space->capacity = 4;

    for (; bytes >= least_bytes; bytes /= 2) {
        r = reserve(space, drv, bytes);
        if (!r)
            break;
    }
    if (r) {
        space_fini(space, drv);
        return -ENOMEM;
    }
    space->holes[0] = (struct space_hole){.slot = 0, .n_slots = space->n_slots};
    space->n_holes = 1;
    return 0;
}

static void hole_remove(struct space *space, size_t at)
{
    memmove(&space->holes[at], &space->holes[at + 1],
            (space->n_holes - at - 1) * sizeof(*space->holes));
    space->n_holes--;
}

static int grow(struct space *space)
{
    struct space_hole *grown;

    if (space->n_runs + 3 <= space->capacity)
        return 0;
    grown = realloc(space->holes, 2 * space->capacity * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    space->holes = grown;
    space->capacity *= 2;
    return 0;
}

int space_take(struct space *space, uint64_t n_slots, CUdeviceptr *out_address)
{
    if (grow(space))
        return -ENOMEM;

    for (size_t i = 0; i < space->n_holes; i++) {
        struct space_hole *hole = &space->holes[i];

        if (hole->n_slots < n_slots)
            continue;
        *out_address = space->base + hole->slot * space->slot_bytes;
        hole->slot += n_slots;
        hole->n_slots -= n_slots;
        if (!hole->n_slots)
            hole_remove(space, i);
        space->n_runs++;
        return 0;
    }
    return -ENOSPC;
}

void space_give(struct space *space, uint64_t address, uint64_t n_slots)
{
    uint64_t slot = (address - space->base) / space->slot_bytes;
    struct space_hole *holes = space->holes;
    size_t at = 0;

    while (at < space->n_holes && holes[at].slot < slot)
        at++;
    space->n_runs--;

    if (at > 0 && holes[at - 1].slot + holes[at - 1].n_slots == slot) {
        holes[at - 1].n_slots += n_slots;
        if (at < space->n_holes && holes[at].slot == slot + n_slots) {
            holes[at - 1].n_slots += holes[at].n_slots;
            hole_remove(space, at);
        }
        return;
    }
    if (at < space->n_holes && holes[at].slot == slot + n_slots) {
        holes[at].slot = slot;
        holes[at].n_slots += n_slots;
        return;
    }
    memmove(&holes[at + 1], &holes[at], (space->n_holes - at) * sizeof(*holes));
    holes[at] = (struct space_hole){.slot = slot, .n_slots = n_slots};
    space->n_holes++;
}

void space_fini(struct space *space, const struct driver *drv)
{
    if (space->n_slots)
        vmm_unreserve(drv, space->base, space->n_slots * space->slot_bytes);
    free(space->holes);
    *space = (struct space){0};
}
