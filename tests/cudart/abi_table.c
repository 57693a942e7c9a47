/* SPDX-License-Identifier: MIT */
/*
 * One header as a table. Compiled twice, with -DTABLE=: with the stand-in's header, and, with
 * WANT_TOOLKIT, with the toolkit's, which also has to have every call with the same types.
 */

#include <cuda_runtime_api.h>
#include "tests/cudart/abi_table.h"

const struct abi_row TABLE[] = {
#define CONSTANT(constant) {#constant, (long long)constant, 0},
#define TYPE(type)         {#type, 0, sizeof(type)},
#define MEMBER(type, member)                                                                       \
    {#type "." #member, offsetof(type, member), sizeof(((type *)0)->member)},
#include "cudart_rows.h"
};

#ifdef WANT_TOOLKIT

#define PARAMS(...)     __VA_ARGS__
#define ARGS(...)       __VA_ARGS__
#define PROTO(...)      PROTO_##__VA_OPT__(SOME)(__VA_ARGS__)
#define PROTO_(...)     void
#define PROTO_SOME(...) __VA_ARGS__

const struct abi_prototype abi_prototypes[] = {
#define CALL(name, twin, needs, params, args)                                                      \
    {#name, __builtin_types_compatible_p(__typeof__(name), cudaError_t(PROTO(params)))},
#include "tests/cudart/include/cudart_calls.def"
};
const size_t abi_prototype_count = sizeof(abi_prototypes) / sizeof(abi_prototypes[0]);

#else

const size_t abi_count = sizeof(TABLE) / sizeof(TABLE[0]);

#endif
