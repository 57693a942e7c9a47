/* SPDX-License-Identifier: MIT */
/*
 * How many blocks of a kernel a multiprocessor holds at once, and what follows from it. Limits are
 * threads, blocks and shared memory; registers never are one.
 */
#include "runtime/util.h"
#include "tests/sim/calls.h"
#include "tests/sim/device.h"
#include "tests/sim/module.h"

static CUresult enter(CUfunction handle, struct function **out)
{
    struct context *context;
    CUresult res = context_require(&context);

    return res ? res : function_resolve(handle, context, out);
}

uint64_t occupancy_blocks(const struct function *function, uint64_t block, uint64_t dynamic)
{
    uint64_t shared = function_shared_bytes(function) + dynamic;
    uint64_t blocks =
        min_u64(DEVICE_MAX_RESIDENT_BLOCKS, DEVICE_MAX_RESIDENT_THREADS / align_up(block, 32));

    return shared ? min_u64(blocks, DEVICE_SHARED_OPTIN_BYTES / shared) : blocks;
}

static bool flags_are_valid(unsigned int flags)
{
    return !(flags & ~(unsigned int)CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE);
}

CUresult sim_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *num_blocks, CUfunction func,
                                                                  int block_size,
                                                                  size_t dynamic_smem_size,
                                                                  unsigned int flags)
{
    struct function *function;
    CUresult res = enter(func, &function);

    if (res)
        return res;
    if (!num_blocks || !flags_are_valid(flags) || block_size <= 0 ||
        block_size > DEVICE_MAX_THREADS)
        return CUDA_ERROR_INVALID_VALUE;
    *num_blocks = (int)occupancy_blocks(function, (uint64_t)block_size, dynamic_smem_size);
    return CUDA_SUCCESS;
}

CUresult sim_cuOccupancyMaxActiveBlocksPerMultiprocessor(int *num_blocks, CUfunction func,
                                                         int block_size, size_t dynamic_smem_size)
{
    return sim_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(num_blocks, func, block_size,
                                                                    dynamic_smem_size, 0);
}

/* The program's function is called without the lock, as it may call the driver. */
static size_t dynamic_bytes(CUoccupancyB2DSize of_block, size_t otherwise, int block)
{
    size_t bytes;

    if (!of_block)
        return otherwise;
    core_unlock();
    bytes = of_block(block);
    core_lock();
    return bytes;
}

/* The block size that keeps most threads resident; of several, the largest. */
CUresult
sim_cuOccupancyMaxPotentialBlockSizeWithFlags(int *min_grid_size, int *block_size, CUfunction func,
                                              CUoccupancyB2DSize block_size_to_dynamic_smem_size,
                                              size_t dynamic_smem_size, int block_size_limit,
                                              unsigned int flags)
{
    struct function *function;
    CUresult res = enter(func, &function);
    int limit = DEVICE_MAX_THREADS;
    uint64_t best = 0;

    if (res)
        return res;
    if (!min_grid_size || !block_size || block_size_limit < 0 || !flags_are_valid(flags))
        return CUDA_ERROR_INVALID_VALUE;
    if (block_size_limit && block_size_limit < limit)
        limit = block_size_limit;
    for (int block = limit; block > 0; block = (block - 1) / 32 * 32) {
        size_t bytes = dynamic_bytes(block_size_to_dynamic_smem_size, dynamic_smem_size, block);
        uint64_t blocks = occupancy_blocks(function, (uint64_t)block, bytes);

        if (blocks * (uint64_t)block <= best)
            continue;
        best = blocks * (uint64_t)block;
        *block_size = block;
        *min_grid_size = (int)blocks * DEVICE_MULTIPROCESSORS;
    }
    return best ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuOccupancyMaxPotentialBlockSize(int *min_grid_size, int *block_size, CUfunction func,
                                              CUoccupancyB2DSize block_size_to_dynamic_smem_size,
                                              size_t dynamic_smem_size, int block_size_limit)
{
    return sim_cuOccupancyMaxPotentialBlockSizeWithFlags(min_grid_size, block_size, func,
                                                         block_size_to_dynamic_smem_size,
                                                         dynamic_smem_size, block_size_limit, 0);
}

CUresult sim_cuOccupancyAvailableDynamicSMemPerBlock(size_t *dynamic_smem_size, CUfunction func,
                                                     int num_blocks, int block_size)
{
    struct function *function;
    CUresult res = enter(func, &function);
    uint64_t each;

    if (res)
        return res;
    if (!dynamic_smem_size || num_blocks <= 0 || block_size <= 0 ||
        block_size > DEVICE_MAX_THREADS ||
        (uint64_t)num_blocks > occupancy_blocks(function, (uint64_t)block_size, 0))
        return CUDA_ERROR_INVALID_VALUE;
    each = align_down(DEVICE_SHARED_OPTIN_BYTES / (uint64_t)num_blocks, 128);
    *dynamic_smem_size = each - min_u64(each, function_shared_bytes(function));
    return CUDA_SUCCESS;
}
