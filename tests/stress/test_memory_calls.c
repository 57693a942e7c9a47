/* SPDX-License-Identifier: MIT */
/* What a program sees of its memory under the shim is what it would see without. */
#include "tests/stress/paged.h"

TestSuite(memory_calls, .timeout = 30, .fini = stop_paged);

#define BYTES (3 * PAGE)

/* A is in device memory, B of the same size in host memory. */
static void one_in_each_tier(CUdeviceptr *a, CUdeviceptr *b)
{
    start_paged("8MiB", "64MiB");
    *a = alloc(BYTES);
    *b = alloc(BYTES - 1000);
    cr_assert_eq(stats_get(host_bytes), 2 * PAGE);
}

Test(memory_calls, a_paged_pointer_is_device_memory_in_every_tier)
{
    CUdeviceptr at[2];
    CUcontext current;

    one_in_each_tier(&at[0], &at[1]);
    ok(cuCtxGetCurrent(&current));
    for (size_t i = 0; i < 2; i++) {
        for (size_t inside = 0; inside < BYTES - 1000; inside += PAGE - 1) {
            CUcontext context = NULL;
            CUdeviceptr address = 0, base = 0;
            unsigned int type = 0;
            size_t size = 0;
            int ordinal = -1;
            void *host;

            ok(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, at[i] + inside));
            cr_expect_eq(type, CU_MEMORYTYPE_DEVICE);
            ok(cuPointerGetAttribute(&context, CU_POINTER_ATTRIBUTE_CONTEXT, at[i] + inside));
            cr_expect_eq(context, current);
            ok(cuPointerGetAttribute(&address, CU_POINTER_ATTRIBUTE_DEVICE_POINTER,
                                     at[i] + inside));
            cr_expect_eq(address, at[i] + inside);
            ok(cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
                                     at[i] + inside));
            cr_expect_eq(ordinal, 0);
            ok(cuPointerGetAttribute(&base, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, at[i] + inside));
            cr_expect_eq(base, at[i]);
            ok(cuPointerGetAttribute(&size, CU_POINTER_ATTRIBUTE_RANGE_SIZE, at[i] + inside));
            cr_expect_eq(size, i ? BYTES - 1000 : BYTES);
            fails(cuPointerGetAttribute(&host, CU_POINTER_ATTRIBUTE_HOST_POINTER, at[i] + inside),
                  CUDA_ERROR_INVALID_VALUE);
        }
    }
}

Test(memory_calls, attributes_asked_for_together_are_those_asked_for_alone)
{
    CUpointer_attribute attributes[] = {
        CU_POINTER_ATTRIBUTE_MEMORY_TYPE,      CU_POINTER_ATTRIBUTE_HOST_POINTER,
        CU_POINTER_ATTRIBUTE_RANGE_START_ADDR, CU_POINTER_ATTRIBUTE_RANGE_SIZE,
        CU_POINTER_ATTRIBUTE_IS_MANAGED,
    };
    void *host = &host;
    CUdeviceptr at[2], base = 0;
    unsigned int type = 0, managed = 7;
    size_t size = 0;
    void *values[] = {&type, &host, &base, &size, &managed};

    one_in_each_tier(&at[0], &at[1]);
    ok(cuPointerGetAttributes(5, attributes, values, at[1] + PAGE));
    cr_expect_eq(type, CU_MEMORYTYPE_DEVICE);
    cr_expect_null(host);
    cr_expect_eq(base, at[1]);
    cr_expect_eq(size, BYTES - 1000);
    cr_expect_eq(managed & 0xff, 0);
}

Test(memory_calls, an_address_range_is_the_allocation_as_asked_for)
{
    CUdeviceptr at[2], base;
    size_t size;

    one_in_each_tier(&at[0], &at[1]);
    ok(cuMemGetAddressRange_v2(&base, &size, at[1] + BYTES - 1001));
    cr_expect_eq(base, at[1]);
    cr_expect_eq(size, BYTES - 1000);
    ok(cuMemGetAddressRange_v2(NULL, &size, at[0] + 5));
    cr_expect_eq(size, BYTES);
}

