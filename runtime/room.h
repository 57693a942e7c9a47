/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Following what others take of the card, other processes and the program's own allocations that
 * are not paged: when VRAMSHIM_VRAM says how much is to be left free, that much is left free as
 * long as the program runs. Homes move out when there is less, and in when there is more. Of what
 * is left, processes that do the same share evenly what they cannot all have. With a fixed size,
 * what the driver has refused is asked for again after a while.
 *
 * Locking: the pager's. A context of the device is current.
 */

#include <stdbool.h>
#include <stdint.h>
#include "runtime/card.h"
#include "runtime/company.h"

enum {
    ROOM_EVERY_MS = 500,
};

struct room_facts {
    uint64_t free;  /* bytes of the card, as the driver says */
    uint64_t total; /* bytes it has */
    uint64_t held;  /* by the pool */
    uint64_t used;  /* of that, by homes and rings */
    uint64_t ceiling;
    uint64_t share; /* in company; ROOM_ALL alone */
};

#define ROOM_ALL UINT64_MAX

struct room_choice {
    uint64_t ceiling; /* new, of the pool */
    uint64_t evict;   /* bytes of homes that have to go */
    bool more;        /* it is so much higher that a plan should be made anew */
};

/* Pure. Of `bytes` for a process that wants `wanted` and these others: as much as anybody else, or
 * more when others want less than that; ROOM_ALL when all can have what they want. */
uint64_t room_share(uint64_t bytes, uint64_t wanted, const struct company_claim *others, size_t n);
/* Pure. `vram` leaves some free. */
struct room_choice room_choose(struct amount vram, const struct room_facts *facts);

/* Looks, if it is time to, and does what has to be done. Called by what takes the lock anyway:
 * uploads, allocations and launches that name something away. */
void room_follow(struct pager *pager, const struct driver *drv);
/* The same for all cards, because there is company_has_news(). Any context may be current, or none;
 * outside of the gate. */
void room_hear(const struct driver *drv);
