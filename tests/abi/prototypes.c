/* SPDX-License-Identifier: MIT */
/*
 * Every row of driver_calls.def against the toolkit's declaration of that very name, and its
 * twin's.
 */

#include "runtime/driver.h"
#include "runtime/util.h"
#include "tests/abi/table.h"

#define SAME(name, params) __builtin_types_compatible_p(__typeof__(name), CUresult(PROTO(params)))

/* The same of the per-thread twin, where there is one. */
#define SAME_TWIN_PLAIN(symbol, params) 1
#define SAME_TWIN_PTSZ(symbol, params)  SAME(symbol##_ptsz, PARAMS(params))
#define SAME_TWIN_PTDS(symbol, params)  SAME(symbol##_ptds, PARAMS(params))

const struct abi_prototype abi_prototypes[] = {
#define HOOK(symbol, since, twin, params, args)                                                    \
    {#symbol, SAME(symbol, PARAMS(params)), SAME_TWIN_##twin(symbol, PARAMS(params))},
#define GATE HOOK
#define REAL HOOK
#define PASS HOOK
#include "runtime/driver_calls.def"
};

const size_t abi_prototype_count = ARRAY_SIZE(abi_prototypes);
