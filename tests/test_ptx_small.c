/* SPDX-License-Identifier: MIT */

/* Floats of 16, 19 and 8 bits: comparing, converting, flushing, choosing. */

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "tests/test_ptx_table.h"

#define H(x) small_value((x)&0xffff, 10)
#define W(x) small_value((x)&0xffff, 7)

static const uint64_t pairs[] = {
    0x3c003c01, 0xbc000001, 0x7bff0000, 0x80007c00, 0x2e66fbff, 0x14006400, 0x03ff3555, 0x42488001,
    0x3f803f81, 0x7e003c00, 0x00010001, 0xfc008000, 0x84000400, 0xffff7fff, 0x7f807f81,
};

EXPECT(eq_h, H(a) == H(b) ? 0x3c00 : 0)
EXPECT(nan_h, isnan(H(a)) || isnan(H(b)) ? 0x3c00 : 0)
EXPECT(ltu_w, W(a) < W(b) || isnan(W(a)) || isnan(W(b)) ? 0x3f80 : 0)
EXPECT(gt_u16, H(a) > H(b) ? 0xffff : 0)
EXPECT(ge_u32, H(a) >= H(b) ? 0xffffffff : 0)
EXPECT(ne_w_u32, W(a) < W(b) || W(a) > W(b) ? 0xffffffff : 0)
#define BOTH(low, yes)                                                                             \
    ((low(a, b, c) ? (uint64_t)(yes) : 0) |                                                        \
     (low(a >> 16, b >> 16, c >> 16) ? (uint64_t)(yes) << 16 : 0))
EXPECT(eq_h2, BOTH(eq_h, 0x3c00))
EXPECT(gt_h2_u32, BOTH(gt_u16, 0xffff))
EXPECT(ltu_w2, BOTH(ltu_w, 0x3f80))
EXPECT(ne_w2_u32, BOTH(ne_w_u32, 0xffff))
/* With subnormals taken for zeros. */
#define Z(x) (fabs(H(x)) < 0x1p-14 ? 0 : H(x))
EXPECT(lt_ftz, Z(a) < Z(b) ? 0xffff : 0)
EXPECT(lt_ftz2, BOTH(lt_ftz, 0xffff))
EXPECT(le_and,
       (H(a) <= H(b) && c & 1 ? 0xffff : 0) | (H(a >> 16) <= H(b >> 16) && c & 1 ? 0xffff0000 : 0))
EXPECT(first_lt, H(a) < H(b))
EXPECT(second_lt, H(a >> 16) < H(b >> 16))
EXPECT(second_num, !isnan(W(a >> 16)) && !isnan(W(b >> 16)))

Test(ptx_small, compares_pairs)
{
    static const struct table_row rows[] = {
        {"set.eq.f16.f16 %h4, %h1, %h2;", 'h', eq_h},
        {"set.nan.f16.f16 %h4, %h1, %h2;", 'h', nan_h},
        {"set.ltu.bf16.bf16 %h4, %h1, %h2;", 'h', ltu_w},
        {"set.gt.u16.f16 %h4, %h1, %h2;", 'h', gt_u16},
        {"set.ge.u32.f16 %r4, %h1, %h2;", 'r', ge_u32},
        {"set.ne.u32.bf16 %r4, %h1, %h2;", 'r', ne_w_u32},
        {"set.eq.f16x2.f16x2 %r4, %r1, %r2;", 'r', eq_h2},
        {"set.gt.u32.f16x2 %r4, %r1, %r2;", 'r', gt_h2_u32},
        {"set.ltu.bf16x2.bf16x2 %r4, %r1, %r2;", 'r', ltu_w2},
        {"set.ne.s32.bf16x2 %r4, %r1, %r2;", 'r', ne_w2_u32},
        {"set.lt.ftz.u32.f16x2 %r4, %r1, %r2;", 'r', lt_ftz2},
        {"set.le.and.u32.f16x2 %r4, %r1, %r2, %p3;", 'r', le_and},
        {"setp.lt.f16x2 %p4|%p9, %r1, %r2;", 'p', first_lt},
        {"setp.lt.f16x2 %p9|%p4, %r1, %r2;", 'p', second_lt},
        {"setp.num.bf16x2 %p9|%p4, %r1, %r2;", 'p', second_num},
    };
    table_check(rows, COUNT(rows), pairs, COUNT(pairs));
}

