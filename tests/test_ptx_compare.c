/* SPDX-License-Identifier: MIT */

/* Comparisons and selections against C. */

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "tests/test_ptx_table.h"

static const uint64_t integers[] = {
    0,
    1,
    2,
    0x7fff,
    0x8000,
    0xffff,
    0x7fffffff,
    0x80000000,
    0xffffffff,
    0x7fffffffffffffff,
    0x8000000000000000,
    0xffffffffffffffff,
};

#define INT_EXPECT(type, name)                                                                     \
    EXPECT(eq_##name, (type)a == (type)b)                                                          \
    EXPECT(ne_##name, (type)a != (type)b)                                                          \
    EXPECT(lt_##name, (type)a < (type)b)                                                           \
    EXPECT(le_##name, (type)a <= (type)b)                                                          \
    EXPECT(gt_##name, (type)a > (type)b)                                                           \
    EXPECT(ge_##name, (type)a >= (type)b)
INT_EXPECT(uint16_t, u16)
INT_EXPECT(int16_t, s16)
INT_EXPECT(uint32_t, u32)
INT_EXPECT(int32_t, s32)
INT_EXPECT(uint64_t, u64)
INT_EXPECT(int64_t, s64)

#define INT_ROWS(type, r)                                                                          \
    {"setp.eq." #type " %p4, " r "1, " r "2;", 'p', eq_##type},                                    \
        {"setp.ne." #type " %p4, " r "1, " r "2;", 'p', ne_##type},                                \
        {"setp.lt." #type " %p4, " r "1, " r "2;", 'p', lt_##type},                                \
        {"setp.le." #type " %p4, " r "1, " r "2;", 'p', le_##type},                                \
        {"setp.gt." #type " %p4, " r "1, " r "2;", 'p', gt_##type},                                \
    {                                                                                              \
        "setp.ge." #type " %p4, " r "1, " r "2;", 'p', ge_##type                                   \
    }

Test(ptx_compare, orders_integers_by_their_type)
{
    static const struct table_row rows[] = {
        INT_ROWS(u16, "%h"),
        INT_ROWS(s16, "%h"),
        INT_ROWS(u32, "%r"),
        INT_ROWS(s32, "%r"),
        INT_ROWS(u64, "%rd"),
        INT_ROWS(s64, "%rd"),
        {"setp.lo.u32 %p4, %r1, %r2;", 'p', lt_u32},
        {"setp.ls.u32 %p4, %r1, %r2;", 'p', le_u32},
        {"setp.hi.u64 %p4, %rd1, %rd2;", 'p', gt_u64},
        {"setp.hs.u16 %p4, %h1, %h2;", 'p', ge_u16},
        {"setp.eq.b32 %p4, %r1, %r2;", 'p', eq_u32},
        {"setp.ne.b64 %p4, %rd1, %rd2;", 'p', ne_u64},
    };
    table_check(rows, COUNT(rows), integers, COUNT(integers));
}

static const uint64_t singles[] = {
    0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x00000001, 0x80000001,
    0x7f800000, 0xff800000, 0x7fc00000, 0xffc00001, 0x3f800001, 0x007fffff,
};
static const uint64_t doubles[] = {
    0x0000000000000000, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000,
    0x0000000000000001, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff8000000000000,
};
static const uint64_t halves[] = {
    0x0000, 0x8000, 0x3c00, 0xbc00, 0x0001, 0x7c00, 0xfc00, 0x7e00, 0xfe01, 0x3c01,
};

static double f32(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float x;

    memcpy(&x, &low, sizeof(x));
    return x;
}

static double f32_ftz(uint64_t bits)
{
    double x = f32(bits);

    return fabs(x) < 0x1p-126 ? 0 : x;
}

static double f64(uint64_t bits)
{
    double x;

    memcpy(&x, &bits, sizeof(x));
    return x;
}

static double f16(uint64_t bits)
{
    return small_value(bits & 0xffff, 10);
}

static double bf16(uint64_t bits)
{
    return small_value(bits & 0xffff, 7);
}

#define UNORDERED(v) (isnan(v(a)) || isnan(v(b)))
#define FLOAT_EXPECT(v)                                                                            \
    EXPECT(eq_##v, v(a) == v(b))                                                                   \
    EXPECT(ne_##v, !UNORDERED(v) && v(a) != v(b))                                                  \
    EXPECT(lt_##v, v(a) < v(b))                                                                    \
    EXPECT(le_##v, v(a) <= v(b))                                                                   \
    EXPECT(gt_##v, v(a) > v(b))                                                                    \
    EXPECT(ge_##v, v(a) >= v(b))                                                                   \
    EXPECT(equ_##v, UNORDERED(v) || v(a) == v(b))                                                  \
    EXPECT(neu_##v, UNORDERED(v) || v(a) != v(b))                                                  \
    EXPECT(ltu_##v, UNORDERED(v) || v(a) < v(b))                                                   \
    EXPECT(leu_##v, UNORDERED(v) || v(a) <= v(b))                                                  \
    EXPECT(gtu_##v, UNORDERED(v) || v(a) > v(b))                                                   \
    EXPECT(geu_##v, UNORDERED(v) || v(a) >= v(b))                                                  \
    EXPECT(num_##v, !UNORDERED(v))                                                                 \
    EXPECT(nan_##v, UNORDERED(v))
FLOAT_EXPECT(f32)
FLOAT_EXPECT(f64)
FLOAT_EXPECT(f16)
FLOAT_EXPECT(bf16)
EXPECT(eq_ftz, f32_ftz(a) == f32_ftz(b))
EXPECT(lt_ftz, f32_ftz(a) < f32_ftz(b))

#define ROW(op, type, r)                                                                           \
    {                                                                                              \
        "setp." #op "." #type " %p4, " r "1, " r "2;", 'p', op##_##type                            \
    }
#define FLOAT_ROWS(type, r)                                                                        \
    ROW(eq, type, r), ROW(ne, type, r), ROW(lt, type, r), ROW(le, type, r), ROW(gt, type, r),      \
        ROW(ge, type, r), ROW(equ, type, r), ROW(neu, type, r), ROW(ltu, type, r),                 \
        ROW(leu, type, r), ROW(gtu, type, r), ROW(geu, type, r), ROW(num, type, r),                \
        ROW(nan, type, r)

Test(ptx_compare, knows_ordered_and_unordered_floats)
{
    static const struct table_row rows32[] = {
        FLOAT_ROWS(f32, "%f"),
        {"setp.eq.ftz.f32 %p4, %f1, %f2;", 'p', eq_ftz},
        {"setp.lt.ftz.f32 %p4, %f1, %f2;", 'p', lt_ftz},
    };
    static const struct table_row rows64[] = {FLOAT_ROWS(f64, "%fd")};
    static const struct table_row rows16[] = {FLOAT_ROWS(f16, "%h"), FLOAT_ROWS(bf16, "%h")};

    table_check(rows32, COUNT(rows32), singles, COUNT(singles));
    table_check(rows64, COUNT(rows64), doubles, COUNT(doubles));
    table_check(rows16, COUNT(rows16), halves, COUNT(halves));
}

EXPECT(and_odd, (uint32_t)a < (uint32_t)b && c & 1)
EXPECT(or_even, (uint32_t)a < (uint32_t)b || !(c & 1))
EXPECT(xor_odd, ((uint32_t)a < (uint32_t)b) != (c & 1))
EXPECT(opposite_and_odd, (uint32_t)a >= (uint32_t)b && c & 1)

Test(ptx_compare, combines_the_result_and_its_opposite_with_a_predicate)
{
    static const struct table_row rows[] = {
        {"setp.lt.and.u32 %p4, %r1, %r2, %p3;", 'p', and_odd},
        {"setp.lt.or.u32 %p4, %r1, %r2, !%p3;", 'p', or_even},
        {"setp.lt.xor.u32 %p4, %r1, %r2, %p3;", 'p', xor_odd},
        {"setp.lt.u32 %p5|%p4, %r1, %r2;", 'p', ge_u32},
        {"setp.lt.and.u32 %p5|%p4, %r1, %r2, %p3;", 'p', opposite_and_odd},
        {"setp.lt.and.u32 _|%p4, %r1, %r2, %p3;", 'p', opposite_and_odd},
    };
    table_check(rows, COUNT(rows), integers, COUNT(integers));
}

EXPECT(choose, c & 1 ? a : b)
EXPECT(choose_opposite, c & 1 ? b : a)
EXPECT(choose_sign, (int32_t)c >= 0 ? a : b)
EXPECT(choose_number, f32(c) >= 0 ? a : b)
EXPECT(all_ones, (int32_t)a < (int32_t)b ? UINT32_MAX : 0)
EXPECT(one, (int32_t)a < (int32_t)b ? 0x3f800000 : 0)
EXPECT(all_ones_float, gtu_f32(a, b, c) ? UINT32_MAX : 0)

Test(ptx_compare, selects)
{
    static const struct table_row rows[] = {
        {"selp.b16 %h4, %h1, %h2, %p3;", 'h', choose},
        {"selp.b32 %r4, %r1, %r2, %p3;", 'r', choose},
        {"selp.u64 %rd4, %rd1, %rd2, %p3;", 'q', choose},
        {"selp.f32 %f4, %f1, %f2, %p3;", 'f', choose},
        {"selp.f64 %fd4, %fd1, %fd2, %p3;", 'd', choose},
        {"selp.b32 %r4, %r1, %r2, !%p3;", 'r', choose_opposite},
        {"slct.b32.s32 %r4, %r1, %r2, %r3;", 'r', choose_sign},
        {"slct.u64.f32 %rd4, %rd1, %rd2, %f3;", 'q', choose_number},
        {"set.lt.u32.s32 %r4, %r1, %r2;", 'r', all_ones},
        {"set.lt.f32.s32 %f4, %r1, %r2;", 'f', one},
        {"set.gtu.u32.f32 %r4, %f1, %f2;", 'r', all_ones_float},
    };
    table_check(rows, COUNT(rows), integers, COUNT(integers));
}

EXPECT(is_finite, fabs(f32(a)) < INFINITY)
EXPECT(is_infinite, fabs(f32(a)) == INFINITY)
EXPECT(is_number, !isnan(f32(a)))
EXPECT(is_normal, fpclassify((float)f32(a)) == FP_NORMAL)
EXPECT(is_subnormal, fpclassify((float)f32(a)) == FP_SUBNORMAL)

Test(ptx_compare, tests_for_a_property)
{
    static const struct table_row rows[] = {
        {"testp.finite.f32 %p4, %f1;", 'p', is_finite},
        {"testp.infinite.f32 %p4, %f1;", 'p', is_infinite},
        {"testp.number.f32 %p4, %f1;", 'p', is_number},
        {"testp.normal.f32 %p4, %f1;", 'p', is_normal},
        {"testp.subnormal.f32 %p4, %f1;", 'p', is_subnormal},
    };
    table_check(rows, COUNT(rows), singles, COUNT(singles));
}
