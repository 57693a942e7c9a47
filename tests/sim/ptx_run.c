/* SPDX-License-Identifier: MIT */

/*
 * Running a launch: blocks one after the other, the warps of a block in turn.
 *
 * A warp runs a group of lanes that are at the same instruction, until the group splits, meets
 * other lanes, waits or ends; then the group that is furthest behind in the code goes on, which
 * brings lanes together again where branches of structured code join. A warp runs until all its
 * lanes have ended or wait at a barrier, or until it has jumped back so often that it may be
 * waiting for another warp or group: then those get a turn.
 *
 * A block in which nothing can run any more, though threads live, has threads waiting at a barrier
 * that the others will not reach. A device would hang; here it is a trap.
 */

#include <stdlib.h>

#include "tests/sim/ptx_call.h"

#define PATIENCE   4096
#define FILE_ALIGN 256

void ptx_warp_park(struct ptx_warp *warp, uint32_t lanes, uint32_t pc)
{
    EACH_ACTIVE_LANE(lane, lanes)
    {
        warp->lane_pc[lane] = pc;
    }
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

    EACH_ACTIVE_LANE(lane, lanes)
    {
        ptx_barrier_result(warp, barrier, lane);
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
    }
}

static uint32_t lowest_pc(const struct ptx_warp *warp, uint32_t lanes, uint32_t above)
{
    uint32_t lowest = UINT32_MAX;

    EACH_ACTIVE_LANE(lane, lanes)
    {
        uint32_t pc = warp->lane_pc[lane];
        if (pc < lowest && pc >= above)
            lowest = pc;
    }
    return lowest;
}

static uint32_t lanes_at(const struct ptx_warp *warp, uint32_t lanes, uint32_t pc)
{
    uint32_t there = 0;

    EACH_ACTIVE_LANE(lane, lanes)
    {
        there |= (uint32_t)(warp->lane_pc[lane] == pc) << lane;
    }
    return there;
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
    warp->meet = lowest_pc(warp, warp->others, warp->pc + 1);
    return true;
}

static void count_steps(struct ptx_warp *warp, uint64_t steps, uint64_t *instructions)
{
    warp->steps += steps;
    *instructions += steps * (uint64_t)__builtin_popcount(warp->active);
}

/* Runs the active lanes until something other than a jump happens. */
static enum ptx_step run_group(struct ptx_warp *warp, uint64_t *instructions)
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
    count_steps(warp, steps, instructions);
    return step;
}

/* Until no lane of the warp can run, or others should. False after a fault. */
static bool warp_run(struct ptx_warp *warp, uint64_t *instructions)
{
    uint32_t avoid = warp->patience ? 0 : warp->active;

    warp->patience = PATIENCE;
    while (warp_select(warp, avoid)) {
        if (run_group(warp, instructions) == PTX_STEP_STOP)
            return false;
        if (!warp->patience)
            return true;
        avoid = 0;
    }
    return true;
}

static bool block_run(struct ptx_block *block, uint64_t *instructions)
{
    while (block->live) {
        bool any = false;
        for (unsigned int i = 0; i < block->n_warps; i++) {
            struct ptx_warp *warp = &block->warps[i];
            if (!(warp->live & ~warp->waiting))
                continue;
            any = true;
            if (!warp_run(warp, instructions))
                return false;
        }
        if (!any)
            break;
    }
    return true;
}

static bool report_hang(struct ptx_block *block)
{
    for (unsigned int i = 0; i < block->n_warps; i++) {
        struct ptx_warp *warp = &block->warps[i];
        if (warp->waiting) {
            unsigned int lane = (unsigned int)__builtin_ctz(warp->waiting);
            const struct ptx_insn *barrier = &warp->code[warp->lane_pc[lane] - 1];
            ptx_warp_fault(warp, barrier, lane, PTX_TRAP, 0, false);
            return true;
        }
    }
    return false;
}

static uint32_t thread_index(const struct ptx_warp *warp, unsigned int lane, unsigned int axis)
{
    const unsigned int *size = warp->block->launch->block;
    unsigned int thread = warp->index * PTX_LANES + lane;

    if (axis == 0)
        return thread % size[0];
    return axis == 1 ? thread / size[0] % size[1] : thread / size[0] / size[1];
}

