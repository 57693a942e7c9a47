/* SPDX-License-Identifier: MIT */
#include "tests/bench/stand_in.h"

#include <stdbool.h>
#include <stddef.h>
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
    uint64_t state; /* the check alone has these */
    uint64_t changed;
    uint64_t seed;
};
static const size_t offsets[] = {
    offsetof(struct guard_params, entries), offsetof(struct guard_params, any),
    offsetof(struct guard_params, state),   offsetof(struct guard_params, changed),
    offsetof(struct guard_params, seed),
};
static const size_t sizes[] = {sizeof(struct guard_entry) * GUARD_AT_ONCE, 8, 8, 8, 8};

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
        uint64_t *expected = sim_kernel_access(e->expected, sizeof(*expected), true);
        uint64_t bytes = 16 * e->units;
        bool written;
        uint64_t found, home;

        if (!expected || !digest(e->slot, bytes, &found) || found == *expected)
            continue;
        if (!digest(e->home, bytes, &home))
            continue;
        written = home == *expected;
        if (written)
            copy(e->home, e->slot, bytes);
        if (written || home == found)
            *expected = found;
        tell(e->flag, written ? GUARD_WRITTEN : GUARD_CHANGED);
        tell(p->any, written ? GUARD_WRITTEN : GUARD_CHANGED);
    }
}

/* Whether a sample of each window is the same in both. */
static bool samples_agree(const struct guard_entry *e, uint64_t apart, uint64_t seed)
{
    uint64_t bytes = GUARD_SAMPLE * 16;

    for (uint64_t window = 0; window * apart < e->units; window++) {
        uint64_t mixed = (window + seed) * 0x9e3779b97f4a7c15u >> 40 & (apart - GUARD_SAMPLE);
        uint64_t at = 16 * (window * apart + mixed);
        uint64_t n = min_u64(bytes, 16 * e->units - min_u64(at, 16 * e->units));
        const void *copy = n ? sim_kernel_access(e->slot + at, n, false) : NULL;
        const void *home = n ? sim_kernel_access(e->home + at, n, false) : NULL;

        if (copy && home && memcmp(copy, home, n))
            return false;
    }
    return true;
}

static void renew(const struct guard_params *p)
{
    for (const struct guard_entry *e = p->entries; e < p->entries + GUARD_AT_ONCE && e->slot; e++) {
        const uint64_t *expected = sim_kernel_access(e->expected, sizeof(*expected), false);
        uint64_t home;

        if (e->slot == e->home || !expected || !digest(e->home, 16 * e->units, &home) ||
            home == *expected)
            continue;
        copy(e->slot, e->home, 16 * e->units);
        tell(p->changed, GUARD_CHANGED);
        tell(e->flag, GUARD_CHANGED);
        tell(p->any, GUARD_CHANGED);
    }
}

static void check_run(const void *params)
{
    const struct guard_params *p = params;
    const uint32_t *changed = sim_kernel_access(p->changed, sizeof(*changed), false);
    bool agree = true;

    for (const struct guard_entry *e = p->entries; e < p->entries + GUARD_AT_ONCE && e->slot; e++)
        agree &= samples_agree(e, changed && *changed ? GUARD_SAMPLE : e->apart, p->seed);
    if (!agree)
        renew(p);
}

static const struct sim_native_kernel kernels[] = {
    {"vramshim_check", ARRAY_SIZE(offsets), offsets, sizes, check_run, true},
    {"vramshim_guard", 2, offsets, sizes, guard_run, true},
};

void stand_in_register(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(kernels); i++)
        sim_register_kernel(&kernels[i]);
}
