/* SPDX-License-Identifier: MIT */

/*
 * mbarrier: barriers that lie in shared memory.
 *
 * The word holds, from its lowest bit, how many arrivals a phase takes (20 bits), how many are
 * still to come (20), how many bytes are (23, signed), and the parity of the phase (1). A phase
 * ends when neither arrivals nor bytes are to come. What an arrival gives as its state is the word
 * before it. Asynchronous copies are done already when something waits for them (ptx_async.c).
 */

#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_opcode.h"

enum { OP_INIT, OP_INVAL, OP_ARRIVE, OP_DROP, OP_EXPECT, OP_COMPLETE, OP_TEST, OP_NOTHING };

#define COUNT_BITS 20
#define COUNT_MASK (((uint64_t)1 << COUNT_BITS) - 1)
#define BYTES_AT   (2 * COUNT_BITS)
#define BYTES_BITS 23
#define PHASE      ((uint64_t)1 << 63)

struct mbarrier {
    uint32_t expected, pending;
    int32_t bytes;
    bool phase;
};

static struct mbarrier unpack(uint64_t word)
{
    return (struct mbarrier){
        .expected = (uint32_t)(word & COUNT_MASK),
        .pending = (uint32_t)(word >> COUNT_BITS & COUNT_MASK),
        .bytes = (int32_t)((uint32_t)(word >> BYTES_AT) << (32 - BYTES_BITS)) >> (32 - BYTES_BITS),
        .phase = word >> 63,
    };
}

static uint64_t pack(struct mbarrier barrier)
{
    uint64_t bytes = (uint32_t)barrier.bytes & ((1u << BYTES_BITS) - 1);

    if (!barrier.pending && !barrier.bytes) {
        barrier.phase = !barrier.phase;
        barrier.pending = barrier.expected;
    }
    return (barrier.expected & COUNT_MASK) | (barrier.pending & COUNT_MASK) << COUNT_BITS |
           bytes << BYTES_AT | (barrier.phase ? PHASE : 0);
}

/* What `n` arrivals, or bytes, make of the word. */
static uint64_t apply(unsigned int op, uint64_t word, uint32_t n, uint32_t bytes)
{
    struct mbarrier barrier = unpack(word);

    switch (op) {
    case OP_INIT:
        return pack((struct mbarrier){.expected = n, .pending = n});
    case OP_INVAL:
        return 0;
    case OP_DROP:
        barrier.expected -= n;
        barrier.pending -= n;
        break;
    case OP_EXPECT:
        barrier.bytes += (int32_t)n;
        break;
    case OP_COMPLETE:
        barrier.bytes -= (int32_t)n;
        break;
    case OP_ARRIVE:
        barrier.bytes += (int32_t)bytes;
        barrier.pending -= n;
        break;
    default:
        return word;
    }
    return pack(barrier);
}

/* src[1]: arrivals or bytes; src[2]: the bytes that an arrival adds; dst: the state. */
static enum ptx_step run_change(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    const uint32_t *n = ptx_slot(warp, insn->src[1]);
    const uint32_t *bytes = ptx_slot(warp, insn->src[2]);
    uint8_t *pointers[PTX_LANES];
    DST(uint64_t);

    if (ptx_resolve(warp, insn, mask, 8, true, pointers))
        return PTX_STEP_STOP;
    EACH_ACTIVE_LANE(lane, mask)
    {
        uint64_t word;
        uint64_t after;
        memcpy(&word, pointers[lane], sizeof(word));
        after = apply(insn->op, word, n[lane], bytes[lane]);
        memcpy(pointers[lane], &after, sizeof(after));
        d[lane] = word;
    }
    return PTX_STEP_NEXT;
}

/* Has the phase ended that a state, or a parity, is of? */
static enum ptx_step run_test(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    uint8_t *pointers[PTX_LANES];
    uint32_t result = 0;

    if (ptx_resolve(warp, insn, mask, 8, false, pointers))
        return PTX_STEP_STOP;
    EACH_ACTIVE_LANE(lane, mask)
    {
        uint64_t word;
        bool phase = insn->width == 8 ? ((const uint64_t *)ptx_slot(warp, insn->src[1]))[lane] >> 63
                                      : ((const uint32_t *)ptx_slot(warp, insn->src[1]))[lane] & 1;
        memcpy(&word, pointers[lane], sizeof(word));
        result |= (uint32_t)((bool)(word >> 63) != phase) << lane;
    }
    ptx_set_predicate(warp, insn->dst, result, mask);
    return PTX_STEP_NEXT;
}

PTX_UNARY(run_pending, uint32_t, uint64_t, x >> COUNT_BITS & COUNT_MASK)

static int decode_pending(struct ptx_builder *builder, const struct statement *statement,
                          struct ptx_insn *insn)
{
    if (statement->n_operands != 2)
        return lex_fail(&builder->lex, statement->line, "pending_count takes 2 operands");
    insn->dst = ptx_dest(builder, &statement->operands[0], PTX_B32);
    insn->src[0] = ptx_source(builder, &statement->operands[1], PTX_B64);
    return builder->lex.failed ? -1 : 0;
}

