/* SPDX-License-Identifier: MIT */
/*
 * The driver that remembers: see recorder.h. Linked -Bsymbolic, as its table of functions must hold
 * its own. The calls that do something are in calls.c and replace the weak ones here.
 */

#include "tests/preload/recorder/recorder.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include "runtime/driver.h"
#include "runtime/util.h"
#include "tests/preload/recorder/calls.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

static const char *_Atomic last = "";
static _Atomic pid_t user;

EXPORT const char *recorder_last(void)
{
    return last;
}

EXPORT void recorder_forget(void)
{
    last = "";
}

void recorder_note_init(void)
{
    user = getpid();
}

CUresult recorder_state(void)
{
    return user == getpid() ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
}

static CUresult record(const char *symbol)
{
    last = symbol;
    return user && user != getpid() ? CUDA_ERROR_NOT_INITIALIZED : CUDA_ERROR_NOT_SUPPORTED;
}

#define STRING(x) #x
#define RECORD(name, params)                                                                       \
    EXPORT __attribute__((weak)) CUresult name(PROTO(params))                                      \
    {                                                                                              \
        return record(STRING(name));                                                               \
    }
#define HOOK(symbol, since, twin, params, args)                                                    \
    RECORD(symbol, PARAMS(params))                                                                 \
    IF_TWIN_##twin(RECORD(TWIN_##twin(symbol), PARAMS(params)))
#define GATE HOOK
#define REAL HOOK
#define PASS HOOK
#include "runtime/driver_calls.def"

static const struct call {
    const char *symbol;
    int since;
    void *plain;
    void *twin; /* the plain one where there is none */
} calls[] = {
#define TWIN_ADDRESS_PLAIN(symbol) (void *)(symbol)
#define TWIN_ADDRESS_PTSZ(symbol)  (void *)(symbol##_ptsz)
#define TWIN_ADDRESS_PTDS(symbol)  (void *)(symbol##_ptds)
#define HOOK(symbol, since, twin, params, args)                                                    \
    {#symbol, since, (void *)(symbol), TWIN_ADDRESS_##twin(symbol)},
#define GATE HOOK
#define REAL HOOK
#define PASS HOOK
#include "runtime/driver_calls.def"
};

/* "cuMemAlloc_v2" is a version of "cuMemAlloc". */
static bool is_version_of(const char *symbol, const char *base)
{
    size_t n = strlen(base);

    if (strncmp(symbol, base, n) != 0)
        return false;
    return !symbol[n] || (symbol[n] == '_' && symbol[n + 1] == 'v' && !symbol[n + 3]);
}

void *recorder_find(const char *base, int version, bool per_thread)
{
    const struct call *best = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
        if (is_version_of(calls[i].symbol, base) && calls[i].since <= version &&
            (!best || calls[i].since > best->since))
            best = &calls[i];
    if (!best)
        return NULL;
    return per_thread ? best->twin : best->plain;
}
