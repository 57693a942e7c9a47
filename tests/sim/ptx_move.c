/* SPDX-License-Identifier: MIT */

/*
 * mov, packing and unpacking, and cvta.
 *
 * Generic addresses of shared, local and parameter memory lie in windows far above any other
 * address (ptx_code.h), so cvta is an addition.
 */

#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_opcode.h"

#define MAKE(n) PTX_UNARY(run_mov_u##n, uint##n##_t, uint##n##_t, x)
MAKE(16)
MAKE(32)
MAKE(64)
#undef MAKE

static enum ptx_step run_mov_pred(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    ptx_set_predicate(warp, insn->dst, ptx_predicate(warp, insn->src[0]), mask);
    return PTX_STEP_NEXT;
}

/* What the clocks show: the instructions that this warp has issued, one for a nanosecond, and for
 * the global timer after the time at which the launch began. */
static uint64_t clock_now(const struct ptx_warp *warp, unsigned int special)
{
    uint64_t timer = warp->launch->launch->begin_ns + warp->steps;

    switch (special) {
    case PTX_SREG_CLOCK_HI:
        return warp->steps >> 32;
    case PTX_SREG_GLOBALTIMER:
    case PTX_SREG_GLOBALTIMER_LO:
        return timer;
    case PTX_SREG_GLOBALTIMER_HI:
        return timer >> 32;
    default:
        return warp->steps;
    }
}

static enum ptx_step run_clock(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    uint64_t now = clock_now(warp, insn->op);

    EACH_ACTIVE_LANE(lane, mask)
    {
        if (insn->width == 8)
            ((uint64_t *)ptx_slot(warp, insn->dst))[lane] = now;
        else
            ((uint32_t *)ptx_slot(warp, insn->dst))[lane] = (uint32_t)now;
    }
    return PTX_STEP_NEXT;
}

/* {a, b} = x: `bytes` from each lane of x to every element in the list. */
static enum ptx_step run_unpack(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    const uint8_t *from = ptx_slot(warp, insn->src[0]);
    uint8_t copy[8 * PTX_LANES];

    /* A part may be the register that is taken apart. */
    memcpy(copy, from, (size_t)insn->width * PTX_LANES);
    for (unsigned int i = 0; i < insn->count; i++) {
        uint8_t *to = ptx_slot(warp, warp->launch->kernel->lists[insn->dst + i]);
        EACH_ACTIVE_LANE(lane, mask)
        {
            memcpy(to + lane * insn->bytes, copy + lane * insn->width + i * insn->bytes,
                   insn->bytes);
        }
    }
    return PTX_STEP_NEXT;
}

static enum ptx_step run_pack(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    uint8_t *to = ptx_slot(warp, insn->dst);
    uint8_t whole[8 * PTX_LANES];

    for (unsigned int i = 0; i < insn->count; i++) {
        const uint8_t *from = ptx_slot(warp, warp->launch->kernel->lists[insn->src[0] + i]);
        for (unsigned int lane = 0; lane < PTX_LANES; lane++)
            memcpy(whole + lane * insn->width + i * insn->bytes, from + lane * insn->bytes,
                   insn->bytes);
    }
    EACH_ACTIVE_LANE(lane, mask)
    {
        memcpy(to + lane * insn->width, whole + lane * insn->width, insn->width);
    }
    return PTX_STEP_NEXT;
}

static enum ptx_type bits_type(unsigned int bytes)
{
    return bytes == 2 ? PTX_B16 : bytes == 4 ? PTX_B32 : PTX_B64;
}

static int decode_vector(struct ptx_builder *builder, const struct statement *statement,
                         struct ptx_insn *insn, bool unpack)
{
    const struct operand *vector = &statement->operands[unpack ? 0 : 1];
    const struct operand *scalar = &statement->operands[unpack ? 1 : 0];
    uint32_t slots[8];

    insn->width = (uint8_t)ptx_type_bytes(insn->type);
    insn->count = vector->count;
    insn->bytes = insn->width / vector->count;
    if (vector->count > 4 || vector->count * insn->bytes != insn->width || insn->bytes < 2)
        return lex_fail(&builder->lex, statement->line, "%u parts do not make a .%s", vector->count,
                        ptx_type_name(insn->type));
    for (unsigned int i = 0; i < vector->count; i++) {
        const struct operand *part = &statement->elements[vector->first + i];
        slots[i] = unpack ? ptx_dest(builder, part, bits_type(insn->bytes))
                          : ptx_source(builder, part, bits_type(insn->bytes));
    }
    if (unpack) {
        insn->run = run_unpack;
        insn->src[0] = ptx_source(builder, scalar, insn->type);
        insn->dst = ptx_list(builder, slots, insn->count);
    } else {
        insn->run = run_pack;
        insn->dst = ptx_dest(builder, scalar, insn->type);
        insn->src[0] = ptx_list(builder, slots, insn->count);
    }
    return builder->lex.failed ? -1 : 0;
}