Test(memory_calls, every_allocation_has_an_identifier_of_its_own)
{
    unsigned long long ids[3];
    CUstream stream;
    CUdeviceptr at;

    start_paged("8MiB", "64MiB");
    stream = new_stream();
    at = alloc_async(BYTES, stream);
    ok(cuPointerGetAttribute(&ids[0], CU_POINTER_ATTRIBUTE_BUFFER_ID, at));
    ok(cuMemFreeAsync(at, stream));
    cr_assert_eq(alloc_async(BYTES, stream), at);
    ok(cuPointerGetAttribute(&ids[1], CU_POINTER_ATTRIBUTE_BUFFER_ID, at + 1));
    ok(cuPointerGetAttribute(&ids[2], CU_POINTER_ATTRIBUTE_BUFFER_ID, alloc(BYTES)));
    cr_expect_neq(ids[0], ids[1], "memory that is used again is another allocation");
    cr_expect_neq(ids[1], ids[2]);
}

Test(memory_calls, only_the_first_byte_can_be_freed_and_only_once)
{
    CUdeviceptr at[2];

    one_in_each_tier(&at[0], &at[1]);
    fails(cuMemFree_v2(at[0] + 1), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemFree_v2(at[0] + PAGE), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemFreeAsync(at[0] + PAGE, NULL), CUDA_ERROR_INVALID_VALUE);
    ok(cuMemFree_v2(at[0]));
    fails(cuMemFree_v2(at[0]), CUDA_ERROR_INVALID_VALUE);
    ok(cuMemFreeAsync(at[1], NULL));
    fails(cuMemFree_v2(at[1]), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemFreeAsync(at[1], NULL), CUDA_ERROR_INVALID_VALUE);
    ok(cuMemFree_v2(0));
}

Test(memory_calls, a_free_waits_for_all_work_of_the_context)
{
    struct device_code code;
    CUdeviceptr at;

    start_paged("8MiB", "64MiB");
    code = load_code();
    at = alloc(BYTES);
    ok(launch_fill(&code, at, 8, 1, new_stream()));
    ok(launch_fill(&code, at + PAGE, 8, 1, new_stream()));
    cr_assert_eq(stats_now().launches, 0);
    ok(cuMemFree_v2(at));
    cr_expect_eq(stats_now().launches, 2);
    cr_expect_eq(stats_now().illegal_addresses, 0);
}

Test(memory_calls, what_one_stream_frees_another_does_not_get_before_it_is_there)
{
    struct device_code code;
    CUstream first, second;
    CUdeviceptr old, new;

    start_paged("32MiB", "64MiB");
    code = load_code();
    first = new_stream();
    second = new_stream();
    old = alloc_async(BYTES, first);
    ok(launch_fill(&code, old, 8, 1, first));
    ok(cuMemFreeAsync(old, first));
    new = alloc_async(BYTES, second);
    cr_expect_neq(new, old);
    ok(launch_fill(&code, new, 8, 2, second));
    ok(cuStreamSynchronize(second));
    ok(cuStreamSynchronize(first));
    cr_expect_eq(read_word(new), 2);
    cr_expect_eq(stats_now().illegal_addresses, 0);
}

Test(memory_calls, what_a_stream_frees_it_can_use_again_without_waiting)
{
    struct device_code code;
    CUstream stream;
    CUdeviceptr at;

    start_paged("8MiB", "64MiB");
    code = load_code();
    stream = new_stream();
    at = alloc_async(BYTES, stream);
    ok(launch_fill(&code, at, 8, 1, stream));
    ok(cuMemFreeAsync(at, stream));
    cr_expect_eq(alloc_async(BYTES - 5, stream), at);
    cr_expect_eq(stats_now().launches, 0, "nothing was waited for");
    ok(launch_fill(&code, at, 8, 2, stream));
    ok(cuStreamSynchronize(stream));
    cr_expect_eq(read_word(at), 2);
}

Test(memory_calls, a_new_stream_is_not_taken_for_a_destroyed_one)
{
    struct device_code code;
    CUstream stream;
    CUdeviceptr old, new;

    start_paged("32MiB", "64MiB");
    code = load_code();
    stream = new_stream();
    old = alloc_async(BYTES, stream);
    ok(launch_fill(&code, old, 8, 1, stream));
    ok(cuMemFreeAsync(old, stream));
    ok(cuStreamDestroy_v2(stream));
    stream = new_stream();
    new = alloc_async(BYTES, stream);
    ok(launch_fill(&code, new, 8, 2, stream));
    ok(cuStreamSynchronize(stream));
    ok(cuCtxSynchronize());
    cr_expect_eq(read_word(new), 2);
}