static uint64_t special_value(const struct ptx_warp *warp, unsigned int lane, uint64_t special)
{
    const struct ptx_block *block = warp->block;
    const struct ptx_launch *launch = block->launch;
    uint32_t bit = 1u << lane;

    switch (special) {
    case PTX_SREG_TID_X:
    case PTX_SREG_TID_Y:
    case PTX_SREG_TID_Z:
        return thread_index(warp, lane, (unsigned int)(special - PTX_SREG_TID_X));
    case PTX_SREG_NTID_X:
    case PTX_SREG_NTID_Y:
    case PTX_SREG_NTID_Z:
        return launch->block[special - PTX_SREG_NTID_X];
    case PTX_SREG_CTAID_X:
    case PTX_SREG_CTAID_Y:
    case PTX_SREG_CTAID_Z:
        return block->index[special - PTX_SREG_CTAID_X];
    case PTX_SREG_NCTAID_X:
    case PTX_SREG_NCTAID_Y:
    case PTX_SREG_NCTAID_Z:
        return launch->grid[special - PTX_SREG_NCTAID_X];
    case PTX_SREG_CLUSTERID_X:
    case PTX_SREG_CLUSTERID_Y:
    case PTX_SREG_CLUSTERID_Z:
        return block->index[special - PTX_SREG_CLUSTERID_X];
    case PTX_SREG_NCLUSTERID_X:
    case PTX_SREG_NCLUSTERID_Y:
    case PTX_SREG_NCLUSTERID_Z:
        return launch->grid[special - PTX_SREG_NCLUSTERID_X];
    case PTX_SREG_CLUSTER_NCTAID_X:
    case PTX_SREG_CLUSTER_NCTAID_Y:
    case PTX_SREG_CLUSTER_NCTAID_Z:
    case PTX_SREG_CLUSTER_NCTARANK:
        return 1;
    case PTX_SREG_LANEID:
        return lane;
    case PTX_SREG_WARPID:
        return warp->index;
    case PTX_SREG_NWARPID:
        return block->n_warps;
    case PTX_SREG_NSMID:
        return 1;
    case PTX_SREG_LANEMASK_EQ:
        return bit;
    case PTX_SREG_LANEMASK_LT:
        return bit - 1;
    case PTX_SREG_LANEMASK_LE:
        return bit | (bit - 1);
    case PTX_SREG_LANEMASK_GT:
        return ~(bit | (bit - 1));
    case PTX_SREG_LANEMASK_GE:
        return ~(bit - 1);
    case PTX_SREG_DYNAMIC_SMEM:
        return launch->dynamic_shared_bytes;
    case PTX_SREG_TOTAL_SMEM:
    case PTX_SREG_AGGR_SMEM:
        return block->shared_bytes;
    default: /* one multiprocessor, one grid, and clocks that stand still outside of mov */
        return 0;
    }
}

static size_t dynamic_shared_at(const struct ptx_kernel *kernel)
{
    return (kernel->shared_bytes + 15) & ~(size_t)15;
}

static uint64_t constant_value(const struct ptx_warp *warp, unsigned int lane,
                               const struct ptx_constant *constant)
{
    switch (constant->kind) {
    case PTX_CONSTANT_VARIABLE:
        return constant->variable->address + constant->value;
    case PTX_CONSTANT_DYNAMIC:
        return dynamic_shared_at(warp->launch->kernel) + constant->value;
    case PTX_CONSTANT_SPECIAL:
        return special_value(warp, lane, constant->value);
    default:
        return constant->value;
    }
}

static void fill_constant(struct ptx_warp *warp, const struct ptx_constant *constant)
{
    uint8_t *at = warp->file + constant->slot;

    if (!constant->width) {
        uint32_t lanes = (uint32_t)constant->value;
        memcpy(at, &lanes, sizeof(lanes));
        return;
    }
    for (unsigned int lane = 0; lane < PTX_LANES; lane++) {
        uint64_t value = constant_value(warp, lane, constant);
        memcpy(at + lane * constant->width, &value, constant->width);
    }
}

/* What changes from block to block; `first`: and what does not. */
static void warp_start(struct ptx_warp *warp, bool first)
{
    const struct ptx_kernel *kernel = warp->launch->kernel;
    const unsigned int *size = warp->block->launch->block;
    unsigned int threads = size[0] * size[1] * size[2] - warp->index * PTX_LANES;

    for (size_t i = 0; i < kernel->n_constants; i++) {
        const struct ptx_constant *constant = &kernel->constants[i];
        bool of_block =
            constant->kind == PTX_CONSTANT_SPECIAL &&
            ((constant->value >= PTX_SREG_CTAID_X && constant->value <= PTX_SREG_CTAID_Z) ||
             (constant->value >= PTX_SREG_CLUSTERID_X && constant->value <= PTX_SREG_CLUSTERID_Z));
        if (first || of_block)
            fill_constant(warp, constant);
    }
    warp->live = threads >= PTX_LANES ? PTX_ALL_LANES : (1u << threads) - 1;
    warp->waiting = 0;
    warp->stalled = 0;
    warp->active = 0;
    warp->patience = PATIENCE;
    ptx_calls_fini(warp);
    ptx_warp_park(warp, warp->live, kernel->entry);
}

/* Everything a launch needs, in one piece of memory. */
struct arena {
    struct ptx_launch_state state;
    struct ptx_block block;
    struct ptx_launch launch;
    uint8_t *memory;
};

