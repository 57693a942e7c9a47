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

#define H(x) half_float(x)
#define W(x) ((double)bfloat_float(x))

/* One and two to a lane: a pair is just twice the elements. */
#define ELEMENTS(name, n, expression)                                                              \
    RUN(name)                                                                                      \
    {                                                                                              \
        DST(uint16_t);                                                                             \
        A(uint16_t);                                                                               \
        B(uint16_t);                                                                               \
        C(uint16_t);                                                                               \
        (void)b;                                                                                   \
        (void)c;                                                                                   \
        EACH_LANE(for (unsigned int i = lane * n; i < lane * n + n; i++) {                         \
            const uint16_t x = a[i];                                                               \
            d[i] = half_finish(expression, insn->mode);                                            \
        });                                                                                        \
        return PTX_STEP_NEXT;                                                                      \
    }
#define HALF(name, expression)                                                                     \
    ELEMENTS(run_##name##_f16, 1, expression)                                                      \
    ELEMENTS(run_##name##_f16x2, 2, expression)
#define BFLOAT(name, expression)                                                                   \
    ELEMENTS(run_##name##_bf16, 1, expression)                                                     \
    ELEMENTS(run_##name##_bf16x2, 2, expression)

HALF(add, float_half(H(x) + H(b[i])))
HALF(sub, float_half(H(x) - H(b[i])))
HALF(mul, float_half(H(x) * H(b[i])))
HALF(fma, half_fma(x, b[i], c[i]))
HALF(min, float_half(min_f32(H(x), H(b[i]))))
HALF(max, float_half(max_f32(H(x), H(b[i]))))
HALF(neg, x ^ 0x8000)
HALF(abs, x & 0x7fff)
HALF(ex2, float_half(exp2f(H(x))))
HALF(tanh, float_half(tanhf(H(x))))
BFLOAT(add, bfloat_round(W(x) + W(b[i])))
BFLOAT(sub, bfloat_round(W(x) - W(b[i])))
BFLOAT(mul, bfloat_round(W(x) * W(b[i])))
BFLOAT(fma, bfloat_fma(x, b[i], c[i]))
BFLOAT(min, bfloat_round(min_f32(bfloat_float(x), bfloat_float(b[i]))))
BFLOAT(max, bfloat_round(max_f32(bfloat_float(x), bfloat_float(b[i]))))
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
    {"ex2.approx", "", "tt", .runs = HALVES(run_ex2)},
    {"ex2.approx.ftz", "", "tt", .runs = BFLOATS(run_ex2)},
    {"tanh.approx", "", "tt", .runs = ALL(run_tanh)},
    {NULL},
};
