/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The program's own mappings.
 */

#include "tests/sim/context.h"
#include "tests/sim/memory.h"

struct reservation {
    struct range range;
    void *counted; /* by the kernel, under a limit; NULL without */
};
extern struct ranges reservations;

struct vmm_mapping {
    struct range range;
    struct physical *physical;
    unsigned int host_access; /* CUmemAccess_flags the host has; 0 for none */
    uint64_t id;
};

/* NULL when the address lies in none. */
struct reservation *reservation_find(uint64_t address);
struct vmm_mapping *vmm_mapping_at(uint64_t address);
