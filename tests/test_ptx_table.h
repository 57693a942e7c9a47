/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Tables of instructions, each checked against a C function on every triple of some values.
 *
 * A statement reads its operands, which hold the same 64-bit value in every width, from registers
 * numbered 1 to 3 and writes number 4: %h (16 bits), %r (32), %rd (64), %f (f32), %fd (f64), and
 * %p4 for a predicate; %p1 to %p3 are the lowest bits. Every row runs in full warps and in ones
 * with a lane missing, which are different code.
 */

#include <stddef.h>
#include <stdint.h>

/* A float of 113 bits, wide enough to hold what two f32 make of each other. */
#if defined(__x86_64__)
typedef __float128 quad;
#else
typedef long double quad;
#endif

struct table_row {
    const char *ptx;
    char result; /* register written: h, r, q (%rd), f, d (%fd), p */
    uint64_t (*expect)(uint64_t a, uint64_t b, uint64_t c);
};

/* The C function of a row: `expression` of a, b and c. */
#define EXPECT(name, expression)                                                                   \
    static uint64_t name(uint64_t a, uint64_t b, uint64_t c)                                       \
    {                                                                                              \
        (void)a;                                                                                   \
        (void)b;                                                                                   \
        (void)c;                                                                                   \
        return (uint64_t)(expression);                                                             \
    }
#define COUNT(array) (sizeof(array) / sizeof(array[0]))

/* Fails the running test at the first row and triple that differ, bit for bit. */
void table_check(const struct table_row *rows, size_t n_rows, const uint64_t *values,
                 size_t n_values);

/* The floats of 16 bits, by their definition: 10 mantissa bits are f16, 7 are bf16. */
double small_value(uint64_t bits, int mantissa);
/* The nearest one, the even one of two; 0x7fff for NaN. */
uint64_t small_nearest(double x, int mantissa);
