/* SPDX-License-Identifier: MIT */

/*
 * Instructions through which the lanes of a warp talk to each other.
 *
 * Each names the lanes that take part. Lanes that have not come yet are waited for; when they
 * cannot come any more, because all lanes of the warp wait, the instruction goes on with those that
 * are there, where a device would hang or give what it likes.
 */

#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_opcode.h"

enum { SHUFFLE_UP, SHUFFLE_DOWN, SHUFFLE_BUTTERFLY, SHUFFLE_INDEX };

PTX_CLONES static uint32_t members_of(const struct ptx_warp *warp, uint32_t slot, uint32_t mask)
{
    const uint32_t *lanes = ptx_slot(warp, slot);
    uint32_t members = 0;

    EACH_LANE(members |= lanes[lane]);
    return members;
}

/* The lane to read from; its own when that is out of the segment, which also clears *valid. */
static inline uint32_t shuffle_source(unsigned int op, uint32_t lane, uint32_t b, uint32_t c,
                                      bool *valid)
{
    uint32_t segment = c >> 8 & 31;
    int32_t last = (int32_t)((lane & segment) | (c & 31 & ~segment));
    int32_t by = (int32_t)(b & 31);
    int32_t self = (int32_t)lane;
    int32_t from = op == SHUFFLE_UP          ? self - by
                   : op == SHUFFLE_DOWN      ? self + by
                   : op == SHUFFLE_BUTTERFLY ? (self ^ by)
                                             : (int32_t)((lane & segment) | (b & 31 & ~segment));

    *valid = op == SHUFFLE_UP ? from >= last : from <= last;
    return *valid ? (uint32_t)from : lane;
}

#define SHUFFLE(name, op)                                                                          \
    RUN(name)                                                                                      \
    {                                                                                              \
        DST(uint32_t);                                                                             \
        A(uint32_t);                                                                               \
        B(uint32_t);                                                                               \
        C(uint32_t);                                                                               \
        uint32_t values[PTX_LANES];                                                                \
        uint32_t in_range = 0;                                                                     \
        if (ptx_warp_stall(warp, insn, members_of(warp, insn->src[3], mask)))                      \
            return PTX_STEP_SELECT;                                                                \
        memcpy(values, a, sizeof(values));                                                         \
        EACH_LANE(bool valid; uint32_t from = shuffle_source(op, lane, b[lane], c[lane], &valid);  \
                  d[lane] = values[from & 31]; in_range |= (uint32_t)valid << lane);               \
        if (insn->dst2 != PTX_NO_SLOT)                                                             \
            ptx_set_predicate(warp, insn->dst2, in_range, mask);                                   \
        return PTX_STEP_NEXT;                                                                      \
    }
SHUFFLE(run_shuffle_up, SHUFFLE_UP)
SHUFFLE(run_shuffle_down, SHUFFLE_DOWN)
SHUFFLE(run_shuffle_butterfly, SHUFFLE_BUTTERFLY)
SHUFFLE(run_shuffle_index, SHUFFLE_INDEX)

static int decode_shuffle(struct ptx_builder *builder, const struct statement *statement,
                          struct ptx_insn *insn)
{
    if (statement->n_operands != 5)
        return lex_fail(&builder->lex, statement->line, "shfl.sync takes 5 operands");
    insn->dst = ptx_dest(builder, &statement->operands[0], PTX_B32);
    for (unsigned int i = 0; i < 4; i++)
        insn->src[i] = ptx_source(builder, &statement->operands[i + 1], PTX_B32);
    insn->dst2 = PTX_NO_SLOT;
    if (statement->has_pipe)
        insn->dst2 = ptx_dest(builder, &statement->pipe, PTX_PRED);
    return builder->lex.failed ? -1 : 0;
}

enum { VOTE_ALL, VOTE_ANY, VOTE_UNI, VOTE_BALLOT };

