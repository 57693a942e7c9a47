/* SPDX-License-Identifier: MIT */
/*
 * One header's constants, types and members. Compiled twice: -DTABLE=abi_own with our header,
 * -DTABLE=abi_toolkit with the toolkit's.
 */

#include <cuda.h>
#include "tests/abi/table.h"

#if defined(VRAMSHIM_OWN_CUDA_H) != defined(WANT_OWN)
#error "this table was compiled with the other header"
#endif

const struct abi_row TABLE[] = {
#define CONSTANT(name) {ABI_CONSTANT, #name, (long long)(name), 0},
#define TYPE(name)     {ABI_TYPE, #name, 0, sizeof(name)},
#define MEMBER(type, path)                                                                         \
    {ABI_MEMBER, #type "." #path, offsetof(type, path), sizeof(((type *)0)->path)},
#define NAME(plain)
#include "abi_rows.h"
};

#ifdef WANT_OWN
const size_t abi_count = sizeof(TABLE) / sizeof(TABLE[0]);
#endif
