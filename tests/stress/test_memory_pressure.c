/* SPDX-License-Identifier: MIT */
/* Where homes are and when they move; what is left when memory runs out or a context ends. */
#include "tests/stress/paged.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

TestSuite(memory_pressure, .timeout = 120, .fini = stop_paged);

#define BYTES (3 * PAGE)

static void fill_and_wait(const struct device_code *code, CUdeviceptr at, uint32_t value)
{
    ok(launch_fill(code, at, 8, value, NULL));
    ok(launch_fill(code, at + 2 * PAGE, 8, value + 1, NULL));
    ok(cuCtxSynchronize());
}

Test(memory_pressure, what_a_launch_names_is_in_device_memory_when_it_fits)
{
    struct device_code code;
    CUdeviceptr at[4];
    uint64_t before;

    start_paged("8MiB", "64MiB");
    code = load_code();
    for (size_t i = 0; i < 4; i++)
        at[i] = alloc(BYTES);
    before = stats_now().kernel_bytes_host;
    sim_touch_log(1);
    for (size_t i = 0; i < 12; i++)
        fill_and_wait(&code, at[i % 4], (uint32_t)i);
    for (size_t i = 0; i < 4; i++) {
        cr_expect_eq(read_word(at[i]), 8 + i);
        cr_expect_eq(read_word(at[i] + 2 * PAGE), 9 + i);
    }
    cr_expect_eq(stats_now().kernel_bytes_host, before, "nothing was reached over the link");
    cr_expect_gt(stats_get(chunks_to_device), 0);
    cr_expect_gt(stats_get(chunks_to_host), 0);
    cr_expect_eq(stats_get(launches_in_place), 0);
}

Test(memory_pressure, the_pages_a_kernel_touched_were_all_in_device_memory)
{
    struct sim_touch touches[64];
    struct device_code code;
    CUdeviceptr at[4];
    size_t n;

    start_paged("8MiB", "64MiB");
    code = load_code();
    for (size_t i = 0; i < 4; i++)
        at[i] = alloc(BYTES);
    sim_touch_log(1);
    ok(launch_copy(&code, at[2] + PAGE, at[3] + 2 * PAGE, 16, NULL));
    ok(cuCtxSynchronize());
    n = sim_touches(touches, ARRAY_SIZE(touches));
    cr_assert_eq(n, (size_t)2);
    for (size_t i = 0; i < n; i++) {
        cr_expect(touches[i].page == at[2] + PAGE ? touches[i].written : touches[i].read);
        cr_expect_not(touches[i].on_host);
    }
}

Test(memory_pressure, what_does_not_fit_is_used_in_place)
{
    struct device_code code;
    CUdeviceptr small, large;

    start_paged("8MiB", "64MiB");
    code = load_code();
    large = alloc(8 * PAGE);
    small = alloc(PAGE);
    for (uint64_t page = 0; page < 8; page++)
        ok(cuMemsetD32_v2(large + page * PAGE, (unsigned int)page, PAGE / 4));
    ok(launch_copy(&code, small, large + 7 * PAGE, 16, NULL));
    ok(launch_fill(&code, large, 8 * PAGE / 4, 77, NULL));
    ok(cuCtxSynchronize());
    cr_expect_eq(read_word(small), 7);
    cr_expect_eq(read_word(large + 8 * PAGE - 4), 77);
    cr_expect_gt(stats_now().kernel_bytes_host, 0);
    cr_expect_gt(stats_get(launches_in_place), 0);
    cr_expect_eq(stats_now().illegal_addresses, 0);
}

Test(memory_pressure, a_pointer_that_nobody_can_see_is_followed_in_place)
{
    struct device_code code;
    CUdeviceptr at[4];
    uint32_t zero = 0;

    start_paged("8MiB", "64MiB");
    code = load_code();
    for (size_t i = 0; i < 2; i++)
        at[i] = alloc(BYTES);
    at[2] = alloc(2 * BYTES);
    at[3] = at[2] + BYTES;
    ok(cuMemcpyHtoD_v2(at[3], &zero, sizeof(zero)));
    /* The kernel counts words from where it is told, and runs on into the buffer behind. */
    ok(launch_fill(&code, at[2] + BYTES - 4, 2, 5, NULL));
    ok(cuCtxSynchronize());
    cr_expect_eq(read_word(at[3]), 5);
    cr_expect_eq(stats_now().illegal_addresses, 0);
}

