/* SPDX-License-Identifier: MIT */

/*
 * atom and red: one lane after the other, in the order of lanes, so sums of floats repeat exactly
 * as long as one host thread runs the launch. Whole numbers that a warp reduces into one address
 * are put together first.
 *
 * Every change is one of the host's compare-and-swaps, whatever the operation: blocks that run in
 * other threads, other launches and the host cannot come between. Each is sequentially consistent,
 * which is stronger than any order that is asked for.
 */

#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_number.h"
#include "tests/sim/ptx_opcode.h"

#define WHERE "global shared shared::cta relaxed acquire release acq_rel cta cluster gpu sys noftz"

enum {
    OP_ADD,
    OP_MIN,
    OP_MAX,
    OP_INC,
    OP_DEC,
    OP_AND,
    OP_OR,
    OP_XOR,
    OP_EXCH,
    OP_CAS,
};

static uint64_t add_half_pair(uint64_t a, uint64_t b)
{
    uint16_t low = float_half(half_float((uint16_t)a) + half_float((uint16_t)b));
    uint16_t high = float_half(half_float((uint16_t)(a >> 16)) + half_float((uint16_t)(b >> 16)));

    return (uint64_t)high << 16 | low;
}

static uint64_t add(enum ptx_type type, uint64_t old, uint64_t x)
{
    switch (type) {
    case PTX_F32:
        return float_image(one_nan(image_float((uint32_t)old) + image_float((uint32_t)x)));
    case PTX_F64:
        return double_image(image_double(old) + image_double(x));
    case PTX_F16:
        return float_half(half_float((uint16_t)old) + half_float((uint16_t)x));
    case PTX_F16X2:
        return add_half_pair(old, x);
    default:
        return old + x;
    }
}

static bool below(enum ptx_type type, uint64_t a, uint64_t b)
{
    if (type == PTX_S32)
        return (int32_t)a < (int32_t)b;
    if (type == PTX_S64)
        return (int64_t)a < (int64_t)b;
    return a < b;
}

static uint64_t apply(unsigned int op, enum ptx_type type, uint64_t old, uint64_t x, uint64_t y)
{
    switch (op) {
    case OP_ADD:
        return add(type, old, x);
    case OP_MIN:
        return below(type, x, old) ? x : old;
    case OP_MAX:
        return below(type, old, x) ? x : old;
    case OP_INC:
        return old >= x ? 0 : old + 1;
    case OP_DEC:
        return old == 0 || old > x ? x : old - 1;
    case OP_AND:
        return old & x;
    case OP_OR:
        return old | x;
    case OP_XOR:
        return old ^ x;
    case OP_EXCH:
        return x;
    default:
        return old == x ? y : old;
    }
}

static uint64_t read_lane(const struct ptx_warp *warp, uint32_t slot, unsigned int lane,
                          unsigned int bytes)
{
    const void *lanes = ptx_slot(warp, slot);

    if (bytes == 8)
        return ((const uint64_t *)lanes)[lane];
    return bytes == 4 ? ((const uint32_t *)lanes)[lane] : ((const uint16_t *)lanes)[lane];
}

