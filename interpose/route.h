/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Which driver there is, and which of its functions we stand in for.
 *
 * Binding happens once, in the first call that needs it after the program has loaded libcuda.so.1;
 * we never load it. There is no lock: everything here may be called in any thread, under the
 * dynamic loader's lock, in constructors, and during process exit. A bound driver stays loaded and
 * bound.
 */

#include <stdatomic.h>
#include "runtime/driver.h"
#include "runtime/util.h"

/* Private to route_driver(): NULL until bound, and for good where calls are to pass untouched. */
extern const struct driver *_Atomic route_tables[STREAM_MODE_COUNT];
const struct driver *route_bind(enum stream_mode mode);

/* The table if it is bound already, NULL otherwise. */
static inline const struct driver *route_table(enum stream_mode mode)
{
    return atomic_load_explicit(&route_tables[mode], memory_order_acquire);
}

/* The table that handlers work with. NULL when a call must go to the driver as it is: there is no
 * driver yet, VRAMSHIM_DISABLE is set, or this is the child of a process that used CUDA. */
static inline const struct driver *route_driver(enum stream_mode mode)
{
    const struct driver *drv = route_table(mode);

    return likely(drv != NULL) ? drv : route_bind(mode);
}

/* The table to pass a call on with when route_driver() is NULL. Never NULL; every field is when no
 * driver is loaded. */
const struct driver *route_untouched(enum stream_mode mode);

/* What a call answers that the driver lacks, or that is made with no driver loaded. */
CUresult route_missing(void);

/* Our entry for a function of the driver; any other address, our own included, comes back as it is.
 * So does NULL. `symbol` is what it was asked for as. */
void *route_address(void *real, const char *symbol);

/* From now on route_driver() is NULL and route_address() changes nothing. For the child of a fork.
 */
void route_retire(void);
