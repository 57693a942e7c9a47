/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How much memory the program is told it has: pure arithmetic.
 */

#include <stdint.h>
#include "runtime/config.h"

struct story_facts {
    uint64_t card_total; /* the driver's own figures */
    uint64_t card_free;
    uint64_t device_budget; /* of paged allocations */
    uint64_t host_budget;
    uint64_t pool_held; /* device memory the shim's pool holds */
    uint64_t paged;     /* live paged allocations */
};

/*
 * physical: the card's own figures, with what the pool only keeps for reuse counted as free.
 * virtual:  the card and the host budget together, less what paged allocations take of them.
 * a size:   that, less paged allocations and what the driver serves itself.
 */
void story_tell(struct story story, const struct story_facts *facts, uint64_t *out_free,
                uint64_t *out_total);