Test(memory_calls, freed_memory_is_back_when_the_program_asks_how_much_is_free)
{
    size_t before, after, total;
    CUdeviceptr at;

    start_paged("8MiB", "64MiB");
    ok(cuMemGetInfo_v2(&before, &total));
    at = alloc_async(BYTES, NULL);
    ok(cuMemFreeAsync(at, NULL));
    ok(cuStreamSynchronize(NULL));
    ok(cuMemGetInfo_v2(&after, &total));
    cr_expect_eq(after, before);
    expect_nothing_paged();
}

/* Free and total memory of an untouched card of 8 MiB with 64 MiB beside it, then after 6 MiB. */
static const struct {
    const char *story;
    size_t total;
    size_t free;
    size_t then_free;
} stories[] = {
    {"physical", 8 * MIB, 8 * MIB, 2 * MIB},
    {"virtual", 72 * MIB, 72 * MIB, 66 * MIB},
    {"50MiB", 50 * MIB, 50 * MIB, 44 * MIB},
};

static void expect_story(size_t index)
{
    size_t free_bytes, total_bytes, device_bytes;

    setenv("VRAMSHIM_STORY", stories[index].story, 1);
    start_paged("8MiB", "64MiB");
    ok(cuMemGetInfo_v2(&free_bytes, &total_bytes));
    ok(cuDeviceTotalMem_v2(&device_bytes, 0));
    cr_expect_eq(total_bytes, stories[index].total);
    cr_expect_eq(device_bytes, stories[index].total);
    cr_expect_eq(free_bytes, stories[index].free, "%zu", free_bytes);
    (void)alloc(BYTES);
    ok(cuMemGetInfo_v2(&free_bytes, &total_bytes));
    cr_expect_eq(free_bytes, stories[index].then_free, "%zu", free_bytes);
}

Test(memory_calls, the_physical_story_is_the_card)
{
    expect_story(0);
}

Test(memory_calls, the_virtual_story_is_the_card_and_the_host_budget)
{
    expect_story(1);
}

Test(memory_calls, a_story_may_be_any_size)
{
    expect_story(2);
}

Test(memory_calls, allocations_below_the_limit_are_the_drivers)
{
    start_paged("8MiB", "64MiB");
    (void)alloc(64 * KIB - 1);
    cr_expect_eq(stats_now().allocations, 1);
    cr_expect_eq(stats_get(paged_ranges), 0);
    (void)alloc(64 * KIB);
    cr_expect_eq(stats_now().allocations, 1);
    cr_expect_eq(stats_get(paged_ranges), 1);
}

static CUmemoryPool new_pool(void)
{
    CUmemPoolProps props = {
        .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
        .location.type = CU_MEM_LOCATION_TYPE_DEVICE,
    };
    CUmemoryPool pool;

    ok(cuMemPoolCreate(&pool, &props));
    return pool;
}

Test(memory_calls, memory_of_a_pool_is_paged_and_says_which_pool_it_is_of)
{
    CUmemoryPool pool, told = NULL;
    CUdeviceptr at;

    start_paged("8MiB", "64MiB");
    pool = new_pool();
    ok(cuMemAllocFromPoolAsync(&at, BYTES, pool, NULL));
    cr_expect_eq(stats_get(paged_ranges), 1);
    ok(cuPointerGetAttribute(&told, CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE, at + 3));
    cr_expect_eq(told, pool);
}

Test(memory_calls, a_current_context_stays_current)
{
    CUcontext first = start_paged("8MiB", "64MiB");
    CUcontext second, current;
    CUdeviceptr at = alloc(BYTES);

    ok(cuCtxCreate_v2(&second, 0, 0));
    sim_fail("cuCtxPopCurrent_v2", 1, CUDA_ERROR_UNKNOWN);
    ok(cuMemFree_v2(at));
    ok(cuCtxGetCurrent(&current));
    cr_expect_eq(current, second, "also when the driver fails to change it at first");
    ok(cuCtxPopCurrent_v2(&current));
    ok(cuCtxGetCurrent(&current));
    cr_expect_eq(current, first);
}
