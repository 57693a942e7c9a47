/* SPDX-License-Identifier: MIT */

/*
 * The memory of a block: registers, local and shared memory, barriers; and how a block begins.
 *
 * Memory is kept from block to block and from launch to launch. Constants stay where they are as
 * long as the launch has the same kernel and shape; then only what tells one block from another is
 * written, and shared memory is filled with a pattern, so that no block sees what another left.
 * What a register or local memory holds that was never written is another matter: anything.
 */

#include <stdlib.h>
#include <sys/mman.h>

#include "tests/sim/ptx_call.h"
#include "tests/sim/ptx_grid.h"

#define FILE_ALIGN     256
#define SHARED_PATTERN 0xcb

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
    case PTX_SREG_ENVREG1:
        return launch->cooperative ? PTX_WINDOW(PTX_SPACE_GRID) >> 32 : 0;
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

static void fill_uniform(uint8_t *at, unsigned int width, uint64_t value)
{
    for (unsigned int lane = 0; lane < PTX_LANES; lane++) {
        if (width == 8)
            ((uint64_t *)(void *)at)[lane] = value;
        else if (width == 4)
            ((uint32_t *)(void *)at)[lane] = (uint32_t)value;
        else
            ((uint16_t *)(void *)at)[lane] = (uint16_t)value;
    }
}

/* Does a special register differ from lane to lane? */
static bool is_of_lane(uint64_t special)
{
    return special <= PTX_SREG_TID_Z || special == PTX_SREG_LANEID ||
           (special >= PTX_SREG_LANEMASK_EQ && special <= PTX_SREG_LANEMASK_GE);
}

static bool is_of_block(const struct ptx_constant *constant)
{
    uint64_t special = constant->value;

    return constant->kind == PTX_CONSTANT_SPECIAL &&
           ((special >= PTX_SREG_CTAID_X && special <= PTX_SREG_CTAID_Z) ||
            (special >= PTX_SREG_CLUSTERID_X && special <= PTX_SREG_CLUSTERID_Z));
}

static void fill_constant(struct ptx_warp *warp, const struct ptx_constant *constant)
{
    uint8_t *at = warp->file + constant->slot;

    if (!constant->width) {
        uint32_t lanes = (uint32_t)constant->value;
        memcpy(at, &lanes, sizeof(lanes));
        return;
    }
    if (constant->kind != PTX_CONSTANT_SPECIAL || !is_of_lane(constant->value)) {
        fill_uniform(at, constant->width, constant_value(warp, 0, constant));
        return;
    }
    for (unsigned int lane = 0; lane < PTX_LANES; lane++) {
        uint64_t value = constant_value(warp, lane, constant);
        memcpy(at + lane * constant->width, &value, constant->width);
    }
}

void ptx_kernel_sort_constants(struct ptx_kernel *kernel)
{
    for (size_t i = 0; i < kernel->n_constants; i++) {
        struct ptx_constant constant = kernel->constants[i];
        if (!is_of_block(&constant))
            continue;
        kernel->constants[i] = kernel->constants[kernel->n_block_constants];
        kernel->constants[kernel->n_block_constants++] = constant;
    }
}

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

struct ptx_resident *ptx_resident_free(struct ptx_resident *resident)
{
    if (!resident)
        return NULL;
    for (size_t i = 0; i < resident->warps; i++)
        ptx_calls_fini(&resident->block.warps[i]);
    free(resident->block.warps);
    if (resident->memory)
        munmap(resident->memory, resident->bytes);
    free(resident);
    return NULL;
}

static bool make_room(struct ptx_resident *resident, size_t bytes, size_t warps)
{
    void *memory;

    if (warps > resident->warps) {
        struct ptx_warp *more =
            realloc(resident->block.warps, warps * sizeof(*resident->block.warps));
        if (!more)
            return false;
        memset(&more[resident->warps], 0, (warps - resident->warps) * sizeof(*more));
        resident->block.warps = more;
        resident->warps = warps;
    }
    if (bytes <= resident->bytes)
        return true;
    memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    if (resident->memory)
        munmap(resident->memory, resident->bytes);
    resident->memory = memory;
    resident->bytes = bytes;
    return true;
}

