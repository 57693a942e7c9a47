/* SPDX-License-Identifier: MIT */
/*
 * One HEADER as a TABLE of the ROWS. Compiled twice for each library: with the stand-in's header,
 * and, with WANT_TOOLKIT, with the toolkit's, which also has to have every call with the same
 * types.
 */

#include HEADER
#include "tests/cudart/abi_table.h"

const struct abi_row TABLE[] = {
#define CONSTANT(constant) {#constant, (long long)constant, 0},
#define TYPE(type)         {#type, 0, sizeof(type)},
#define MEMBER(type, member)                                                                       \
    {#type "." #member, offsetof(type, member), sizeof(((type *)0)->member)},
#include ROWS
};

#ifdef WANT_TOOLKIT

#define PARAMS(...)     __VA_ARGS__
#define ARGS(...)       __VA_ARGS__
#define PROTO(...)      PROTO_##__VA_OPT__(SOME)(__VA_ARGS__)
#define PROTO_(...)     void
#define PROTO_SOME(...) __VA_ARGS__

const struct abi_prototype abi_prototypes[] = {
#define MATCH(name, status, params)                                                                \
    {#name, __builtin_types_compatible_p(__typeof__(name), status(PROTO(params)))},
#ifdef WANT_CUBLAS
#define CALL(name, params) MATCH(name, cublasStatus_t, PARAMS(params))
#define HALF(name, params)
#include "tests/cublas/include/cublas_calls.def"
#else
#define CALL(name, twin, needs, params, args) MATCH(name, cudaError_t, PARAMS(params))
#include "tests/cudart/include/cudart_calls.def"
#endif
};
const size_t abi_prototype_count = sizeof(abi_prototypes) / sizeof(abi_prototypes[0]);

#else

const size_t abi_count = sizeof(TABLE) / sizeof(TABLE[0]);

#endif