static uint64_t flushed(uint64_t bits)
{
    return bits & 0x7c00 ? bits & 0xffff : bits & 0x8000;
}

EXPECT(add_ftz, flushed(small_nearest(H(flushed(a)) + H(flushed(b)), 10)))
EXPECT(mul_ftz, flushed(small_nearest(H(flushed(a)) * H(flushed(b)), 10)))
EXPECT(fma_ftz,
       flushed(small_nearest((double)((long double)H(flushed(a)) * H(flushed(b)) + H(flushed(c))),
                             10)))
EXPECT(abs_ftz, flushed(a) & 0x7fff)
EXPECT(neg_ftz, flushed(a) ^ 0x8000)

Test(ptx_small, flushes_subnormals)
{
    static const struct table_row rows[] = {
        {"add.ftz.f16 %h4, %h1, %h2;", 'h', add_ftz},
        {"mul.ftz.f16 %h4, %h1, %h2;", 'h', mul_ftz},
        {"fma.rn.ftz.f16 %h4, %h1, %h2, %h3;", 'h', fma_ftz},
        {"abs.ftz.f16 %h4, %h1;", 'h', abs_ftz},
        {"neg.ftz.f16 %h4, %h1;", 'h', neg_ftz},
    };
    table_check(rows, COUNT(rows), pairs, COUNT(pairs));
}

/* The smaller of two, -0 below +0, NaN when either is. */
static uint64_t least(uint64_t a, uint64_t b, int mantissa, bool most)
{
    double x = small_value(a & 0xffff, mantissa);
    double y = small_value(b & 0xffff, mantissa);
    bool first = x < y || (x == y && signbit(x) && !signbit(y));

    if (isnan(x) || isnan(y))
        return 0x7fff;
    return (first != most ? a : b) & 0xffff;
}

EXPECT(min_nan_h, least(a, b, 10, false))
EXPECT(max_nan_h, least(a, b, 10, true))
EXPECT(min_nan_w, least(a, b, 7, false))
EXPECT(max_nan_w2, least(a, b, 7, true) | least(a >> 16, b >> 16, 7, true) << 16)
EXPECT(min_nan_h2, least(a, b, 10, false) | least(a >> 16, b >> 16, 10, false) << 16)

Test(ptx_small, chooses_with_nan)
{
    static const struct table_row rows[] = {
        {"min.NaN.f16 %h4, %h1, %h2;", 'h', min_nan_h},
        {"max.NaN.f16 %h4, %h1, %h2;", 'h', max_nan_h},
        {"min.NaN.bf16 %h4, %h1, %h2;", 'h', min_nan_w},
        {"max.NaN.bf16x2 %r4, %r1, %r2;", 'r', max_nan_w2},
        {"min.NaN.f16x2 %r4, %r1, %r2;", 'r', min_nan_h2},
    };
    table_check(rows, COUNT(rows), pairs, COUNT(pairs));
}

static double single(uint64_t bits)
{
    float x;
    uint32_t low = (uint32_t)bits;

    memcpy(&x, &low, sizeof(x));
    return (double)x;
}

/* The two images next to each other that f32 cut to 19 bits lies between. */
static uint64_t tf32(uint64_t bits, int round)
{
    uint64_t size = bits & 0x7fffffff;
    uint64_t low = size & ~(uint64_t)0x1fff;
    uint64_t high = low + 0x2000;
    uint64_t rest = size - low;

    if (size > 0x7f800000)
        return 0x7fffffff;
    if (rest > 0x1000 || (rest == 0x1000 && (round == 'a' || low & 0x2000)))
        low = round == 'z' ? low : high;
    return (bits & 0x80000000) | low;
}
EXPECT(tf32_away, tf32(a, 'a'))
EXPECT(tf32_even, tf32(a, 'e'))
EXPECT(tf32_zero, tf32(a, 'z'))
EXPECT(tf32_relu, tf32(a, 'e') >> 31 ? 0 : tf32(a, 'e'))

/* The value of a float of 8 bits: e4m3, or e5m2. */
static double tiny_value(uint64_t bits, bool e5m2)
{
    double size;

    if (e5m2)
        return small_value((bits & 0xff) << 8, 10);
    size = bits >> 3 & 15 ? ldexp(8 + (double)(bits & 7), (int)(bits >> 3 & 15) - 10)
                          : (double)(bits & 7) / 512;
    if ((bits & 0x7f) == 0x7f)
        return NAN;
    return bits & 0x80 ? -size : size;
}

