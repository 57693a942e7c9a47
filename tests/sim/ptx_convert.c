/* SPDX-License-Identifier: MIT */

/*
 * cvt.
 *
 * Every pair of types can be converted by one general function, a lane at a time; the pairs that
 * kernels use in their inner loops have a function of their own in a table that is asked first.
 * Float to integer clamps to the integer's range and makes NaN 0, as the hardware does.
 */

#include <fenv.h>
#include <stddef.h>

#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_number.h"
#include "tests/sim/ptx_opcode.h"

static int64_t sign_extend(uint64_t bits, unsigned int bytes)
{
    unsigned int shift = 64 - bytes * 8;

    return (int64_t)(bits << shift) >> shift;
}

static uint64_t zero_extend(uint64_t bits, unsigned int bytes)
{
    unsigned int shift = 64 - bytes * 8;

    return bits << shift >> shift;
}

static uint64_t extend(uint64_t bits, enum ptx_type type)
{
    unsigned int bytes = ptx_type_bytes(type);

    return ptx_type_is_signed(type) ? (uint64_t)sign_extend(bits, bytes) : zero_extend(bits, bytes);
}

static uint64_t largest(enum ptx_type type)
{
    return UINT64_MAX >> (64 - ptx_type_bytes(type) * 8 + ptx_type_is_signed(type));
}

static uint64_t smallest(enum ptx_type type)
{
    return ptx_type_is_signed(type) ? ~largest(type) : 0;
}

/* `bits` is an extended integer of type `from`. */
static uint64_t clamp_integer(uint64_t bits, enum ptx_type to, enum ptx_type from)
{
    if (ptx_type_is_signed(from) && (int64_t)bits < 0) {
        bool below = !ptx_type_is_signed(to) || (int64_t)bits < (int64_t)smallest(to);
        return below ? smallest(to) : bits;
    }
    return bits > largest(to) ? largest(to) : bits;
}

static double float_value(uint64_t bits, enum ptx_type type)
{
    switch (type) {
    case PTX_F16:
        return half_float((uint16_t)bits);
    case PTX_BF16:
        return bfloat_float((uint16_t)bits);
    case PTX_F32:
        return image_float((uint32_t)bits);
    default:
        return image_double(bits);
    }
}

static double round_integral(double x, int round)
{
    switch (round) {
    case PTX_ROUND_ZERO:
        return trunc(x);
    case PTX_ROUND_DOWN:
        return floor(x);
    case PTX_ROUND_UP:
        return ceil(x);
    default:
        return nearbyint(x);
    }
}

static uint64_t float_to_integer(double x, enum ptx_type to, int round)
{
    if (x != x)
        return 0;
    x = round_integral(x, round);
    if (ptx_type_is_signed(to)) {
        if (x >= (double)largest(to))
            return largest(to);
        return x <= (double)(int64_t)smallest(to) ? smallest(to) : (uint64_t)(int64_t)x;
    }
    if (x <= 0)
        return 0;
    return x >= (double)largest(to) ? largest(to) : (uint64_t)x;
}

static void set_rounding(int round)
{
    static const int host[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};

    fesetround(host[round & PTX_ROUND_MASK]);
}

static float double_to_float(double x, int round)
{
    volatile double from = x;
    volatile float to;

    if (round == PTX_ROUND_NEAREST)
        return (float)x;
    set_rounding(round);
    to = (float)from;
    set_rounding(PTX_ROUND_NEAREST);
    return to;
}

static uint64_t finish_float(double x, enum ptx_type to, unsigned int mode)
{
    if (mode & PTX_MODE_SAT)
        x = saturate_float(x);
    if (mode & PTX_MODE_RELU && x <= 0)
        x = 0;
    switch (to) {
    case PTX_F16:
        return round_to_16(x, HALF_MANTISSA, mode & PTX_ROUND_MASK);
    case PTX_BF16:
        return round_to_16(x, BFLOAT_MANTISSA, mode & PTX_ROUND_MASK);
    case PTX_F32: {
        float single = one_nan(double_to_float(x, mode & PTX_ROUND_MASK));
        return float_image(mode & PTX_MODE_FTZ ? flush_f32(single) : single);
    }
    default:
        return double_image(x);
    }
}

