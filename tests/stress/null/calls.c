/* SPDX-License-Identifier: MIT */
/*
 * A driver that says yes to everything and does nothing: what is counted of a call is what stands
 * before it. The few calls that must answer something are in answers.c.
 */
#include "runtime/driver.h"
#include "runtime/util.h"

#pragma GCC diagnostic ignored "-Wmissing-prototypes"

#define YES                                                                                        \
    {                                                                                              \
        return CUDA_SUCCESS;                                                                       \
    }
#define HOOK(symbol, since, twin, params, args)                                                    \
    EXPORT __attribute__((weak)) CUresult symbol(PROTO(params)) YES IF_TWIN_##twin(                \
        EXPORT __attribute__((weak)) CUresult TWIN_##twin(symbol)(PROTO(params)) YES)
#define GATE HOOK
#define REAL HOOK
#define PASS HOOK
#include "runtime/driver_calls.def"
