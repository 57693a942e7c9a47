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

static CUmemoryPool pool_new(size_t max_bytes)
{
    CUmemPoolProps props = {
        .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
        .maxSize = max_bytes,
    };
    CUmemoryPool pool;

    ok(cuMemPoolCreate(&pool, &props));
    return pool;
}

static uint64_t count(CUmemoryPool pool, CUmemPool_attribute attribute)
{
    uint64_t value;

    ok(cuMemPoolGetAttribute(pool, attribute, &value));
    return value;
}

static void keep_everything(CUmemoryPool pool)
{
    uint64_t all = UINT64_MAX;

    ok(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &all));
}

static void reuse(CUmemoryPool pool, int events, int opportunistic, int dependencies)
{
    ok(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES, &events));
    ok(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_REUSE_ALLOW_OPPORTUNISTIC, &opportunistic));
    ok(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES,
                             &dependencies));
}

/* How the stream that asks stands to the one that freed. */
enum standing { SAME_STREAM, EVENT, EVENT_BEFORE_FREE, OVER_BUT_NOT_WAITED_FOR, WAITED_FOR, NONE };

Test(sim_pool, who_may_have_freed_memory_is_as_the_attributes_say)
{
    static const struct {
        enum standing standing;
        int events, opportunistic, dependencies;
        bool again; /* the same memory */
    } cases[] = {
        {SAME_STREAM, 0, 0, 0, true},
        {EVENT, 0, 0, 0, false},
        {EVENT, 1, 0, 0, true},
        {EVENT, 0, 1, 1, false},
        {EVENT_BEFORE_FREE, 1, 0, 0, false},
        {OVER_BUT_NOT_WAITED_FOR, 1, 0, 1, false},
        {OVER_BUT_NOT_WAITED_FOR, 0, 1, 0, true},
        {WAITED_FOR, 0, 0, 0, true},
        {NONE, 1, 1, 0, false},
        {NONE, 1, 1, 1, false},
    };
    struct scene s = scene_new();
    CUstream other;
    CUstream third;
    CUevent event;

    ok(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    ok(cuStreamCreate(&third, CU_STREAM_NON_BLOCKING));
    ok(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        enum standing standing = cases[i].standing;
        CUmemoryPool pool = pool_new(0);
        CUdeviceptr first;
        CUdeviceptr second;

        keep_everything(pool);
        reuse(pool, cases[i].events, cases[i].opportunistic, cases[i].dependencies);
        ok(cuMemAllocFromPoolAsync(&first, 4 * MIB, pool, s.stream));
        if (standing == EVENT_BEFORE_FREE)
            ok(cuEventRecord(event, s.stream));
        ok(cuMemFreeAsync(first, s.stream));
        if (standing == EVENT)
            ok(cuEventRecord(event, s.stream));
        /* By way of a third stream. */
        if (standing == EVENT || standing == EVENT_BEFORE_FREE) {
            ok(cuStreamWaitEvent(third, event, 0));
            ok(cuEventRecord(event, third));
            ok(cuStreamWaitEvent(other, event, 0));
        }
        if (standing == OVER_BUT_NOT_WAITED_FOR)
            while (cuStreamQuery(s.stream) == CUDA_ERROR_NOT_READY)
                ;
        if (standing == WAITED_FOR)
            ok(cuStreamSynchronize(s.stream));
        ok(cuMemAllocFromPoolAsync(&second, 4 * MIB, pool,
                                   standing == SAME_STREAM ? s.stream : other));
        cr_expect_eq(second == first, cases[i].again, "case %zu", i);
        cr_expect_eq(count(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT),
                     cases[i].again ? 4 * MIB : 8 * MIB, "case %zu", i);
        ok(cuMemFreeAsync(second, other));
        ok(cuMemPoolDestroy(pool));
        ok(cuCtxSynchronize());
        cr_assert_eq(stats_now().device_used, PAGE, "case %zu leaves something", i);
    }
}

Test(sim_pool, waits_for_another_streams_free_when_nothing_else_is_left)
{
    struct scene s = scene_new();
    CUmemoryPool pool = pool_new(6 * MIB);
    CUstream other;
    CUdeviceptr first;
    CUdeviceptr second;

    ok(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    ok(cuMemAllocFromPoolAsync(&first, 4 * MIB, pool, s.stream));
    ok(launch_fill(&s.code, first, 4, 9, s.stream));
    ok(launch_copy(&s.code, s.out, first, 4, s.stream));
    ok(cuMemFreeAsync(first, s.stream));
    ok(cuMemAllocFromPoolAsync(&second, 4 * MIB, pool, other));
    cr_assert_eq(second, first);
    ok(launch_fill(&s.code, second, 4, 10, other));
    cr_assert_eq(stats_now().launches, 0, "nothing has run yet");
    ok(cuStreamSynchronize(other));
    cr_assert_eq(read_word(s.out), 9, "the first user was done before the second began");
    cr_assert_eq(read_word(second), 10);
}

Test(sim_pool, reused_memory_shows_the_pattern_and_use_after_the_first_free_is_the_second_users)
{
    struct scene s = scene_new();
    CUdeviceptr first;
    CUdeviceptr second;

    ok(cuMemAllocAsync(&first, 4 * MIB, s.stream));
    ok(launch_fill(&s.code, first, 4, 9, s.stream));
    ok(cuMemFreeAsync(first, s.stream));
    ok(cuMemAllocAsync(&second, 3 * MIB, s.stream));
    cr_assert_eq(second, first);
    ok(cuStreamSynchronize(s.stream));
    cr_assert_eq(read_word(second), 0xcbcbcbcb);
    cr_assert_eq(stats_now().allocations, 2);
    fails(cuMemFreeAsync(first + 4096, s.stream), CUDA_ERROR_INVALID_VALUE);
    ok(cuMemFreeAsync(second, s.stream));
    ok(cuStreamSynchronize(s.stream));
    cr_assert_eq(stats_now().allocations, 1);
}

Test(sim_pool, gives_back_above_its_threshold_when_something_is_waited_for)
{
    static const struct {
        uint64_t threshold;
        uint64_t kept;
    } cases[] = {
        {0, 0},
        {1, 0},
        {4 * MIB - 1, 0},
        {4 * MIB, 4 * MIB},
        {11 * MIB, 8 * MIB},
        {UINT64_MAX, 12 * MIB},
    };
    struct scene s = scene_new();
    CUevent event;

    ok(cuEventCreate(&event, 0));
    for (size_t i = 0; i < 3 * ARRAY_SIZE(cases); i++) {
        uint64_t threshold = cases[i / 3].threshold;
        CUmemoryPool pool = pool_new(0);
        CUdeviceptr held[3];

        ok(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
        for (size_t j = 0; j < 3; j++)
            ok(cuMemAllocFromPoolAsync(&held[j], 4 * MIB, pool, s.stream));
        for (size_t j = 0; j < 3; j++)
            ok(cuMemFreeAsync(held[j], s.stream));
        while (cuStreamQuery(s.stream) == CUDA_ERROR_NOT_READY)
            ;
        cr_assert_eq(count(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 12 * MIB,
                     "asking is not waiting");
        ok(cuEventRecord(event, s.stream));
        ok(i % 3 == 0   ? cuStreamSynchronize(s.stream)
           : i % 3 == 1 ? cuEventSynchronize(event)
                        : cuCtxSynchronize());
        cr_expect_eq(count(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), cases[i / 3].kept,
                     "threshold %zu", i / 3);
        cr_expect_eq(stats_now().device_used, PAGE + cases[i / 3].kept, "threshold %zu", i / 3);
        ok(cuMemPoolDestroy(pool));
        cr_assert_eq(stats_now().device_used, PAGE);
    }
}

Test(sim_pool, is_trimmed_to_what_is_asked_but_not_of_what_is_used)
{
    struct scene s = scene_new();
    CUmemoryPool pool = pool_new(0);
    CUdeviceptr held[3];

    keep_everything(pool);
    for (size_t i = 0; i < 3; i++)
        ok(cuMemAllocFromPoolAsync(&held[i], 4 * MIB, pool, s.stream));
    ok(cuMemFreeAsync(held[0], s.stream));
    ok(cuMemPoolTrimTo(pool, 0));
    cr_assert_eq(count(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 12 * MIB, "not yet over");
    ok(cuMemFreeAsync(held[2], s.stream));
    ok(cuStreamSynchronize(s.stream));
    ok(cuMemPoolTrimTo(pool, 8 * MIB));
    cr_assert_eq(count(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 8 * MIB);
    ok(cuMemPoolTrimTo(pool, 0));
    cr_assert_eq(count(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 4 * MIB);
    cr_assert_eq(count(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT), 4 * MIB);
    cr_assert_eq(count(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH), 12 * MIB);
    cr_assert_eq(count(pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH), 12 * MIB);
    fails(cuMemPoolTrimTo(NULL, 0), CUDA_ERROR_INVALID_VALUE);
}

Test(sim_pool, what_it_keeps_counts_as_used_of_the_card)
{
    struct scene s = scene_new();
    CUmemoryPool pool = pool_new(0);
    CUdeviceptr address;
    size_t free;
    size_t total;

    keep_everything(pool);
    ok(cuMemAllocFromPoolAsync(&address, 12 * MIB, pool, s.stream));
    ok(cuMemFreeAsync(address, s.stream));
    ok(cuStreamSynchronize(s.stream));
    ok(cuMemGetInfo_v2(&free, &total));
    cr_assert_eq(free, 8 * MIB);
    fails(cuMemAlloc_v2(&address, 10 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
    ok(cuMemPoolTrimTo(pool, 0));
    ok(cuMemAlloc_v2(&address, 10 * MIB));
}

Test(sim_pool, small_requests_share_what_large_ones_do_not)
{
    struct scene s = scene_new();
    CUmemoryPool pool = pool_new(0);
    CUdeviceptr held[2000];

    for (size_t i = 0; i < ARRAY_SIZE(held); i++)
        ok(cuMemAllocFromPoolAsync(&held[i], 1000, pool, s.stream));
    cr_assert_eq(count(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 2 * MIB);
    for (size_t i = 0; i < ARRAY_SIZE(held); i += 2)
        ok(cuMemFreeAsync(held[i], s.stream));
    ok(launch_fill(&s.code, held[1], 250, 7, s.stream));
    ok(cuStreamSynchronize(s.stream));
    cr_assert_eq(read_word(held[1] + 996), 7);
    for (size_t i = 1; i < ARRAY_SIZE(held); i += 2)
        ok(cuMemFreeAsync(held[i], s.stream));
    ok(cuStreamSynchronize(s.stream));
    cr_assert_eq(count(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT), 0);
}

Test(sim_pool, refuses_attributes_that_cannot_be_set)
{
    CUmemoryPool pool;
    uint64_t value = 1;

    start();
    pool = pool_new(0);
    fails(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT, &value),
          CUDA_ERROR_INVALID_VALUE);
    fails(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT, &value),
          CUDA_ERROR_INVALID_VALUE);
    fails(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH, &value),
          CUDA_ERROR_INVALID_VALUE);
    fails(cuMemPoolSetAttribute(pool, (CUmemPool_attribute)99, &value), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, NULL),
          CUDA_ERROR_INVALID_VALUE);
    fails(cuMemPoolGetAttribute(pool, (CUmemPool_attribute)0, &value), CUDA_ERROR_INVALID_VALUE);
    value = 0;
    ok(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH, &value));
    ok(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH, &value));
}

Test(sim_pool, lives_on_after_its_destruction_as_long_as_its_memory)
{
    struct scene s = scene_new();
    CUmemoryPool pool = pool_new(0);
    CUdeviceptr address;
    uint64_t value;

    keep_everything(pool);
    ok(cuMemAllocFromPoolAsync(&address, 4 * MIB, pool, s.stream));
    ok(cuMemPoolDestroy(pool));
    fails(cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_USED_MEM_HIGH, &value),
          CUDA_ERROR_INVALID_VALUE);
    ok(launch_fill(&s.code, address, 4, 9, s.stream));
    ok(cuStreamSynchronize(s.stream));
    cr_assert_eq(read_word(address), 9);
    ok(cuMemFreeAsync(address, s.stream));
    ok(cuStreamSynchronize(s.stream));
    cr_assert_eq(stats_now().device_used, PAGE);
}

Test(sim_pool, opens_its_memory_to_another_card)
{
    CUmemLocation second = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 1};
    CUmemLocation first = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0};
    CUmemAccessDesc give = {.location = second, .flags = CU_MEM_ACCESS_FLAGS_PROT_READ};
    CUmemAccessDesc lock_out = {.location = first, .flags = CU_MEM_ACCESS_FLAGS_PROT_NONE};
    CUmemAccessDesc nowhere = {.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 7}};
    struct scene s = scene_new();
    CUmemoryPool pool = pool_new(0);
    CUmemAccess_flags flags;
    struct device_code code;
    CUcontext own;
    CUcontext peer;
    CUdeviceptr address;
    CUdeviceptr there;

    ok(cuCtxGetCurrent(&own));
    ok(cuMemPoolGetAccess(&flags, pool, &first));
    cr_assert_eq(flags, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    ok(cuMemPoolGetAccess(&flags, pool, &second));
    cr_assert_eq(flags, CU_MEM_ACCESS_FLAGS_PROT_NONE);
    fails(cuMemPoolSetAccess(pool, &nowhere, 1), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemPoolSetAccess(pool, &lock_out, 1), CUDA_ERROR_INVALID_DEVICE);
    ok(cuMemAllocFromPoolAsync(&address, 4 * MIB, pool, s.stream));
    ok(launch_fill(&s.code, address, 4, 9, s.stream));
    ok(cuStreamSynchronize(s.stream));
    ok(cuMemPoolSetAccess(pool, &give, 1));
    ok(cuMemPoolGetAccess(&flags, pool, &second));
    cr_assert_eq(flags, CU_MEM_ACCESS_FLAGS_PROT_READ);
    ok(cuDevicePrimaryCtxRetain(&peer, 1));
    ok(cuCtxSetCurrent(peer));
    ok(cuCtxEnablePeerAccess(own, 0));
    code = load_code();
    ok(cuMemAlloc_v2(&there, 4096));
    ok(launch_copy(&code, there, address, 4, NULL));
    cr_assert_eq(read_word(there), 9);
    ok(launch_fill(&code, address, 4, 1, NULL));
    fails(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}

Test(sim_pool, refuses_pools_that_are_not_a_cards_own)
{
    static const struct {
        CUmemPoolProps props;
        CUresult error;
    } cases[] = {
        {{.allocType = CU_MEM_ALLOCATION_TYPE_PINNED, .location = {CU_MEM_LOCATION_TYPE_DEVICE, 2}},
         CUDA_ERROR_INVALID_DEVICE},
        {{.allocType = CU_MEM_ALLOCATION_TYPE_INVALID,
          .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}},
         CUDA_ERROR_INVALID_VALUE},
        {{.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
          .location = {CU_MEM_LOCATION_TYPE_INVALID, 0}},
         CUDA_ERROR_INVALID_VALUE},
        {{.allocType = CU_MEM_ALLOCATION_TYPE_PINNED, .location = {CU_MEM_LOCATION_TYPE_HOST, 0}},
         CUDA_ERROR_NOT_SUPPORTED},
        {{.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
          .handleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
          .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}},
         CUDA_ERROR_NOT_SUPPORTED},
    };
    CUmemLocation card = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 1};
    CUmemLocation host = {.type = CU_MEM_LOCATION_TYPE_HOST};
    CUmemoryPool pool;
    CUmemoryPool same;

    start();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        cr_expect_eq(cuMemPoolCreate(&pool, &cases[i].props), cases[i].error, "case %zu", i);
    ok(cuMemGetDefaultMemPool(&pool, &card, CU_MEM_ALLOCATION_TYPE_PINNED));
    ok(cuDeviceGetDefaultMemPool(&same, 1));
    cr_assert_eq(pool, same);
    ok(cuMemGetMemPool(&pool, &card, CU_MEM_ALLOCATION_TYPE_PINNED));
    cr_assert_eq(pool, same);
    ok(cuMemSetMemPool(&card, CU_MEM_ALLOCATION_TYPE_PINNED, pool));
    fails(cuMemSetMemPool(&card, CU_MEM_ALLOCATION_TYPE_PINNED, pool_new(0)),
          CUDA_ERROR_INVALID_VALUE);
    fails(cuMemGetDefaultMemPool(&pool, &host, CU_MEM_ALLOCATION_TYPE_PINNED),
          CUDA_ERROR_NOT_SUPPORTED);
}