static int decode_where(struct ptx_builder *builder, const struct statement *statement,
                        const struct operand *operand, struct ptx_insn *insn)
{
    const struct spelling *spelling = statement->spelling;
    bool shared = spelling_has(spelling, "shared") || spelling_has(spelling, "shared::cta") ||
                  spelling_has(spelling, "shared::cluster");

    insn->bytes = 8;
    return ptx_decode_address_in(builder, statement, operand,
                                 shared ? PTX_SPACE_SHARED : PTX_SPACE_GENERIC, insn);
}

static int bad_count(struct ptx_builder *builder, const struct statement *statement)
{
    return lex_fail(&builder->lex, statement->line, "'%.*s' has other operands",
                    (int)statement->spelling->text.length, statement->spelling->text.text);
}

/* state, [address], count; the state may be missing where none is given. */
static int decode_change(struct ptx_builder *builder, const struct statement *statement,
                         struct ptx_insn *insn)
{
    static const struct operand one = {.kind = OPERAND_INTEGER, .bits = 1};
    static const struct operand zero = {.kind = OPERAND_INTEGER};
    const struct spelling *spelling = statement->spelling;
    const struct operand *operands = statement->operands;
    bool expects = insn->op == OP_ARRIVE && spelling_has(spelling, "expect_tx");
    bool has_state = statement->n_operands && operands[0].kind != OPERAND_ADDRESS;
    unsigned int n = statement->n_operands - has_state;

    if (!n || n > 2 || (expects && n != 2) ||
        (has_state && insn->op != OP_ARRIVE && insn->op != OP_DROP))
        return bad_count(builder, statement);
    insn->dst = has_state ? ptx_dest(builder, &operands[0], PTX_B64) : ptx_new_slots(builder, 8, 1);
    insn->src[1] =
        ptx_source(builder, n == 2 && !expects ? &operands[has_state + 1] : &one, PTX_B32);
    insn->src[2] = ptx_source(builder, expects ? &operands[has_state + 1] : &zero, PTX_B32);
    return decode_where(builder, statement, &operands[has_state], insn);
}

/* done, [address], state or parity, perhaps how long to wait */
static int decode_test(struct ptx_builder *builder, const struct statement *statement,
                       struct ptx_insn *insn)
{
    bool parity = spelling_has(statement->spelling, "parity");

    if (statement->n_operands < 3 || statement->n_operands > 4)
        return bad_count(builder, statement);
    insn->dst = ptx_dest(builder, &statement->operands[0], PTX_PRED);
    insn->src[1] = ptx_source(builder, &statement->operands[2], parity ? PTX_B32 : PTX_B64);
    insn->width = parity ? 4 : 8;
    return decode_where(builder, statement, &statement->operands[1], insn);
}

#define WHERE  "shared shared::cta shared::cluster release acquire relaxed cta cluster"
#define B64(f) PTX_RUNS([PTX_B64] = f)

const struct ptx_opcode ptx_mbarrier_opcodes[] = {
    {"mbarrier.init", WHERE, .decode = decode_change, .runs = B64(run_change), .op = OP_INIT},
    {"mbarrier.inval", WHERE, .decode = decode_change, .runs = B64(run_change), .op = OP_INVAL},
    {"mbarrier.arrive", WHERE " noComplete expect_tx", .decode = decode_change,
     .runs = B64(run_change), .op = OP_ARRIVE},
    {"mbarrier.arrive_drop", WHERE " noComplete", .decode = decode_change, .runs = B64(run_change),
     .op = OP_DROP},
    {"mbarrier.expect_tx", WHERE, .decode = decode_change, .runs = B64(run_change),
     .op = OP_EXPECT},
    {"mbarrier.complete_tx", WHERE, .decode = decode_change, .runs = B64(run_change),
     .op = OP_COMPLETE},
    {"mbarrier.expect_tx", WHERE, .decode = decode_change, .run = run_change, .op = OP_EXPECT},
    {"mbarrier.complete_tx", WHERE, .decode = decode_change, .run = run_change, .op = OP_COMPLETE},
    {"mbarrier.test_wait", WHERE " parity", .decode = decode_test, .runs = B64(run_test)},
    {"mbarrier.try_wait", WHERE " parity", .decode = decode_test, .runs = B64(run_test)},
    {"mbarrier.pending_count", .decode = decode_pending, .runs = B64(run_pending)},
    {"cp.async.mbarrier.arrive", WHERE, .decode = decode_change, .runs = B64(run_change),
     .op = OP_NOTHING},
    {"cp.async.mbarrier.arrive.noinc", WHERE, .decode = decode_change, .runs = B64(run_change),
     .op = OP_ARRIVE},
    {NULL},
};
