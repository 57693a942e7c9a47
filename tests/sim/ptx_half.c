/* SPDX-License-Identifier: MIT */

/*
 * Arithmetic on floats of 16 bits, alone and in pairs.
 *
 * f16 sums and products go through f32, where they are exact or rounded so finely that rounding
 * again to 11 bits is right; bf16, whose exponent range is that of f32, through f64. A fused
 * multiply-add is rounded to odd in between (ptx_number.h). Subnormals are kept.
 */

#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_number.h"
#include "tests/sim/ptx_opcode.h"

static uint16_t bfloat_round(double x)
{
    return round_to_16(x, BFLOAT_MANTISSA, PTX_ROUND_NEAREST);
}

static uint16_t half_finish(uint16_t half, unsigned int mode)
{
    bool nan = (half & 0x7fff) > 0x7c00;

    if (mode & PTX_MODE_SAT)
        return nan || half & 0x8000 ? 0 : half > 0x3c00 ? 0x3c00 : half;
    if (mode & PTX_MODE_RELU && half & 0x8000)
        return nan ? PTX_NAN16 : 0;
    return half;
}

static uint16_t half_fma(uint16_t x, uint16_t y, uint16_t z)
{
    double sum = fma_to_odd(half_float(x), half_float(y), half_float(z));

    return round_to_16(sum, HALF_MANTISSA, PTX_ROUND_NEAREST);
}

static uint16_t bfloat_fma(uint16_t x, uint16_t y, uint16_t z)
{
    return bfloat_round(fma_to_odd(bfloat_float(x), bfloat_float(y), bfloat_float(z)));
}

/* A subnormal becomes a zero of its sign. */
static uint16_t half_flush(uint16_t x)
{
    return x & 0x7c00 ? x : x & 0x8000;
}

static bool half_is_nan(uint16_t x)
{
    return (x & 0x7fff) > 0x7c00;
}

static bool bfloat_is_nan(uint16_t x)
{
    return (x & 0x7fff) > 0x7f80;
}

#define H(x)      half_float(x)
#define W(x)      ((double)bfloat_float(x))
#define ITSELF(x) (x)

/* One and two to a lane: a pair is just twice the elements. `before` and `after` are applied to
 * operands and result. */
#define ELEMENTS(name, n, before, after, expression)                                               \
    RUN(name)                                                                                      \
    {                                                                                              \
        DST(uint16_t);                                                                             \
        A(uint16_t);                                                                               \
        B(uint16_t);                                                                               \
        C(uint16_t);                                                                               \
        (void)b;                                                                                   \
        (void)c;                                                                                   \
        EACH_LANE(for (unsigned int i = lane * n; i < lane * n + n; i++) {                         \
            const uint16_t x = before(a[i]);                                                       \
            const uint16_t y = before(b[i]);                                                       \
            const uint16_t z = before(c[i]);                                                       \
            (void)y;                                                                               \
            (void)z;                                                                               \
            d[i] = half_finish(after(expression), insn->mode);                                     \
        });                                                                                        \
        return PTX_STEP_NEXT;                                                                      \
    }