static int decode_mov(struct ptx_builder *builder, const struct statement *statement,
                      struct ptx_insn *insn)
{
    const struct operand *from = &statement->operands[1];

    if (statement->n_operands != 2)
        return lex_fail(&builder->lex, statement->line, "mov takes 2 operands");
    if (statement->operands[0].kind == OPERAND_VECTOR || from->kind == OPERAND_VECTOR)
        return decode_vector(builder, statement, insn,
                             statement->operands[0].kind == OPERAND_VECTOR);
    insn->dst = ptx_dest(builder, &statement->operands[0], insn->type);
    if (from->kind == OPERAND_SPECIAL && from->bits >= PTX_SREG_CLOCK) {
        insn->run = run_clock;
        insn->op = (uint8_t)from->bits;
        insn->width = (uint8_t)ptx_type_bytes(insn->type);
        return 0;
    }
    insn->src[0] = ptx_source(builder, from, insn->type);
    if (from->flip)
        return lex_fail(&builder->lex, statement->line, "'!' is not for this operand");
    return builder->lex.failed ? -1 : 0;
}

PTX_UNARY(run_cvta_u64, uint64_t, uint64_t, x + (uint64_t)insn->imm)

static enum ptx_space named_space(const struct spelling *spelling)
{
    if (spelling_has(spelling, "shared") || spelling_has(spelling, "shared::cta") ||
        spelling_has(spelling, "shared::cluster"))
        return PTX_SPACE_SHARED;
    if (spelling_has(spelling, "local"))
        return PTX_SPACE_LOCAL;
    if (spelling_has(spelling, "param"))
        return PTX_SPACE_PARAM;
    return PTX_SPACE_GLOBAL;
}

static int decode_cvta(struct ptx_builder *builder, const struct statement *statement,
                       struct ptx_insn *insn)
{
    uint64_t window = PTX_WINDOW(named_space(statement->spelling));

    if (statement->n_operands != 2)
        return lex_fail(&builder->lex, statement->line, "cvta takes 2 operands");
    insn->dst = ptx_dest(builder, &statement->operands[0], PTX_B64);
    insn->src[0] = ptx_source(builder, &statement->operands[1], PTX_B64);
    insn->imm = (int64_t)(spelling_has(statement->spelling, "to") ? 0 - window : window);
    return builder->lex.failed ? -1 : 0;
}

/* In no window is global. */
static enum ptx_step run_isspacep(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    const uint64_t *a = ptx_slot(warp, insn->src[0]);
    uint32_t result = 0;

    EACH_ACTIVE_LANE(lane, mask)
    {
        uint64_t window = a[lane] >> PTX_WINDOW_SHIFT;
        uint64_t space = window ? window : PTX_SPACE_GLOBAL;
        result |= (uint32_t)(space == insn->op) << lane;
    }
    ptx_set_predicate(warp, insn->dst, result, mask);
    return PTX_STEP_NEXT;
}

static int decode_isspacep(struct ptx_builder *builder, const struct statement *statement,
                           struct ptx_insn *insn)
{
    if (statement->n_operands != 2)
        return lex_fail(&builder->lex, statement->line, "isspacep takes 2 operands");
    insn->op = (uint8_t)named_space(statement->spelling);
    insn->dst = ptx_dest(builder, &statement->operands[0], PTX_PRED);
    insn->src[0] = ptx_source(builder, &statement->operands[1], PTX_B64);
    return builder->lex.failed ? -1 : 0;
}

#define MOVES                                                                                      \
    PTX_RUNS([PTX_PRED] = run_mov_pred, [PTX_B16] = run_mov_u16, [PTX_B32] = run_mov_u32,          \
             [PTX_B64] = run_mov_u64, [PTX_U16] = run_mov_u16, [PTX_U32] = run_mov_u32,            \
             [PTX_U64] = run_mov_u64, [PTX_S16] = run_mov_u16, [PTX_S32] = run_mov_u32,            \
             [PTX_S64] = run_mov_u64, [PTX_F16] = run_mov_u16, [PTX_F32] = run_mov_u32,            \
             [PTX_F64] = run_mov_u64)

const struct ptx_opcode ptx_move_opcodes[] = {
    {"mov", .decode = decode_mov, .runs = MOVES},
    {"cvta", "to global const shared shared::cta shared::cluster local param",
     .decode = decode_cvta, .runs = PTX_RUNS([PTX_U64] = run_cvta_u64)},
    {"isspacep", "global const shared shared::cta shared::cluster local param",
     .decode = decode_isspacep, .run = run_isspacep},
    {NULL},
};
