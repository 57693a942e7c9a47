/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Floats of 16 bits, and the rules that PTX adds to IEEE 754: one NaN, minimum and maximum,
 * flushing, saturation. Written without branches where run functions use them on all lanes.
 */

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "tests/sim/ptx_code.h"

/* The NaN that f32 and f16 operations give, whatever NaN went in: 0x7fffffff and 0x7fff. */
#define PTX_NAN32 __builtin_nanf("0x3fffff")
#define PTX_NAN16 0x7fff

static inline uint32_t float_image(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

static inline float image_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

static inline uint64_t double_image(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

static inline double image_double(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

static inline float one_nan(float x)
{
    return x == x ? x : PTX_NAN32;
}

/* -0 is below +0; a number beats a NaN. */
static inline float min_f32(float x, float y)
{
    float low = x < y ? x : y < x ? y : image_float(float_image(x) | float_image(y));
    low = x == x ? low : y;
    return one_nan(y == y ? low : x);
}

static inline float max_f32(float x, float y)
{
    float high = x > y ? x : y > x ? y : image_float(float_image(x) & float_image(y));
    high = x == x ? high : y;
    return one_nan(y == y ? high : x);
}

static inline double min_f64(double x, double y)
{
    double low = x < y ? x : y < x ? y : image_double(double_image(x) | double_image(y));
    low = x == x ? low : y;
    return y == y ? low : x;
}

static inline double max_f64(double x, double y)
{
    double high = x > y ? x : y > x ? y : image_double(double_image(x) & double_image(y));
    high = x == x ? high : y;
    return y == y ? high : x;
}

/* A subnormal becomes a zero of its sign. */
static inline float flush_f32(float x)
{
    return fabsf(x) < 0x1p-126f ? copysignf(0.0f, x) : x;
}

/* Into [0, 1]; NaN gives 0. */
static inline double saturate_float(double x)
{
    return x > 0.0 ? (x < 1.0 ? x : 1.0) : 0.0;
}

static inline float half_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t bits = (uint32_t)(half & 0x7fff) << 13;
    /* Scaling by a power of two is exact, and makes subnormals normal. */
    uint32_t finite = float_image(image_float(bits) * 0x1p112f);
    uint32_t special = bits | 0x7f800000;
    return image_float(sign | (bits >= 0x0f800000 ? special : finite));
}

static inline float bfloat_float(uint16_t bits)
{
    return image_float((uint32_t)bits << 16);
}

/* To nearest, ties to even. */
static inline uint16_t float_half(float x)
{
    uint32_t bits = float_image(x);
    uint32_t sign = bits >> 16 & 0x8000;
    uint32_t size = bits & 0x7fffffff;
    uint32_t normal = (size + 0xc8000fff + (size >> 13 & 1)) >> 13;
    /* 0.5 has the place of the last bit of a subnormal half as its own. */
    uint32_t tiny = float_image(image_float(size) + 0.5f) - 0x3f000000;
    uint32_t special = size > 0x7f800000 ? PTX_NAN16 : 0x7c00;
    uint32_t half = size < 0x38800000 ? tiny : normal;
    half = size >= 0x47800000 ? special : half;
    return (uint16_t)(size > 0x7f800000 ? half : sign | half);
}

/* The two formats of 16 bits. */
enum { HALF_MANTISSA = 10, BFLOAT_MANTISSA = 7 };

static inline bool rounds_away(uint64_t kept, uint64_t rest, uint64_t tie, bool negative, int round)
{
    if (round == PTX_ROUND_NEAREST)
        return rest > tie || (rest == tie && kept & 1);
    if (round == PTX_ROUND_ZERO)
        return false;
    return rest && (round == PTX_ROUND_DOWN) == negative;
}

/* A double rounded to the float of 16 bits with that many mantissa bits. */
static inline uint16_t round_to_16(double x, int mantissa, int round)
{
    uint64_t bits = double_image(x);
    bool negative = bits >> 63;
    int exponent_max = (1 << (15 - mantissa)) - 1;
    int lowest = 1 - exponent_max / 2;
    int exponent = (int)(bits >> 52 & 0x7ff) - 1023;
    uint64_t significand = (bits & (((uint64_t)1 << 52) - 1)) | (uint64_t)1 << 52;
    uint64_t infinity = (uint64_t)exponent_max << mantissa;
    uint64_t result = 0;
    int shift = 52 - mantissa + (exponent < lowest ? lowest - exponent : 0);

    if (x != x)
        return PTX_NAN16;
    if (x == 0 || isinf(x))
        return (uint16_t)((uint64_t)negative << 15 | (x == 0 ? 0 : infinity));
    /* All that a shift this far leaves is "not zero". */
    if (shift > 60)
        shift = 60;
    if (exponent > exponent_max)
        exponent = exponent_max;
    result = significand >> shift;
    result += rounds_away(result, significand & (((uint64_t)1 << shift) - 1),
                          (uint64_t)1 << (shift - 1), negative, round);
    if (exponent >= lowest)
        result += (uint64_t)(exponent - lowest) << mantissa;
    if (result >= infinity)
        result = infinity - (round == PTX_ROUND_ZERO || (round == PTX_ROUND_DOWN && !negative) ||
                             (round == PTX_ROUND_UP && negative));
    return (uint16_t)((uint64_t)negative << 15 | result);
}

/* a * b + c where a and b have few bits: exact but for the last bit, which is set when the sum was
 * not exact ("round to odd"), so that rounding it again is right. */
static inline double fma_to_odd(double a, double b, double c)
{
    double product = a * b;
    double sum = product + c;
    double back = sum - product;
    double error = (product - (sum - back)) + (c - back);
    uint64_t bits = double_image(sum);

    if (error == 0 || error != error || isinf(sum) || bits & 1)
        return sum;
    return image_double((error > 0) == (sum > 0) ? bits + 1 : bits - 1);
}
