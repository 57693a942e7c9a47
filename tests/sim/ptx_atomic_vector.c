/* SPDX-License-Identifier: MIT */

/*
 * atom and red on what ptx_atomic.c has no instruction of the host for: floats of 16 bits but for
 * f16 sums, and vectors.
 *
 * Elements are combined one after the other, lane by lane; each word of 2, 4 or 8 bytes changes at
 * once, by compare and swap, so launches and blocks of other threads cannot come between.
 */

#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_number.h"
#include "tests/sim/ptx_opcode.h"

enum { OP_ADD, OP_MIN, OP_MAX };

static float combine(unsigned int op, float x, float y)
{
    switch (op) {
    case OP_ADD:
        return x + y;
    case OP_MIN:
        return min_f32(x, y);
    default:
        return max_f32(x, y);
    }
}

static uint16_t combine_half(unsigned int op, uint16_t x, uint16_t y)
{
    return float_half(combine(op, half_float(x), half_float(y)));
}

static uint16_t combine_bfloat(unsigned int op, uint16_t x, uint16_t y)
{
    double sum = (double)bfloat_float(x) + (double)bfloat_float(y);

    if (op != OP_ADD)
        sum = (double)combine(op, bfloat_float(x), bfloat_float(y));
    return round_to_16(sum, BFLOAT_MANTISSA, PTX_ROUND_NEAREST);
}

static uint32_t combine_element(const struct ptx_insn *insn, uint32_t x, uint32_t y)
{
    uint16_t (*small)(unsigned int, uint16_t, uint16_t) =
        insn->type == PTX_F16 || insn->type == PTX_F16X2 ? combine_half : combine_bfloat;

    if (insn->type == PTX_F32)
        return float_image(one_nan(combine(insn->op, image_float(x), image_float(y))));
    if (insn->bytes == 2)
        return small(insn->op, (uint16_t)x, (uint16_t)y);
    return (uint32_t)small(insn->op, (uint16_t)(x >> 16), (uint16_t)(y >> 16)) << 16 |
           small(insn->op, (uint16_t)x, (uint16_t)y);
}

static uint32_t change(const struct ptx_insn *insn, uint8_t *at, uint32_t x)
{
    uint16_t *half = (uint16_t *)(void *)at;
    uint32_t *word = (uint32_t *)(void *)at;
    uint16_t old16;
    uint32_t old32;

    if (insn->bytes == 2) {
        old16 = __atomic_load_n(half, __ATOMIC_RELAXED);
        while (!__atomic_compare_exchange_n(half, &old16, (uint16_t)combine_element(insn, old16, x),
                                            false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
            ;
        return old16;
    }
    old32 = __atomic_load_n(word, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(word, &old32, combine_element(insn, old32, x), false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        ;
    return old32;
}

/* The list at insn->src[1] has the operands, then the results. */
static enum ptx_step run_change(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    const uint32_t *operands = warp->launch->kernel->lists + insn->src[1];
    const uint32_t *results = operands + insn->count;
    uint8_t *pointers[PTX_LANES];

    if (ptx_resolve(warp, insn, mask, (unsigned int)insn->bytes * insn->count, true, pointers))
        return PTX_STEP_STOP;
    EACH_ACTIVE_LANE(lane, mask)
    {
        for (unsigned int i = 0; i < insn->count; i++) {
            uint32_t x = 0;
            uint32_t old;
            memcpy(&x, (const uint8_t *)ptx_slot(warp, operands[i]) + lane * insn->bytes,
                   insn->bytes);
            old = change(insn, pointers[lane] + i * insn->bytes, x);
            memcpy((uint8_t *)ptx_slot(warp, results[i]) + lane * insn->bytes, &old, insn->bytes);
        }
    }
    return PTX_STEP_NEXT;
}

static const struct operand *part_of(const struct statement *statement,
                                     const struct operand *operand, unsigned int i)
{
    return operand->kind == OPERAND_VECTOR ? &statement->elements[operand->first + i] : operand;
}

static unsigned int parts(const struct operand *operand)
{
    return operand->kind == OPERAND_VECTOR ? operand->count : 1;
}

static int decode_change(struct ptx_builder *builder, const struct statement *statement,
                         struct ptx_insn *insn)
{
    const struct spelling *spelling = statement->spelling;
    const struct operand *operands = statement->operands;
    bool red = spelling_has(spelling, "red");
    unsigned int n = 3u - red + spelling_has(spelling, "L2::cache_hint");
    unsigned int count = spelling_has(spelling, "v2")   ? 2
                         : spelling_has(spelling, "v4") ? 4
                         : spelling_has(spelling, "v8") ? 8
                                                        : 1;
    uint32_t slots[16] = {0};

    insn->bytes = (uint8_t)ptx_type_bytes(insn->type);
    insn->count = (uint8_t)count;
    if (statement->n_operands != n || insn->bytes * count > 16 ||
        (insn->type == PTX_F32 && (count == 1 || insn->op != OP_ADD)) ||
        parts(&operands[2 - red]) != count || (!red && parts(&operands[0]) != count))
        return lex_fail(&builder->lex, statement->line, "opcode '%.*s' is not understood",
                        (int)spelling->text.length, spelling->text.text);
    for (unsigned int i = 0; i < count; i++) {
        slots[i] = ptx_source(builder, part_of(statement, &operands[2 - red], i), insn->type);
        slots[count + i] = red ? ptx_new_slots(builder, insn->bytes, 1)
                               : ptx_dest(builder, part_of(statement, &operands[0], i), insn->type);
    }
    insn->src[1] = ptx_list(builder, slots, 2 * count);
    return ptx_decode_address(builder, statement, &operands[1 - red], insn);
}

#define WHERE                                                                                      \
    "global shared shared::cta relaxed acquire release acq_rel cta cluster gpu sys noftz v2 v4 v8" \
    " L2::cache_hint"
#define SMALL                                                                                      \
    PTX_RUNS([PTX_F16] = run_change, [PTX_F16X2] = run_change, [PTX_BF16] = run_change,            \
             [PTX_BF16X2] = run_change, [PTX_F32] = run_change)
#define ROWS(name, operation)                                                                      \
    {"atom." name, WHERE, .decode = decode_change, .runs = SMALL, .op = operation},                \
    {                                                                                              \
        "red." name, WHERE, .decode = decode_change, .runs = SMALL, .op = operation                \
    }

const struct ptx_opcode ptx_atomic_vector_opcodes[] = {
    ROWS("add", OP_ADD),
    ROWS("min", OP_MIN),
    ROWS("max", OP_MAX),
    {NULL},
};
