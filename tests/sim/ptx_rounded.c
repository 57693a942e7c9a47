/* SPDX-License-Identifier: MIT */

/*
 * Float arithmetic with a rounding direction, flushing of subnormals or saturation: any of them,
 * one lane at a time, under the host's rounding mode. Slower than the rows of ptx_float.c, and
 * rarer.
 */

#include <fenv.h>

#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_number.h"
#include "tests/sim/ptx_opcode.h"

enum {
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_FMA,
    OP_DIV,
    OP_RCP,
    OP_SQRT,
    OP_RSQRT,
    OP_NEG,
    OP_ABS,
    OP_MIN,
    OP_MAX,
    OP_EX2,
    OP_LG2,
    OP_SIN,
    OP_COS,
    OP_TANH,
};

/* The host has its roundings in another order. The compiler must not move arithmetic across. */
static void set_rounding(int round)
{
    static const int host[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};

    fesetround(host[round & PTX_ROUND_MASK]);
}

static double compute_f64(int op, volatile double *v)
{
    switch (op) {
    case OP_ADD:
        return v[0] + v[1];
    case OP_SUB:
        return v[0] - v[1];
    case OP_MUL:
        return v[0] * v[1];
    case OP_FMA:
        return fma(v[0], v[1], v[2]);
    case OP_DIV:
        return v[0] / v[1];
    case OP_RCP:
        return 1.0 / v[0];
    default:
        return sqrt(v[0]);
    }
}

static float compute_f32(int op, volatile float *v)
{
    switch (op) {
    case OP_ADD:
        return v[0] + v[1];
    case OP_SUB:
        return v[0] - v[1];
    case OP_MUL:
        return v[0] * v[1];
    case OP_FMA:
        return fmaf(v[0], v[1], v[2]);
    case OP_DIV:
        return v[0] / v[1];
    case OP_RCP:
        return 1.0f / v[0];
    case OP_SQRT:
        return sqrtf(v[0]);
    case OP_RSQRT:
        return (float)(1.0 / sqrt((double)v[0]));
    case OP_NEG:
        return -v[0];
    case OP_ABS:
        return fabsf(v[0]);
    case OP_MIN:
        return min_f32(v[0], v[1]);
    case OP_MAX:
        return max_f32(v[0], v[1]);
    case OP_EX2:
        return exp2f(v[0]);
    case OP_LG2:
        return log2f(v[0]);
    case OP_SIN:
        return sinf(v[0]);
    case OP_COS:
        return cosf(v[0]);
    default:
        return tanhf(v[0]);
    }
}

static float finish_f32(float x, unsigned int mode)
{
    if (mode & PTX_MODE_FTZ)
        x = flush_f32(x);
    if (mode & PTX_MODE_SAT)
        x = (float)saturate_float(x);
    return one_nan(x);
}

static enum ptx_step run_rounded_f32(struct ptx_warp *warp, const struct ptx_insn *insn,
                                     uint32_t mask)
{
    float *d = ptx_slot(warp, insn->dst);

    set_rounding(insn->mode);
    EACH_ACTIVE_LANE(lane, mask)
    {
        volatile float v[3];
        volatile float result;
        for (unsigned int i = 0; i < 3; i++) {
            float x = ((const float *)ptx_slot(warp, insn->src[i]))[lane];
            v[i] = insn->mode & PTX_MODE_FTZ ? flush_f32(x) : x;
        }
        result = compute_f32(insn->op, v);
        d[lane] = finish_f32(result, insn->mode);
    }
    set_rounding(PTX_ROUND_NEAREST);
    return PTX_STEP_NEXT;
}

static enum ptx_step run_rounded_f64(struct ptx_warp *warp, const struct ptx_insn *insn,
                                     uint32_t mask)
{
    double *d = ptx_slot(warp, insn->dst);

    set_rounding(insn->mode);
    EACH_ACTIVE_LANE(lane, mask)
    {
        volatile double v[3];
        volatile double result;
        for (unsigned int i = 0; i < 3; i++)
            v[i] = ((const double *)ptx_slot(warp, insn->src[i]))[lane];
        result = compute_f64(insn->op, v);
        d[lane] = result;
    }
    set_rounding(PTX_ROUND_NEAREST);
    return PTX_STEP_NEXT;
}

#define SINGLE    PTX_RUNS([PTX_F32] = run_rounded_f32)
#define DOUBLE    PTX_RUNS([PTX_F64] = run_rounded_f64)
#define DIRECTION "rn rz rm rp"

/* Operands that an operation does not have are read from slot 0, which always exists. */
const struct ptx_opcode ptx_rounded_opcodes[] = {
    {"add", DIRECTION " ftz sat", "ttt", .runs = SINGLE, .op = OP_ADD},
    {"add", DIRECTION, "ttt", .runs = DOUBLE, .op = OP_ADD},
    {"sub", DIRECTION " ftz sat", "ttt", .runs = SINGLE, .op = OP_SUB},
    {"sub", DIRECTION, "ttt", .runs = DOUBLE, .op = OP_SUB},
    {"mul", DIRECTION " ftz sat", "ttt", .runs = SINGLE, .op = OP_MUL},
    {"mul", DIRECTION, "ttt", .runs = DOUBLE, .op = OP_MUL},
    {"fma", DIRECTION " ftz sat", "tttt", .runs = SINGLE, .op = OP_FMA},
    {"fma", DIRECTION, "tttt", .runs = DOUBLE, .op = OP_FMA},
    {"mad", DIRECTION " ftz sat", "tttt", .runs = SINGLE, .op = OP_FMA},
    {"mad", DIRECTION, "tttt", .runs = DOUBLE, .op = OP_FMA},
    {"div", DIRECTION " ftz approx full", "ttt", .runs = SINGLE, .op = OP_DIV},
    {"div", DIRECTION, "ttt", .runs = DOUBLE, .op = OP_DIV},
    {"rcp", DIRECTION " ftz approx", "tt", .runs = SINGLE, .op = OP_RCP},
    {"rcp", DIRECTION, "tt", .runs = DOUBLE, .op = OP_RCP},
    {"sqrt", DIRECTION " ftz approx", "tt", .runs = SINGLE, .op = OP_SQRT},
    {"sqrt", DIRECTION, "tt", .runs = DOUBLE, .op = OP_SQRT},
    {"rsqrt.approx.ftz", "", "tt", .runs = SINGLE, .op = OP_RSQRT},
    {"neg.ftz", "", "tt", .runs = SINGLE, .op = OP_NEG},
    {"abs.ftz", "", "tt", .runs = SINGLE, .op = OP_ABS},
    {"min.ftz", "", "ttt", .runs = SINGLE, .op = OP_MIN},
    {"max.ftz", "", "ttt", .runs = SINGLE, .op = OP_MAX},
    {"ex2.approx.ftz", "", "tt", .runs = SINGLE, .op = OP_EX2},
    {"lg2.approx.ftz", "", "tt", .runs = SINGLE, .op = OP_LG2},
    {"sin.approx.ftz", "", "tt", .runs = SINGLE, .op = OP_SIN},
    {"cos.approx.ftz", "", "tt", .runs = SINGLE, .op = OP_COS},
    {"tanh.approx.ftz", "", "tt", .runs = SINGLE, .op = OP_TANH},
    {NULL},
};
