/* SPDX-License-Identifier: MIT */

/*
 * Branches, returns, exits and barriers.
 *
 * A branch that all active lanes take is a jump; one that some take parks both groups at their
 * next instruction and lets the runner choose. A barrier counts threads, not warps, so it may stand
 * in divergent code.
 */

#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_opcode.h"

enum ptx_step ptx_run_branch(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    uint32_t target = (uint32_t)insn->imm;
    bool back = target <= ptx_pc(warp, insn);

    if (mask == warp->active && !warp->others && (!back || --warp->patience)) {
        warp->pc = target;
        return PTX_STEP_JUMP;
    }
    ptx_warp_park(warp, warp->active & ~mask, ptx_pc(warp, insn) + 1);
    ptx_warp_park(warp, mask, target);
    if (back && warp->others && warp->patience)
        warp->patience--;
    return PTX_STEP_SELECT;
}

static int decode_branch(struct ptx_builder *builder, const struct statement *statement,
                         struct ptx_insn *insn)
{
    if (statement->n_operands != 1 || statement->operands[0].kind != OPERAND_NAME)
        return lex_fail(&builder->lex, statement->line, "a branch needs a label");
    return 0;
}

/* Each lane to the place that its index has in the list at insn->imm, of src[1] places. */
static enum ptx_step run_branch_indexed(struct ptx_warp *warp, const struct ptx_insn *insn,
                                        uint32_t mask)
{
    const uint32_t *targets = warp->launch->kernel->lists + insn->imm;
    A(uint32_t);

    ptx_warp_park(warp, warp->active & ~mask, ptx_pc(warp, insn) + 1);
    EACH_ACTIVE_LANE(lane, mask)
    {
        if (a[lane] >= insn->src[1]) {
            ptx_warp_fault(warp, insn, lane, PTX_TRAP, 0, false);
            warp->launch->fault->why = "brx.idx beyond its targets";
            return PTX_STEP_STOP;
        }
        warp->lane_pc[lane] = targets[a[lane]];
    }
    if (warp->patience)
        warp->patience--;
    return PTX_STEP_SELECT;
}

static int decode_branch_indexed(struct ptx_builder *builder, const struct statement *statement,
                                 struct ptx_insn *insn)
{
    if (statement->n_operands != 2 || statement->operands[1].kind != OPERAND_NAME)
        return lex_fail(&builder->lex, statement->line, "brx.idx takes an index and its targets");
    insn->src[0] = ptx_source(builder, &statement->operands[0], PTX_B32);
    ptx_emit_table(builder, &statement->operands[1].token);
    return builder->lex.failed ? -1 : 0;
}

static enum ptx_step exit_lanes(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    ptx_warp_park(warp, warp->active & ~mask, ptx_pc(warp, insn) + 1);
    warp->live &= ~mask;
    warp->block->live -= (unsigned int)__builtin_popcount(mask);
    ptx_barriers_check(warp->block);
    return PTX_STEP_SELECT;
}

static enum ptx_step run_exit(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    return exit_lanes(warp, insn, mask);
}

/* insn->imm: of a kernel, where it is an exit; else src[0] says where each lane came from. */
enum ptx_step ptx_run_return(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    const uint32_t *places = ptx_slot(warp, insn->src[0]);

    if (insn->imm)
        return exit_lanes(warp, insn, mask);
    ptx_warp_park(warp, warp->active & ~mask, ptx_pc(warp, insn) + 1);
    EACH_ACTIVE_LANE(lane, mask)
    {
        warp->lane_pc[lane] = places[lane];
    }
    return PTX_STEP_SELECT;
}

static int decode_return(struct ptx_builder *builder, const struct statement *statement,
                         struct ptx_insn *insn)
{
    const struct function *function = builder->body->function;

    insn->imm = function->is_entry;
    if (!function->is_entry)
        insn->src[0] = builder->kernel->functions[function->index].return_slot;
    return 0;
}

