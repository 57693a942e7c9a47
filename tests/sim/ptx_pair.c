/* SPDX-License-Identifier: MIT */

/*
 * Small integers side by side in a register: two of 16 bits, and what is left of the video
 * instructions, which work on two or four parts of two registers and may add to a third.
 */

#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_opcode.h"

enum { OP_ADD, OP_SUB, OP_AVERAGE, OP_DISTANCE, OP_MIN, OP_MAX, OP_SET };

/* insn->mode, beside PTX_MODE_SAT and PTX_MODE_RELU */
enum { MODE_SUM = 1 << 6 };

/* How vset compares, in insn->space. */
enum { EQ, NE, LT, LE, GT, GE };

static int32_t part_of(uint32_t x, unsigned int i, unsigned int bits, bool is_signed)
{
    uint32_t part = x >> i * bits & ((1u << bits) - 1);

    return is_signed && part >> (bits - 1) ? (int32_t)part - (1 << bits) : (int32_t)part;
}

static bool compare(unsigned int how, int32_t a, int32_t b)
{
    switch (how) {
    case EQ:
        return a == b;
    case NE:
        return a != b;
    case LT:
        return a < b;
    case LE:
        return a <= b;
    case GT:
        return a > b;
    default:
        return a >= b;
    }
}

static int32_t combine(const struct ptx_insn *insn, int32_t a, int32_t b)
{
    switch (insn->op) {
    case OP_ADD:
        return a + b;
    case OP_SUB:
        return a - b;
    case OP_AVERAGE: /* rounded away from zero */
        return (a + b + (a + b >= 0)) >> 1;
    case OP_DISTANCE:
        return a > b ? a - b : b - a;
    case OP_MIN:
        return a < b ? a : b;
    case OP_MAX:
        return a > b ? a : b;
    default:
        return compare(insn->space, a, b);
    }
}

static int32_t finish(const struct ptx_insn *insn, int32_t x, unsigned int bits)
{
    bool is_signed = ptx_type_is_signed(insn->type);
    int32_t low = is_signed ? -(1 << (bits - 1)) : 0;
    int32_t high = is_signed ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;

    if (insn->mode & PTX_MODE_RELU && x < 0)
        return 0;
    if (insn->mode & PTX_MODE_SAT)
        return x < low ? low : x > high ? high : x;
    return x;
}

/* insn->count parts; insn->bytes and insn->width say whether those of the sources are signed. */
static uint32_t compute(const struct ptx_insn *insn, uint32_t x, uint32_t y, uint32_t z)
{
    unsigned int bits = 32u / insn->count;
    uint32_t result = insn->mode & MODE_SUM ? z : 0;

    for (unsigned int i = 0; i < insn->count; i++) {
        int32_t part =
            combine(insn, part_of(x, i, bits, insn->bytes), part_of(y, i, bits, insn->width));
        part = finish(insn, part, bits);
        if (insn->mode & MODE_SUM)
            result += (uint32_t)part;
        else
            result |= ((uint32_t)part & ((1u << bits) - 1)) << i * bits;
    }
    return result;
}

RUN(run_parts)
{
    DST(uint32_t);
    A(uint32_t);
    B(uint32_t);
    C(uint32_t);

    EACH_LANE(d[lane] = compute(insn, a[lane], b[lane], c[lane]));
    return PTX_STEP_NEXT;
}

static int decode_parts(struct ptx_builder *builder, const struct statement *statement,
                        struct ptx_insn *insn, unsigned int n)
{
    if (statement->n_operands != n)
        return lex_fail(&builder->lex, statement->line, "'%.*s' takes %u operands",
                        (int)statement->spelling->text.length, statement->spelling->text.text, n);
    insn->dst = ptx_dest(builder, &statement->operands[0], PTX_B32);
    for (unsigned int i = 1; i < n; i++)
        insn->src[i - 1] = ptx_source(builder, &statement->operands[i], PTX_B32);
    return builder->lex.failed ? -1 : 0;
}

/* add.s16x2 and the like */
static int decode_pair(struct ptx_builder *builder, const struct statement *statement,
                       struct ptx_insn *insn)
{
    insn->count = 2;
    insn->type = insn->type == PTX_S16X2 ? PTX_S32 : PTX_U32;
    insn->bytes = ptx_type_is_signed(insn->type);
    insn->width = insn->bytes;
    return decode_parts(builder, statement, insn, 3);
}

