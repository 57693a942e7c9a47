/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The simulated driver's calls, all derived from runtime/driver_calls.def.
 *
 * For each row there is an exported entry (entry.c) that takes the simulator's lock, counts the
 * call, applies an injected failure and calls sim_<symbol>(); every sim_<symbol>() therefore runs
 * with the lock held. A weak default (missing.c) answers CUDA_ERROR_NOT_SUPPORTED, loudly.
 */

#include "runtime/driver.h"

enum call_id {
#define HOOK(symbol, since, twin, params, args) CALL_##symbol,
#define GATE                                    HOOK
#define REAL                                    HOOK
#define PASS                                    HOOK
#include "runtime/driver_calls.def"
    CALL_COUNT,
};

#define HOOK(symbol, since, twin, params, args) CUresult sim_##symbol(PROTO(params));
#define GATE                                    HOOK
#define REAL                                    HOOK
#define PASS                                    HOOK
#include "runtime/driver_calls.def"

struct call_row {
    const char *symbol;
    int since;
    void *entry;
    void *twin_entry; /* NULL for a PLAIN row */
};
extern const struct call_row call_rows[CALL_COUNT];

/* The row of an exported name, or of a base name that has one version only; CALL_COUNT if none. */
enum call_id call_find(const char *symbol);

/* Denied by SIM_HIDE. Locking: none, fixed once the settings are read. */
bool call_is_hidden(enum call_id id);

/* Locking: the simulator's lock, for all of these. */
void call_fail_at(enum call_id id, unsigned int nth, CUresult error);
void call_fail_clear(void);
void call_fail_often(unsigned int mean, uint64_t seed);
/* Whether the calling thread was given `error` so since it last asked. */
bool call_was_given(CUresult error);
uint64_t call_count(enum call_id id);
