/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdint.h>

/* A number below n, the same ones in every run (xorshift, Marsaglia 2003). */
static inline uint64_t dice(uint64_t n)
{
    static uint64_t state = 88172645463325252u;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (state >> 20) % n;
}