#define KEPT(name, expression)                                                                     \
    ELEMENTS(run_##name##_f16, 1, ITSELF, ITSELF, expression)                                      \
    ELEMENTS(run_##name##_f16x2, 2, ITSELF, ITSELF, expression)
#define HALF(name, expression)                                                                     \
    KEPT(name, expression)                                                                         \
    ELEMENTS(run_##name##_ftz_f16, 1, half_flush, half_flush, expression)                          \
    ELEMENTS(run_##name##_ftz_f16x2, 2, half_flush, half_flush, expression)
#define BFLOAT(name, expression)                                                                   \
    ELEMENTS(run_##name##_bf16, 1, ITSELF, ITSELF, expression)                                     \
    ELEMENTS(run_##name##_bf16x2, 2, ITSELF, ITSELF, expression)

HALF(add, float_half(H(x) + H(y)))
HALF(sub, float_half(H(x) - H(y)))
HALF(mul, float_half(H(x) * H(y)))
HALF(fma, half_fma(x, y, z))
HALF(min, float_half(min_f32(H(x), H(y))))
HALF(max, float_half(max_f32(H(x), H(y))))
HALF(min_nan, half_is_nan(x) || half_is_nan(y) ? PTX_NAN16 : float_half(min_f32(H(x), H(y))))
HALF(max_nan, half_is_nan(x) || half_is_nan(y) ? PTX_NAN16 : float_half(max_f32(H(x), H(y))))
HALF(neg, x ^ 0x8000)
HALF(abs, x & 0x7fff)
KEPT(ex2, float_half(exp2f(H(x))))
KEPT(tanh, float_half(tanhf(H(x))))
BFLOAT(add, bfloat_round(W(x) + W(y)))
BFLOAT(sub, bfloat_round(W(x) - W(y)))
BFLOAT(mul, bfloat_round(W(x) * W(y)))
BFLOAT(fma, bfloat_fma(x, y, z))
BFLOAT(min, bfloat_round(min_f32(bfloat_float(x), bfloat_float(y))))
BFLOAT(max, bfloat_round(max_f32(bfloat_float(x), bfloat_float(y))))
BFLOAT(min_nan, bfloat_is_nan(x) || bfloat_is_nan(y)
                    ? PTX_NAN16
                    : bfloat_round(min_f32(bfloat_float(x), bfloat_float(y))))
BFLOAT(max_nan, bfloat_is_nan(x) || bfloat_is_nan(y)
                    ? PTX_NAN16
                    : bfloat_round(max_f32(bfloat_float(x), bfloat_float(y))))
BFLOAT(neg, x ^ 0x8000)
BFLOAT(abs, x & 0x7fff)
BFLOAT(ex2, bfloat_round(exp2(W(x))))
BFLOAT(tanh, bfloat_round(tanh(W(x))))

#define HALVES(f)  PTX_RUNS([PTX_F16] = f##_f16, [PTX_F16X2] = f##_f16x2)
#define BFLOATS(f) PTX_RUNS([PTX_BF16] = f##_bf16, [PTX_BF16X2] = f##_bf16x2)
#define ALL(f)                                                                                     \
    PTX_RUNS([PTX_F16] = f##_f16, [PTX_F16X2] = f##_f16x2, [PTX_BF16] = f##_bf16,                  \
             [PTX_BF16X2] = f##_bf16x2)

const struct ptx_opcode ptx_half_opcodes[] = {
    {"add", "rn sat", "ttt", .runs = HALVES(run_add)},
    {"add", "rn", "ttt", .runs = BFLOATS(run_add)},
    {"sub", "rn sat", "ttt", .runs = HALVES(run_sub)},
    {"sub", "rn", "ttt", .runs = BFLOATS(run_sub)},
    {"mul", "rn sat", "ttt", .runs = HALVES(run_mul)},
    {"mul", "rn", "ttt", .runs = BFLOATS(run_mul)},
    {"fma.rn", "sat relu", "tttt", .runs = HALVES(run_fma)},
    {"fma.rn", "relu", "tttt", .runs = BFLOATS(run_fma)},
    {"min", "", "ttt", .runs = ALL(run_min)},
    {"max", "", "ttt", .runs = ALL(run_max)},
    {"neg", "", "tt", .runs = ALL(run_neg)},
    {"abs", "", "tt", .runs = ALL(run_abs)},
    {"add.ftz", "rn sat", "ttt", .runs = HALVES(run_add_ftz)},
    {"sub.ftz", "rn sat", "ttt", .runs = HALVES(run_sub_ftz)},
    {"mul.ftz", "rn sat", "ttt", .runs = HALVES(run_mul_ftz)},
    {"fma.rn.ftz", "sat relu", "tttt", .runs = HALVES(run_fma_ftz)},
    {"min.ftz", "", "ttt", .runs = HALVES(run_min_ftz)},
    {"max.ftz", "", "ttt", .runs = HALVES(run_max_ftz)},
    {"neg.ftz", "", "tt", .runs = HALVES(run_neg_ftz)},
    {"abs.ftz", "", "tt", .runs = HALVES(run_abs_ftz)},
    {"min.NaN", "", "ttt", .runs = ALL(run_min_nan)},
    {"max.NaN", "", "ttt", .runs = ALL(run_max_nan)},
    {"min.ftz.NaN", "", "ttt", .runs = HALVES(run_min_nan_ftz)},
    {"max.ftz.NaN", "", "ttt", .runs = HALVES(run_max_nan_ftz)},
    {"ex2.approx", "", "tt", .runs = HALVES(run_ex2)},
    {"ex2.approx.ftz", "", "tt", .runs = BFLOATS(run_ex2)},
    {"tanh.approx", "", "tt", .runs = ALL(run_tanh)},
    {NULL},
};
