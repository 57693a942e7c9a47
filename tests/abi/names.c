/* SPDX-License-Identifier: MIT */
/*
 * What one header makes of plain names. Compiled four times, with -DTABLE=: either header, without
 * and with CUDA_API_PER_THREAD_DEFAULT_STREAM.
 */

#include <cuda.h>
#include "tests/abi/table.h"

#if defined(VRAMSHIM_OWN_CUDA_H) != defined(WANT_OWN)
#error "this table was compiled with the other header"
#endif

#define STRING(x)  #x
#define MEANING(x) STRING(x)

const struct abi_name TABLE[] = {
#define CONSTANT(name)
#define TYPE(name)
#define MEMBER(type, path)
#define NAME(plain) {#plain, MEANING(plain)},
#include "abi_rows.h"
};

#ifdef WANT_COUNT
const size_t abi_name_count = sizeof(TABLE) / sizeof(TABLE[0]);
#endif