enum ptx_step ptx_run_trap(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    return ptx_warp_fault(warp, insn, (unsigned int)__builtin_ctz(mask), PTX_TRAP, 0, false);
}

static enum ptx_step run_nothing(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    return PTX_STEP_NEXT;
}

/* Orders this thread's accesses among those of others. ThreadSanitizer does not understand fences,
 * but what they stand between here: atomic accesses, each of which orders enough by itself. */
static enum ptx_step run_fence(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
#ifndef __SANITIZE_THREAD__
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
    return PTX_STEP_NEXT;
}

/* What sleeps waits for something. */
static enum ptx_step run_sleep(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    ptx_warp_wait(warp);
    return PTX_STEP_NEXT;
}

static int decode_nothing(struct ptx_builder *builder, const struct statement *statement,
                          struct ptx_insn *insn)
{
    return 0;
}

enum { BARRIER_ARRIVE, BARRIER_SYNC, BARRIER_CLUSTER, BARRIER_POPC, BARRIER_AND, BARRIER_OR };

/* Operands: the barrier, and for how many threads it opens (0: all that live). The values of the
 * first lane count, as they must be the same for all. */
static enum ptx_step run_barrier(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    unsigned int lane = (unsigned int)__builtin_ctz(mask);
    uint32_t id = ((const uint32_t *)ptx_slot(warp, insn->src[0]))[lane];
    uint32_t expected = ((const uint32_t *)ptx_slot(warp, insn->src[1]))[lane];
    struct ptx_barrier *barrier;

    if (id >= PTX_BARRIERS - (insn->op != BARRIER_CLUSTER))
        return ptx_warp_fault(warp, insn, lane, PTX_TRAP, 0, false);
    barrier = &warp->block->barriers[id];
    barrier->expected = expected;
    barrier->arrived += (uint32_t)__builtin_popcount(mask);
    barrier->gives |= insn->op > BARRIER_CLUSTER;
    if (insn->op > BARRIER_CLUSTER)
        barrier->votes += (uint32_t)__builtin_popcount(
            mask & (ptx_predicate(warp, insn->src[2]) ^ (uint32_t)insn->imm));
    ptx_warp_park(warp, warp->active, ptx_pc(warp, insn) + 1);
    if (insn->op != BARRIER_ARRIVE) {
        barrier->waiting[warp->index] |= mask;
        warp->waiting |= mask;
    }
    ptx_barriers_check(warp->block);
    return PTX_STEP_SELECT;
}

void ptx_barrier_result(struct ptx_warp *warp, const struct ptx_barrier *barrier, unsigned int lane)
{
    const struct ptx_insn *insn = &warp->code[warp->lane_pc[lane] - 1];
    bool all = barrier->votes == barrier->arrived;

    if (insn->op == BARRIER_POPC)
        ((uint32_t *)ptx_slot(warp, insn->dst))[lane] = barrier->votes;
    else if (insn->op == BARRIER_AND)
        ptx_set_predicate(warp, insn->dst, all ? UINT32_MAX : 0, 1u << lane);
    else if (insn->op == BARRIER_OR)
        ptx_set_predicate(warp, insn->dst, barrier->votes ? UINT32_MAX : 0, 1u << lane);
}

static int decode_barrier(struct ptx_builder *builder, const struct statement *statement,
                          struct ptx_insn *insn)
{
    static const struct operand all = {.kind = OPERAND_INTEGER};
    bool needs_count = insn->op == BARRIER_ARRIVE;

    if (statement->n_operands < 1u + needs_count || statement->n_operands > 2)
        return lex_fail(&builder->lex, statement->line, "a barrier takes 1 or 2 operands");
    insn->src[0] = ptx_source(builder, &statement->operands[0], PTX_B32);
    insn->src[1] =
        ptx_source(builder, statement->n_operands == 2 ? &statement->operands[1] : &all, PTX_B32);
    return builder->lex.failed ? -1 : 0;
}