/* Where everything lies, and what stays the same from block to block. */
static void lay_out(struct ptx_resident *resident, struct ptx_launch_state *state)
{
    const struct ptx_kernel *kernel = state->kernel;
    struct ptx_block *block = &resident->block;
    uint8_t *at = resident->memory;

    block->shared = at;
    at += rounded(block->shared_bytes);
    for (unsigned int id = 0; id < PTX_BARRIERS; id++, at += block->n_warps * sizeof(uint32_t))
        block->barriers[id].waiting = (uint32_t *)(void *)at;
    memset(block->barriers[0].waiting, 0, PTX_BARRIERS * block->n_warps * sizeof(uint32_t));
    at = block->shared + rounded((size_t)(at - block->shared));
    for (unsigned int i = 0; i < block->n_warps; i++) {
        struct ptx_warp *warp = &block->warps[i];
        warp->index = i;
        warp->code = kernel->code;
        warp->block = block;
        warp->launch = state;
        warp->file = at;
        warp->local = at + file_bytes(kernel);
        at += file_bytes(kernel) + local_bytes(kernel);
        for (size_t j = kernel->n_block_constants; j < kernel->n_constants; j++)
            fill_constant(warp, &kernel->constants[j]);
    }
}

static bool same_shape(const struct ptx_launch *a, const struct ptx_launch *b)
{
    return !memcmp(a->grid, b->grid, sizeof(a->grid)) &&
           !memcmp(a->block, b->block, sizeof(a->block)) &&
           a->dynamic_shared_bytes == b->dynamic_shared_bytes && a->cooperative == b->cooperative;
}

struct ptx_resident *ptx_resident_fit(struct ptx_resident *resident, struct ptx_launch_state *state)
{
    const struct ptx_kernel *kernel = state->kernel;
    const struct ptx_launch *launch = state->launch;
    size_t threads = (size_t)launch->block[0] * launch->block[1] * launch->block[2];
    size_t n_warps = (threads + PTX_LANES - 1) / PTX_LANES;
    size_t shared = dynamic_shared_at(kernel) + launch->dynamic_shared_bytes;
    size_t bytes = rounded(shared) + rounded(PTX_BARRIERS * n_warps * sizeof(uint32_t)) +
                   n_warps * (file_bytes(kernel) + local_bytes(kernel));

    if (resident && resident->kernel_id == kernel->id && same_shape(&resident->shape, launch))
        return resident;
    if (!resident)
        resident = calloc(1, sizeof(*resident));
    if (!resident || !make_room(resident, bytes, n_warps))
        return ptx_resident_free(resident);
    resident->kernel_id = kernel->id;
    resident->shape = *launch;
    resident->block.launch = launch;
    resident->block.n_warps = (unsigned int)n_warps;
    resident->block.shared_bytes = shared;
    lay_out(resident, state);
    return resident;
}

static void warp_start(struct ptx_warp *warp, unsigned int threads)
{
    const struct ptx_kernel *kernel = warp->launch->kernel;

    for (size_t i = 0; i < kernel->n_block_constants; i++)
        fill_constant(warp, &kernel->constants[i]);
    warp->live = threads >= PTX_LANES ? PTX_ALL_LANES : (1u << threads) - 1;
    warp->waiting = 0;
    warp->stalled = 0;
    warp->active = 0;
    warp->patience = PTX_PATIENCE;
    warp->steps = 0;
    ptx_calls_fini(warp);
    ptx_warp_park(warp, warp->live, kernel->entry);
}

void ptx_resident_start(struct ptx_resident *resident, uint64_t index)
{
    struct ptx_block *block = &resident->block;
    const unsigned int *grid = block->launch->grid;
    const unsigned int *size = block->launch->block;

    block->index[0] = (unsigned int)(index % grid[0]);
    block->index[1] = (unsigned int)(index / grid[0] % grid[1]);
    block->index[2] = (unsigned int)(index / grid[0] / grid[1]);
    block->live = size[0] * size[1] * size[2];
    memset(block->shared, SHARED_PATTERN, block->shared_bytes);
    for (unsigned int id = 0; id < PTX_BARRIERS; id++) {
        block->barriers[id].arrived = 0;
        block->barriers[id].votes = 0;
        block->barriers[id].expected = 0;
        block->barriers[id].gives = false;
    }
    for (unsigned int i = 0; i < block->n_warps; i++)
        warp_start(&block->warps[i], block->live - i * PTX_LANES);
}
