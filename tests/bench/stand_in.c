/* SPDX-License-Identifier: MIT */
#include "tests/bench/stand_in.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "runtime/digest.h"
#include "runtime/guard.h"
#include "runtime/util.h"
#include "tests/sim/sim.h"

enum { PAGE_BYTES = 2 << 20 };

struct guard_params {
    struct guard_entry entries[GUARD_AT_ONCE];
    uint64_t any;
};
static const size_t offsets[] = {0, sizeof(struct guard_entry) * GUARD_AT_ONCE};
static const size_t sizes[] = {sizeof(struct guard_entry) * GUARD_AT_ONCE, sizeof(uint64_t)};

/* Bytes from `at` on that lie in one page of the simulated card. */
static uint64_t part(uint64_t at, uint64_t left)
{
    return min_u64(left, PAGE_BYTES - at % PAGE_BYTES);
}

static bool digest(uint64_t at, uint64_t bytes, uint64_t *out)
{
    *out = 0;
    for (uint64_t done = 0; done < bytes;) {
        uint64_t n = part(at + done, bytes - done);
        const void *there = sim_kernel_access(at + done, n, false);

        if (!there)
            return false;
        *out += digest_bytes(there, n, done);
        done += n;
    }
    return true;
}

static void copy(uint64_t to, uint64_t from, uint64_t bytes)
{
    for (uint64_t done = 0; done < bytes;) {
        uint64_t n = min_u64(part(to + done, bytes - done), part(from + done, bytes - done));
        void *there = sim_kernel_access(to + done, n, true);
        const void *here = sim_kernel_access(from + done, n, false);

        if (!there || !here)
            return;
        memcpy(there, here, n);
        done += n;
    }
}

static void tell(uint64_t at, uint32_t value)
{
    void *there = sim_kernel_access(at, sizeof(value), true);

    if (there)
        memcpy(there, &value, sizeof(value));
}

static void guard_run(const void *params)
{
    const struct guard_params *p = params;

    for (const struct guard_entry *e = p->entries; e < p->entries + GUARD_AT_ONCE && e->slot; e++) {
        const uint64_t *expected = sim_kernel_access(e->expected, sizeof(*expected), false);
        uint64_t bytes = 16 * e->units;
        uint64_t found, home;

        if (!expected || !digest(e->slot, bytes, &found) || found == *expected)
            continue;
        if (!digest(e->home, bytes, &home))
            continue;
        if (home == *expected)
            copy(e->home, e->slot, bytes);
        tell(e->flag, home == *expected ? GUARD_WRITTEN : GUARD_CHANGED);
        tell(p->any, home == *expected ? GUARD_WRITTEN : GUARD_CHANGED);
    }
}

static const struct sim_native_kernel kernel = {
    "vramshim_guard", ARRAY_SIZE(offsets), offsets, sizes, guard_run, true,
};

void stand_in_register(void)
{
    sim_register_kernel(&kernel);
}
