/* SPDX-License-Identifier: MIT */
#pragma once

/* The types of PTX, as they stand in opcodes and declarations. */

#include <stdbool.h>
#include <stddef.h>

/* name, bits, sort */
#define PTX_TYPES(TYPE)                                                                            \
    TYPE(PRED, "pred", 32, 'p')                                                                    \
    TYPE(B8, "b8", 8, 'b')                                                                         \
    TYPE(B16, "b16", 16, 'b')                                                                      \
    TYPE(B32, "b32", 32, 'b')                                                                      \
    TYPE(B64, "b64", 64, 'b')                                                                      \
    TYPE(U8, "u8", 8, 'u')                                                                         \
    TYPE(U16, "u16", 16, 'u')                                                                      \
    TYPE(U32, "u32", 32, 'u')                                                                      \
    TYPE(U64, "u64", 64, 'u')                                                                      \
    TYPE(S8, "s8", 8, 's')                                                                         \
    TYPE(S16, "s16", 16, 's')                                                                      \
    TYPE(S32, "s32", 32, 's')                                                                      \
    TYPE(S64, "s64", 64, 's')                                                                      \
    TYPE(F16, "f16", 16, 'f')                                                                      \
    TYPE(BF16, "bf16", 16, 'f')                                                                    \
    TYPE(F16X2, "f16x2", 32, 'h')                                                                  \
    TYPE(BF16X2, "bf16x2", 32, 'h')                                                                \
    TYPE(U16X2, "u16x2", 32, 'h')                                                                  \
    TYPE(S16X2, "s16x2", 32, 'h')                                                                  \
    TYPE(F32, "f32", 32, 'f')                                                                      \
    TYPE(F64, "f64", 64, 'f')

enum ptx_type {
    PTX_NONE,
#define TYPE(id, name, bits, sort) PTX_##id,
    PTX_TYPES(TYPE)
#undef TYPE
        PTX_TYPE_COUNT,
};

/* PTX_NONE when `text` names no type. */
enum ptx_type ptx_type_find(const char *text, size_t length);
const char *ptx_type_name(enum ptx_type type);
/* Of a value in memory or in a register; a predicate register is a 32-bit mask of lanes. */
unsigned int ptx_type_bytes(enum ptx_type type);
bool ptx_type_is_signed(enum ptx_type type);
bool ptx_type_is_float(enum ptx_type type); /* scalar float of any width */
