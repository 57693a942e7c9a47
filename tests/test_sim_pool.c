/* SPDX-License-Identifier: MIT */
#include "tests/sim_test.h"

TestSuite(sim_pool, .timeout = 30);

struct scene {
    struct device_code code;
    CUstream stream;
    CUdeviceptr out;
};

static struct scene scene_new(void)
{
    struct scene s;

    start();
    s.code = load_code();
    ok(cuStreamCreate(&s.stream, CU_STREAM_NON_BLOCKING));
    ok(cuMemAlloc_v2(&s.out, 4096));
    ok(cuMemsetD32_v2(s.out, 1, 1024));
    ok(cuCtxSynchronize());
    return s;
}

Test(sim_pool, memory_exists_between_its_allocation_and_its_free)
{
    struct scene s = scene_new();
    CUdeviceptr address;
    uint64_t used = stats_now().device_used;

    ok(cuMemAllocAsync(&address, 4 * MIB, s.stream));
    ok(launch_fill(&s.code, address, 4, 9, s.stream));
    ok(launch_copy(&s.code, s.out, address, 4, s.stream));
    ok(cuMemFreeAsync(address, s.stream));
    cr_assert_eq(stats_now().device_used, used + 4 * MIB, "nothing has run yet");
    ok(cuStreamSynchronize(s.stream));
    cr_assert_eq(read_word(s.out + 12), 9);
    cr_assert_eq(stats_now().device_used, used);
}

Test(sim_pool, use_after_the_free_faults)
{
    struct scene s = scene_new();
    CUdeviceptr address;

    ok(cuMemAllocAsync(&address, 4 * MIB, s.stream));
    ok(cuMemFreeAsync(address, s.stream));
    ok(launch_fill(&s.code, address, 4, 9, s.stream));
    fails(cuStreamSynchronize(s.stream), CUDA_ERROR_ILLEGAL_ADDRESS);
}

Test(sim_pool, use_in_another_stream_before_the_allocation_faults)
{
    struct scene s = scene_new();
    CUstream other;
    CUdeviceptr address;

    ok(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    ok(cuMemAllocAsync(&address, 4 * MIB, s.stream));
    ok(launch_fill(&s.code, address, 4, 9, other));
    fails(cuStreamSynchronize(other), CUDA_ERROR_ILLEGAL_ADDRESS);
}

Test(sim_pool, what_is_freed_twice_or_never_was_is_refused)
{
    struct scene s = scene_new();
    CUdeviceptr address;

    ok(cuMemAllocAsync(&address, 4096, s.stream));
    ok(cuMemFreeAsync(address, s.stream));
    fails(cuMemFreeAsync(address, s.stream), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemFree_v2(address), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemFreeAsync(s.out, s.stream), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemFreeAsync(0, s.stream), CUDA_ERROR_INVALID_VALUE);
    ok(cuStreamSynchronize(s.stream));
}

Test(sim_pool, a_plain_free_takes_stream_ordered_memory)
{
    struct scene s = scene_new();
    CUdeviceptr address;

    ok(cuMemAllocAsync(&address, 4 * MIB, s.stream));
    ok(launch_fill(&s.code, address, 4, 9, s.stream));
    ok(cuMemFree_v2(address));
    ok(cuStreamSynchronize(s.stream));
    cr_assert_eq(stats_now().allocations, 1);
}

Test(sim_pool, queued_frees_make_room_when_the_card_is_full)
{
    struct scene s = scene_new();
    CUdeviceptr address;

    for (int i = 0; i < 20; i++) {
        ok(cuMemAllocAsync(&address, 16 * MIB, s.stream));
        ok(launch_fill(&s.code, address, 4, 9, s.stream));
        ok(cuMemFreeAsync(address, s.stream));
    }
    ok(cuMemAlloc_v2(&address, 16 * MIB));
    fails(cuMemAllocAsync(&address, 16 * MIB, s.stream), CUDA_ERROR_OUT_OF_MEMORY);
    ok(cuStreamSynchronize(s.stream));
}

Test(sim_pool, pools_are_made_used_measured_and_destroyed)
{
    CUmemPoolProps props = {
        .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
        .maxSize = 8 * MIB,
    };
    struct scene s = scene_new();
    CUmemoryPool standard;
    CUmemoryPool current;
    CUmemoryPool pool;
    CUdeviceptr address;
    uint64_t used;

    ok(cuDeviceGetDefaultMemPool(&standard, 0));
    ok(cuDeviceGetMemPool(&current, 0));
    cr_assert_eq(standard, current);
    ok(cuMemPoolCreate(&pool, &props));
    ok(cuDeviceSetMemPool(0, pool));
    ok(cuDeviceGetMemPool(&current, 0));
    cr_assert_eq(pool, current);
    ok(cuMemAllocAsync(&address, 6 * MIB, s.stream));
    ok(cuPointerGetAttribute(&current, CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, address));
    cr_assert_eq(pool, current);
    ok(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &used));
    cr_assert_eq(used, 6 * MIB);
    fails(cuMemAllocFromPoolAsync(&address, 4 * MIB, pool, s.stream), CUDA_ERROR_OUT_OF_MEMORY);
    ok(cuMemPoolDestroy(pool));
    fails(cuMemPoolDestroy(standard), CUDA_ERROR_INVALID_VALUE);
    ok(cuDeviceGetMemPool(&current, 0));
    cr_assert_eq(standard, current);
    ok(cuMemFreeAsync(address, s.stream));
    ok(cuMemPoolTrimTo(standard, 0));
    ok(cuStreamSynchronize(s.stream));
    cr_assert_eq(stats_now().allocations, 1);
}