static unsigned int comparison_of(const struct spelling *spelling)
{
    static const char *const names[] = {"eq", "ne", "lt", "le", "gt", "ge"};

    for (unsigned int i = 0; i < 6; i++) {
        if (spelling_has(spelling, names[i]))
            return i;
    }
    return 6;
}

/* vadd4.u32.u32.u32 d, a, b, c: the types of d, a and b; .add sums all parts and c. */
static int decode_video(struct ptx_builder *builder, const struct statement *statement,
                        struct ptx_insn *insn)
{
    const struct spelling *spelling = statement->spelling;
    bool sets = insn->op == OP_SET;
    const enum ptx_type *types = spelling->types + (sets ? 0 : 1);

    if (spelling->n_types != (sets ? 2 : 3) || (comparison_of(spelling) != 6) != sets)
        return lex_fail(&builder->lex, statement->line, "opcode '%.*s' is not understood",
                        (int)spelling->text.length, spelling->text.text);
    insn->space = (uint8_t)comparison_of(spelling);
    insn->count = spelling->words[0].text[spelling->words[0].length - 1] == '4' ? 4 : 2;
    insn->type = (uint8_t)(sets ? PTX_U32 : spelling->types[0]);
    insn->bytes = ptx_type_is_signed(types[0]);
    insn->width = ptx_type_is_signed(types[1]);
    if (spelling_has(spelling, "add"))
        insn->mode |= MODE_SUM;
    return decode_parts(builder, statement, insn, 4);
}

/* max.s32.relu */
PTX_BINARY(run_max_relu, int32_t, int32_t, int32_t, x > y ? (x > 0 ? x : 0) : (y > 0 ? y : 0))
PTX_BINARY(run_min_relu, int32_t, int32_t, int32_t, x < y ? (x > 0 ? x : 0) : (y > 0 ? y : 0))

/* The z-th set bit of x from bit y on, up for a positive z and down for a negative; z = 0 asks for
 * bit y itself. All ones when there is none. */
static uint32_t find_nth(uint32_t x, uint32_t y, int32_t z)
{
    int64_t at = y;
    int64_t left = z < 0 ? -(int64_t)z : z;

    if (y > 31)
        return UINT32_MAX;
    if (!z)
        return x >> at & 1 ? (uint32_t)at : UINT32_MAX;
    for (; at >= 0 && at < 32; at += z < 0 ? -1 : 1) {
        left -= x >> at & 1;
        if (!left)
            return (uint32_t)at;
    }
    return UINT32_MAX;
}

PTX_TERNARY(run_fns, uint32_t, uint32_t, uint32_t, int32_t, find_nth(x, y, z))

#define PAIRS  PTX_RUNS([PTX_U16X2] = run_parts, [PTX_S16X2] = run_parts)
#define SIGNED PTX_RUNS([PTX_S16X2] = run_parts)
#define WORDS  PTX_RUNS([PTX_U32] = run_parts, [PTX_S32] = run_parts)
#define VIDEO(name, operation)                                                                     \
    {name "2", "sat add", .decode = decode_video, .runs = WORDS, .op = operation},                 \
    {                                                                                              \
        name "4", "sat add", .decode = decode_video, .runs = WORDS, .op = operation                \
    }

const struct ptx_opcode ptx_pair_opcodes[] = {
    {"add", "", .decode = decode_pair, .runs = PAIRS, .op = OP_ADD},
    {"min", "", .decode = decode_pair, .runs = PAIRS, .op = OP_MIN},
    {"max", "", .decode = decode_pair, .runs = PAIRS, .op = OP_MAX},
    {"min.relu", "", .decode = decode_pair, .runs = SIGNED, .op = OP_MIN},
    {"max.relu", "", .decode = decode_pair, .runs = SIGNED, .op = OP_MAX},
    {"min.relu", "", "ttt", .runs = PTX_RUNS([PTX_S32] = run_min_relu)},
    {"max.relu", "", "ttt", .runs = PTX_RUNS([PTX_S32] = run_max_relu)},
    {"fns", "", "tttt", .runs = PTX_RUNS([PTX_B32] = run_fns)},
    VIDEO("vadd", OP_ADD),
    VIDEO("vsub", OP_SUB),
    VIDEO("vavrg", OP_AVERAGE),
    VIDEO("vabsdiff", OP_DISTANCE),
    VIDEO("vmin", OP_MIN),
    VIDEO("vmax", OP_MAX),
    {"vset2", "eq ne lt le gt ge add", .decode = decode_video, .runs = WORDS, .op = OP_SET},
    {"vset4", "eq ne lt le gt ge add", .decode = decode_video, .runs = WORDS, .op = OP_SET},
    {NULL},
};
