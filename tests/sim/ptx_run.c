/* SPDX-License-Identifier: MIT */

/*
 * Running a block: its warps in turn.
 *
 * A warp runs a group of lanes that are at the same instruction, until the group splits, meets
 * other lanes, waits or ends; then the group that is furthest behind in the code goes on, which
 * brings lanes together again where branches of structured code join. A warp runs until all its
 * lanes have ended or wait at a barrier, or until it has jumped back so often that it may be
 * waiting for another warp or group: then those get a turn. When that is all that happened to the
 * warps of a block for some rounds, the block may be waiting for another one.
 *
 * A block in which nothing can run any more, though threads live, has threads waiting at a barrier
 * that the others will not reach. A device would hang; here it is a trap.
 */

#include "tests/sim/ptx_grid.h"

/* Rounds without progress that make the turn of a block. */
#define ROUNDS 4

PTX_CLONES void ptx_warp_park(struct ptx_warp *warp, uint32_t lanes, uint32_t pc)
{
    for (unsigned int lane = 0; lane < PTX_LANES; lane++)
        warp->lane_pc[lane] = lanes >> lane & 1 ? pc : warp->lane_pc[lane];
}

enum ptx_step ptx_warp_fault(struct ptx_warp *warp, const struct ptx_insn *insn, unsigned int lane,
                             enum ptx_outcome outcome, uint64_t address, bool write)
{
    const struct ptx_block *block = warp->block;
    const unsigned int *size = block->launch->block;
    unsigned int thread = warp->index * PTX_LANES + lane;
    struct ptx_fault *fault = warp->launch->fault;

    warp->launch->outcome = outcome;
    *fault = (struct ptx_fault){
        .address = address,
        .access_bytes = outcome == PTX_TRAP ? 0 : (unsigned int)insn->bytes * insn->count,
        .write = write,
        .block = {block->index[0], block->index[1], block->index[2]},
        .thread = {thread % size[0], thread / size[0] % size[1], thread / size[0] / size[1]},
        .line = insn->line,
    };
    return PTX_STEP_STOP;
}

bool ptx_warp_stall(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t members)
{
    if (!(members & warp->live & ~warp->active) || warp->forced)
        return false;
    ptx_warp_park(warp, warp->active, ptx_pc(warp, insn));
    warp->stalled |= warp->active;
    return true;
}

static void release(struct ptx_warp *warp, struct ptx_barrier *barrier)
{
    uint32_t lanes = barrier->waiting[warp->index];

    if (barrier->gives) {
        EACH_ACTIVE_LANE(lane, lanes)
        {
            ptx_barrier_result(warp, barrier, lane);
        }
    }
    warp->waiting &= ~lanes;
    barrier->waiting[warp->index] = 0;
}

void ptx_barriers_check(struct ptx_block *block)
{
    for (unsigned int id = 0; id < PTX_BARRIERS; id++) {
        struct ptx_barrier *barrier = &block->barriers[id];
        uint32_t expected = barrier->expected ? barrier->expected : block->live;
        if (!barrier->arrived || barrier->arrived < expected)
            continue;
        for (unsigned int i = 0; i < block->n_warps; i++)
            release(&block->warps[i], barrier);
        barrier->arrived = 0;
        barrier->votes = 0;
        barrier->expected = 0;
        barrier->gives = false;
    }
}

PTX_CLONES static uint32_t lowest_pc(const struct ptx_warp *warp, uint32_t lanes, uint32_t above)
{
    uint32_t lowest = UINT32_MAX;

    for (unsigned int lane = 0; lane < PTX_LANES; lane++) {
        uint32_t pc = lanes >> lane & 1 ? warp->lane_pc[lane] : UINT32_MAX;
        pc = pc >= above ? pc : UINT32_MAX;
        lowest = pc < lowest ? pc : lowest;
    }
    return lowest;
}

PTX_CLONES static uint32_t lanes_at(const struct ptx_warp *warp, uint32_t lanes, uint32_t pc)
{
    uint32_t there = 0;

    for (unsigned int lane = 0; lane < PTX_LANES; lane++)
        there |= (uint32_t)(warp->lane_pc[lane] == pc) << lane;
    return there & lanes;
}