/* barrier.cluster.wait: one more barrier, for all threads; a cluster has one block here. */
static int decode_barrier_cluster(struct ptx_builder *builder, const struct statement *statement,
                                  struct ptx_insn *insn)
{
    static const struct operand id = {.kind = OPERAND_INTEGER, .bits = PTX_BARRIERS - 1};
    static const struct operand all = {.kind = OPERAND_INTEGER};

    insn->src[0] = ptx_source(builder, &id, PTX_B32);
    insn->src[1] = ptx_source(builder, &all, PTX_B32);
    return builder->lex.failed ? -1 : 0;
}

/* bar.red: result, barrier, perhaps a number of threads, predicate. */
static int decode_barrier_red(struct ptx_builder *builder, const struct statement *statement,
                              struct ptx_insn *insn)
{
    static const struct operand all = {.kind = OPERAND_INTEGER};
    const struct operand *operands = statement->operands;
    unsigned int n = statement->n_operands;

    if (n < 3 || n > 4)
        return lex_fail(&builder->lex, statement->line, "bar.red takes 3 or 4 operands");
    insn->dst = ptx_dest(builder, &operands[0], insn->op == BARRIER_POPC ? PTX_B32 : PTX_PRED);
    insn->src[0] = ptx_source(builder, &operands[1], PTX_B32);
    insn->src[1] = ptx_source(builder, n == 4 ? &operands[2] : &all, PTX_B32);
    insn->src[2] = ptx_source(builder, &operands[n - 1], PTX_PRED);
    insn->imm = operands[n - 1].flip ? -1 : 0;
    return builder->lex.failed ? -1 : 0;
}

#define RED(name) "bar.red." name, "cta", .decode = decode_barrier_red, .run = run_barrier
#define RED_LONG(name)                                                                             \
    "barrier.red." name, "cta aligned", .decode = decode_barrier_red, .run = run_barrier
#define ORDER                                                                                      \
    "sc acq_rel acquire release cta cluster gpu sys gl proxy alias async async::global "           \
    "async::shared::cta async::shared::cluster mbarrier_init sync_restrict::shared::cta "          \
    "sync_restrict::shared::cluster"

const struct ptx_opcode ptx_flow_opcodes[] = {
    {"bra", "uni", .decode = decode_branch, .run = ptx_run_branch},
    {"brx.idx", "uni", .decode = decode_branch_indexed, .run = run_branch_indexed},
    {"ret", "uni", .decode = decode_return, .run = ptx_run_return},
    {"exit", .decode = decode_nothing, .run = run_exit},
    {"trap", .decode = decode_nothing, .run = ptx_run_trap},
    {"brkpt", .decode = decode_nothing, .run = run_nothing},
    {"call", "uni", .run = ptx_run_call},
    {"membar", ORDER, .decode = decode_nothing, .run = run_fence},
    {"fence", ORDER, .decode = decode_nothing, .run = run_fence},
    {"nanosleep", .operands = "t", .decode = decode_nothing,
     .runs = PTX_RUNS([PTX_U32] = run_sleep)},
    {"bar.sync", "cta", .decode = decode_barrier, .run = run_barrier, .op = BARRIER_SYNC},
    {"bar.arrive", "cta", .decode = decode_barrier, .run = run_barrier},
    {"barrier.sync", "cta aligned", .decode = decode_barrier, .run = run_barrier,
     .op = BARRIER_SYNC},
    {"barrier.arrive", "cta aligned", .decode = decode_barrier, .run = run_barrier},
    {"barrier.cluster.wait", "acquire aligned", .decode = decode_barrier_cluster,
     .run = run_barrier, .op = BARRIER_CLUSTER},
    {RED("popc"), .op = BARRIER_POPC},
    {RED("and"), .op = BARRIER_AND},
    {RED("or"), .op = BARRIER_OR},
    {RED_LONG("popc"), .op = BARRIER_POPC},
    {RED_LONG("and"), .op = BARRIER_AND},
    {RED_LONG("or"), .op = BARRIER_OR},
    {NULL},
};
