/* SPDX-License-Identifier: MIT */

/*
 * Float instructions against C.
 *
 * Rounding to nearest is checked against the host's arithmetic in a wider type; a rounding
 * direction against the nearest result, moved by one step where the exact remainder says so.
 */

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/test_ptx_support.h"
#include "tests/test_ptx_table.h"

static const uint64_t singles[] = {
    0x00000000, 0x80000000, 0x3f800000, 0xbf800000, 0x3f800001, 0x3f7fffff, 0x33800000, 0x00800000,
    0x007fffff, 0x80000001, 0x00000001, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000,
    0xffc12345, 0x7f800001, 0x40490fdb, 0x3dcccccd, 0xc2f6e979, 0x4b800001,
};
static const uint64_t doubles[] = {
    0x0000000000000000, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000001,
    0x0010000000000000, 0x000fffffffffffff, 0x8000000000000001, 0x7fefffffffffffff,
    0x7ff0000000000000, 0xfff0000000000000, 0x3fb999999999999a, 0xc05edd3c07ee0b0b,
    0x3ca0000000000000, 0x400921fb54442d18,
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

/* Every f32 NaN is the one that PTX gives. */
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

/* Twice the digits of f32 and two more: rounding twice is rounding once. */
EXPECT(add, bits32((float)((double)f(a) + f(b))))
EXPECT(sub, bits32((float)((double)f(a) - f(b))))
EXPECT(mul, bits32((float)((double)f(a) * f(b))))
EXPECT(div_, bits32((float)((double)f(a) / f(b))))
EXPECT(rcp, bits32((float)(1.0 / f(a))))
EXPECT(sqrt_, bits32((float)sqrt(f(a))))
EXPECT(fma_, bits32(fmaf(f(a), f(b), f(c))))

Test(ptx_float, rounds_f32_to_nearest)
{
    static const struct table_row rows[] = {
        {"add.f32 %f4, %f1, %f2;", 'f', add},
        {"add.rn.f32 %f4, %f1, %f2;", 'f', add},
        {"sub.f32 %f4, %f1, %f2;", 'f', sub},
        {"mul.f32 %f4, %f1, %f2;", 'f', mul},
        {"mul.rn.f32 %f4, %f1, %f2;", 'f', mul},
        {"div.rn.f32 %f4, %f1, %f2;", 'f', div_},
        {"rcp.rn.f32 %f4, %f1;", 'f', rcp},
        {"sqrt.rn.f32 %f4, %f1;", 'f', sqrt_},
        {"fma.rn.f32 %f4, %f1, %f2, %f3;", 'f', fma_},
        {"mad.f32 %f4, %f1, %f2, %f3;", 'f', fma_},
    };
    table_check(rows, COUNT(rows), singles, COUNT(singles));
}

static uint64_t fused_leaves_the_tail(uint64_t a, uint64_t b, uint64_t c)
{
    return 0x33800000; /* (1 + 2^-12)^2 - (1 + 2^-11) = 2^-24; unfused it is 0 */
}

Test(ptx_float, fuses_multiply_and_add)
{
    static const struct table_row rows[] = {
        {"fma.rn.f32 %f4, 0f3F800800, 0f3F800800, 0fBF801000;", 'f', fused_leaves_the_tail},
    };
    table_check(rows, COUNT(rows), singles, 4);
}

static double smaller(double x, double y)
{
    if (isnan(x) || isnan(y))
        return isnan(x) ? y : x;
    if (x == y)
        return signbit(x) ? x : y;
    return x < y ? x : y;
}

static double larger(double x, double y)
{
    return isnan(x) || isnan(y) ? smaller(x, y) : -smaller(-x, -y);
}

/* Which NaN an f64 result is, is left open: the rows make it this one. */
static uint64_t any_nan(double x)
{
    return isnan(x) ? 0xfff8000000000000 : bits64(x);
}

EXPECT(add64, any_nan(d(a) + d(b)))
EXPECT(sub64, any_nan(d(a) - d(b)))
EXPECT(mul64, any_nan(d(a) * d(b)))
EXPECT(div64, any_nan(d(a) / d(b)))
EXPECT(sqrt64, any_nan(sqrt(d(a))))
EXPECT(min64, any_nan(smaller(d(a), d(b))))
EXPECT(max64, any_nan(larger(d(a), d(b))))
EXPECT(neg64, a ^ (uint64_t)1 << 63)
EXPECT(abs64, a & ~((uint64_t)1 << 63))
EXPECT(fma64, any_nan(fma(d(a), d(b), d(c))))

#define SAME_NAN(op) op " testp.notanumber.f64 %p4, %fd4; @%p4 mov.f64 %fd4, 0dfff8000000000000;"

Test(ptx_float, computes_f64)
{
    static const struct table_row rows[] = {
        {SAME_NAN("add.f64 %fd4, %fd1, %fd2;"), 'd', add64},
        {SAME_NAN("sub.rn.f64 %fd4, %fd1, %fd2;"), 'd', sub64},
        {SAME_NAN("mul.f64 %fd4, %fd1, %fd2;"), 'd', mul64},
        {SAME_NAN("div.rn.f64 %fd4, %fd1, %fd2;"), 'd', div64},
        {SAME_NAN("sqrt.rn.f64 %fd4, %fd1;"), 'd', sqrt64},
        {SAME_NAN("fma.rn.f64 %fd4, %fd1, %fd2, %fd3;"), 'd', fma64},
        {SAME_NAN("min.f64 %fd4, %fd1, %fd2;"), 'd', min64},
        {SAME_NAN("max.f64 %fd4, %fd1, %fd2;"), 'd', max64},
        {"neg.f64 %fd4, %fd1;", 'd', neg64},
        {"abs.f64 %fd4, %fd1;", 'd', abs64},
    };
    table_check(rows, COUNT(rows), doubles, COUNT(doubles));
}

EXPECT(min32, bits32((float)smaller(f(a), f(b))))
EXPECT(max32, bits32((float)larger(f(a), f(b))))
EXPECT(min_nan32, isnan(f(a)) || isnan(f(b)) ? 0x7fffffff : min32(a, b, c))
EXPECT(neg32, a ^ 0x80000000)
EXPECT(abs32, a & 0x7fffffff)
EXPECT(copysign32, (a & 0x80000000) | (b & 0x7fffffff))

Test(ptx_float, orders_zeros_and_skips_nan_in_min_and_max)
{
    static const struct table_row rows[] = {
        {"min.f32 %f4, %f1, %f2;", 'f', min32},
        {"max.f32 %f4, %f1, %f2;", 'f', max32},
        {"min.NaN.f32 %f4, %f1, %f2;", 'f', min_nan32},
        {"neg.f32 %f4, %f1;", 'f', neg32},
        {"abs.f32 %f4, %f1;", 'f', abs32},
        {"copysign.f32 %f4, %f1, %f2;", 'f', copysign32},
    };
    table_check(rows, COUNT(rows), singles, COUNT(singles));
}

enum direction { TO_ZERO, DOWN, UP };

/* `nearest` moved to what the direction asks for; `rest` has the sign of exact - nearest. */
static uint64_t directed(float nearest, quad rest, enum direction direction)
{
    bool below = rest < 0;
    bool above = rest > 0;

    if (direction == DOWN || (direction == TO_ZERO && !signbit(nearest)))
        return bits32(below ? nextafterf(nearest, -INFINITY) : nearest);
    return bits32(above ? nextafterf(nearest, INFINITY) : nearest);
}

/* big + small - nearest, in an order that loses nothing that matters. */
static quad rest_of_sum(quad x, quad y, float nearest)
{
    quad big = (x < 0 ? -x : x) > (y < 0 ? -y : y) ? x : y;
    quad small = big == x ? y : x;

    if (isinf((double)x) || isinf((double)y))
        return 0;
    return (big - nearest) + small;
}

static uint64_t directed_sum(float x, float y, enum direction direction)
{
    float nearest = (float)((double)x + y);

    if (x == -y && isfinite(x) && direction == DOWN && !(x == 0 && !signbit(x) && !signbit(y)))
        return 0x80000000;
    return directed(nearest, rest_of_sum(x, y, nearest), direction);
}

static quad rest_of_product(float x, float y, float nearest)
{
    return isinf(x) || isinf(y) ? 0 : (quad)x * y - nearest;
}

static uint64_t directed_product(float x, float y, enum direction direction)
{
    float nearest = (float)((double)x * y);

    return directed(nearest, rest_of_product(x, y, nearest), direction);
}

static uint64_t directed_quotient(float x, float y, enum direction direction)
{
    float nearest = (float)((double)x / y);
    quad rest = (quad)x - (quad)nearest * y;

    if (isinf(x) || isinf(y) || y == 0)
        rest = 0;
    return directed(nearest, y < 0 ? -rest : rest, direction);
}

static uint64_t directed_root(float x, enum direction direction)
{
    float nearest = (float)sqrt(x);
    quad rest = isinf(x) || isnan(nearest) ? 0 : (quad)x - (quad)nearest * nearest;

    return directed(nearest, rest, direction);
}

EXPECT(add_rz, directed_sum(f(a), f(b), TO_ZERO))
EXPECT(add_rm, directed_sum(f(a), f(b), DOWN))
EXPECT(add_rp, directed_sum(f(a), f(b), UP))
EXPECT(sub_rz, directed_sum(f(a), -f(b), TO_ZERO))
EXPECT(mul_rz, directed_product(f(a), f(b), TO_ZERO))
EXPECT(mul_rm, directed_product(f(a), f(b), DOWN))
EXPECT(mul_rp, directed_product(f(a), f(b), UP))
EXPECT(div_rz, directed_quotient(f(a), f(b), TO_ZERO))
EXPECT(div_rp, directed_quotient(f(a), f(b), UP))
EXPECT(rcp_rm, directed_quotient(1.0f, f(a), DOWN))
EXPECT(sqrt_rp, directed_root(f(a), UP))

Test(ptx_float, rounds_in_the_direction_asked_for)
{
    static const struct table_row rows[] = {
        {"add.rz.f32 %f4, %f1, %f2;", 'f', add_rz}, {"add.rm.f32 %f4, %f1, %f2;", 'f', add_rm},
        {"add.rp.f32 %f4, %f1, %f2;", 'f', add_rp}, {"sub.rz.f32 %f4, %f1, %f2;", 'f', sub_rz},
        {"mul.rz.f32 %f4, %f1, %f2;", 'f', mul_rz}, {"mul.rm.f32 %f4, %f1, %f2;", 'f', mul_rm},
        {"mul.rp.f32 %f4, %f1, %f2;", 'f', mul_rp}, {"div.rz.f32 %f4, %f1, %f2;", 'f', div_rz},
        {"div.rp.f32 %f4, %f1, %f2;", 'f', div_rp}, {"rcp.rm.f32 %f4, %f1;", 'f', rcp_rm},
        {"sqrt.rp.f32 %f4, %f1;", 'f', sqrt_rp},
    };
    table_check(rows, COUNT(rows), singles, COUNT(singles));
}

static float flushed(float x)
{
    return fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x;
}

static float saturated(float x)
{
    return isnan(x) || x <= 0 ? 0 : x > 1 ? 1 : x;
}

EXPECT(add_ftz, bits32(flushed(flushed(f(a)) + flushed(f(b)))))
EXPECT(mul_ftz, bits32(flushed(flushed(f(a)) * flushed(f(b)))))
EXPECT(fma_ftz, bits32(flushed(fmaf(flushed(f(a)), flushed(f(b)), flushed(f(c))))))
EXPECT(add_sat, bits32(saturated(f(a) + f(b))))
EXPECT(mul_sat, bits32(saturated(f(a) * f(b))))
EXPECT(neg_ftz, isnan(f(a)) ? 0x7fffffff : bits32(-flushed(f(a))))
EXPECT(max_ftz, bits32((float)larger(flushed(f(a)), flushed(f(b)))))

Test(ptx_float, flushes_and_saturates_when_asked_to)
{
    static const struct table_row rows[] = {
        {"add.ftz.f32 %f4, %f1, %f2;", 'f', add_ftz},
        {"mul.ftz.f32 %f4, %f1, %f2;", 'f', mul_ftz},
        {"fma.rn.ftz.f32 %f4, %f1, %f2, %f3;", 'f', fma_ftz},
        {"add.sat.f32 %f4, %f1, %f2;", 'f', add_sat},
        {"mul.sat.f32 %f4, %f1, %f2;", 'f', mul_sat},
        {"neg.ftz.f32 %f4, %f1;", 'f', neg_ftz},
        {"max.ftz.f32 %f4, %f1, %f2;", 'f', max_ftz},
    };
    table_check(rows, COUNT(rows), singles, COUNT(singles));
}

static double inverse_root(double x)
{
    return 1 / sqrt(x);
}

static double reciprocal(double x)
{
    return 1 / x;
}

/* Within two units in the last place of the true value, and equal where that is no number. */
static void check_approximate(const char *ptx, double (*function)(double), double low, double high)
{
    char body[256];
    uint64_t at = fake_alloc(1024 * sizeof(float));
    float *x = fake_host(at);
    float input[1024];
    struct ptx_module *module;
    struct ptx_fault fault;

    for (unsigned int i = 0; i < 1024; i++)
        input[i] = x[i] = (float)(low + (high - low) * i / 1023);
    input[0] = x[0] = INFINITY;
    input[1] = x[1] = NAN;
    input[2] = x[2] = -0.0f;
    snprintf(body, sizeof(body),
             "ld.param.u64 %%rd1, [p0]; mov.u32 %%r1, %%tid.x; mad.wide.u32 %%rd1, %%r1, 4, %%rd1;"
             "ld.global.f32 %%f1, [%%rd1]; %s %%f2, %%f1; st.global.f32 [%%rd1], %%f2; ret;",
             ptx);
    module = fake_load_body(body);
    cr_assert_eq(fake_run(module, "k", 1, 1024, 0, &fault, (uint64_t[4]){at}), PTX_DONE);
    for (unsigned int i = 0; i < 1024; i++) {
        /* The range of the result is that of f32. */
        double expected = function(input[i]);
        expected = fabs(expected) > FLT_MAX ? (double)(float)expected : expected;
        double unit = fabs(expected) * 0x1p-23 + 0x1p-149;
        cr_assert(isnan(expected) ? isnan(x[i])
                                  : x[i] == expected || fabs(x[i] - expected) <= 2 * unit,
                  "%s of %a gives %a, not %a", ptx, input[i], x[i], expected);
    }
    ptx_module_free(module);
    fake_reset();
}

Test(ptx_float, approximates_closely)
{
    check_approximate("ex2.approx.f32", exp2, -149, 130);
    check_approximate("ex2.approx.ftz.f32", exp2, -20, 20);
    check_approximate("lg2.approx.f32", log2, -1, 100);
    check_approximate("sin.approx.f32", sin, -10, 10);
    check_approximate("cos.approx.f32", cos, -10, 10);
    check_approximate("tanh.approx.f32", tanh, -10, 10);
    check_approximate("rsqrt.approx.f32", inverse_root, -1, 1000);
    check_approximate("sqrt.approx.f32", sqrt, -1, 1000);
    check_approximate("rcp.approx.f32", reciprocal, -10, 10);
    check_approximate("rcp.approx.ftz.f32", reciprocal, -10, 10);
}

static const uint64_t halves[] = {
    0x0000, 0x8000, 0x3c00, 0xbc00, 0x3c01, 0x3bff, 0x0400, 0x03ff, 0x0001, 0x8001, 0x7bff, 0xfbff,
    0x7c00, 0xfc00, 0x7e00, 0x4248, 0x2e66, 0x1400, 0x6400, 0x8400, 0x3555, 0x0233, 0x3f80, 0x3f81,
};
#define H(x) small_value((x)&0xffff, 10)
#define W(x) small_value((x)&0xffff, 7)
EXPECT(add_h, small_nearest(H(a) + H(b), 10))
EXPECT(sub_h, small_nearest(H(a) - H(b), 10))
EXPECT(mul_h, small_nearest(H(a) * H(b), 10))
EXPECT(fma_h, small_nearest((double)((long double)H(a) * H(b) + H(c)), 10))
EXPECT(add_w, small_nearest(W(a) + W(b), 7))
EXPECT(mul_w, small_nearest(W(a) * W(b), 7))
EXPECT(fma_w, small_nearest((double)((quad)W(a) * W(b) + (quad)W(c)), 7))
EXPECT(neg_h, a ^ 0x8000)
EXPECT(abs_h, a & 0x7fff)
EXPECT(min_h, small_nearest(smaller(H(a), H(b)), 10))
EXPECT(max_h, small_nearest(larger(H(a), H(b)), 10))
EXPECT(sat_h, small_nearest(saturated((float)(H(a) + H(b))), 10))

Test(ptx_float, computes_in_16_bits)
{
    static const struct table_row rows[] = {
        {"add.f16 %h4, %h1, %h2;", 'h', add_h},
        {"add.rn.f16 %h4, %h1, %h2;", 'h', add_h},
        {"sub.f16 %h4, %h1, %h2;", 'h', sub_h},
        {"mul.f16 %h4, %h1, %h2;", 'h', mul_h},
        {"fma.rn.f16 %h4, %h1, %h2, %h3;", 'h', fma_h},
        {"neg.f16 %h4, %h1;", 'h', neg_h},
        {"abs.f16 %h4, %h1;", 'h', abs_h},
        {"min.f16 %h4, %h1, %h2;", 'h', min_h},
        {"max.f16 %h4, %h1, %h2;", 'h', max_h},
        {"add.sat.f16 %h4, %h1, %h2;", 'h', sat_h},
        {"add.rn.bf16 %h4, %h1, %h2;", 'h', add_w},
        {"mul.rn.bf16 %h4, %h1, %h2;", 'h', mul_w},
        {"fma.rn.bf16 %h4, %h1, %h2, %h3;", 'h', fma_w},
    };
    table_check(rows, COUNT(rows), halves, COUNT(halves));
}

/* The same in both halves of a register. */
#define PAIR(function)                                                                             \
    ((function(a, b, c) & 0xffff) | function(a >> 16 & 0xffff, b >> 16 & 0xffff, c >> 16 & 0xffff) \
                                        << 16)
EXPECT(add_h2, PAIR(add_h))
EXPECT(mul_h2, PAIR(mul_h))
EXPECT(fma_h2, PAIR(fma_h))
EXPECT(neg_h2, PAIR(neg_h))
EXPECT(fma_w2, PAIR(fma_w))

Test(ptx_float, computes_in_pairs_of_16_bits)
{
    static const uint64_t pairs[] = {
        0x3c003c01, 0xbc000001, 0x7bff0000, 0x80007c00, 0x2e66fbff, 0x14006400,
        0x03ff3555, 0x42488001, 0x3f803f81, 0x7e003c00, 0x00010001,
    };
    static const struct table_row rows[] = {
        {"add.f16x2 %r4, %r1, %r2;", 'r', add_h2},
        {"mul.rn.f16x2 %r4, %r1, %r2;", 'r', mul_h2},
        {"fma.rn.f16x2 %r4, %r1, %r2, %r3;", 'r', fma_h2},
        {"neg.f16x2 %r4, %r1;", 'r', neg_h2},
        {"fma.rn.bf16x2 %r4, %r1, %r2, %r3;", 'r', fma_w2},
    };
    table_check(rows, COUNT(rows), pairs, COUNT(pairs));
}
