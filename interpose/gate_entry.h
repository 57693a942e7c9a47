/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Handlers of the GATE rows: calls that only have to wait while homes move, and are counted while
 * somebody has to know that something of unknown effect was submitted. They are inlined into
 * the entries, for which a few instructions count.
 */

#include "runtime/driver.h"
#include "runtime/gate.h"

/* Waiting at the gate is a function of its own, so that passing it saves no arguments; the driver
 * comes last there, so that it moves none either. */
#define GATE(symbol, since, twin, params, args)                                                    \
    static __attribute__((noinline, cold))                                                         \
    CUresult refused_##symbol(params, const struct driver *drv)                                    \
    {                                                                                              \
        CUresult result = (CUresult)gate_enter_unknown();                                          \
                                                                                                   \
        if (result != CUDA_SUCCESS)                                                                \
            return result;                                                                         \
        result = drv->symbol(args);                                                                \
        gate_leave();                                                                              \
        return result;                                                                             \
    }                                                                                              \
                                                                                                   \
    static inline CUresult hook_##symbol(const struct driver *drv AND(params))                     \
    {                                                                                              \
        CUresult result;                                                                           \
                                                                                                   \
        if (unlikely(!gate_try_enter()))                                                           \
            return refused_##symbol(args, drv);                                                    \
        result = drv->symbol(args);                                                                \
        gate_leave();                                                                              \
        return result;                                                                             \
    }
#include "runtime/driver_calls.def"
