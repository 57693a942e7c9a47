/* SPDX-License-Identifier: MIT */

/*
 * What newer devices have between blocks and beside the arithmetic: clusters, here always of one
 * block; choosing a lane; hints about caches, registers and dependent launches, which change
 * nothing here.
 */

#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_opcode.h"

static enum ptx_step run_nothing(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    return PTX_STEP_NEXT;
}

/* Any operands: none of them matters. */
static int decode_nothing(struct ptx_builder *builder, const struct statement *statement,
                          struct ptx_insn *insn)
{
    return 0;
}

static uint32_t members_of(const struct ptx_warp *warp, uint32_t slot, uint32_t mask)
{
    const uint32_t *lanes = ptx_slot(warp, slot);
    uint32_t members = 0;

    EACH_ACTIVE_LANE(lane, mask)
    {
        members |= lanes[lane];
    }
    return members;
}

/* elect.sync lane|chosen, members: the lowest of those that are there. */
static enum ptx_step run_elect(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    uint32_t members = members_of(warp, insn->src[0], mask);
    uint32_t there = members & mask ? members & mask : mask;
    uint32_t chosen = (uint32_t)__builtin_ctz(there);
    DST(uint32_t);

    if (ptx_warp_stall(warp, insn, members))
        return PTX_STEP_SELECT;
    EACH_ACTIVE_LANE(lane, mask)
    {
        d[lane] = chosen;
    }
    ptx_set_predicate(warp, insn->dst2, 1u << chosen, mask);
    return PTX_STEP_NEXT;
}

static int decode_elect(struct ptx_builder *builder, const struct statement *statement,
                        struct ptx_insn *insn)
{
    if (statement->n_operands != 2 || !statement->has_pipe)
        return lex_fail(&builder->lex, statement->line, "elect.sync gives a lane and a predicate");
    insn->dst = ptx_dest(builder, &statement->operands[0], PTX_B32);
    insn->dst2 = ptx_dest(builder, &statement->pipe, PTX_PRED);
    insn->src[0] = ptx_source(builder, &statement->operands[1], PTX_B32);
    return builder->lex.failed ? -1 : 0;
}

/* mapa d, address, block: the same place in another block of the cluster, which is this one. */
#define MAP(n)                                                                                     \
    RUN(run_map_u##n)                                                                              \
    {                                                                                              \
        DST(uint##n##_t);                                                                          \
        A(uint##n##_t);                                                                            \
        B(uint32_t);                                                                               \
        EACH_ACTIVE_LANE(lane, mask)                                                               \
        {                                                                                          \
            if (b[lane]) {                                                                         \
                ptx_warp_fault(warp, insn, lane, PTX_TRAP, 0, false);                              \
                warp->launch->fault->why = "no such block in the cluster";                         \
                return PTX_STEP_STOP;                                                              \
            }                                                                                      \
            d[lane] = a[lane];                                                                     \
        }                                                                                          \
        return PTX_STEP_NEXT;                                                                      \
    }
MAP(32)
MAP(64)

static int decode_map(struct ptx_builder *builder, const struct statement *statement,
                      struct ptx_insn *insn)
{
    enum ptx_type type = insn->type == PTX_U32 ? PTX_B32 : PTX_B64;

    if (statement->n_operands != 3)
        return lex_fail(&builder->lex, statement->line, "mapa takes 3 operands");
    insn->dst = ptx_dest(builder, &statement->operands[0], type);
    insn->src[0] = ptx_source(builder, &statement->operands[1], type);
    insn->src[1] = ptx_source(builder, &statement->operands[2], PTX_B32);
    return builder->lex.failed ? -1 : 0;
}

/* getctarank: whose shared memory an address is in. */
PTX_UNARY(run_rank, uint32_t, uint32_t, 0 * x)

static int decode_rank(struct ptx_builder *builder, const struct statement *statement,
                       struct ptx_insn *insn)
{
    if (statement->n_operands != 2)
        return lex_fail(&builder->lex, statement->line, "getctarank takes 2 operands");
    insn->dst = ptx_dest(builder, &statement->operands[0], PTX_B32);
    return builder->lex.failed ? -1 : 0;
}

/* A policy for caches is a number that nothing looks at. */
static int decode_policy(struct ptx_builder *builder, const struct statement *statement,
                         struct ptx_insn *insn)
{
    if (!statement->n_operands)
        return lex_fail(&builder->lex, statement->line, "createpolicy needs a destination");
    insn->dst = ptx_dest(builder, &statement->operands[0], PTX_B64);
    return builder->lex.failed ? -1 : 0;
}

static enum ptx_step run_policy(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    DST(uint64_t);

    EACH_ACTIVE_LANE(lane, mask)
    {
        d[lane] = 0;
    }
    return PTX_STEP_NEXT;
}

#define NOTHING .decode = decode_nothing, .run = run_nothing
#define LEVELS                                                                                     \
    "L2::evict_last L2::evict_first L2::evict_normal L2::evict_unchanged L2::cache_hint global"

const struct ptx_opcode ptx_cluster_opcodes[] = {
    {"griddepcontrol.wait", NOTHING},
    {"griddepcontrol.launch_dependents", NOTHING},
    {"setmaxnreg.inc.sync.aligned", .decode = decode_nothing,
     .runs = PTX_RUNS([PTX_U32] = run_nothing)},
    {"setmaxnreg.dec.sync.aligned", .decode = decode_nothing,
     .runs = PTX_RUNS([PTX_U32] = run_nothing)},
    {"pmevent", "mask", NOTHING},
    {"discard.L2", "global", NOTHING},
    {"applypriority.L2::evict_normal", "global", NOTHING},
    {"prefetchu.L1", NOTHING},
    {"createpolicy.fractional", LEVELS, .decode = decode_policy,
     .runs = PTX_RUNS([PTX_B64] = run_policy)},
    {"createpolicy.range", LEVELS, .decode = decode_policy,
     .runs = PTX_RUNS([PTX_B64] = run_policy)},
    {"elect.sync", .decode = decode_elect, .run = run_elect},
    {"mapa", "shared::cluster", .decode = decode_map,
     .runs = PTX_RUNS([PTX_U32] = run_map_u32, [PTX_U64] = run_map_u64)},
    {"getctarank", "shared::cluster", .decode = decode_rank,
     .runs = PTX_RUNS([PTX_U32] = run_rank, [PTX_U64] = run_rank)},
    {"barrier.cluster.arrive", "release relaxed aligned", NOTHING},
    {NULL},
};
