/* SPDX-License-Identifier: MIT */

/*
 * From addresses to host pointers.
 *
 * Device memory goes through the MMU; a small cache per thread and launch, of stretches within one
 * page, keeps that off the path of most accesses, and counts bytes until the page is replaced in it
 * or the launch ends. All lanes are compared with the first lane's stretch at once (ptx_resolve.h);
 * only when that fails is each lane looked up by itself.
 */

#include "tests/sim/ptx_resolve.h"

#include "tests/sim/mmu.h"

static void stretch_flush(struct ptx_stretch *stretch)
{
    if (stretch->bytes)
        sim_mmu_account(stretch->from, stretch->bytes);
    stretch->bytes = 0;
}

void ptx_memory_init(struct ptx_launch_state *state)
{
    for (unsigned int i = 0; i < PTX_CACHE; i++) {
        state->cache[0][i] = (struct ptx_stretch){.from = 1};
        state->cache[1][i] = (struct ptx_stretch){.from = 1};
    }
    state->cached[0] = 0;
    state->cached[1] = 0;
}

void ptx_memory_flush(struct ptx_launch_state *state)
{
    for (unsigned int write = 0; write < 2; write++) {
        for (uint64_t rest = state->cached[write]; rest; rest &= rest - 1) {
            struct ptx_stretch *stretch = &state->cache[write][__builtin_ctzll(rest)];
            stretch_flush(stretch);
            *stretch = (struct ptx_stretch){.from = 1};
        }
        state->cached[write] = 0;
    }
}

/* The stretch that holds [address, address + bytes), or NULL when there is none. */
static struct ptx_stretch *stretch_find(struct ptx_launch_state *state, uint64_t address,
                                        unsigned int bytes, bool write)
{
    uint64_t page = address / SIM_PAGE_BYTES;
    struct ptx_stretch *stretch = ptx_stretch_of(state, address, write);
    uint64_t from = 0;
    uint64_t to = 0;
    const uint8_t *host;

    if (ptx_stretch_has(stretch, address, bytes))
        return stretch;
    host = sim_mmu_translate(address, bytes, write, &from, &to);
    if (!host)
        return NULL;
    stretch_flush(stretch);
    state->cached[write] |= (uint64_t)1 << page % PTX_CACHE;
    stretch->from = from > page * SIM_PAGE_BYTES ? from : page * SIM_PAGE_BYTES;
    stretch->last = (page + 1) * SIM_PAGE_BYTES - 1;
    if (to - 1 < stretch->last)
        stretch->last = to - 1;
    stretch->delta = (uint64_t)(uintptr_t)host - address;
    return stretch;
}

/* One piece of memory that a window of addresses stands for. */
struct window {
    uint64_t base; /* generic address of its first byte */
    uint8_t *memory;
    uint64_t bytes;
};

static struct window window_of(const struct ptx_warp *warp, enum ptx_space space, unsigned int lane)
{
    const struct ptx_launch_state *state = warp->launch;

    switch (space) {
    case PTX_SPACE_SHARED:
        return (struct window){PTX_WINDOW(space), warp->block->shared, warp->block->shared_bytes};
    case PTX_SPACE_LOCAL:
        return (struct window){PTX_WINDOW(space), warp->local + lane * state->kernel->local_bytes,
                               state->kernel->local_bytes};
    case PTX_SPACE_GRID:
        return (struct window){PTX_WINDOW(space), (uint8_t *)state->workspace,
                               state->launch->cooperative ? PTX_WORKSPACE_BYTES : 0};
    default:
        return (struct window){PTX_WINDOW(space), (uint8_t *)state->launch->params,
                               state->kernel->param_bytes};
    }
}

static uint8_t *window_pointer(const struct ptx_warp *warp, enum ptx_space space, unsigned int lane,
                               uint64_t offset, unsigned int bytes)
{
    struct window window = window_of(warp, space, lane);

    if (offset > window.bytes || window.bytes - offset < bytes)
        return NULL;
    return window.memory + offset;
}

static enum ptx_space generic_space(uint64_t *address)
{
    uint64_t window = *address >> PTX_WINDOW_SHIFT;

    if (window < PTX_SPACE_SHARED || window > PTX_SPACE_GRID)
        return PTX_SPACE_GLOBAL;
    *address -= PTX_WINDOW(window);
    return (enum ptx_space)window;
}

static uint8_t *lane_pointer(struct ptx_warp *warp, enum ptx_space space, unsigned int lane,
                             uint64_t address, unsigned int bytes, bool write)
{
    struct ptx_stretch *stretch;

    if (space == PTX_SPACE_GENERIC)
        space = generic_space(&address);
    if (space != PTX_SPACE_GLOBAL)
        return write && space == PTX_SPACE_PARAM
                   ? NULL
                   : window_pointer(warp, space, lane, address, bytes);
    stretch = stretch_find(warp->launch, address, bytes, write);
    if (!stretch)
        return NULL;
    stretch->bytes += bytes;
    return (uint8_t *)(uintptr_t)(address + stretch->delta);
}

enum ptx_step ptx_reach_each(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask,
                             unsigned int bytes, bool write, uint64_t at[PTX_LANES])
{
    EACH_ACTIVE_LANE(lane, mask)
    {
        uint64_t address = at[lane];
        if (address & (bytes - 1))
            return ptx_warp_fault(warp, insn, lane, PTX_MISALIGNED, address, write);
        at[lane] =
            (uint64_t)(uintptr_t)lane_pointer(warp, insn->space, lane, address, bytes, write);
        if (!at[lane])
            return ptx_warp_fault(warp, insn, lane, PTX_ILLEGAL_ADDRESS, address, write);
    }
    return PTX_STEP_NEXT;
}

PTX_CLONES enum ptx_step ptx_resolve(struct ptx_warp *warp, const struct ptx_insn *insn,
                                     uint32_t mask, unsigned int bytes, bool write,
                                     uint8_t *pointers[PTX_LANES])
{
    uint64_t at[PTX_LANES];
    bool in_order;
    enum ptx_step step = ptx_reach(warp, insn, mask, bytes, write, at, &in_order);

    memcpy(pointers, at, sizeof(at));
    return step;
}
