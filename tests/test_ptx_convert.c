/* SPDX-License-Identifier: MIT */

/* cvt between all types, against C. */

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "tests/test_ptx_support.h"
#include "tests/test_ptx_table.h"

static const uint64_t integers[] = {
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x10000,
    0x7fffffff,
    0x80000000,
    0xffffffff,
    0xffffff80,
    0xffff8000,
    0x01000001,
    0x01000003,
    0x7fffffffffffffff,
    0x8000000000000000,
    0xffffffffffffffff,
    0x8000000000000401,
    0xffffffff80000000,
    0x0020000000000001,
    0xfffffffffffff800,
    0x4000004000000001,
};

EXPECT(u8, (uint8_t)a)
EXPECT(s8, (int8_t)a)
EXPECT(u16, (uint16_t)a)
EXPECT(s16, (int16_t)a)
EXPECT(u32, (uint32_t)a)
EXPECT(s32, (int32_t)a)
EXPECT(same, a)

Test(ptx_convert, extends_and_cuts_integers)
{
    static const struct table_row rows[] = {
        {"cvt.u16.u8 %h4, %h1;", 'h', u8},
        {"cvt.s16.s8 %h4, %h1;", 'h', s8},
        {"cvt.u32.u8 %r4, %r1;", 'r', u8},
        {"cvt.s32.s8 %r4, %h1;", 'r', s8},
        {"cvt.s32.s8 %r4, %r1;", 'r', s8},
        {"cvt.s64.s8 %rd4, %rd1;", 'q', s8},
        {"cvt.u32.u16 %r4, %h1;", 'r', u16},
        {"cvt.s32.s16 %r4, %h1;", 'r', s16},
        {"cvt.u64.u16 %rd4, %h1;", 'q', u16},
        {"cvt.s64.s16 %rd4, %h1;", 'q', s16},
        {"cvt.u64.u32 %rd4, %r1;", 'q', u32},
        {"cvt.s64.s32 %rd4, %r1;", 'q', s32},
        {"cvt.u16.u32 %h4, %r1;", 'h', u16},
        {"cvt.u32.u64 %r4, %rd1;", 'r', u32},
        {"cvt.u16.u64 %h4, %rd1;", 'h', u16},
        {"cvt.s64.u32 %rd4, %r1;", 'q', u32},
        {"cvt.u64.u64 %rd4, %rd1;", 'q', same},
        /* narrower than the register that is written: extended to it */
        {"cvt.u8.u32 %h4, %r1;", 'h', u8},
        {"cvt.s8.s32 %r4, %r1;", 'r', s8},
        {"cvt.u8.u64 %r4, %rd1;", 'r', u8},
        {"cvt.s16.s32 %r4, %r1;", 'r', s16},
    };
    table_check(rows, COUNT(rows), integers, COUNT(integers));
}

static uint64_t clamped(__int128 x, __int128 low, __int128 high)
{
    return (uint64_t)(x < low ? low : x > high ? high : x);
}

EXPECT(sat_u8_s32, clamped((int32_t)a, 0, 255))
EXPECT(sat_s8_s32, clamped((int32_t)a, -128, 127))
EXPECT(sat_s8_u32, clamped((uint32_t)a, -128, 127))
EXPECT(sat_u32_s64, clamped((int64_t)a, 0, UINT32_MAX))
EXPECT(sat_s32_u64, clamped(a, INT32_MIN, INT32_MAX))
EXPECT(sat_u64_s64, clamped((int64_t)a, 0, UINT64_MAX))

Test(ptx_convert, saturates_integers)
{
    static const struct table_row rows[] = {
        {"cvt.sat.u8.s32 %r4, %r1;", 'r', sat_u8_s32},
        {"cvt.sat.s8.s32 %r4, %r1;", 'r', sat_s8_s32},
        {"cvt.sat.s8.u32 %r4, %r1;", 'r', sat_s8_u32},
        {"cvt.sat.u32.s64 %r4, %rd1;", 'r', sat_u32_s64},
        {"cvt.sat.s32.u64 %r4, %rd1;", 'r', sat_s32_u64},
        {"cvt.sat.u64.s64 %rd4, %rd1;", 'q', sat_u64_s64},
    };
    table_check(rows, COUNT(rows), integers, COUNT(integers));
}