static void begin_capture(CUstream stream)
{
    ok(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
}

Test(memory_pressure, nothing_moves_while_a_capture_is_open)
{
    struct device_code code;
    CUdeviceptr at[4];
    CUstream stream;
    CUgraph graph;
    uint64_t moved;

    start_paged("8MiB", "64MiB");
    code = load_code();
    stream = new_stream();
    for (size_t i = 0; i < 4; i++)
        at[i] = alloc(BYTES);
    fill_and_wait(&code, at[0], 1);
    moved = stats_get(chunks_to_device);
    begin_capture(stream);
    ok(launch_fill(&code, at[3], 8, 3, stream));
    ok(cuStreamEndCapture(stream, &graph));
    cr_expect_eq(stats_get(chunks_to_device), moved);
    fill_and_wait(&code, at[3], 4);
    cr_expect_gt(stats_get(chunks_to_device), moved);
    cr_expect_eq(read_word(at[3]), 4);
}

Test(memory_pressure, while_a_capture_is_open_the_driver_allocates)
{
    CUstream stream;
    CUdeviceptr at;
    CUgraph graph;

    start_paged("8MiB", "64MiB");
    stream = new_stream();
    ok(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    ok(cuMemAlloc_v2(&at, PAGE));
    cr_expect_eq(stats_get(paged_ranges), 0);
    cr_expect_eq(stats_now().allocations, 1);
    ok(cuStreamEndCapture(stream, &graph));
}

Test(memory_pressure, what_is_freed_while_a_capture_is_open_goes_when_it_is_closed)
{
    CUdeviceptr at, other;
    CUstream stream;
    CUgraph graph;

    start_paged("8MiB", "64MiB");
    stream = new_stream();
    at = alloc(BYTES);
    ok(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    ok(cuMemFree_v2(at));
    ok(cuStreamEndCapture(stream, &graph));
    other = alloc(BYTES);
    cr_expect_eq(stats_get(pending_frees), 0);
    cr_expect_eq(stats_get(paged_ranges), 1);
    ok(cuMemFree_v2(other));
    expect_nothing_paged();
}

Test(memory_pressure, a_capture_ends_with_its_stream)
{
    struct device_code code;
    CUdeviceptr at[4];
    CUstream stream;

    start_paged("8MiB", "64MiB");
    code = load_code();
    stream = new_stream();
    for (size_t i = 0; i < 4; i++)
        at[i] = alloc(BYTES);
    begin_capture(stream);
    (void)cuStreamDestroy_v2(stream);
    ok(launch_fill(&code, at[3], 8, 3, NULL));
    ok(cuCtxSynchronize());
    cr_expect_gt(stats_get(chunks_to_device), 0);
    cr_expect_eq(stats_get(launches_in_place), 0);
}

Test(memory_pressure, a_capture_stays_open_when_another_stream_tries_to_end_it)
{
    struct device_code code;
    CUstream origin, other;
    CUevent event;
    CUdeviceptr at[4];
    CUgraph graph;

    start_paged("8MiB", "64MiB");
    code = load_code();
    origin = new_stream();
    other = new_stream();
    ok(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    for (size_t i = 0; i < 4; i++)
        at[i] = alloc(BYTES);
    begin_capture(origin);
    ok(cuEventRecord(event, origin));
    ok(cuStreamWaitEvent(other, event, 0));
    cr_assert_neq(cuStreamEndCapture(other, &graph), CUDA_SUCCESS);
    ok(launch_fill(&code, at[3], 8, 3, new_stream()));
    cr_expect_eq(stats_get(safe_points), 0);
}

static void use_everything(const struct device_code *code)
{
    CUstream stream = new_stream();
    CUdeviceptr at[4];

    for (size_t i = 0; i < 4; i++)
        at[i] = i % 2 ? alloc(BYTES) : alloc_async(BYTES, stream);
    ok(cuStreamSynchronize(stream));
    for (size_t i = 0; i < 4; i++)
        fill_and_wait(code, at[i], 1);
    ok(cuMemFreeAsync(at[2], stream));
}

Test(memory_pressure, a_context_that_is_destroyed_gives_everything_back)
{
    struct device_code code;
    CUcontext context;

    setenv("VRAMSHIM_VRAM", "8MiB", 1);
    start_paged("64MiB", "64MiB");
    for (int i = 0; i < 3; i++) {
        ok(cuCtxCreate_v2(&context, 0, 0));
        code = load_code();
        use_everything(&code);
        ok(cuCtxDestroy_v2(context));
        expect_nothing_left();
    }
}

Test(memory_pressure, a_primary_context_that_is_released_gives_everything_back)
{
    struct device_code code;

    for (int i = 0; i < 3; i++) {
        start_paged("8MiB", "64MiB");
        code = load_code();
        use_everything(&code);
        ok(cuDevicePrimaryCtxRelease_v2(0));
        expect_nothing_left();
    }
}

Test(memory_pressure, a_primary_context_that_is_reset_gives_everything_back)
{
    struct device_code code;

    start_paged("8MiB", "64MiB");
    code = load_code();
    use_everything(&code);
    ok(cuDevicePrimaryCtxReset_v2(0));
    expect_nothing_left();
}

Test(memory_pressure, a_primary_context_that_others_still_hold_keeps_its_memory)
{
    CUcontext context;
    CUdeviceptr at;

    start_paged("8MiB", "64MiB");
    at = alloc(BYTES);
    ok(cuMemsetD32_v2(at, 9, 4));
    ok(cuDevicePrimaryCtxRetain(&context, 0));
    ok(cuDevicePrimaryCtxRelease_v2(0));
    cr_expect_eq(read_word(at), 9);
    cr_expect_eq(stats_get(paged_ranges), 1);
}

Test(memory_pressure, when_every_tier_is_full_nothing_is_lost)
{
    CUdeviceptr at[64];
    struct sim_stats before, after;
    size_t n = 0, m = 0;

    start_paged("8MiB", "24MiB");
    while (n < 64 && cuMemAlloc_v2(&at[n], BYTES) == CUDA_SUCCESS)
        n++;
    cr_assert_geq(n, 4);
    before = stats_now();
    for (int i = 0; i < 10; i++)
        fails(cuMemAlloc_v2(&at[n], BYTES), CUDA_ERROR_OUT_OF_MEMORY);
    after = stats_now();
    cr_expect_eq(after.mappings, before.mappings);
    cr_expect_eq(after.reservations, before.reservations);
    cr_expect_eq(stats_get(paged_ranges), n);
    while (m < n)
        ok(cuMemFree_v2(at[m++]));
    expect_nothing_paged();
}

Test(memory_pressure, what_can_never_fit_is_refused_without_trying)
{
    uint64_t created;
    CUdeviceptr at;

    start_paged("8MiB", "64MiB");
    (void)alloc(PAGE);
    created = sim_calls("cuMemCreate");
    fails(cuMemAlloc_v2(&at, 100 * MIB), CUDA_ERROR_OUT_OF_MEMORY);
    fails(cuMemAlloc_v2(&at, (size_t)1 << 50), CUDA_ERROR_OUT_OF_MEMORY);
    fails(cuMemAlloc_v2(&at, (size_t)1 << 62), CUDA_ERROR_OUT_OF_MEMORY);
    cr_expect_eq(sim_calls("cuMemCreate"), created);
}

Test(memory_pressure, memory_that_was_refused_once_is_asked_for_again)
{
    CUdeviceptr at;

    start_paged("4MiB", "64MiB");
    (void)alloc(2 * PAGE);
    sim_fail("cuMemAddressReserve", 1, CUDA_ERROR_OUT_OF_MEMORY);
    sim_fail("cuMemAddressReserve", 2, CUDA_ERROR_OUT_OF_MEMORY);
    fails(cuMemAlloc_v2(&at, PAGE), CUDA_ERROR_OUT_OF_MEMORY);
    ok(cuMemAlloc_v2(&at, PAGE));
}

Test(memory_pressure, a_copy_that_could_not_be_waited_for_does_not_come_late)
{
    struct device_code code;
    CUdeviceptr at[3];

    start_paged("4MiB", "64MiB");
    code = load_code();
    at[0] = alloc(2 * PAGE);
    at[1] = alloc(PAGE);
    ok(cuMemsetD32_v2(at[0], 1, PAGE / 2));
    ok(cuMemsetD32_v2(at[1], 2, PAGE / 4));
    ok(cuCtxSynchronize());
    /* Making room for the second moves the first out: that copy cannot be waited for. */
    for (unsigned int nth = 1; nth <= 3; nth++)
        sim_fail("cuStreamSynchronize", nth, CUDA_ERROR_UNKNOWN);
    ok(launch_fill(&code, at[1], 8, 3, NULL));
    at[2] = alloc(PAGE);
    ok(cuMemsetD32_v2(at[2], 4, PAGE / 4));
    sim_fail_clear();
    ok(cuStreamSynchronize(NULL));
    ok(cuCtxSynchronize());
    cr_expect_eq(read_word(at[0]), 1);
    cr_expect_eq(read_word(at[1]), 3);
    cr_expect_eq(read_word(at[1] + 32), 2);
    cr_expect_eq(read_word(at[2]), 4);
    cr_expect_eq(read_word(at[2] + PAGE - 4), 4);
}

Test(memory_pressure, small_allocations_of_every_kind_find_room)
{
    CUdeviceptr at, pitched;
    size_t pitch;

    start_paged("8MiB", "64MiB");
    (void)alloc(4 * PAGE);
    cr_assert_eq(stats_get(host_bytes), 0);
    ok(cuMemAllocPitch_v2(&pitched, &pitch, 100, 10, 4));
    ok(cuMemAlloc_v2(&at, 500));
    ok(cuMemAllocAsync(&at, 500, NULL));
    cr_expect_gt(stats_get(host_bytes), 0);
}

Test(memory_pressure, small_allocations_are_paged_when_the_driver_has_nothing)
{
    CUmemGenericAllocationHandle handles[4];
    CUmemAllocationProp prop = device_prop();
    CUdeviceptr at;
    size_t pitch;

    start_paged("8MiB", "64MiB");
    for (size_t i = 0; i < 4; i++)
        ok(cuMemCreate(&handles[i], PAGE, &prop, 0));
    ok(cuMemAlloc_v2(&at, 500));
    ok(cuMemsetD8_v2(at, 1, 500));
    ok(cuMemAllocPitch_v2(&at, &pitch, 100, 10, 4));
    ok(cuMemsetD8_v2(at, 1, 10 * pitch));
    ok(cuMemAllocAsync(&at, 500, NULL));
    ok(cuMemsetD8_v2(at, 1, 500));
    cr_expect_eq(stats_get(paged_ranges), 3);
    cr_expect_eq(stats_get(host_bytes), 3 * PAGE);
    for (size_t i = 0; i < 4; i++)
        ok(cuMemRelease(handles[i]));
}

struct live {
    CUdeviceptr at; /* 0: nothing */
    bool in_order;
};

static void free_one(struct live *live, CUstream stream)
{
    if (live->at && live->in_order)
        ok(cuMemFreeAsync(live->at, stream));
    else if (live->at)
        ok(cuMemFree_v2(live->at));
    live->at = 0;
}

/* Allocates and frees `times` times, of all sizes, in all ways; at the end all is freed. */
static uint64_t allocate_and_free(const struct device_code *code, CUstream stream, size_t times)
{
    struct live live[24] = {0};
    uint64_t most = 0;

    for (size_t i = 0; i < times; i++) {
        struct live *one = &live[i * 7 % ARRAY_SIZE(live)];
        size_t bytes = (i * 2654435761u >> 5) % (8 * MIB) + 1;

        free_one(one, stream);
        one->in_order = i % 3 == 0;
        one->at = one->in_order ? alloc_async(bytes, stream) : alloc(bytes);
        if (bytes > 64 * KIB)
            ok(launch_fill(code, one->at, 8, (uint32_t)i, stream));
        most = max_u64(most, stats_get(paged_bytes));
    }
    for (size_t i = 0; i < ARRAY_SIZE(live); i++)
        free_one(&live[i], stream);
    ok(cuStreamSynchronize(stream));
    return most;
}

Test(memory_pressure, a_thousand_allocations_leave_every_level_where_it_was)
{
    struct sim_stats before, after;
    struct device_code code;
    size_t free_before, free_after, total;
    CUstream stream;
    uint64_t most;

    start_paged("22MiB", "256MiB");
    code = load_code();
    stream = new_stream();
    (void)allocate_and_free(&code, stream, 50); /* what is made once and kept */
    ok(cuMemGetInfo_v2(&free_before, &total));
    before = stats_now();
    most = allocate_and_free(&code, stream, 1000);
    ok(cuMemGetInfo_v2(&free_after, &total));
    after = stats_now();

    cr_expect_gt(most, 4 * 22 * MIB, "it was no pressure: %llu", (unsigned long long)most);
    cr_expect_gt(stats_get(chunks_to_host), 100);
    cr_expect_eq(free_after, free_before);
    expect_nothing_paged();
    cr_expect_eq(after.device_used, before.device_used);
    cr_expect_eq(after.host_used, before.host_used);
    cr_expect_eq(after.mappings, before.mappings);
    cr_expect_eq(after.handles, before.handles);
    cr_expect_eq(after.reservations, before.reservations);
    cr_expect_eq(after.allocations, before.allocations);
    cr_expect_eq(after.streams, before.streams);
    cr_expect_eq(after.events, before.events);
    cr_expect_eq(after.illegal_addresses, 0);
}

/* One capture in the default stream of a thread, open as long as it is told to be. */
struct capturing {
    pthread_t thread;
    CUcontext context;
    atomic_int began;
    atomic_bool may_end;
    CUresult result;
};

static void *capture_in_own_default_stream(void *data)
{
    struct capturing *capturing = data;
    CUgraph graph;

    ok(cuCtxSetCurrent(capturing->context));
    ok(cuStreamBeginCapture_v2(CU_STREAM_PER_THREAD, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    atomic_store(&capturing->began, 1);
    while (!atomic_load(&capturing->may_end))
        usleep(100);
    capturing->result = cuStreamEndCapture(CU_STREAM_PER_THREAD, &graph);
    if (!capturing->result)
        ok(cuGraphDestroy(graph));
    return NULL;
}

static void begin_capturing(struct capturing *capturing, CUcontext context)
{
    *capturing = (struct capturing){.context = context};
    cr_assert_eq(pthread_create(&capturing->thread, NULL, capture_in_own_default_stream, capturing),
                 0);
}

static CUresult end_capturing(struct capturing *capturing)
{
    atomic_store(&capturing->may_end, true);
    cr_assert_eq(pthread_join(capturing->thread, NULL), 0);
    return capturing->result;
}

Test(memory_pressure, the_end_of_one_threads_capture_is_not_the_end_of_anothers)
{
    struct capturing first;
    struct capturing second;
    struct device_code code;
    CUcontext context = start_paged("8MiB", "64MiB");
    CUstream stream = new_stream();
    CUdeviceptr at[4];

    code = load_code();
    for (size_t i = 0; i < 4; i++)
        at[i] = alloc(BYTES);
    begin_capturing(&first, context);
    begin_capturing(&second, context);
    while (!atomic_load(&first.began) || !atomic_load(&second.began))
        usleep(100);
    ok(end_capturing(&second));
    /* Homes would move, and what waits for the context breaks the capture, were it forgotten. */
    for (uint32_t i = 0; i < 8; i++)
        ok(launch_fill(&code, at[i % 4], 8, i, stream));
    ok(end_capturing(&first));
}

/* Device memory that the driver gave to somebody else, as far as the shim knows. */
static CUmemGenericAllocationHandle take_memory(size_t bytes)
{
    CUmemAllocationProp prop = device_prop();
    CUmemGenericAllocationHandle handle;

    ok(cuMemCreate(&handle, bytes, &prop, 0));
    return handle;
}

static uint64_t free_memory(void)
{
    return 64 * MIB - sim_device_used(0);
}

static void upload_later(CUdeviceptr at)
{
    uint32_t word = 1;

    usleep(600 * 1000);
    ok(cuMemcpyHtoD_v2(at, &word, sizeof(word)));
    ok(cuCtxSynchronize());
}

Test(memory_pressure, what_was_to_be_left_free_is_left_free_when_others_take_memory)
{
    CUmemGenericAllocationHandle theirs;
    struct device_code code;
    CUdeviceptr at;

    setenv("VRAMSHIM_VRAM", "-16MiB", 1);
    start_paged("64MiB", "256MiB");
    code = load_code();
    at = alloc(20 * PAGE);
    upload_later(at);
    cr_assert_eq(stats_get(host_bytes), 0);
    theirs = take_memory(5 * PAGE);
    cr_assert_lt(free_memory(), 16 * MIB);
    upload_later(at);
    cr_expect_geq(free_memory(), 16 * MIB);
    cr_expect_gt(stats_get(host_bytes), 0);

    /* They give it back, and homes may return. */
    ok(cuMemRelease(theirs));
    upload_later(at);
    for (int i = 0; i < 20; i++)
        ok(launch_fill(&code, at + i * PAGE, 1, 1, NULL));
    ok(cuCtxSynchronize());
    cr_expect_eq(stats_get(host_bytes), 0);
    cr_expect_geq(free_memory(), 16 * MIB);
    ok(cuMemFree_v2(at));
}

Test(memory_pressure, what_the_driver_had_not_is_asked_for_again_later)
{
    CUmemGenericAllocationHandle theirs;
    struct device_code code;
    CUdeviceptr at;

    start_paged("16MiB", "64MiB");
    code = load_code();
    ok(cuMemFree_v2(alloc(PAGE))); /* the card is looked at while it is empty */
    theirs = take_memory(7 * PAGE);
    at = alloc(2 * PAGE);
    cr_assert_gt(stats_get(host_bytes), 0);
    ok(cuMemRelease(theirs));
    usleep(600 * 1000);
    for (int i = 0; i < 3; i++)
        ok(launch_fill(&code, at, 1, 1, NULL));
    ok(cuCtxSynchronize());
    cr_expect_eq(stats_get(host_bytes), 0);
    ok(cuMemFree_v2(at));
}