/* The sign of 64-bit integers and their size, rounded once in the end type's own conversion. */
static uint64_t integer_to_float(uint64_t bits, enum ptx_type to, enum ptx_type from,
                                 unsigned int mode)
{
    bool negative = ptx_type_is_signed(from) && (int64_t)bits < 0;
    volatile uint64_t integer = bits;
    volatile float single;
    volatile double wide;

    if (to == PTX_F16 || to == PTX_BF16) {
        uint64_t size = negative ? 0 - bits : bits;
        /* What a double cannot hold is kept as one sticky bit. */
        if (size >> 53)
            size = (size & ~(uint64_t)0xfff) | (uint64_t)((size & 0xfff) != 0) << 12;
        return finish_float(negative ? -(double)size : (double)size, to, mode);
    }
    set_rounding(mode);
    if (to == PTX_F32)
        single = negative ? (float)(int64_t)integer : (float)integer;
    else
        wide = negative ? (double)(int64_t)integer : (double)integer;
    set_rounding(PTX_ROUND_NEAREST);
    return to == PTX_F32 ? finish_float(single, to, mode & ~PTX_ROUND_MASK) : double_image(wide);
}

static uint64_t float_to_float(double x, enum ptx_type to, unsigned int mode)
{
    if (mode & PTX_MODE_INTEGRAL)
        return finish_float(round_integral(x, mode & PTX_ROUND_MASK), to, mode & ~PTX_ROUND_MASK);
    return finish_float(x, to, mode);
}

static uint64_t convert(uint64_t bits, enum ptx_type to, enum ptx_type from, unsigned int mode)
{
    double x;

    if (!ptx_type_is_float(from)) {
        bits = extend(bits, from);
        if (ptx_type_is_float(to))
            return integer_to_float(bits, to, from, mode);
        return mode & PTX_MODE_SAT ? clamp_integer(bits, to, from) : bits;
    }
    x = float_value(bits, from);
    if (mode & PTX_MODE_FTZ && from == PTX_F32)
        x = flush_f32((float)x);
    if (ptx_type_is_float(to))
        return float_to_float(x, to, mode);
    return float_to_integer(x, to, mode & PTX_ROUND_MASK);
}

/* insn->bytes is the width of the source register, insn->width that of the destination's. */
static enum ptx_step run_convert(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    uint8_t *to = ptx_slot(warp, insn->dst);
    const uint8_t *from = ptx_slot(warp, insn->src[0]);

    EACH_ACTIVE_LANE(lane, mask)
    {
        uint64_t bits = 0;
        memcpy(&bits, from + lane * insn->bytes, insn->bytes);
        bits = extend(convert(bits, insn->type, insn->type2, insn->mode), insn->type);
        memcpy(to + lane * insn->width, &bits, insn->width);
    }
    return PTX_STEP_NEXT;
}

/* Two floats into one register, the first into its upper half. */
static enum ptx_step run_convert_pair(struct ptx_warp *warp, const struct ptx_insn *insn,
                                      uint32_t mask)
{
    enum ptx_type to = insn->type == PTX_F16X2 ? PTX_F16 : PTX_BF16;
    DST(uint32_t);
    A(uint32_t);
    B(uint32_t);

    EACH_ACTIVE_LANE(lane, mask)
    {
        uint64_t high = convert(a[lane], to, PTX_F32, insn->mode);
        uint64_t low = convert(b[lane], to, PTX_F32, insn->mode);
        d[lane] = (uint32_t)(high << 16 | low);
    }
    return PTX_STEP_NEXT;
}