static uint64_t bits32(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof(bits));
    return isnan(x) ? 0x7fffffff : bits;
}

static uint64_t bits64(double x)
{
    uint64_t bits;

    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

/* The float at or next to x on the side that is asked for. x is exact in 113 bits. */
static float towards(quad x, int side)
{
    float nearest = (float)x;

    if (side > 0 && nearest < x)
        return nextafterf(nearest, INFINITY);
    if (side < 0 && nearest > x)
        return nextafterf(nearest, -INFINITY);
    return nearest;
}

#define SIDE_OF_ZERO(x) ((x) < 0 ? 1 : -1)
EXPECT(f32_s32, bits32((float)(int32_t)a))
EXPECT(f32_u32, bits32((float)(uint32_t)a))
EXPECT(f32_u8, bits32((float)(uint8_t)a))
EXPECT(f32_s8, bits32((float)(int8_t)a))
EXPECT(f32_s64, bits32((float)(int64_t)a))
EXPECT(f32_u64, bits32((float)a))
EXPECT(f32_rz_s32, bits32(towards((int32_t)a, SIDE_OF_ZERO((int32_t)a))))
EXPECT(f32_rp_u64, bits32(towards((quad)a, 1)))
EXPECT(f32_rm_s64, bits32(towards((quad)(int64_t)a, -1)))
EXPECT(f64_s32, bits64((int32_t)a))
EXPECT(f64_u64, bits64((double)a))
EXPECT(f64_s64, bits64((double)(int64_t)a))
EXPECT(f16_s32, small_nearest((int32_t)a, 10))
EXPECT(f16_u64, small_nearest((double)a, 10))
EXPECT(f16_s16, small_nearest((int16_t)a, 10))

Test(ptx_convert, rounds_integers_to_floats)
{
    static const struct table_row rows[] = {
        {"cvt.rn.f32.s32 %f4, %r1;", 'f', f32_s32},
        {"cvt.rn.f32.u32 %f4, %r1;", 'f', f32_u32},
        {"cvt.rn.f32.u8 %f4, %h1;", 'f', f32_u8},
        {"cvt.rn.f32.s8 %f4, %h1;", 'f', f32_s8},
        {"cvt.rn.f32.s64 %f4, %rd1;", 'f', f32_s64},
        {"cvt.rn.f32.u64 %f4, %rd1;", 'f', f32_u64},
        {"cvt.rz.f32.s32 %f4, %r1;", 'f', f32_rz_s32},
        {"cvt.rp.f32.u64 %f4, %rd1;", 'f', f32_rp_u64},
        {"cvt.rm.f32.s64 %f4, %rd1;", 'f', f32_rm_s64},
        {"cvt.rn.f64.s32 %fd4, %r1;", 'd', f64_s32},
        {"cvt.rn.f64.u64 %fd4, %rd1;", 'd', f64_u64},
        {"cvt.rn.f64.s64 %fd4, %rd1;", 'd', f64_s64},
        {"cvt.rn.f16.s32 %h4, %r1;", 'h', f16_s32},
        {"cvt.rn.f16.u64 %h4, %rd1;", 'h', f16_u64},
        {"cvt.rn.f16.s16 %h4, %h1;", 'h', f16_s16},
    };
    table_check(rows, COUNT(rows), integers, COUNT(integers));
}

static const uint64_t singles[] = {
    0x00000000, 0x80000000, 0x3f800000, 0x3f000000, 0x3fc00000, 0xbfc00000, 0x40200000,
    0x40600000, 0x3effffff, 0x4effffff, 0x4f000000, 0xcf000000, 0xcf000001, 0x4f7fffff,
    0x4f800000, 0x5f000000, 0xdf000000, 0x5f800000, 0x7f800000, 0xff800000, 0x7fc00000,
    0x00000001, 0x807fffff, 0x33000000, 0x33000001, 0x33800000, 0x38800000, 0x387fe000,
    0x387ff000, 0x477fe000, 0x477ff000, 0x477fefff, 0x47800000, 0x3f801000, 0x3f803000,
    0x7f7fffff, 0x43000000, 0xc3010000, 0x7f7f8000, 0x3f808000, 0x3f818000, 0xbf000001,
};

static float f(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float x;

    memcpy(&x, &low, sizeof(x));
    return x;
}

static double d(uint64_t bits)
{
    double x;

    memcpy(&x, &bits, sizeof(x));
    return x;
}

/* x is whole. */
static uint64_t integer(double x, double low, double high, uint64_t lowest, uint64_t highest)
{
    if (isnan(x))
        return 0;
    if (x <= low)
        return lowest;
    if (x >= high)
        return highest;
    return x < 0 ? (uint64_t)(int64_t)x : (uint64_t)x;
}

static uint64_t as_s32(double x)
{
    return integer(x, INT32_MIN, INT32_MAX, (uint64_t)INT32_MIN, INT32_MAX);
}

static uint64_t as_u32(double x)
{
    return integer(x, 0, UINT32_MAX, 0, UINT32_MAX);
}

static uint64_t as_s64(double x)
{
    return integer(x, -0x1p63, 0x1p63, (uint64_t)INT64_MIN, INT64_MAX);
}

EXPECT(s32_rzi, as_s32(trunc(f(a))))
EXPECT(s32_rni, as_s32(rint(f(a))))
EXPECT(s32_rmi, as_s32(floor(f(a))))
EXPECT(s32_rpi, as_s32(ceil(f(a))))
EXPECT(u32_rzi, as_u32(trunc(f(a))))
EXPECT(u32_rni, as_u32(rint(f(a))))
EXPECT(s64_rzi, as_s64(trunc(f(a))))
EXPECT(u64_rzi, integer(trunc(f(a)), 0, 0x1p64, 0, UINT64_MAX))
EXPECT(u8_rzi, integer(trunc(f(a)), 0, 255, 0, 255))
EXPECT(s8_rni, integer(rint(f(a)), -128, 127, (uint64_t)-128, 127))
EXPECT(s32_h, as_s32(rint(small_value(a & 0xffff, 10))))

Test(ptx_convert, clamps_floats_to_integers_and_makes_nan_zero)
{
    static const struct table_row rows[] = {
        {"cvt.rzi.s32.f32 %r4, %f1;", 'r', s32_rzi},  {"cvt.rni.s32.f32 %r4, %f1;", 'r', s32_rni},
        {"cvt.rmi.s32.f32 %r4, %f1;", 'r', s32_rmi},  {"cvt.rpi.s32.f32 %r4, %f1;", 'r', s32_rpi},
        {"cvt.rzi.u32.f32 %r4, %f1;", 'r', u32_rzi},  {"cvt.rni.u32.f32 %r4, %f1;", 'r', u32_rni},
        {"cvt.rzi.s64.f32 %rd4, %f1;", 'q', s64_rzi}, {"cvt.rzi.u64.f32 %rd4, %f1;", 'q', u64_rzi},
        {"cvt.rzi.u8.f32 %h4, %f1;", 'h', u8_rzi},    {"cvt.rni.s8.f32 %r4, %f1;", 'r', s8_rni},
        {"cvt.rni.s32.f16 %r4, %h1;", 'r', s32_h},
    };
    table_check(rows, COUNT(rows), singles, COUNT(singles));
}

static float flushed(float x)
{
    return fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x;
}

/* The 16-bit float at or next to x on one side of it. */
static uint64_t small_towards(double x, int mantissa, int side)
{
    uint64_t nearest = small_nearest(x, mantissa);
    double value = small_value(nearest, mantissa);

    if (isinf(x) || isnan(x) || value == x || (value < x) == (side < 0))
        return nearest;
    /* One step away from zero, or one towards it. */
    if (value == 0)
        return side > 0 ? 1 : 0x8001;
    return (value > 0) == (side > 0) ? nearest + 1 : nearest - 1;
}

EXPECT(f16_rn, small_nearest(f(a), 10))
EXPECT(f16_rz, small_towards(f(a), 10, signbit(f(a)) ? 1 : -1))
EXPECT(f16_rm, small_towards(f(a), 10, -1))
EXPECT(f16_rp, small_towards(f(a), 10, 1))
EXPECT(f16_sat, small_nearest(isnan(f(a)) || f(a) <= 0 ? 0 : f(a) > 1 ? 1 : f(a), 10))
EXPECT(bf16_rn, small_nearest(f(a), 7))
EXPECT(bf16_rz, small_towards(f(a), 7, signbit(f(a)) ? 1 : -1))
EXPECT(f32_f16, bits32((float)small_value(a & 0xffff, 10)))
EXPECT(f32_bf16, bits32((float)small_value(a & 0xffff, 7)))
EXPECT(f64_f32, bits64(isnan(f(a)) ? 0 : f(a)))
EXPECT(f32_f64, bits32((float)d(a)))
EXPECT(f32_rz_f64, bits32(towards(d(a), signbit(d(a)) ? 1 : -1)))
EXPECT(f32_rp_f64, bits32(towards(d(a), 1)))
EXPECT(f16_f64, small_nearest(d(a), 10))
EXPECT(f32_sat, bits32(isnan(f(a)) || f(a) <= 0 ? 0 : f(a) > 1 ? 1 : f(a)))
EXPECT(f32_ftz, bits32(flushed(f(a))))
EXPECT(f32_rmi, bits32(floorf(f(a))))
EXPECT(f32_rpi, bits32(ceilf(f(a))))
EXPECT(f32_rzi, bits32(truncf(f(a))))
EXPECT(f32_rni, bits32(rintf(f(a))))
EXPECT(f16_rni, small_nearest(rint(small_value(a & 0xffff, 10)), 10))
EXPECT(pair_f16, small_nearest(f(a), 10) << 16 | small_nearest(f(b), 10))
EXPECT(pair_bf16, small_nearest(f(a), 7) << 16 | small_nearest(f(b), 7))
EXPECT(relu_f16, isnan(f(a)) ? 0x7fff : small_nearest(f(a) > 0 ? f(a) : 0, 10))

Test(ptx_convert, rounds_floats_to_floats)
{
    static const struct table_row rows[] = {
        {"cvt.rn.f16.f32 %h4, %f1;", 'h', f16_rn},
        {"cvt.rz.f16.f32 %h4, %f1;", 'h', f16_rz},
        {"cvt.rm.f16.f32 %h4, %f1;", 'h', f16_rm},
        {"cvt.rp.f16.f32 %h4, %f1;", 'h', f16_rp},
        {"cvt.rn.sat.f16.f32 %h4, %f1;", 'h', f16_sat},
        {"cvt.rn.bf16.f32 %h4, %f1;", 'h', bf16_rn},
        {"cvt.rz.bf16.f32 %h4, %f1;", 'h', bf16_rz},
        {"cvt.f32.f16 %f4, %h1;", 'f', f32_f16},
        {"cvt.f32.bf16 %f4, %h1;", 'f', f32_bf16},
        {"cvt.f64.f32 %fd4, %f1; testp.notanumber.f64 %p4, %fd4; @%p4 mov.f64 %fd4, "
         "0d0000000000000000;",
         'd', f64_f32},
        {"cvt.sat.f32.f32 %f4, %f1;", 'f', f32_sat},
        {"cvt.ftz.f32.f32 %f4, %f1;", 'f', f32_ftz},
        {"cvt.rmi.f32.f32 %f4, %f1;", 'f', f32_rmi},
        {"cvt.rpi.f32.f32 %f4, %f1;", 'f', f32_rpi},
        {"cvt.rzi.f32.f32 %f4, %f1;", 'f', f32_rzi},
        {"cvt.rni.f32.f32 %f4, %f1;", 'f', f32_rni},
        {"cvt.rni.f16.f16 %h4, %h1;", 'h', f16_rni},
        {"cvt.rn.f16x2.f32 %r4, %f1, %f2;", 'r', pair_f16},
        {"cvt.rn.bf16x2.f32 %r4, %f1, %f2;", 'r', pair_bf16},
        {"cvt.rn.relu.f16.f32 %h4, %f1;", 'h', relu_f16},
    };
    table_check(rows, COUNT(rows), singles, COUNT(singles));
}

Test(ptx_convert, rounds_doubles_once)
{
    static const uint64_t doubles[] = {
        0,
        0x8000000000000000,
        0x3ff0000000000000,
        0x3ff0000010000000,
        0x3ff0000010000001,
        0x3ff0000030000000,
        0x3ff0020000000001,
        0x3ff0020000000000,
        0xbff0000010000001,
        0x47efffffefffffff,
        0x47effffff0000000,
        0x7fefffffffffffff,
        0x36a0000000000000,
        0x3690000000000000,
        0x3690000000000001,
        0x0000000000000001,
        0x7ff0000000000000,
        0xfff0000000000000,
        0x7ff8000000000000,
        0x3e60000000000001,
        0x40effe0000000000,
    };
    static const struct table_row rows[] = {
        {"cvt.rn.f32.f64 %f4, %fd1;", 'f', f32_f64},
        {"cvt.rz.f32.f64 %f4, %fd1;", 'f', f32_rz_f64},
        {"cvt.rp.f32.f64 %f4, %fd1;", 'f', f32_rp_f64},
        {"cvt.rn.f16.f64 %h4, %fd1;", 'h', f16_f64},
    };
    table_check(rows, COUNT(rows), doubles, COUNT(doubles));
}

/* Every f16 to f32, and back; in both directions and the neighbours in between. */
Test(ptx_convert, takes_every_half_to_f32_and_back)
{
    static const char body[] =
        "ld.param.u64 %rd1, [p0]; mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x;"
        "mad.lo.u32 %r1, %r2, 256, %r1; mad.wide.u32 %rd1, %r1, 8, %rd1;"
        "cvt.u16.u32 %h1, %r1; cvt.f32.f16 %f1, %h1; st.global.f32 [%rd1], %f1;"
        "mov.b32 %r3, %f1; shl.b32 %r4, %r2, 5; add.u32 %r3, %r3, %r4; mov.b32 %f2, %r3;"
        "cvt.rn.f16.f32 %h2, %f2; cvt.u32.u16 %r5, %h2; st.global.u32 [%rd1+4], %r5; ret;";
    struct ptx_module *module = fake_load_body(body);
    uint64_t at = fake_alloc(65536 * 8);
    struct ptx_fault fault;
    const struct {
        float value;
        uint32_t half;
    } *out = fake_host(at);

    cr_assert_eq(fake_run(module, "k", 256, 256, 0, &fault, (uint64_t[4]){at}), PTX_DONE);
    for (uint32_t i = 0; i < 65536; i++) {
        uint64_t moved = bits32((float)small_value(i, 10)) + (i >> 8 << 5);
        cr_assert_eq(bits32(out[i].value), bits32((float)small_value(i, 10)), "%#x", i);
        cr_assert_eq(out[i].half, small_nearest(f(moved), 10), "%#x", i);
    }
    ptx_module_free(module);
    fake_reset();
}