#define CHANGE(n)                                                                                  \
    static uint64_t change_u##n(const struct ptx_insn *insn, void *at, uint64_t x, uint64_t y)     \
    {                                                                                              \
        uint##n##_t *word = at;                                                                    \
        uint##n##_t old = __atomic_load_n(word, __ATOMIC_RELAXED);                                 \
        while (!__atomic_compare_exchange_n(word, &old,                                            \
                                            (uint##n##_t)apply(insn->op, insn->type, old, x, y),   \
                                            false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))            \
            ;                                                                                      \
        return old;                                                                                \
    }
CHANGE(16)
CHANGE(32)
CHANGE(64)

static uint64_t change(const struct ptx_insn *insn, void *at, uint64_t x, uint64_t y)
{
    if (insn->bytes == 2)
        return change_u16(insn, at, x, y);
    return insn->bytes == 4 ? change_u32(insn, at, x, y) : change_u64(insn, at, x, y);
}

/* Shared memory is of one block, which is in one thread. */
static uint64_t change_alone(const struct ptx_insn *insn, void *at, uint64_t x, uint64_t y)
{
    uint64_t old = 0;
    uint64_t new;

    memcpy(&old, at, insn->bytes);
    new = apply(insn->op, insn->type, old, x, y);
    memcpy(at, &new, insn->bytes);
    return old;
}

static uint64_t change_one(const struct ptx_insn *insn, void *at, uint64_t x, uint64_t y)
{
    return insn->space == PTX_SPACE_SHARED ? change_alone(insn, at, x, y) : change(insn, at, x, y);
}

static uint64_t change_each(const struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask,
                            uint8_t *const pointers[PTX_LANES])
{
    unsigned int bytes = insn->bytes;
    uint64_t old = 0;

    EACH_ACTIVE_LANE(lane, mask)
    {
        uint64_t x = read_lane(warp, insn->src[1], lane, bytes);
        uint64_t y = insn->op == OP_CAS ? read_lane(warp, insn->src[2], lane, bytes) : 0;
        old = change_one(insn, pointers[lane], x, y);
        memcpy((uint8_t *)ptx_slot(warp, insn->dst) + lane * bytes, &old, bytes);
    }
    return old;
}

static enum ptx_step run_atomic(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    uint8_t *pointers[PTX_LANES];
    uint64_t old;

    if (ptx_resolve(warp, insn, mask, insn->bytes, true, pointers))
        return PTX_STEP_STOP;
    old = change_each(warp, insn, mask, pointers);
    if (insn->space != PTX_SPACE_SHARED)
        ptx_warp_look(warp, pointers[__builtin_ctz(mask)], old);
    return PTX_STEP_NEXT;
}

static bool is_one_address(uint32_t mask, uint8_t *const pointers[PTX_LANES])
{
    const uint8_t *first = pointers[__builtin_ctz(mask)];

    EACH_ACTIVE_LANE(lane, mask)
    {
        if (pointers[lane] != first)
            return false;
    }
    return true;
}

/* What all lanes together do to one number; most often they add to it. */
static uint64_t put_together(const struct ptx_warp *warp, const struct ptx_insn *insn,
                             uint32_t mask)
{
    uint64_t all = read_lane(warp, insn->src[1], (unsigned int)__builtin_ctz(mask), insn->bytes);

    EACH_ACTIVE_LANE(lane, mask & (mask - 1))
    {
        uint64_t x = read_lane(warp, insn->src[1], lane, insn->bytes);
        all = insn->op == OP_ADD ? all + x : apply(insn->op, insn->type, all, x, 0);
    }
    return all;
}

/* What whole numbers come to does not depend on their order, and nobody sees what was there before:
 * lanes that are all at one address, as those of a sum are, make one change of it. */
static enum ptx_step run_reduce(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    uint8_t *pointers[PTX_LANES];

    if (ptx_resolve(warp, insn, mask, insn->bytes, true, pointers))
        return PTX_STEP_STOP;
    if (!is_one_address(mask, pointers)) {
        change_each(warp, insn, mask, pointers);
        return PTX_STEP_NEXT;
    }
    change_one(insn, pointers[__builtin_ctz(mask)], put_together(warp, insn, mask), 0);
    return PTX_STEP_NEXT;
}

static int decode_atomic(struct ptx_builder *builder, const struct statement *statement,
                         struct ptx_insn *insn)
{
    bool reduction = spelling_has(statement->spelling, "red");
    unsigned int n = 1 + !reduction + 1 + (insn->op == OP_CAS);
    const struct operand *operand = statement->operands;

    if (statement->n_operands != n)
        return lex_fail(&builder->lex, statement->line, "'%.*s' takes %u operands",
                        (int)statement->spelling->text.length, statement->spelling->text.text, n);
    insn->bytes = (uint8_t)ptx_type_bytes(insn->type);
    if (reduction)
        insn->dst = ptx_new_slots(builder, insn->bytes, 1);
    else
        insn->dst = ptx_dest(builder, operand++, insn->type);
    if (ptx_decode_address(builder, statement, operand++, insn))
        return -1;
    insn->src[1] = ptx_source(builder, operand++, insn->type);
    if (insn->op == OP_CAS)
        insn->src[2] = ptx_source(builder, operand, insn->type);
    return builder->lex.failed ? -1 : 0;
}

#define WHOLE(run)      [PTX_U32] = run, [PTX_S32] = run, [PTX_U64] = run, [PTX_S64] = run
#define FRACTIONS(run)  [PTX_F32] = run, [PTX_F64] = run, [PTX_F16] = run, [PTX_F16X2] = run
#define WORDS(run)      [PTX_B32] = run, [PTX_B64] = run

#define ARITHMETIC(run) PTX_RUNS(WHOLE(run))
#define SUM(run)        PTX_RUNS(WHOLE(run), FRACTIONS(run_atomic))
#define COUNT(run)      PTX_RUNS([PTX_U32] = run_atomic)
#define BITS(run)       PTX_RUNS(WORDS(run))
#define SWAP(run)       PTX_RUNS([PTX_B16] = run_atomic, WORDS(run_atomic))

#define ROWS(name, table, operation)                                                               \
    {"atom." name, WHERE, .decode = decode_atomic, .runs = table(run_atomic), .op = operation},    \
    {                                                                                              \
        "red." name, WHERE, .decode = decode_atomic, .runs = table(run_reduce), .op = operation    \
    }

const struct ptx_opcode ptx_atomic_opcodes[] = {
    ROWS("add", SUM, OP_ADD),
    ROWS("min", ARITHMETIC, OP_MIN),
    ROWS("max", ARITHMETIC, OP_MAX),
    ROWS("inc", COUNT, OP_INC),
    ROWS("dec", COUNT, OP_DEC),
    ROWS("and", BITS, OP_AND),
    ROWS("or", BITS, OP_OR),
    ROWS("xor", BITS, OP_XOR),
    ROWS("exch", SWAP, OP_EXCH),
    ROWS("cas", SWAP, OP_CAS),
    {NULL},
};
