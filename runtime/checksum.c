/* SPDX-License-Identifier: MIT */
#include "runtime/checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t checksum(const void *bytes, size_t n)
{
    return XXH3_64bits(bytes, n);
}
