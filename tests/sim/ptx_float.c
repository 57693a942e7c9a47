/* SPDX-License-Identifier: MIT */

/*
 * Floats of 32 and 64 bits, rounded to nearest, with subnormals: the fast rows. Other roundings,
 * flushing and saturation are in ptx_rounded.c.
 *
 * add, sub, mul, fma, div, rcp and sqrt are those of IEEE 754; fma is fused. The approximate
 * functions are the host's libm at the operand's width, so they are more exact than a device's, and
 * div.full and div.approx are the true quotient. An f32 result that is NaN is always 0x7fffffff.
 */

#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_number.h"
#include "tests/sim/ptx_opcode.h"

#define UNARY32(name, expression)  PTX_UNARY(name##_f32, float, float, one_nan(expression))
#define BINARY32(name, expression) PTX_BINARY(name##_f32, float, float, float, one_nan(expression))
#define UNARY64(name, expression)  PTX_UNARY(name##_f64, double, double, expression)
#define BINARY64(name, expression) PTX_BINARY(name##_f64, double, double, double, expression)

BINARY32(run_add, x + y)
BINARY32(run_sub, x - y)
BINARY32(run_mul, x *y)
BINARY32(run_div, x / y)
BINARY32(run_min, min_f32(x, y))
BINARY32(run_max, max_f32(x, y))
BINARY32(run_min_nan, x == x && y == y ? min_f32(x, y) : PTX_NAN32)
BINARY32(run_max_nan, x == x && y == y ? max_f32(x, y) : PTX_NAN32)
PTX_TERNARY(run_fma_f32, float, float, float, float, one_nan(fmaf(x, y, z)))
UNARY32(run_sqrt, sqrtf(x))
UNARY32(run_rcp, 1.0f / x)

BINARY64(run_add, x + y)
BINARY64(run_sub, x - y)
BINARY64(run_mul, x *y)
BINARY64(run_div, x / y)
BINARY64(run_min, min_f64(x, y))
BINARY64(run_max, max_f64(x, y))
PTX_TERNARY(run_fma_f64, double, double, double, double, fma(x, y, z))
UNARY64(run_sqrt, sqrt(x))
UNARY64(run_rcp, 1.0 / x)
UNARY64(run_rsqrt, 1.0 / sqrt(x))

/* Sign operations touch only the sign bit, of a NaN too. */
PTX_UNARY(run_neg_f32, uint32_t, uint32_t, x ^ 0x80000000)
PTX_UNARY(run_abs_f32, uint32_t, uint32_t, x & 0x7fffffff)
PTX_UNARY(run_neg_f64, uint64_t, uint64_t, x ^ (uint64_t)1 << 63)
PTX_UNARY(run_abs_f64, uint64_t, uint64_t, x & ~((uint64_t)1 << 63))
PTX_BINARY(run_copysign_f32, uint32_t, uint32_t, uint32_t, (x & 0x80000000) | (y & 0x7fffffff))
PTX_BINARY(run_copysign_f64, uint64_t, uint64_t, uint64_t,
           (x & (uint64_t)1 << 63) | (y & ~((uint64_t)1 << 63)))

/* Through double, so that the one rounding that counts is the last. */
UNARY32(run_rsqrt, (float)(1.0 / sqrt((double)x)))
UNARY32(run_ex2, exp2f(x))
UNARY32(run_lg2, log2f(x))
UNARY32(run_sin, sinf(x))
UNARY32(run_cos, cosf(x))
UNARY32(run_tanh, tanhf(x))

const struct ptx_opcode ptx_float_opcodes[] = {
    {"add", "rn", "ttt", .runs = PTX_RUNS_FLOAT(run_add)},
    {"sub", "rn", "ttt", .runs = PTX_RUNS_FLOAT(run_sub)},
    {"mul", "rn", "ttt", .runs = PTX_RUNS_FLOAT(run_mul)},
    {"fma.rn", "", "tttt", .runs = PTX_RUNS_FLOAT(run_fma)},
    {"mad", "rn", "tttt", .runs = PTX_RUNS_FLOAT(run_fma)},
    {"div", "rn approx full", "ttt", .runs = PTX_RUNS_FLOAT(run_div)},
    {"rcp", "rn approx", "tt", .runs = PTX_RUNS_FLOAT(run_rcp)},
    {"rcp.approx.ftz", "", "tt", .runs = PTX_RUNS([PTX_F64] = run_rcp_f64)},
    {"sqrt", "rn approx", "tt", .runs = PTX_RUNS_FLOAT(run_sqrt)},
    {"rsqrt.approx", "", "tt", .runs = PTX_RUNS_FLOAT(run_rsqrt)},
    {"rsqrt.approx.ftz", "", "tt", .runs = PTX_RUNS([PTX_F64] = run_rsqrt_f64)},
    {"neg", "", "tt", .runs = PTX_RUNS_FLOAT(run_neg)},
    {"abs", "", "tt", .runs = PTX_RUNS_FLOAT(run_abs)},
    {"copysign", "", "ttt", .runs = PTX_RUNS_FLOAT(run_copysign)},
    {"min", "", "ttt", .runs = PTX_RUNS_FLOAT(run_min)},
    {"max", "", "ttt", .runs = PTX_RUNS_FLOAT(run_max)},
    {"min.NaN", "", "ttt", .runs = PTX_RUNS([PTX_F32] = run_min_nan_f32)},
    {"max.NaN", "", "ttt", .runs = PTX_RUNS([PTX_F32] = run_max_nan_f32)},
    {"ex2.approx", "", "tt", .runs = PTX_RUNS([PTX_F32] = run_ex2_f32)},
    {"lg2.approx", "", "tt", .runs = PTX_RUNS([PTX_F32] = run_lg2_f32)},
    {"sin.approx", "", "tt", .runs = PTX_RUNS([PTX_F32] = run_sin_f32)},
    {"cos.approx", "", "tt", .runs = PTX_RUNS([PTX_F32] = run_cos_f32)},
    {"tanh.approx", "", "tt", .runs = PTX_RUNS([PTX_F32] = run_tanh_f32)},
    {NULL},
};
