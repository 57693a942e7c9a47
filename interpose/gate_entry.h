/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Handlers of the GATE rows: calls that only have to wait while homes move. They are inlined into
 * the entries, for which a few instructions count.
 */

#include "runtime/driver.h"
#include "runtime/gate.h"

#define GATE(symbol, since, twin, params, args)                                                    \
    static inline CUresult hook_##symbol(const struct driver *drv AND(params))                     \
    {                                                                                              \
        CUresult result;                                                                           \
                                                                                                   \
        gate_enter();                                                                              \
        result = drv->symbol(args);                                                                \
        gate_leave();                                                                              \
        return result;                                                                             \
    }
#include "runtime/driver_calls.def"