static enum ptx_step run_vote(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    uint32_t members = members_of(warp, insn->src[1], mask) & mask;
    uint32_t votes = (ptx_predicate(warp, insn->src[0]) ^ (uint32_t)insn->imm) & members;
    bool result = votes == members;

    if (ptx_warp_stall(warp, insn, members_of(warp, insn->src[1], mask)))
        return PTX_STEP_SELECT;
    if (insn->op == VOTE_BALLOT) {
        DST(uint32_t);
        EACH_LANE(d[lane] = votes);
        return PTX_STEP_NEXT;
    }
    if (insn->op == VOTE_ANY)
        result = votes != 0;
    else if (insn->op == VOTE_UNI)
        result = !votes || votes == members;
    ptx_set_predicate(warp, insn->dst, result ? UINT32_MAX : 0, mask);
    return PTX_STEP_NEXT;
}

static int decode_vote(struct ptx_builder *builder, const struct statement *statement,
                       struct ptx_insn *insn)
{
    if (statement->n_operands != 3)
        return lex_fail(&builder->lex, statement->line, "vote.sync takes 3 operands");
    insn->dst =
        ptx_dest(builder, &statement->operands[0], insn->op == VOTE_BALLOT ? PTX_B32 : PTX_PRED);
    insn->src[0] = ptx_source(builder, &statement->operands[1], PTX_PRED);
    insn->src[1] = ptx_source(builder, &statement->operands[2], PTX_B32);
    insn->imm = statement->operands[1].flip ? -1 : 0;
    return builder->lex.failed ? -1 : 0;
}

static uint64_t lane_value(const struct ptx_warp *warp, const struct ptx_insn *insn,
                           unsigned int lane)
{
    if (insn->width == 8)
        return ((const uint64_t *)ptx_slot(warp, insn->src[0]))[lane];
    return ((const uint32_t *)ptx_slot(warp, insn->src[0]))[lane];
}

/* The lanes with the same value; insn->op: only if that is all of them. */
static enum ptx_step run_match(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    uint32_t members = members_of(warp, insn->src[1], mask);
    uint32_t there = members & mask;
    DST(uint32_t);

    if (ptx_warp_stall(warp, insn, members))
        return PTX_STEP_SELECT;
    EACH_ACTIVE_LANE(lane, mask)
    {
        uint32_t equal = 0;
        for (unsigned int other = 0; other < PTX_LANES; other++) {
            bool same = lane_value(warp, insn, other) == lane_value(warp, insn, lane);
            equal |= (uint32_t)same << other;
        }
        equal &= there;
        d[lane] = insn->op && equal != there ? 0 : equal;
        if (insn->dst2 != PTX_NO_SLOT)
            ptx_set_predicate(warp, insn->dst2, equal == there ? UINT32_MAX : 0, 1u << lane);
    }
    return PTX_STEP_NEXT;
}

static int decode_match(struct ptx_builder *builder, const struct statement *statement,
                        struct ptx_insn *insn)
{
    if (statement->n_operands != 3 || (statement->has_pipe && !insn->op))
        return lex_fail(&builder->lex, statement->line, "match.sync takes 3 operands");
    insn->width = (uint8_t)ptx_type_bytes(insn->type);
    insn->dst = ptx_dest(builder, &statement->operands[0], PTX_B32);
    insn->src[0] = ptx_source(builder, &statement->operands[1], insn->type);
    insn->src[1] = ptx_source(builder, &statement->operands[2], PTX_B32);
    insn->dst2 = PTX_NO_SLOT;
    if (statement->has_pipe)
        insn->dst2 = ptx_dest(builder, &statement->pipe, PTX_PRED);
    return builder->lex.failed ? -1 : 0;
}

static enum ptx_step run_activemask(struct ptx_warp *warp, const struct ptx_insn *insn,
                                    uint32_t mask)
{
    DST(uint32_t);

    EACH_LANE(d[lane] = mask);
    return PTX_STEP_NEXT;
}

static int decode_activemask(struct ptx_builder *builder, const struct statement *statement,
                             struct ptx_insn *insn)
{
    if (statement->n_operands != 1)
        return lex_fail(&builder->lex, statement->line, "activemask takes 1 operand");
    insn->dst = ptx_dest(builder, &statement->operands[0], PTX_B32);
    return builder->lex.failed ? -1 : 0;
}

