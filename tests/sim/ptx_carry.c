/* SPDX-License-Identifier: MIT */

/*
 * Sums with a carry, for numbers of more than 64 bits.
 *
 * `.cc` leaves the carry (or borrow) of each lane in the warp's mask; addc, subc and madc take it
 * from there.
 */

#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_opcode.h"

enum { OP_ADD, OP_SUB, OP_MAD_LOW, OP_MAD_HIGH };

static uint64_t read_lane(const struct ptx_warp *warp, uint32_t slot, unsigned int lane,
                          enum ptx_type type)
{
    if (ptx_type_bytes(type) == 8)
        return ((const uint64_t *)ptx_slot(warp, slot))[lane];
    if (type == PTX_S32)
        return (uint64_t)((const int32_t *)ptx_slot(warp, slot))[lane];
    return ((const uint32_t *)ptx_slot(warp, slot))[lane];
}

/* The half of a product of two numbers of `width` bits that is to be added to. */
static uint64_t half_product(uint64_t x, uint64_t y, const struct ptx_insn *insn)
{
    unsigned int width = ptx_type_bytes(insn->type) * 8;
    unsigned __int128 product = (unsigned __int128)x * y;

    if (insn->type == PTX_S64 || insn->type == PTX_S32)
        product = (unsigned __int128)((__int128)(int64_t)x * (int64_t)y);
    return (uint64_t)(insn->op == OP_MAD_HIGH ? product >> width : product);
}

/* insn->type2: takes the carry; insn->count: leaves one. */
static uint64_t sum_lane(struct ptx_warp *warp, const struct ptx_insn *insn, unsigned int lane,
                         bool *carry)
{
    uint64_t all = UINT64_MAX >> (64 - ptx_type_bytes(insn->type) * 8);
    uint64_t x = read_lane(warp, insn->src[0], lane, insn->type);
    uint64_t y = read_lane(warp, insn->src[1], lane, insn->type);
    uint64_t in = insn->type2 ? warp->carry >> lane & 1 : 0;
    unsigned __int128 sum;

    if (insn->op == OP_MAD_LOW || insn->op == OP_MAD_HIGH) {
        x = half_product(x, y, insn);
        y = read_lane(warp, insn->src[2], lane, insn->type);
    }
    if (insn->op == OP_SUB) {
        *carry = (unsigned __int128)(x & all) < (unsigned __int128)(y & all) + in;
        return x - y - in;
    }
    sum = (unsigned __int128)(x & all) + (y & all) + in;
    *carry = sum > all;
    return (uint64_t)sum;
}

static enum ptx_step run_carry(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    uint32_t carries = 0;

    EACH_ACTIVE_LANE(lane, mask)
    {
        bool carry;
        uint64_t sum = sum_lane(warp, insn, lane, &carry);
        carries |= (uint32_t)carry << lane;
        if (ptx_type_bytes(insn->type) == 8)
            ((uint64_t *)ptx_slot(warp, insn->dst))[lane] = sum;
        else
            ((uint32_t *)ptx_slot(warp, insn->dst))[lane] = (uint32_t)sum;
    }
    if (insn->count)
        warp->carry = (warp->carry & ~mask) | carries;
    return PTX_STEP_NEXT;
}

static int decode_carry(struct ptx_builder *builder, const struct statement *statement,
                        struct ptx_insn *insn)
{
    const struct spelling *spelling = statement->spelling;
    unsigned int n = insn->op == OP_MAD_LOW || insn->op == OP_MAD_HIGH ? 4 : 3;

    if (statement->n_operands != n)
        return lex_fail(&builder->lex, statement->line, "'%.*s' takes %u operands",
                        (int)spelling->text.length, spelling->text.text, n);
    insn->type2 = spelling_has(spelling, "addc") || spelling_has(spelling, "subc") ||
                  spelling_has(spelling, "madc");
    insn->count = spelling_has(spelling, "cc");
    insn->dst = ptx_dest(builder, &statement->operands[0], insn->type);
    for (unsigned int i = 1; i < n; i++)
        insn->src[i - 1] = ptx_source(builder, &statement->operands[i], insn->type);
    return builder->lex.failed ? -1 : 0;
}

#define WIDE_TYPES                                                                                 \
    PTX_RUNS([PTX_U32] = run_carry, [PTX_S32] = run_carry, [PTX_U64] = run_carry,                  \
             [PTX_S64] = run_carry)

const struct ptx_opcode ptx_carry_opcodes[] = {
    {"add.cc", .decode = decode_carry, .runs = WIDE_TYPES, .op = OP_ADD},
    {"addc", "cc", .decode = decode_carry, .runs = WIDE_TYPES, .op = OP_ADD},
    {"sub.cc", .decode = decode_carry, .runs = WIDE_TYPES, .op = OP_SUB},
    {"subc", "cc", .decode = decode_carry, .runs = WIDE_TYPES, .op = OP_SUB},
    {"mad.lo.cc", .decode = decode_carry, .runs = WIDE_TYPES, .op = OP_MAD_LOW},
    {"madc.lo", "cc", .decode = decode_carry, .runs = WIDE_TYPES, .op = OP_MAD_LOW},
    {"mad.hi.cc", .decode = decode_carry, .runs = WIDE_TYPES, .op = OP_MAD_HIGH},
    {"madc.hi", "cc", .decode = decode_carry, .runs = WIDE_TYPES, .op = OP_MAD_HIGH},
    {NULL},
};
