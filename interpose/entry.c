/* SPDX-License-Identifier: MIT */
/*
 * The exported driver calls.
 *
 * An entry chooses the driver's table for its stream mode and hands over to the handler of the row.
 * It is on the path of every launch, so it is one load, two tests and a jump; everything else,
 * binding included, is behind a NULL table (route.h). While calls are to pass untouched
 * (VRAMSHIM_DISABLE, a forked child) the table stays NULL and the entry calls the driver.
 *
 * The shared object is linked -Bsymbolic: the addresses in entry_list are ours even when another
 * preload library exports the same names first.
 */

#include "interpose/entry.h"
#include "interpose/hooks.h"
#include "interpose/route.h"
#include "runtime/util.h"

/* The toolkit's header does not declare every twin. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

/* Its name is expanded first: a twin's is a macro still. */
#define UNBOUND(name)  UNBOUND_(name)
#define UNBOUND_(name) unbound_##name

#define ENTRY(name, mode, symbol, params, args)                                                    \
    static __attribute__((noinline, cold)) CUresult UNBOUND(name)(PROTO(params))                   \
    {                                                                                              \
        const struct driver *drv = route_bind(mode);                                               \
                                                                                                   \
        if (drv && drv->symbol)                                                                    \
            return hook_##symbol(drv AND(args));                                                   \
        drv = route_untouched(mode);                                                               \
        return drv->symbol ? drv->symbol(args) : route_missing();                                  \
    }                                                                                              \
                                                                                                   \
    EXPORT CUresult name(PROTO(params))                                                            \
    {                                                                                              \
        const struct driver *drv = route_table(mode);                                              \
                                                                                                   \
        if (likely(drv && drv->symbol))                                                            \
            return hook_##symbol(drv AND(args));                                                   \
        return UNBOUND(name)(args);                                                                \
    }
#define HOOK(symbol, since, twin, params, args)                                                    \
    ENTRY(symbol, STREAM_LEGACY, symbol, PARAMS(params), ARGS(args))                               \
    IF_TWIN_##twin(                                                                                \
        ENTRY(TWIN_##twin(symbol), STREAM_PER_THREAD, symbol, PARAMS(params), ARGS(args)))
#define GATE HOOK
#include "runtime/driver_calls.def"

#define STRING(x)    #x
#define LISTED(name) {STRING(name), (void *)(name)},

const struct entry entry_list[] = {
#define HOOK(symbol, since, twin, params, args)                                                    \
    LISTED(symbol)                                                                                 \
    IF_TWIN_##twin(LISTED(TWIN_##twin(symbol)))
#define GATE HOOK
#include "runtime/driver_calls.def"
};

const size_t entry_count = ARRAY_SIZE(entry_list);