/* The nearest of all of them, the even one of two; the largest for what is beyond. */
static uint64_t tiny_nearest(double x, bool e5m2)
{
    uint64_t largest = e5m2 ? 0x7b : 0x7e;
    uint64_t best = 0;

    if (isnan(x))
        return 0x7f;
    for (uint64_t bits = 1; bits <= largest; bits++) {
        double away = fabs(tiny_value(bits, e5m2) - fabs(x));
        double nearest = fabs(tiny_value(best, e5m2) - fabs(x));
        if (away < nearest || (away == nearest && !(bits & 1)))
            best = bits;
    }
    if (fabs(x) > tiny_value(largest, e5m2))
        best = largest;
    return best | (signbit(x) ? 0x80 : 0);
}

static uint64_t no_sign(uint64_t bits)
{
    return bits & 0x80 ? 0 : bits;
}
EXPECT(e4m3_pair, tiny_nearest(single(a), false) << 8 | tiny_nearest(single(b), false))
EXPECT(e5m2_pair, tiny_nearest(single(a), true) << 8 | tiny_nearest(single(b), true))
EXPECT(e4m3_relu,
       no_sign(tiny_nearest(single(a), false)) << 8 | no_sign(tiny_nearest(single(b), false)))
EXPECT(e4m3_of_halves, tiny_nearest(H(a >> 16), false) << 8 | tiny_nearest(H(a), false))
EXPECT(e5m2_of_halves, tiny_nearest(H(a >> 16), true) << 8 | tiny_nearest(H(a), true))
EXPECT(halves_of_e4m3,
       small_nearest(tiny_value(a >> 8, false), 10) << 16 | small_nearest(tiny_value(a, false), 10))
EXPECT(halves_of_e5m2,
       small_nearest(tiny_value(a >> 8, true), 10) << 16 | small_nearest(tiny_value(a, true), 10))

static const uint64_t singles[] = {
    0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x3f801000, 0x3f803000, 0x3f800fff, 0x3f801001,
    0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x00000001, 0x80000001,
    0x00001000, 0x43e00000, 0x43e80000, 0x43e7ffff, 0x43f00000, 0x47600000, 0x47700000, 0x476fffff,
    0x3c800000, 0x3b000000, 0x3a800000, 0x3a800001, 0x3ac00000, 0x3b400000, 0x37800000, 0x37000000,
    0x37000001, 0x38100000, 0x3d4ccccd, 0xc1200000, 0x40490fdb, 0x3e2aaaab, 0x3f880000, 0x3f980000,
};

Test(ptx_small, converts_to_fewer_bits)
{
    static const struct table_row rows[] = {
        {"cvt.rna.tf32.f32 %r4, %f1;", 'r', tf32_away},
        {"cvt.rn.tf32.f32 %r4, %f1;", 'r', tf32_even},
        {"cvt.rz.tf32.f32 %r4, %f1;", 'r', tf32_zero},
        {"cvt.rn.relu.tf32.f32 %r4, %f1;", 'r', tf32_relu},
        {"cvt.rn.satfinite.e4m3x2.f32 %h4, %f1, %f2;", 'h', e4m3_pair},
        {"cvt.rn.satfinite.e5m2x2.f32 %h4, %f1, %f2;", 'h', e5m2_pair},
        {"cvt.rn.satfinite.relu.e4m3x2.f32 %h4, %f1, %f2;", 'h', e4m3_relu},
    };
    table_check(rows, COUNT(rows), singles, COUNT(singles));
}

Test(ptx_small, converts_pairs)
{
    static uint64_t bytes[256];
    static const struct table_row narrow[] = {
        {"cvt.rn.satfinite.e4m3x2.f16x2 %h4, %r1;", 'h', e4m3_of_halves},
        {"cvt.rn.satfinite.e5m2x2.f16x2 %h4, %r1;", 'h', e5m2_of_halves},
    };
    static const struct table_row widen[] = {
        {"cvt.rn.f16x2.e4m3x2 %r4, %h1;", 'r', halves_of_e4m3},
        {"cvt.rn.f16x2.e5m2x2 %r4, %h1;", 'r', halves_of_e5m2},
    };

    for (unsigned int i = 0; i < 256; i++)
        bytes[i] = i << 8 | (i * 37 + 11) % 256;
    table_check(narrow, COUNT(narrow), pairs, COUNT(pairs));
    table_check(widen, COUNT(widen), bytes, COUNT(bytes));
}
