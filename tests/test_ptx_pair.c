/* SPDX-License-Identifier: MIT */

/* Small integers side by side, against loops over them. */

#include <criterion/criterion.h>

#include "tests/test_ptx_table.h"

static const uint64_t words[] = {
    0,          0xffffffff, 0x80008000, 0x7fff7fff, 0x7f80ff01, 0x01020304, 0x80000001,
    0x00017fff, 0xfe01fd02, 0x8080807f, 0x12345678, 0xdeadbeef, 5,
};

enum { LIMIT = 1, SUM = 2, RELU = 4 };

/* Every part of x and y, of `bits`, put through `f`; the parts of x may be signed when those of y
 * are not. */
static uint64_t parts(int64_t (*f)(int64_t, int64_t), unsigned int bits, bool signed_d,
                      bool signed_x, bool signed_y, unsigned int how, uint64_t x, uint64_t y,
                      uint64_t z)
{
    int64_t one = (int64_t)1 << bits;
    int64_t high = signed_d ? one / 2 - 1 : one - 1;
    int64_t low = signed_d ? -one / 2 : 0;
    uint64_t result = how & SUM ? z : 0;

    for (unsigned int at = 0; at < 32; at += bits) {
        int64_t a = (int64_t)(x >> at) & (one - 1);
        int64_t b = (int64_t)(y >> at) & (one - 1);
        int64_t part;
        a -= signed_x && a >= one / 2 ? one : 0;
        b -= signed_y && b >= one / 2 ? one : 0;
        part = f(a, b);
        if (how & LIMIT)
            part = part > high ? high : part < low ? low : part;
        if (how & RELU && part < 0)
            part = 0;
        if (how & SUM)
            result += (uint64_t)part;
        else
            result |= ((uint64_t)part & (uint64_t)(one - 1)) << at;
    }
    return result & 0xffffffff;
}

#define PART(name, expression)                                                                     \
    static int64_t name(int64_t x, int64_t y)                                                      \
    {                                                                                              \
        return expression;                                                                         \
    }
PART(sum, x + y)
PART(difference, x - y)
PART(distance, x > y ? x - y : y - x)
PART(average, x + y >= 0 ? (x + y + 1) / 2 : -((1 - x - y) / 2))
PART(lower, x < y ? x : y)
PART(higher, x > y ? x : y)
PART(below, x < y)
PART(same, x == y)

EXPECT(add_u16x2, parts(sum, 16, false, false, false, 0, a, b, c))
EXPECT(min_u16x2, parts(lower, 16, false, false, false, 0, a, b, c))
EXPECT(max_u16x2, parts(higher, 16, false, false, false, 0, a, b, c))
EXPECT(min_s16x2, parts(lower, 16, true, true, true, 0, a, b, c))
EXPECT(max_s16x2, parts(higher, 16, true, true, true, 0, a, b, c))
EXPECT(min_relu, parts(lower, 16, true, true, true, RELU, a, b, c))
EXPECT(max_relu, parts(higher, 16, true, true, true, RELU, a, b, c))
EXPECT(max_relu32, (uint32_t)higher(0, higher((int32_t)a, (int32_t)b)))
EXPECT(min_relu32, (uint32_t)higher(0, lower((int32_t)a, (int32_t)b)))

Test(ptx_pair, computes_with_two_of_16_bits)
{
    static const struct table_row rows[] = {
        {"add.u16x2 %r4, %r1, %r2;", 'r', add_u16x2},
        {"add.s16x2 %r4, %r1, %r2;", 'r', add_u16x2},
        {"min.u16x2 %r4, %r1, %r2;", 'r', min_u16x2},
        {"max.u16x2 %r4, %r1, %r2;", 'r', max_u16x2},
        {"min.s16x2 %r4, %r1, %r2;", 'r', min_s16x2},
        {"max.s16x2 %r4, %r1, %r2;", 'r', max_s16x2},
        {"min.s16x2.relu %r4, %r1, %r2;", 'r', min_relu},
        {"max.relu.s16x2 %r4, %r1, %r2;", 'r', max_relu},
        {"min.s32.relu %r4, %r1, %r2;", 'r', min_relu32},
        {"max.relu.s32 %r4, %r1, %r2;", 'r', max_relu32},
    };
    table_check(rows, COUNT(rows), words, COUNT(words));
}

