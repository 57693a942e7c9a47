/* SPDX-License-Identifier: MIT */

/*
 * set and setp on floats of 16 bits whose result or source is one of a pair, or a half itself.
 *
 * A true element is 1.0 in a half, and all ones in an integer, which for a pair are 16 bits each.
 */

#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_number.h"
#include "tests/sim/ptx_opcode.h"

enum { LESS = 1, EQUAL = 2, GREATER = 4, UNORDERED = 8 };

/* For which of the four relations of two numbers a comparison is true. */
static const struct {
    const char *name;
    uint8_t relations;
} comparisons[] = {
    {"eq", EQUAL},
    {"ne", LESS | GREATER},
    {"lt", LESS},
    {"le", LESS | EQUAL},
    {"gt", GREATER},
    {"ge", GREATER | EQUAL},
    {"equ", EQUAL | UNORDERED},
    {"neu", LESS | GREATER | UNORDERED},
    {"ltu", LESS | UNORDERED},
    {"leu", LESS | EQUAL | UNORDERED},
    {"gtu", GREATER | UNORDERED},
    {"geu", GREATER | EQUAL | UNORDERED},
    {"num", LESS | EQUAL | GREATER},
    {"nan", UNORDERED},
};

static bool is_pair(enum ptx_type type)
{
    return type == PTX_F16X2 || type == PTX_BF16X2;
}

static bool is_half(enum ptx_type type)
{
    return type == PTX_F16 || type == PTX_F16X2;
}

/* insn->op is the set of relations; insn->type2 the type of the sources. */
static bool element_true(const struct ptx_insn *insn, uint16_t a, uint16_t b)
{
    bool half = is_half((enum ptx_type)insn->type2);
    float x = half ? half_float(a) : bfloat_float(a);
    float y = half ? half_float(b) : bfloat_float(b);

    if (insn->mode & PTX_MODE_FTZ && half) {
        x = fabsf(x) < 0x1p-14f ? copysignf(0, x) : x;
        y = fabsf(y) < 0x1p-14f ? copysignf(0, y) : y;
    }
    if (x < y)
        return insn->op & LESS;
    if (x > y)
        return insn->op & GREATER;
    return insn->op & (x == y ? EQUAL : UNORDERED);
}

/* Which lanes are true, of element `i` of each; combined with the predicate where there is one. */
static uint32_t lanes_true(const struct ptx_warp *warp, const struct ptx_insn *insn, unsigned int i)
{
    unsigned int each = is_pair((enum ptx_type)insn->type2) ? 2 : 1;
    A(uint16_t);
    B(uint16_t);
    uint32_t other = insn->space ? ptx_predicate(warp, insn->src[2]) ^ (uint32_t)insn->imm : 0;
    uint32_t result = 0;

    for (unsigned int lane = 0; lane < PTX_LANES; lane++)
        result |= (uint32_t)element_true(insn, a[each * lane + i], b[each * lane + i]) << lane;
    switch (insn->space) {
    case '&':
        return result & other;
    case '|':
        return result | other;
    case '^':
        return result ^ other;
    default:
        return result;
    }
}

static enum ptx_step run_set(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    bool pair = is_pair((enum ptx_type)insn->type2);
    uint32_t low = lanes_true(warp, insn, 0);
    uint32_t high = pair ? lanes_true(warp, insn, 1) : 0;
    uint32_t yes = is_half((enum ptx_type)insn->type) ? 0x3c00 : 0x3f80;
    uint16_t *d16 = ptx_slot(warp, insn->dst);
    uint32_t *d32 = ptx_slot(warp, insn->dst);

    if (!ptx_type_is_float((enum ptx_type)insn->type) && !is_pair((enum ptx_type)insn->type))
        yes = pair ? 0xffff : UINT32_MAX;
    EACH_ACTIVE_LANE(lane, mask)
    {
        uint32_t value = (low >> lane & 1 ? yes : 0) | (high >> lane & 1 ? yes << 16 : 0);
        if (insn->width == 2)
            d16[lane] = (uint16_t)value;
        else
            d32[lane] = value;
    }
    return PTX_STEP_NEXT;
}