#define CAST(to, from) PTX_UNARY(run_##to##_##from, to##_t, from##_t, x)
#define CASTS(from)    CAST(uint16, from) CAST(uint32, from) CAST(uint64, from)
CASTS(uint16)
CASTS(int16)
CASTS(uint32)
CASTS(int32)
CASTS(uint64)
/* A byte in a register of 16 or 32 bits. */
#define BYTES(n)                                                                                   \
    PTX_UNARY(run_u##n##_u8_16, uint##n##_t, uint16_t, (uint8_t)x)                                 \
    PTX_UNARY(run_u##n##_s8_16, uint##n##_t, uint16_t, (int8_t)x)                                  \
    PTX_UNARY(run_u##n##_u8_32, uint##n##_t, uint32_t, (uint8_t)x)                                 \
    PTX_UNARY(run_u##n##_s8_32, uint##n##_t, uint32_t, (int8_t)x)
BYTES(16)
BYTES(32)
BYTES(64)

static int32_t truncate_s32(float x)
{
    int32_t whole = x >= -0x1p31f && x < 0x1p31f ? (int32_t)x : INT32_MAX;
    whole = x < -0x1p31f ? INT32_MIN : whole;
    return x == x ? whole : 0;
}

PTX_UNARY(run_f32_f16, float, uint16_t, one_nan(half_float(x)))
PTX_UNARY(run_f16_f32, uint16_t, float, float_half(x))
PTX_UNARY(run_f32_bf16, float, uint16_t, one_nan(bfloat_float(x)))
PTX_UNARY(run_f32_s32, float, int32_t, x)
PTX_UNARY(run_f32_u32, float, uint32_t, x)
PTX_UNARY(run_f64_f32, double, float, x)
PTX_UNARY(run_f32_f64, float, double, one_nan((float)x))
PTX_UNARY(run_s32_f32_rzi, int32_t, float, truncate_s32(x))
PTX_UNARY(run_f32_f32_rmi, float, float, one_nan(floorf(x)))
PTX_UNARY(run_f32_f32_rpi, float, float, one_nan(ceilf(x)))
PTX_UNARY(run_f32_f32_rzi, float, float, one_nan(truncf(x)))
PTX_UNARY(run_f32_f32_rni, float, float, one_nan(nearbyintf(x)))

/* Only for registers that are as wide as given (0: as their types say). */
#define INTEGRAL(round) (PTX_MODE_INTEGRAL | PTX_ROUND_##round)
static const struct {
    uint8_t to, from, from_width, mode;
    ptx_run *run;
} fast[] = {{PTX_F32, PTX_F16, 0, 0, run_f32_f16},
            {PTX_F16, PTX_F32, 0, 0, run_f16_f32},
            {PTX_F32, PTX_BF16, 0, 0, run_f32_bf16},
            {PTX_F32, PTX_S32, 0, 0, run_f32_s32},
            {PTX_F32, PTX_U32, 0, 0, run_f32_u32},
            {PTX_F64, PTX_F32, 0, 0, run_f64_f32},
            {PTX_F32, PTX_F64, 0, 0, run_f32_f64},
            {PTX_S32, PTX_F32, 0, PTX_ROUND_ZERO, run_s32_f32_rzi},
            {PTX_F32, PTX_F32, 0, INTEGRAL(DOWN), run_f32_f32_rmi},
            {PTX_F32, PTX_F32, 0, INTEGRAL(UP), run_f32_f32_rpi},
            {PTX_F32, PTX_F32, 0, INTEGRAL(ZERO), run_f32_f32_rzi},
            {PTX_F32, PTX_F32, 0, INTEGRAL(NEAREST), run_f32_f32_rni},
#define TO(n, name)                                                                                \
    {PTX_U##n, PTX_U16, 0, 0, run_uint##n##_uint16},                                               \
        {PTX_U##n, PTX_S16, 0, 0, run_uint##n##_int16},                                            \
        {PTX_U##n, PTX_U32, 0, 0, run_uint##n##_uint32},                                           \
        {PTX_U##n, PTX_S32, 0, 0, run_uint##n##_int32},                                            \
        {PTX_U##n, PTX_U64, 0, 0, run_uint##n##_uint64},                                           \
        {PTX_U##n, PTX_S64, 0, 0, run_uint##n##_uint64},                                           \
        {PTX_U##n, PTX_U8, 2, 0, run_u##n##_u8_16}, {PTX_U##n, PTX_S8, 2, 0, run_u##n##_s8_16},    \
        {PTX_U##n, PTX_U8, 4, 0, run_u##n##_u8_32}, {PTX_U##n, PTX_S8, 4, 0, run_u##n##_s8_32},
            TO(16, ) TO(32, ) TO(64, )
#undef TO
};

/* Signed and unsigned destinations of the same width get the same bits from an integer. */
static enum ptx_type plain_type(const struct ptx_insn *insn)
{
    if (ptx_type_is_float(insn->type2))
        return insn->type;
    switch (insn->type) {
    case PTX_S16:
        return PTX_U16;
    case PTX_S32:
        return PTX_U32;
    case PTX_S64:
        return PTX_U64;
    default:
        return insn->type;
    }
}

static ptx_run *find_fast(const struct ptx_insn *insn)
{
    enum ptx_type to = plain_type(insn);

    if (insn->width != ptx_type_bytes(insn->type))
        return run_convert;
    for (size_t i = 0; i < sizeof(fast) / sizeof(fast[0]); i++) {
        unsigned int from_width = fast[i].from_width;
        if (!from_width)
            from_width = ptx_type_bytes(insn->type2);
        if (fast[i].to == to && fast[i].from == insn->type2 && fast[i].mode == insn->mode &&
            from_width == insn->bytes)
            return fast[i].run;
    }
    return run_convert;
}

static int decode_pair(struct ptx_builder *builder, const struct statement *statement,
                       struct ptx_insn *insn)
{
    if (statement->n_operands != 3 || insn->type2 != PTX_F32)
        return lex_fail(&builder->lex, statement->line, "a pair is made of two .f32");
    insn->run = run_convert_pair;
    insn->dst = ptx_dest(builder, &statement->operands[0], insn->type);
    insn->src[0] = ptx_source(builder, &statement->operands[1], PTX_F32);
    insn->src[1] = ptx_source(builder, &statement->operands[2], PTX_F32);
    return builder->lex.failed ? -1 : 0;
}

static int decode_cvt(struct ptx_builder *builder, const struct statement *statement,
                      struct ptx_insn *insn)
{
    const struct spelling *spelling = statement->spelling;

    if (spelling->n_types != 2)
        return lex_fail(&builder->lex, statement->line, "cvt needs 2 types");
    if (insn->type == PTX_F16X2 || insn->type == PTX_BF16X2)
        return decode_pair(builder, statement, insn);
    if (statement->n_operands != 2)
        return lex_fail(&builder->lex, statement->line, "cvt takes 2 operands");
    if (spelling_has(spelling, "rni") || spelling_has(spelling, "rzi") ||
        spelling_has(spelling, "rmi") || spelling_has(spelling, "rpi"))
        insn->mode |= ptx_type_is_float(insn->type) ? PTX_MODE_INTEGRAL : 0;
    insn->dst = ptx_wide_dest(builder, &statement->operands[0], insn->type, &insn->width);
    insn->src[0] = ptx_wide_source(builder, &statement->operands[1], insn->type2, &insn->bytes);
    insn->run = find_fast(insn);
    return builder->lex.failed ? -1 : 0;
}

#define NUMBERS                                                                                    \
    PTX_RUNS([PTX_U8] = run_convert, [PTX_U16] = run_convert, [PTX_U32] = run_convert,             \
             [PTX_U64] = run_convert, [PTX_S8] = run_convert, [PTX_S16] = run_convert,             \
             [PTX_S32] = run_convert, [PTX_S64] = run_convert, [PTX_F16] = run_convert,            \
             [PTX_BF16] = run_convert, [PTX_F32] = run_convert, [PTX_F64] = run_convert,           \
             [PTX_F16X2] = run_convert_pair, [PTX_BF16X2] = run_convert_pair)

const struct ptx_opcode ptx_convert_opcodes[] = {
    {"cvt", "rn rz rm rp rni rzi rmi rpi ftz sat relu", .decode = decode_cvt, .runs = NUMBERS},
    {NULL},
};