EXPECT(vadd4, parts(sum, 8, false, false, false, 0, a, b, c))
EXPECT(vadd4_sat, parts(sum, 8, true, true, true, LIMIT, a, b, c))
EXPECT(vadd2_sum, parts(sum, 16, true, true, false, SUM, a, b, c))
EXPECT(vsub4_sat, parts(difference, 8, false, false, false, LIMIT, a, b, c))
EXPECT(vsub2, parts(difference, 16, true, true, true, 0, a, b, c))
EXPECT(vavrg4, parts(average, 8, true, true, true, 0, a, b, c))
EXPECT(vavrg2, parts(average, 16, false, false, false, 0, a, b, c))
EXPECT(vabsdiff4, parts(distance, 8, false, false, false, 0, a, b, c))
EXPECT(vabsdiff4_sum, parts(distance, 8, false, true, true, SUM, a, b, c))
EXPECT(vabsdiff2_sat, parts(distance, 16, true, true, true, LIMIT, a, b, c))
EXPECT(vmin4, parts(lower, 8, true, true, true, 0, a, b, c))
EXPECT(vmax2, parts(higher, 16, false, false, false, 0, a, b, c))
EXPECT(vmax4_sum, parts(higher, 8, false, false, false, SUM, a, b, c))
EXPECT(vset4, parts(below, 8, false, true, true, 0, a, b, c))
EXPECT(vset2_sum, parts(same, 16, false, false, false, SUM, a, b, c))

Test(ptx_pair, computes_video)
{
    static const struct table_row rows[] = {
        {"vadd4.u32.u32.u32 %r4, %r1, %r2, %r3;", 'r', vadd4},
        {"vadd4.s32.s32.s32.sat %r4, %r1, %r2, %r3;", 'r', vadd4_sat},
        {"vadd2.s32.s32.u32.add %r4, %r1, %r2, %r3;", 'r', vadd2_sum},
        {"vsub4.u32.u32.u32.sat %r4, %r1, %r2, %r3;", 'r', vsub4_sat},
        {"vsub2.s32.s32.s32 %r4, %r1, %r2, %r3;", 'r', vsub2},
        {"vavrg4.s32.s32.s32 %r4, %r1, %r2, %r3;", 'r', vavrg4},
        {"vavrg2.u32.u32.u32 %r4, %r1, %r2, %r3;", 'r', vavrg2},
        {"vabsdiff4.u32.u32.u32 %r4, %r1, %r2, %r3;", 'r', vabsdiff4},
        {"vabsdiff4.u32.s32.s32.add %r4, %r1, %r2, %r3;", 'r', vabsdiff4_sum},
        {"vabsdiff2.s32.s32.s32.sat %r4, %r1, %r2, %r3;", 'r', vabsdiff2_sat},
        {"vmin4.s32.s32.s32 %r4, %r1, %r2, %r3;", 'r', vmin4},
        {"vmax2.u32.u32.u32 %r4, %r1, %r2, %r3;", 'r', vmax2},
        {"vmax4.u32.u32.u32.add %r4, %r1, %r2, %r3;", 'r', vmax4_sum},
        {"vset4.s32.s32.lt %r4, %r1, %r2, %r3;", 'r', vset4},
        {"vset2.u32.u32.eq.add %r4, %r1, %r2, %r3;", 'r', vset2_sum},
    };
    table_check(rows, COUNT(rows), words, COUNT(words));
}

/* Counts set bits from b on until it has |c| of them. */
static uint64_t nth(uint64_t a, uint64_t b, uint64_t c)
{
    int32_t left = (int32_t)c;
    int64_t at = (int64_t)(b & 0xffffffff);

    if (!left)
        return at < 32 && a >> at & 1 ? (uint64_t)at : UINT64_MAX;
    for (; at >= 0 && at<32; at += left> 0 ? 1 : -1) {
        if (a >> at & 1 && (left == 1 || left == -1))
            return (uint64_t)at;
        if (a >> at & 1)
            left -= left > 0 ? 1 : -1;
    }
    return UINT64_MAX;
}

Test(ptx_pair, finds_the_nth_bit)
{
    static const uint64_t values[] = {0,  1,  2,  3,          5,          9,          15,        31,
                                      32, 40, 77, 0xffffffff, 0xfffffffe, 0xffffffe1, 0x80000000};
    static const struct table_row row = {"fns.b32 %r4, %r1, %r2, %r3;", 'r', nth};

    table_check(&row, 1, values, COUNT(values));
}