/* The second predicate is that of the pair's upper element. */
static enum ptx_step run_setp(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    uint32_t low = lanes_true(warp, insn, 0);
    uint32_t high = lanes_true(warp, insn, 1);

    ptx_set_predicate(warp, insn->dst, low, mask);
    ptx_set_predicate(warp, insn->dst2, high, mask);
    return PTX_STEP_NEXT;
}

static int decode_sources(struct ptx_builder *builder, const struct statement *statement,
                          struct ptx_insn *insn)
{
    const struct spelling *spelling = statement->spelling;

    insn->op = 0;
    for (size_t i = 0; i < sizeof(comparisons) / sizeof(comparisons[0]); i++) {
        if (spelling_has(spelling, comparisons[i].name))
            insn->op = comparisons[i].relations;
    }
    insn->space = spelling_has(spelling, "and")   ? '&'
                  : spelling_has(spelling, "or")  ? '|'
                  : spelling_has(spelling, "xor") ? '^'
                                                  : 0;
    if (!insn->op || statement->n_operands != (insn->space ? 4 : 3))
        return lex_fail(&builder->lex, statement->line, "'%.*s' is no comparison",
                        (int)spelling->text.length, spelling->text.text);
    insn->src[0] = ptx_source(builder, &statement->operands[1], insn->type2);
    insn->src[1] = ptx_source(builder, &statement->operands[2], insn->type2);
    if (insn->space) {
        insn->src[2] = ptx_source(builder, &statement->operands[3], PTX_PRED);
        insn->imm = statement->operands[3].flip ? -1 : 0;
    }
    return builder->lex.failed ? -1 : 0;
}

static bool is_small_float(enum ptx_type type)
{
    return type == PTX_F16 || type == PTX_BF16 || is_pair(type);
}

/* set.eq.f16x2.f16x2, set.eq.u32.f16x2, set.eq.f16.f16, set.eq.u16.bf16 and so on. */
int ptx_decode_set_half(struct ptx_builder *builder, const struct statement *statement,
                        struct ptx_insn *insn)
{
    enum ptx_type to = (enum ptx_type)insn->type;
    enum ptx_type from = (enum ptx_type)insn->type2;
    bool fits = is_small_float(to) ? to == from : !is_pair(from) || ptx_type_bytes(to) == 4;

    if (!is_small_float(from) || !fits)
        return lex_fail(&builder->lex, statement->line, "opcode '%.*s' is not understood",
                        (int)statement->spelling->text.length, statement->spelling->text.text);
    if (decode_sources(builder, statement, insn))
        return -1;
    insn->run = run_set;
    insn->width = (uint8_t)ptx_type_bytes(to);
    insn->dst = ptx_dest(builder, &statement->operands[0], to);
    return builder->lex.failed ? -1 : 0;
}

int ptx_decode_setp_half(struct ptx_builder *builder, const struct statement *statement,
                         struct ptx_insn *insn)
{
    insn->run = run_setp;
    insn->type2 = insn->type;
    if (decode_sources(builder, statement, insn))
        return -1;
    insn->dst = ptx_dest(builder, &statement->operands[0], PTX_PRED);
    insn->dst2 = ptx_new_slots(builder, 0, 1);
    if (statement->has_pipe)
        insn->dst2 = ptx_dest(builder, &statement->pipe, PTX_PRED);
    return builder->lex.failed ? -1 : 0;
}

#define COMPARISONS "eq ne lt le gt ge equ neu ltu leu gtu geu num nan and or xor ftz"
#define HALVES                                                                                     \
    PTX_RUNS([PTX_F16] = run_set, [PTX_BF16] = run_set, [PTX_F16X2] = run_set,                     \
             [PTX_BF16X2] = run_set, [PTX_U16] = run_set, [PTX_S16] = run_set)

const struct ptx_opcode ptx_set_half_opcodes[] = {
    {"set", COMPARISONS, .decode = ptx_decode_set_half, .runs = HALVES},
    {NULL},
};
