/* SPDX-License-Identifier: MIT */
/*
 * Handlers of the GATE rows: calls that only have to wait while homes move.
 */

#include "interpose/hooks.h"
#include "runtime/gate.h"

#define GATE(symbol, since, twin, params, args)                                                    \
    CUresult hook_##symbol(const struct driver *drv AND(params))                                   \
    {                                                                                              \
        CUresult result;                                                                           \
                                                                                                   \
        gate_enter();                                                                              \
        result = drv->symbol(args);                                                                \
        gate_leave();                                                                              \
        return result;                                                                             \
    }
#include "runtime/driver_calls.def"
