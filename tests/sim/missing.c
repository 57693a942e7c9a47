/* SPDX-License-Identifier: MIT */
/*
 * What the simulated driver answers for a call nobody simulates: never success, never in silence.
 *
 * Each definition is weak; a file that simulates the call overrides it at link time.
 */
#include "tests/sim/calls.h"
#include "tests/sim/core.h"

#define HOOK(symbol, since, twin, params, args)                                                    \
    __attribute__((weak)) CUresult sim_##symbol(PROTO(params))                                     \
    {                                                                                              \
        core_say("%s is not simulated; answering CUDA_ERROR_NOT_SUPPORTED", #symbol);              \
        return CUDA_ERROR_NOT_SUPPORTED;                                                           \
    }
#define GATE HOOK
#define REAL HOOK
#define PASS HOOK
#include "runtime/driver_calls.def"
