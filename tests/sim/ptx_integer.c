/* SPDX-License-Identifier: MIT */

/*
 * Integer arithmetic.
 *
 * Everything wraps, so sums and products are computed on unsigned types. Division by zero gives all
 * ones, and its remainder the dividend, as the hardware's sequence does; PTX leaves both open.
 */

#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_opcode.h"

#define EACH_WIDTH(MAKE) MAKE(16) MAKE(32) MAKE(64)

/* Wide enough that 16-bit operands are not promoted to a signed int. */
typedef uint32_t wide16;
typedef uint32_t wide32;
typedef uint64_t wide64;

#define MAKE(n)                                                                                    \
    PTX_BINARY(run_add_u##n, uint##n##_t, uint##n##_t, uint##n##_t, (wide##n)x + (wide##n)y)       \
    PTX_BINARY(run_sub_u##n, uint##n##_t, uint##n##_t, uint##n##_t, (wide##n)x - (wide##n)y)       \
    PTX_BINARY(run_mul_u##n, uint##n##_t, uint##n##_t, uint##n##_t, (wide##n)x *(wide##n)y)        \
    PTX_TERNARY(run_mad_u##n, uint##n##_t, uint##n##_t, uint##n##_t, uint##n##_t,                  \
                (wide##n)x *(wide##n)y + (wide##n)z)                                               \
    PTX_UNARY(run_neg_u##n, uint##n##_t, uint##n##_t, (wide##n)0 - (wide##n)x)                     \
    PTX_UNARY(run_abs_s##n, uint##n##_t, int##n##_t, x < 0 ? (wide##n)0 - (wide##n)x : (wide##n)x) \
    PTX_BINARY(run_min_u##n, uint##n##_t, uint##n##_t, uint##n##_t, x < y ? x : y)                 \
    PTX_BINARY(run_min_s##n, int##n##_t, int##n##_t, int##n##_t, x < y ? x : y)                    \
    PTX_BINARY(run_max_u##n, uint##n##_t, uint##n##_t, uint##n##_t, x > y ? x : y)                 \
    PTX_BINARY(run_max_s##n, int##n##_t, int##n##_t, int##n##_t, x > y ? x : y)                    \
    PTX_BINARY(run_div_u##n, uint##n##_t, uint##n##_t, uint##n##_t,                                \
               y ? x / y : (uint##n##_t) ~(uint##n##_t)0)                                          \
    PTX_BINARY(run_rem_u##n, uint##n##_t, uint##n##_t, uint##n##_t, y ? x % y : x)                 \
    /* The one quotient that overflows, smallest / -1, wraps to itself. */                         \
    PTX_BINARY(run_div_s##n, uint##n##_t, int##n##_t, int##n##_t,                                  \
               y == 0    ? (uint##n##_t) - 1                                                       \
               : y == -1 ? (uint##n##_t)((wide##n)0 - (wide##n)x)                                  \
                         : (uint##n##_t)(x / y))                                                   \
    PTX_BINARY(run_rem_s##n, int##n##_t, int##n##_t, int##n##_t, y == 0 ? x : y == -1 ? 0 : x % y) \
    PTX_TERNARY(run_sad_u##n, uint##n##_t, uint##n##_t, uint##n##_t, uint##n##_t,                  \
                (wide##n)z + (x < y ? (wide##n)y - x : (wide##n)x - y))                            \
    PTX_TERNARY(run_sad_s##n, uint##n##_t, int##n##_t, int##n##_t, uint##n##_t,                    \
                (wide##n)z + (x < y ? (wide##n)y - (wide##n)x : (wide##n)x - (wide##n)y))
EACH_WIDTH(MAKE)
#undef MAKE

/* The upper half of the product, and the whole of it. */
#define HIGH(n, sign, type, twice, utwice)                                                         \
    PTX_BINARY(run_high_##sign##n, type, type, type, ((utwice)((twice)x * (twice)y)) >> n)         \
    PTX_TERNARY(run_mad_high_##sign##n, uint##n##_t, type, type, uint##n##_t,                      \
                (wide##n)(((utwice)((twice)x * (twice)y)) >> n) + (wide##n)z)
HIGH(16, u, uint16_t, uint32_t, uint32_t)
HIGH(16, s, int16_t, int32_t, uint32_t)
HIGH(32, u, uint32_t, uint64_t, uint64_t)
HIGH(32, s, int32_t, int64_t, uint64_t)
HIGH(64, u, uint64_t, unsigned __int128, unsigned __int128)
HIGH(64, s, int64_t, __int128, unsigned __int128)

#define WIDE(n, sign, type, twice, utwice)                                                         \
    PTX_BINARY(run_wide_##sign##n, twice, type, type, (twice)x *(twice)y)                          \
    PTX_TERNARY(run_mad_wide_##sign##n, utwice, type, type, utwice,                                \
                (utwice)((twice)x * (twice)y) + z)
WIDE(16, u, uint16_t, uint32_t, uint32_t)
WIDE(16, s, int16_t, int32_t, uint32_t)
WIDE(32, u, uint32_t, uint64_t, uint64_t)
WIDE(32, s, int32_t, int64_t, uint64_t)

static int32_t saturate(int64_t value)
{
    return value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : (int32_t)value;
}

PTX_BINARY(run_add_sat_s32, int32_t, int32_t, int32_t, saturate((int64_t)x + y))
PTX_BINARY(run_sub_sat_s32, int32_t, int32_t, int32_t, saturate((int64_t)x - y))
/* Saturates the sum of the upper half of the product. */
PTX_TERNARY(run_mad_high_sat_s32, int32_t, int32_t, int32_t, int32_t,
            saturate((((int64_t)x * y) >> 32) + z))

#define LOW24(x)  ((x)&0xffffff)
#define SIGN24(x) ((int64_t)((int32_t)((uint32_t)(x) << 8) >> 8))
PTX_BINARY(run_mul24_u32, uint32_t, uint32_t, uint32_t, LOW24(x) * LOW24(y))
PTX_BINARY(run_mul24_s32, uint32_t, int32_t, int32_t, SIGN24(x) * SIGN24(y))
PTX_BINARY(run_mul24_high_u32, uint32_t, uint32_t, uint32_t, ((uint64_t)LOW24(x) * LOW24(y)) >> 16)
PTX_BINARY(run_mul24_high_s32, uint32_t, int32_t, int32_t, (SIGN24(x) * SIGN24(y)) >> 16)
PTX_TERNARY(run_mad24_u32, uint32_t, uint32_t, uint32_t, uint32_t, LOW24(x) * LOW24(y) + z)
PTX_TERNARY(run_mad24_s32, uint32_t, int32_t, int32_t, uint32_t,
            (uint32_t)(SIGN24(x) * SIGN24(y)) + z)

/* Sum of the products of the bytes of x and y, each read with its own sign, and z. */
#define DP4(tx, ty)                                                                                \
    (uint32_t)((tx)x * (ty)y + (tx)(x >> 8) * (ty)(y >> 8) + (tx)(x >> 16) * (ty)(y >> 16) +       \
               (tx)(x >> 24) * (ty)(y >> 24)) +                                                    \
        z
#define DP4_OF(name, tx, ty) PTX_TERNARY(name, uint32_t, uint32_t, uint32_t, uint32_t, DP4(tx, ty))
DP4_OF(run_dp4a_ss, int8_t, int8_t)
DP4_OF(run_dp4a_su, int8_t, uint8_t)
DP4_OF(run_dp4a_us, uint8_t, int8_t)
DP4_OF(run_dp4a_uu, uint8_t, uint8_t)

/* The two 16-bit halves of x with two bytes of y; insn->op shifts to the upper pair. */
#define DP2_OF(name, tx, ty)                                                                       \
    RUN(name)                                                                                      \
    {                                                                                              \
        DST(uint32_t);                                                                             \
        A(uint32_t);                                                                               \
        B(uint32_t);                                                                               \
        C(uint32_t);                                                                               \
        unsigned int shift = insn->op;                                                             \
        EACH_LANE(uint32_t x = a[lane]; uint32_t y = b[lane] >> shift;                             \
                  d[lane] = (uint32_t)((tx)x * (ty)y + (tx)(x >> 16) * (ty)(y >> 8)) + c[lane]);   \
        return PTX_STEP_NEXT;                                                                      \
    }
DP2_OF(run_dp2a_ss, int16_t, int8_t)
DP2_OF(run_dp2a_su, int16_t, uint8_t)
DP2_OF(run_dp2a_us, uint16_t, int8_t)
DP2_OF(run_dp2a_uu, uint16_t, uint8_t)

/* Both types of dp4a and dp2a choose the function. */
static int decode_dot(struct ptx_builder *builder, const struct statement *statement,
                      struct ptx_insn *insn)
{
    static ptx_run *const dot4[] = {run_dp4a_uu, run_dp4a_us, run_dp4a_su, run_dp4a_ss};
    static ptx_run *const dot2[] = {run_dp2a_uu, run_dp2a_us, run_dp2a_su, run_dp2a_ss};
    const struct spelling *spelling = statement->spelling;
    bool four = spelling_has(spelling, "dp4a");
    unsigned int which = (unsigned int)ptx_type_is_signed(spelling->types[0]) * 2 +
                         ptx_type_is_signed(spelling->types[1]);

    if (statement->n_operands != 4 || spelling->n_types != 2 ||
        (spelling->types[1] != PTX_U32 && spelling->types[1] != PTX_S32))
        return lex_fail(&builder->lex, statement->line,
                        "a dot product takes 2 types of 32 bits and 4 operands");
    insn->run = four ? dot4[which] : dot2[which];
    insn->dst = ptx_dest(builder, &statement->operands[0], PTX_B32);
    for (unsigned int i = 0; i < 3; i++)
        insn->src[i] = ptx_source(builder, &statement->operands[i + 1], PTX_B32);
    return builder->lex.failed ? -1 : 0;
}

#define NARROW(f)                                                                                  \
    PTX_RUNS([PTX_U16] = f##_u16, [PTX_S16] = f##_s16, [PTX_U32] = f##_u32, [PTX_S32] = f##_s32)
#define SIGNED(f)     PTX_RUNS([PTX_S16] = f##_s16, [PTX_S32] = f##_s32, [PTX_S64] = f##_s64)
#define SIGNED_ANY(f) PTX_RUNS([PTX_S16] = f##_u16, [PTX_S32] = f##_u32, [PTX_S64] = f##_u64)
#define ONLY32(f)     PTX_RUNS([PTX_U32] = f##_u32, [PTX_S32] = f##_s32)
#define DOT           PTX_RUNS([PTX_U32] = run_dp4a_uu, [PTX_S32] = run_dp4a_ss)

const struct ptx_opcode ptx_integer_opcodes[] = {
    {"add", .operands = "ttt", .runs = PTX_RUNS_INT(run_add)},
    {"add.sat", .operands = "ttt", .runs = PTX_RUNS([PTX_S32] = run_add_sat_s32)},
    {"sub", .operands = "ttt", .runs = PTX_RUNS_INT(run_sub)},
    {"sub.sat", .operands = "ttt", .runs = PTX_RUNS([PTX_S32] = run_sub_sat_s32)},
    {"mul.lo", .operands = "ttt", .runs = PTX_RUNS_INT(run_mul)},
    {"mul.hi", .operands = "ttt", .runs = PTX_RUNS_SIGNED(run_high)},
    {"mul.wide", .operands = "wtt", .runs = NARROW(run_wide)},
    {"mad.lo", .operands = "tttt", .runs = PTX_RUNS_INT(run_mad)},
    {"mad.hi", .operands = "tttt", .runs = PTX_RUNS_SIGNED(run_mad_high)},
    {"mad.hi.sat", .operands = "tttt", .runs = PTX_RUNS([PTX_S32] = run_mad_high_sat_s32)},
    {"mad.wide", .operands = "wttw", .runs = NARROW(run_mad_wide)},
    {"mul24.lo", .operands = "ttt", .runs = ONLY32(run_mul24)},
    {"mul24.hi", .operands = "ttt", .runs = ONLY32(run_mul24_high)},
    {"mad24.lo", .operands = "tttt", .runs = ONLY32(run_mad24)},
    {"sad", .operands = "tttt", .runs = PTX_RUNS_SIGNED(run_sad)},
    {"div", .operands = "ttt", .runs = PTX_RUNS_SIGNED(run_div)},
    {"rem", .operands = "ttt", .runs = PTX_RUNS_SIGNED(run_rem)},
    {"neg", .operands = "tt", .runs = SIGNED_ANY(run_neg)},
    {"abs", .operands = "tt", .runs = SIGNED(run_abs)},
    {"min", .operands = "ttt", .runs = PTX_RUNS_SIGNED(run_min)},
    {"max", .operands = "ttt", .runs = PTX_RUNS_SIGNED(run_max)},
    {"dp4a", .decode = decode_dot, .runs = DOT},
    {"dp2a.lo", .decode = decode_dot, .runs = DOT},
    {"dp2a.hi", .decode = decode_dot, .runs = DOT, .op = 16},
    {NULL},
};
