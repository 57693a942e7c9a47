/* SPDX-License-Identifier: MIT */

/*
 * cvt to and from numbers that are no type of their own: tf32, which is an f32 with 10 bits of
 * mantissa, and the two floats of 8 bits, always in pairs.
 *
 * A float of 8 bits has no room to overflow to: what is too large becomes the largest. e4m3 has no
 * infinity, and one NaN, 0x7f; e5m2 is the upper half of an f16.
 */

#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_number.h"
#include "tests/sim/ptx_opcode.h"

/* insn->op */
enum { NEAREST_AWAY, NEAREST_EVEN, TOWARD_ZERO };
enum { E4M3, E5M2 };

#define TF32_DROPPED 13
#define TF32_LARGEST 0x7f7fe000u

static uint32_t to_tf32(uint32_t bits, unsigned int how, unsigned int mode)
{
    uint32_t size = bits & 0x7fffffff;
    uint32_t half = 1u << (TF32_DROPPED - 1);

    if (size > 0x7f800000)
        return 0x7fffffff;
    if (mode & PTX_MODE_RELU && bits >> 31)
        return 0;
    if (size < 0x7f800000) {
        if (how == NEAREST_AWAY)
            size += half;
        else if (how == NEAREST_EVEN)
            size += half - 1 + (size >> TF32_DROPPED & 1);
        size &= ~((1u << TF32_DROPPED) - 1);
    }
    if (mode & PTX_MODE_SAT && size >= 0x7f800000)
        size = TF32_LARGEST;
    return (bits & 0x80000000) | size;
}

PTX_UNARY(run_to_tf32, uint32_t, uint32_t, to_tf32(x, insn->op, insn->mode))

/* To nearest even, with `mantissa` bits and the smallest exponent given; counted in units of the
 * last place, which are the bits of the result without its sign. */
static uint32_t count_units(float size, unsigned int mantissa, int lowest)
{
    int exponent = size > 0 ? ilogbf(size) : lowest;
    float units;

    if (exponent < lowest)
        exponent = lowest;
    units = nearbyintf(ldexpf(size, (int)mantissa - exponent));
    return (uint32_t)units + ((uint32_t)(exponent - lowest) << mantissa);
}

static uint8_t to_small(float x, unsigned int format, unsigned int mode)
{
    uint8_t sign = signbit(x) ? 0x80 : 0;
    uint32_t largest = format == E4M3 ? 0x7e : 0x7b;
    uint32_t size;

    if (x != x)
        return 0x7f;
    if (mode & PTX_MODE_RELU && sign)
        return 0;
    if (fabsf(x) > 60000)
        return (uint8_t)(sign | largest);
    size = format == E4M3 ? count_units(fabsf(x), 3, -6) : count_units(fabsf(x), 2, -14);
    return (uint8_t)(sign | (size < largest ? size : largest));
}

static uint16_t small_half(uint8_t bits, unsigned int format)
{
    unsigned int exponent = bits >> 3 & 15;
    unsigned int mantissa = bits & 7;
    float size;

    if (format == E5M2)
        return (bits & 0x7f) > 0x7c ? PTX_NAN16 : (uint16_t)(bits << 8);
    if ((bits & 0x7f) == 0x7f)
        return PTX_NAN16;
    size = exponent ? ldexpf((float)(8 + mantissa), (int)exponent - 10) : (float)mantissa * 0x1p-9f;
    return float_half(bits & 0x80 ? -size : size);
}

/* d = {small(a), small(b)}, a in the upper byte. */
PTX_BINARY(run_pair_f32, uint16_t, float, float,
           to_small(x, insn->op, insn->mode) << 8 | to_small(y, insn->op, insn->mode))
PTX_UNARY(run_pair_f16x2, uint16_t, uint32_t,
          to_small(half_float((uint16_t)(x >> 16)), insn->op, insn->mode) << 8 |
              to_small(half_float((uint16_t)x), insn->op, insn->mode))

static uint32_t halves_of(uint16_t x, unsigned int format, unsigned int mode)
{
    uint32_t high = small_half((uint8_t)(x >> 8), format);
    uint32_t low = small_half((uint8_t)x, format);

    if (mode & PTX_MODE_RELU) {
        high = high & 0x8000 ? 0 : high;
        low = low & 0x8000 ? 0 : low;
    }
    return high << 16 | low;
}

PTX_UNARY(run_halves, uint32_t, uint16_t, halves_of(x, insn->op, insn->mode))

static int decode_small(struct ptx_builder *builder, const struct statement *statement,
                        struct ptx_insn *insn)
{
    const struct spelling *spelling = statement->spelling;
    bool narrows = spelling_has(spelling, "satfinite");
    unsigned int n = narrows && insn->type == PTX_F32 ? 3 : 2;

    insn->op = spelling_has(spelling, "e5m2x2") ? E5M2 : E4M3;
    if (statement->n_operands != n || spelling->n_types != 1)
        return lex_fail(&builder->lex, statement->line, "'%.*s' takes %u operands",
                        (int)spelling->text.length, spelling->text.text, n);
    insn->dst = ptx_dest(builder, &statement->operands[0], narrows ? PTX_B16 : PTX_B32);
    for (unsigned int i = 1; i < n; i++)
        insn->src[i - 1] =
            ptx_source(builder, &statement->operands[i], narrows ? insn->type : PTX_B16);
    return builder->lex.failed ? -1 : 0;
}

static int decode_tf32(struct ptx_builder *builder, const struct statement *statement,
                       struct ptx_insn *insn)
{
    const struct spelling *spelling = statement->spelling;

    if (statement->n_operands != 2 || spelling->n_types != 1)
        return lex_fail(&builder->lex, statement->line, "'%.*s' takes 2 operands",
                        (int)spelling->text.length, spelling->text.text);
    insn->op = spelling_has(spelling, "rna")  ? NEAREST_AWAY
               : spelling_has(spelling, "rn") ? NEAREST_EVEN
                                              : TOWARD_ZERO;
    insn->mode = (uint8_t)((spelling_has(spelling, "satfinite") ? PTX_MODE_SAT : 0) |
                           (spelling_has(spelling, "relu") ? PTX_MODE_RELU : 0));
    insn->dst = ptx_dest(builder, &statement->operands[0], PTX_B32);
    insn->src[0] = ptx_source(builder, &statement->operands[1], PTX_F32);
    return builder->lex.failed ? -1 : 0;
}

#define FROM_WIDE PTX_RUNS([PTX_F32] = run_pair_f32, [PTX_F16X2] = run_pair_f16x2)
#define TO_HALVES PTX_RUNS([PTX_F16X2] = run_halves)

/* Of a pair of f16 only .satfinite tells which way it goes. */
const struct ptx_opcode ptx_convert_small_opcodes[] = {
    {"cvt.tf32", "rna rn rz relu satfinite", .decode = decode_tf32,
     .runs = PTX_RUNS([PTX_F32] = run_to_tf32)},
    {"cvt.rn.satfinite.e4m3x2", "relu", .decode = decode_small, .runs = FROM_WIDE},
    {"cvt.rn.satfinite.e5m2x2", "relu", .decode = decode_small, .runs = FROM_WIDE},
    {"cvt.rn.e4m3x2", "relu", .decode = decode_small, .runs = TO_HALVES},
    {"cvt.rn.e5m2x2", "relu", .decode = decode_small, .runs = TO_HALVES},
    {NULL},
};