/* Chooses the lanes to run, `avoid` only if there are no others. False when none can. */
static bool warp_select(struct ptx_warp *warp, uint32_t avoid)
{
    uint32_t runnable = warp->live & ~warp->waiting;
    uint32_t ready = runnable & ~warp->stalled;

    if (!runnable)
        return false;
    warp->forced = !ready;
    if (!ready)
        ready = runnable;
    if (ready & ~avoid)
        ready &= ~avoid;
    warp->pc = lowest_pc(warp, ready, 0);
    warp->active = lanes_at(warp, runnable, warp->pc);
    warp->stalled &= ~warp->active;
    warp->others = runnable & ~warp->active;
    warp->meet = warp->others ? lowest_pc(warp, warp->others, warp->pc + 1) : UINT32_MAX;
    return true;
}

static void count_steps(struct ptx_warp *warp, uint64_t steps)
{
    warp->steps += steps;
    warp->launch->instructions += steps * (uint64_t)__builtin_popcount(warp->active);
}

/* Runs the active lanes until something other than a jump happens. */
static enum ptx_step run_group(struct ptx_warp *warp)
{
    const struct ptx_insn *code = warp->code;
    uint32_t active = warp->active;
    uint32_t meet = warp->meet;
    uint32_t pc = warp->pc;
    uint64_t steps = 0;
    enum ptx_step step = PTX_STEP_NEXT;

    do {
        const struct ptx_insn *insn = &code[pc++];
        uint32_t mask = active;
        steps++;
        if (insn->guard != PTX_NO_SLOT) {
            mask &= ptx_predicate(warp, insn->guard) ^ insn->guard_flip;
            if (!mask)
                continue;
        }
        step = insn->run(warp, insn, mask);
        if (step == PTX_STEP_JUMP) {
            pc = warp->pc;
            step = PTX_STEP_NEXT;
        }
    } while (step == PTX_STEP_NEXT && pc != meet);
    if (step == PTX_STEP_NEXT)
        ptx_warp_park(warp, active, pc);
    count_steps(warp, steps);
    return step;
}

/* Until no lane of the warp can run, or others should. False after a fault. */
static bool warp_run(struct ptx_warp *warp)
{
    uint32_t avoid = warp->patience ? 0 : warp->active;

    warp->patience = PTX_PATIENCE;
    while (warp_select(warp, avoid)) {
        if (run_group(warp) == PTX_STEP_STOP)
            return false;
        if (!warp->patience)
            return true;
        avoid = 0;
    }
    return true;
}

/* The threads that wait at a barrier which cannot open any more. */
static enum ptx_turn report_hang(struct ptx_block *block)
{
    for (unsigned int i = 0; i < block->n_warps; i++) {
        struct ptx_warp *warp = &block->warps[i];
        if (warp->waiting) {
            unsigned int lane = (unsigned int)__builtin_ctz(warp->waiting);
            const struct ptx_insn *barrier = &warp->code[warp->lane_pc[lane] - 1];
            ptx_warp_fault(warp, barrier, lane, PTX_TRAP, 0, false);
            break;
        }
    }
    return PTX_TURN_STOPPED;
}

/* One round of the warps. *progress: one of them ended its turn by itself. */
static enum ptx_turn run_round(struct ptx_block *block, bool *progress)
{
    struct ptx_launch_state *launch = block->warps->launch;
    bool any = false;

    for (unsigned int i = 0; i < block->n_warps; i++) {
        struct ptx_warp *warp = &block->warps[i];
        if (!(warp->live & ~warp->waiting))
            continue;
        any = true;
        if (!warp_run(warp) || __atomic_load_n(launch->stopped, __ATOMIC_RELAXED))
            return PTX_TURN_STOPPED;
        if (launch->instructions >= launch->call_at)
            ptx_grid_call(launch);
        if (warp->patience)
            *progress = true;
    }
    return any ? PTX_TURN_TIRED : report_hang(block);
}

enum ptx_turn ptx_block_run(struct ptx_block *block)
{
    block->waits = false;
    for (unsigned int idle = 0; block->live && idle < ROUNDS;) {
        unsigned int live = block->live;
        bool progress = false;
        if (run_round(block, &progress) == PTX_TURN_STOPPED)
            return PTX_TURN_STOPPED;
        idle = progress || block->live < live ? 0 : idle + 1;
    }
    if (!block->live)
        return PTX_TURN_DONE;
    return block->waits ? PTX_TURN_WAITS : PTX_TURN_TIRED;
}
