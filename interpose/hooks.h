/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The handlers: one per HOOK and GATE row, named hook_<symbol>.
 *
 * `drv` is the table for the caller's default-stream mode, and its field for this very call is
 * never NULL; any other field may be. A handler answers what the program sees. GATE handlers are
 * generated (gate_entry.h), those of launches are in launch_entry.h; a HOOK row without a handler
 * is a link error. Any thread, with or without a current context, before cuInit, and during process
 * exit.
 */

#include "runtime/driver.h"

#include "interpose/gate_entry.h"
#include "interpose/launch_entry.h"

#define HOOK(symbol, since, twin, params, args)                                                    \
    CUresult hook_##symbol(const struct driver *drv AND(params));
#include "runtime/driver_calls.def"