/* Many streams, sizes and orders: what each writes it reads again, and in the end nothing is left.
 */
Test(sim_pool, random_use_keeps_every_byte)
{
    enum { STREAMS = 4, SLOTS = 24, STEPS = 4000 };
    struct {
        CUdeviceptr at;
        uint64_t words;
        uint32_t value;
        size_t stream;
    } slots[SLOTS] = {{0}};
    CUmemoryPool pool;
    CUstream streams[STREAMS];
    uint64_t random = 88172645463325252;
    uint64_t threshold = 6 * MIB;
    CUevent event;

    scene_new();
    pool = pool_new(0);
    ok(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    ok(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));
    for (size_t i = 0; i < STREAMS; i++)
        ok(cuStreamCreate(&streams[i], CU_STREAM_NON_BLOCKING));
    for (uint32_t i = 0; i < STEPS; i++) {
        size_t slot;
        size_t other;

        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        slot = random % SLOTS;
        other = (random >> 16) % STREAMS;
        if (slots[slot].at) {
            uint32_t word[2];
            CUstream stream = streams[slots[slot].stream];

            ok(cuMemcpyDtoHAsync_v2(&word[0], slots[slot].at, 4, stream));
            ok(cuMemcpyDtoHAsync_v2(&word[1], slots[slot].at + 4 * (slots[slot].words - 1), 4,
                                    stream));
            cr_assert_eq(word[0], slots[slot].value, "step %u", i);
            cr_assert_eq(word[1], slots[slot].value, "step %u", i);
            if (random >> 40 & 1) {
                ok(cuEventRecord(event, stream));
                ok(cuStreamWaitEvent(streams[other], event, 0));
                stream = streams[other];
            }
            ok(cuMemFreeAsync(slots[slot].at, stream));
            slots[slot].at = 0;
        } else {
            uint64_t bytes = random >> 50 & 1 ? (random >> 20) % (3 * MIB) : (random >> 20) % 5000;

            slots[slot].words = 2 + bytes / 4;
            slots[slot].value = i;
            slots[slot].stream = other;
            if (cuMemAllocFromPoolAsync(&slots[slot].at, 4 * slots[slot].words, pool,
                                        streams[other])) {
                slots[slot].at = 0;
                continue;
            }
            ok(cuMemsetD32Async(slots[slot].at, i, slots[slot].words, streams[other]));
        }
    }
    for (size_t i = 0; i < SLOTS; i++)
        if (slots[i].at)
            ok(cuMemFreeAsync(slots[i].at, streams[slots[i].stream]));
    ok(cuMemPoolDestroy(pool));
    ok(cuCtxSynchronize());
    cr_assert_eq(stats_now().device_used, PAGE);
    cr_assert_eq(stats_now().allocations, 1);
}
