/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The driver as the rest of the project sees it.
 *
 * A struct driver is a table of function pointers, one field per HOOK, GATE and REAL row of
 * driver_calls.def, named as the exported symbol. There are two of them per bound driver: for
 * legacy and for per-thread default streams. A field is NULL where the driver in use lacks the
 * call. Tests fill one from the simulated driver with driver_bind().
 */

#include <cuda.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PARAMS(...) __VA_ARGS__
#define ARGS(...)   __VA_ARGS__

/* A parameter list in a prototype: `void` when there is nothing in it. */
#define PROTO(...)      PROTO_##__VA_OPT__(SOME)(__VA_ARGS__)
#define PROTO_(...)     void
#define PROTO_SOME(...) __VA_ARGS__

/* The same list after a first parameter: brings its own comma. */
#define AND(...) __VA_OPT__(, ) __VA_ARGS__

/* What the per-thread-default-stream twin of a call is named. */
#define TWIN_PLAIN(symbol) symbol
#define TWIN_PTSZ(symbol)  symbol##_ptsz
#define TWIN_PTDS(symbol)  symbol##_ptds

/* Expands to its arguments only for calls that have such a twin. */
#define IF_TWIN_PLAIN(...)
#define IF_TWIN_PTSZ(...) __VA_ARGS__
#define IF_TWIN_PTDS(...) __VA_ARGS__

struct driver {
#define HOOK(symbol, since, twin, params, args) CUresult (*symbol)(PROTO(params));
#define GATE                                    HOOK
#define REAL                                    HOOK
#include "runtime/driver_calls.def"
};

/* Which default stream a caller's stream 0 means. */
enum stream_mode {
    STREAM_LEGACY,
    STREAM_PER_THREAD,
    STREAM_MODE_COUNT,
};

/* Finds the address of an exported name, NULL when there is none. */
typedef void *(*driver_lookup_fn)(void *context, const char *symbol);

/* Fills one table. A twin that the driver lacks falls back to the plain call. */
void driver_bind(struct driver *drv, enum stream_mode mode, driver_lookup_fn lookup, void *context);

/*
 * A CUresult as the project's internal error: 0, -ENOMEM for CUDA_ERROR_OUT_OF_MEMORY, -EINVAL for
 * INVALID_VALUE, -ENOTSUP for NOT_SUPPORTED, -EAGAIN for NOT_READY, -EIO for everything else.
 */
int driver_errno(CUresult result);

/* The way back, for handlers: an error that none of the driver's own names fits is UNKNOWN. */
CUresult driver_result(int error);

/* Undoes cuCtxPushCurrent, and tries hard: what is current is the program's own. */
void driver_pop_context(const struct driver *drv);
/* Gives back what was retained: otherwise the context would outlive the program's last use of it.
 */
void driver_release_primary(const struct driver *drv, CUdevice device);

/* "CUDA_ERROR_OUT_OF_MEMORY"; never NULL. */
const char *driver_error_name(const struct driver *drv, CUresult result);
