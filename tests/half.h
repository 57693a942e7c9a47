/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * IEEE half precision on the host, as 16 bits: C and C++.
 */

#include <math.h>
#include <stdint.h>
#include <string.h>

/* To nearest, halves to even. */
static inline uint16_t half_of(float value)
{
    uint32_t bits;
    uint32_t sign;
    uint32_t magnitude;
    float scaled;

    memcpy(&bits, &value, sizeof(bits));
    sign = bits >> 16 & 0x8000u;
    magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7fffu);
    if (magnitude >= 0x477ff000u) /* rounds to 65536 or more */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x38800000u) { /* less than the smallest normal half: let the sum round */
        scaled = fabsf(value) + 0.5f;
        memcpy(&bits, &scaled, sizeof(bits));
        return (uint16_t)(sign | (bits - 0x3f000000u));
    }
    magnitude += 0xfffu + (magnitude >> 13 & 1u);
    return (uint16_t)(sign | (magnitude - 0x38000000u) >> 13);
}

static inline float float_of(uint16_t half)
{
    uint32_t magnitude = (half & 0x7fffu) << 13;
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    float value;

    memcpy(&value, &magnitude, sizeof(value));
    value *= 5192296858534827628530496329220096.0f; /* 2^112 */
    memcpy(&magnitude, &value, sizeof(magnitude));
    if ((half & 0x7c00u) == 0x7c00u)
        magnitude |= 0x7f800000u;
    magnitude |= sign;
    memcpy(&value, &magnitude, sizeof(value));
    return value;
}
