/* SPDX-License-Identifier: MIT */

/*
 * cp.async: global to shared memory beside the thread.
 *
 * A copy is done where it stands, which is one of the orders a device may choose; waiting for a
 * group then has nothing to wait for.
 */

#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_opcode.h"

static enum ptx_step run_nothing(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    return PTX_STEP_NEXT;
}

/* The source as an access of its own: its address is in src[1], its offset in dst2. */
static struct ptx_insn source_access(const struct ptx_insn *insn)
{
    struct ptx_insn source = *insn;

    source.src[0] = insn->src[1];
    source.imm = (int32_t)insn->dst2;
    source.space = PTX_SPACE_GLOBAL;
    source.type2 = insn->width == 4 ? PTX_B32 : PTX_B64;
    return source;
}

/* How many of insn->bytes come from memory; the others are zeros. */
static unsigned int copied_bytes(struct ptx_warp *warp, const struct ptx_insn *insn,
                                 unsigned int lane)
{
    uint32_t bytes;

    if (insn->op) /* a predicate that leaves the source alone */
        return (ptx_predicate(warp, insn->src[2]) ^ insn->src[3]) >> lane & 1 ? 0 : insn->bytes;
    bytes = ((const uint32_t *)ptx_slot(warp, insn->src[2]))[lane];
    return bytes < insn->bytes ? bytes : insn->bytes;
}

/* A lane that wants only some of its bytes must be able to read only these. */
static enum ptx_step copy_some(struct ptx_warp *warp, const struct ptx_insn *source,
                               unsigned int lane, unsigned int bytes, uint8_t *to)
{
    struct ptx_insn byte = *source;

    memset(to, 0, source->bytes);
    byte.bytes = 1;
    for (unsigned int i = 0; i < bytes; i++, byte.imm++) {
        uint8_t *pointers[PTX_LANES];
        if (ptx_resolve(warp, &byte, 1u << lane, 1, false, pointers))
            return PTX_STEP_STOP;
        to[i] = *pointers[lane];
    }
    return PTX_STEP_NEXT;
}

static enum ptx_step run_copy(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    struct ptx_insn source = source_access(insn);
    uint8_t *from[PTX_LANES];
    uint8_t *to[PTX_LANES];
    uint32_t whole = 0;

    EACH_ACTIVE_LANE(lane, mask)
    {
        whole |= (uint32_t)(copied_bytes(warp, insn, lane) == insn->bytes) << lane;
    }
    if (ptx_resolve(warp, insn, mask, insn->bytes, true, to) ||
        (whole && ptx_resolve(warp, &source, whole, insn->bytes, false, from)))
        return PTX_STEP_STOP;
    EACH_ACTIVE_LANE(lane, mask)
    {
        if (whole >> lane & 1)
            memcpy(to[lane], from[lane], insn->bytes);
        else if (copy_some(warp, &source, lane, copied_bytes(warp, insn, lane), to[lane]))
            return PTX_STEP_STOP;
    }
    return PTX_STEP_NEXT;
}

/* The third operand after the addresses: bytes to read, or a predicate that forbids it. */
static int decode_limit(struct ptx_builder *builder, const struct operand *operand,
                        struct ptx_insn *insn)
{
    insn->op = operand->kind == OPERAND_REGISTER && operand->type == PTX_PRED;
    insn->src[2] = ptx_source(builder, operand, insn->op ? PTX_PRED : PTX_B32);
    insn->src[3] = operand->flip ? UINT32_MAX : 0;
    return builder->lex.failed ? -1 : 0;
}

static int decode_copy(struct ptx_builder *builder, const struct statement *statement,
                       struct ptx_insn *insn)
{
    const struct operand *operands = statement->operands;
    bool hint = spelling_has(statement->spelling, "L2::cache_hint");
    unsigned int n = statement->n_operands - hint;
    struct operand all = {.kind = OPERAND_INTEGER};
    struct ptx_insn source = *insn;

    if (statement->n_operands < 3u + hint || n > 4 || operands[2].kind != OPERAND_INTEGER ||
        (operands[2].bits != 4 && operands[2].bits != 8 && operands[2].bits != 16))
        return lex_fail(&builder->lex, statement->line,
                        "cp.async takes 2 addresses, 4, 8 or 16 bytes, and perhaps a limit");
    if (ptx_decode_address_in(builder, statement, &operands[1], PTX_SPACE_GLOBAL, &source) ||
        ptx_decode_address_in(builder, statement, &operands[0], PTX_SPACE_SHARED, insn))
        return -1;
    if (source.imm != (int32_t)source.imm)
        return lex_fail(&builder->lex, statement->line, "an offset of more than 31 bits");
    insn->src[1] = source.src[0];
    insn->dst2 = (uint32_t)source.imm;
    insn->width = (uint8_t)ptx_type_bytes(source.type2);
    insn->bytes = (uint8_t)operands[2].bits;
    all.bits = insn->bytes;
    return decode_limit(builder, n == 4 ? &operands[3] : &all, insn);
}

static int decode_wait(struct ptx_builder *builder, const struct statement *statement,
                       struct ptx_insn *insn)
{
    bool counted = spelling_has(statement->spelling, "wait_group");

    if (statement->n_operands != counted ||
        (counted && statement->operands[0].kind != OPERAND_INTEGER))
        return lex_fail(&builder->lex, statement->line, "'%.*s' takes %s",
                        (int)statement->spelling->text.length, statement->spelling->text.text,
                        counted ? "a number" : "nothing");
    return 0;
}

#define WHERE "shared shared::cta global L2::cache_hint L2::64B L2::128B L2::256B"

const struct ptx_opcode ptx_async_opcodes[] = {
    {"cp.async.ca.shared", WHERE, .decode = decode_copy, .run = run_copy},
    {"cp.async.cg.shared", WHERE, .decode = decode_copy, .run = run_copy},
    {"cp.async.ca.shared::cta", WHERE, .decode = decode_copy, .run = run_copy},
    {"cp.async.cg.shared::cta", WHERE, .decode = decode_copy, .run = run_copy},
    {"cp.async.commit_group", .decode = decode_wait, .run = run_nothing},
    {"cp.async.wait_group", .decode = decode_wait, .run = run_nothing},
    {"cp.async.wait_all", .decode = decode_wait, .run = run_nothing},
    {NULL},
};