static enum ptx_step run_warp_barrier(struct ptx_warp *warp, const struct ptx_insn *insn,
                                      uint32_t mask)
{
    if (ptx_warp_stall(warp, insn, members_of(warp, insn->src[0], mask)))
        return PTX_STEP_SELECT;
    return PTX_STEP_NEXT;
}

static int decode_warp_barrier(struct ptx_builder *builder, const struct statement *statement,
                               struct ptx_insn *insn)
{
    if (statement->n_operands != 1)
        return lex_fail(&builder->lex, statement->line, "bar.warp.sync takes 1 operand");
    insn->src[0] = ptx_source(builder, &statement->operands[0], PTX_B32);
    return builder->lex.failed ? -1 : 0;
}

enum { REDUX_ADD, REDUX_MIN, REDUX_MAX, REDUX_AND, REDUX_OR, REDUX_XOR };

static uint32_t redux(unsigned int op, bool is_signed, uint32_t x, uint32_t y)
{
    bool below = is_signed ? (int32_t)x < (int32_t)y : x < y;

    switch (op) {
    case REDUX_ADD:
        return x + y;
    case REDUX_MIN:
        return below ? x : y;
    case REDUX_MAX:
        return below ? y : x;
    case REDUX_AND:
        return x & y;
    case REDUX_OR:
        return x | y;
    default:
        return x ^ y;
    }
}

static enum ptx_step run_redux(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    uint32_t members = members_of(warp, insn->src[1], mask);
    uint32_t result = 0;
    bool first = true;
    DST(uint32_t);
    A(uint32_t);

    if (ptx_warp_stall(warp, insn, members))
        return PTX_STEP_SELECT;
    EACH_ACTIVE_LANE(lane, mask & members)
    {
        result = first ? a[lane] : redux(insn->op, insn->type == PTX_S32, result, a[lane]);
        first = false;
    }
    EACH_LANE(d[lane] = result);
    return PTX_STEP_NEXT;
}

#define BITS(f) PTX_RUNS([PTX_B32] = f)
#define MATCHED PTX_RUNS([PTX_B32] = run_match, [PTX_B64] = run_match)
#define REDUX32 PTX_RUNS([PTX_U32] = run_redux, [PTX_S32] = run_redux, [PTX_B32] = run_redux)

const struct ptx_opcode ptx_warp_opcodes[] = {
    {"shfl.sync.up", .decode = decode_shuffle, .runs = BITS(run_shuffle_up)},
    {"shfl.sync.down", .decode = decode_shuffle, .runs = BITS(run_shuffle_down)},
    {"shfl.sync.bfly", .decode = decode_shuffle, .runs = BITS(run_shuffle_butterfly)},
    {"shfl.sync.idx", .decode = decode_shuffle, .runs = BITS(run_shuffle_index)},
    {"vote.sync.all", .decode = decode_vote, .run = run_vote, .op = VOTE_ALL},
    {"vote.sync.any", .decode = decode_vote, .run = run_vote, .op = VOTE_ANY},
    {"vote.sync.uni", .decode = decode_vote, .run = run_vote, .op = VOTE_UNI},
    {"vote.sync.ballot", .decode = decode_vote, .run = run_vote, .op = VOTE_BALLOT},
    {"match.any.sync", .decode = decode_match, .runs = MATCHED, .op = 0},
    {"match.all.sync", .decode = decode_match, .runs = MATCHED, .op = 1},
    {"activemask", .decode = decode_activemask, .run = run_activemask},
    {"bar.warp.sync", .decode = decode_warp_barrier, .run = run_warp_barrier},
    {"redux.sync.add", .operands = "tt4", .runs = REDUX32, .op = REDUX_ADD},
    {"redux.sync.min", .operands = "tt4", .runs = REDUX32, .op = REDUX_MIN},
    {"redux.sync.max", .operands = "tt4", .runs = REDUX32, .op = REDUX_MAX},
    {"redux.sync.and", .operands = "tt4", .runs = REDUX32, .op = REDUX_AND},
    {"redux.sync.or", .operands = "tt4", .runs = REDUX32, .op = REDUX_OR},
    {"redux.sync.xor", .operands = "tt4", .runs = REDUX32, .op = REDUX_XOR},
    {NULL},
};