static size_t rounded(size_t bytes)
{
    return (bytes + FILE_ALIGN - 1) & ~(size_t)(FILE_ALIGN - 1);
}

static size_t file_bytes(const struct ptx_kernel *kernel)
{
    /* Operands that an instruction does not have are slot 0 of any width. */
    return rounded(kernel->file_bytes + 8 * PTX_LANES);
}

static size_t local_bytes(const struct ptx_kernel *kernel)
{
    return rounded(kernel->local_bytes * PTX_LANES);
}

static int arena_init(struct arena *arena, const struct ptx_kernel *kernel,
                      const struct ptx_launch *launch)
{
    size_t threads = (size_t)launch->block[0] * launch->block[1] * launch->block[2];
    size_t n_warps = (threads + PTX_LANES - 1) / PTX_LANES;
    size_t shared = dynamic_shared_at(kernel) + launch->dynamic_shared_bytes;
    size_t each = file_bytes(kernel) + local_bytes(kernel) + PTX_BARRIERS * sizeof(uint32_t);
    uint8_t *at;

    arena->block.warps = calloc(n_warps, sizeof(*arena->block.warps));
    arena->memory = aligned_alloc(
        FILE_ALIGN, rounded(n_warps * each + rounded(shared) + rounded(kernel->param_bytes)));
    if (!arena->block.warps || !arena->memory)
        return -1;
    memset(arena->memory, 0,
           rounded(n_warps * each + rounded(shared) + rounded(kernel->param_bytes)));
    at = arena->memory;
    arena->launch = *launch;
    arena->launch.params = at;
    if (kernel->param_bytes)
        memcpy(at, launch->params, kernel->param_bytes);
    at += rounded(kernel->param_bytes);
    arena->block.shared = at;
    arena->block.shared_bytes = shared;
    at += rounded(shared);
    arena->block.n_warps = (unsigned int)n_warps;
    for (size_t i = 0; i < n_warps; i++) {
        struct ptx_warp *warp = &arena->block.warps[i];
        warp->index = (unsigned int)i;
        warp->code = kernel->code;
        warp->block = &arena->block;
        warp->launch = &arena->state;
        warp->file = at;
        warp->local = at + file_bytes(kernel);
        at += file_bytes(kernel) + local_bytes(kernel);
    }
    for (unsigned int id = 0; id < PTX_BARRIERS; id++, at += n_warps * sizeof(uint32_t))
        arena->block.barriers[id].waiting = (uint32_t *)(void *)at;
    return 0;
}

static void block_start(struct ptx_block *block, bool first)
{
    const unsigned int *size = block->launch->block;

    block->live = size[0] * size[1] * size[2];
    for (unsigned int id = 0; id < PTX_BARRIERS; id++) {
        block->barriers[id].arrived = 0;
        block->barriers[id].votes = 0;
        block->barriers[id].expected = 0;
    }
    for (unsigned int i = 0; i < block->n_warps; i++)
        warp_start(&block->warps[i], first);
}

static bool grid_run(struct arena *arena, uint64_t *instructions)
{
    const unsigned int *grid = arena->launch.grid;
    unsigned int *index = arena->block.index;
    bool first = true;

    for (index[2] = 0; index[2] < grid[2]; index[2]++) {
        for (index[1] = 0; index[1] < grid[1]; index[1]++) {
            for (index[0] = 0; index[0] < grid[0]; index[0]++) {
                block_start(&arena->block, first);
                first = false;
                if (!block_run(&arena->block, instructions) ||
                    (arena->block.live && report_hang(&arena->block)))
                    return false;
            }
        }
    }
    return true;
}

enum ptx_outcome ptx_kernel_run(const struct ptx_kernel *kernel, const struct ptx_launch *launch,
                                struct ptx_fault *fault, uint64_t *instructions)
{
    struct arena *arena = calloc(1, sizeof(*arena));
    enum ptx_outcome outcome = PTX_OUT_OF_MEMORY;

    *fault = (struct ptx_fault){.line = 0};
    if (!arena || arena_init(arena, kernel, launch))
        goto end;
    arena->state.kernel = kernel;
    arena->state.launch = &arena->launch;
    arena->state.fault = fault;
    arena->state.outcome = PTX_DONE;
    arena->block.launch = &arena->launch;
    for (unsigned int i = 0; i < PTX_CACHE; i++) {
        arena->state.cache[0][i].from = 1;
        arena->state.cache[1][i].from = 1;
    }
    grid_run(arena, instructions);
    ptx_memory_flush(&arena->state);
    outcome = arena->state.outcome;
end:
    if (arena) {
        for (unsigned int i = 0; i < arena->block.n_warps; i++)
            ptx_calls_fini(&arena->block.warps[i]);
        free(arena->block.warps);
        free(arena->memory);
    }
    free(arena);
    return outcome;
}
