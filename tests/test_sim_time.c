/* SPDX-License-Identifier: MIT */
/* Virtual time: what takes how long, what overlaps, and that it is always the same. */
#include "tests/sim_test.h"

#include <stdio.h>
#include <unistd.h>

enum { COPY = 16 * MIB, CALL = 200, LAUNCH_CALL = 2500, COPY_CALL = 1500 };

/* Round figures: 10 GB/s up and down, 15 together, 100 GB/s of memory. */
static const char round_profile[] = "h2d 10GB/s\n"
                                    "d2h 10GB/s # the same\n"
                                    "\n"
                                    "link_both 15GB/s\n"
                                    "pageable 5GB/s\n"
                                    "device_memory 100GB/s\n"
                                    "d2d 50GB/s\n"
                                    "zero_copy 50%\n"
                                    "copy_latency 0ns\n"
                                    "launch_device 1us\n"
                                    "wait_call 0ns\n"
                                    "map 10us 1us\n"
                                    "memory 512MiB\n";

static char path[64];

static void write_profile(const char *text)
{
    FILE *file;

    snprintf(path, sizeof(path), "/tmp/profile-%d", (int)getpid());
    file = fopen(path, "w");
    cr_assert(file);
    fputs(text, file);
    fclose(file);
    setenv("SIM_PROFILE", path, 1);
}

static void start_timed(void)
{
    write_profile(round_profile);
    unsetenv("SIM_VRAM");
    setenv("SIM_ORDER", "timed", 1);
    start();
}

static void stop_timed(void)
{
    unlink(path);
}

TestSuite(sim_time, .init = start_timed, .fini = stop_timed, .timeout = 30);

struct buffers {
    CUdeviceptr device[2];
    void *pinned[2];
    CUstream stream[2];
};

static struct buffers make_buffers(void)
{
    struct buffers b;

    for (int i = 0; i < 2; i++) {
        ok(cuMemAlloc_v2(&b.device[i], COPY));
        ok(cuMemHostAlloc(&b.pinned[i], COPY, 0));
        ok(cuStreamCreate(&b.stream[i], CU_STREAM_NON_BLOCKING));
    }
    return b;
}

static uint64_t since(uint64_t from)
{
    return sim_clock_now() - from;
}

/* Nanoseconds that `bytes` take at 10 GB/s. */
#define AT_10(bytes) ((uint64_t)(bytes) / 10)

static void expect_about(uint64_t ns, uint64_t expected)
{
    cr_expect(ns >= expected && ns <= expected + expected / 50 + 20000, "%lu ns, not %lu",
              (unsigned long)ns, (unsigned long)expected);
}

Test(sim_time, a_copy_takes_its_bytes_by_the_bandwidth)
{
    struct buffers b = make_buffers();
    uint64_t from = sim_clock_now();

    ok(cuMemcpyHtoD_v2(b.device[0], b.pinned[0], COPY));
    expect_about(since(from), AT_10(COPY));
    from = sim_clock_now();
    ok(cuMemcpyDtoH_v2(b.pinned[0], b.device[0], COPY));
    expect_about(since(from), AT_10(COPY));
}

Test(sim_time, an_asynchronous_copy_costs_its_thread_the_call_alone)
{
    struct buffers b = make_buffers();
    uint64_t from = sim_clock_now();

    ok(cuMemcpyHtoDAsync_v2(b.device[0], b.pinned[0], COPY, b.stream[0]));
    cr_expect_eq(since(from), COPY_CALL);
}

Test(sim_time, pageable_memory_is_slower)
{
    struct buffers b = make_buffers();
    void *plain = calloc(1, COPY);
    uint64_t from = sim_clock_now();

    ok(cuMemcpyDtoH_v2(plain, b.device[0], COPY));
    expect_about(since(from), 2 * AT_10(COPY));
    free(plain);
}

Test(sim_time, copies_of_one_direction_follow_each_other)
{
    struct buffers b = make_buffers();
    uint64_t from = sim_clock_now();

    for (int i = 0; i < 2; i++)
        ok(cuMemcpyHtoDAsync_v2(b.device[i], b.pinned[i], COPY, b.stream[i]));
    ok(cuCtxSynchronize());
    expect_about(since(from), 2 * AT_10(COPY));
}

Test(sim_time, copies_of_both_directions_share_the_link)
{
    struct buffers b = make_buffers();
    uint64_t from = sim_clock_now();

    ok(cuMemcpyHtoDAsync_v2(b.device[0], b.pinned[0], COPY, b.stream[0]));
    ok(cuMemcpyDtoHAsync_v2(b.pinned[1], b.device[1], COPY, b.stream[1]));
    ok(cuCtxSynchronize());
    /* The second has 5 of 10 GB/s until the first is done. */
    expect_about(since(from), AT_10(COPY) + AT_10(COPY) / 2);
}

static void launch_touching(struct device_code *code, CUdeviceptr at, uint64_t bytes,
                            CUstream stream)
{
    ok(launch_fill(code, at, bytes / 4, 7, stream));
}

Test(sim_time, a_kernel_takes_the_bytes_it_touches_by_the_bandwidth_of_where_they_are)
{
    struct buffers b = make_buffers();
    struct device_code code = load_code();
    uint64_t from = sim_clock_now();

    launch_touching(&code, b.device[0], 4 * MIB, b.stream[0]);
    ok(cuStreamSynchronize(b.stream[0]));
    expect_about(since(from), AT_10(4 * MIB) / 10 + 1000 + LAUNCH_CALL);
    from = sim_clock_now();
    launch_touching(&code, (CUdeviceptr)(uintptr_t)b.pinned[0], 4 * MIB, b.stream[0]);
    ok(cuStreamSynchronize(b.stream[0]));
    expect_about(since(from), 2 * AT_10(4 * MIB) + 1000 + LAUNCH_CALL);
}

Test(sim_time, copies_and_kernels_of_two_streams_overlap)
{
    struct buffers b = make_buffers();
    struct device_code code = load_code();
    uint64_t from = sim_clock_now();

    ok(cuMemcpyHtoDAsync_v2(b.device[0], b.pinned[0], COPY, b.stream[0]));
    for (int i = 0; i < 4; i++)
        launch_touching(&code, b.device[1], COPY, b.stream[1]);
    ok(cuCtxSynchronize());
    expect_about(since(from), AT_10(COPY));
}

Test(sim_time, a_wait_for_an_event_orders_in_time_too)
{
    struct buffers b = make_buffers();
    struct device_code code = load_code();
    uint64_t from = sim_clock_now();
    CUevent event;

    ok(cuEventCreate(&event, CU_EVENT_DEFAULT));
    ok(cuMemcpyHtoDAsync_v2(b.device[0], b.pinned[0], COPY, b.stream[0]));
    ok(cuEventRecord(event, b.stream[0]));
    ok(cuStreamWaitEvent(b.stream[1], event, 0));
    launch_touching(&code, b.device[0], COPY, b.stream[1]);
    ok(cuStreamSynchronize(b.stream[1]));
    expect_about(since(from), AT_10(COPY) + AT_10(COPY) / 10);
}

Test(sim_time, events_tell_what_lies_between_them)
{
    struct buffers b = make_buffers();
    CUevent events[2];
    float ms;

    for (int i = 0; i < 2; i++)
        ok(cuEventCreate(&events[i], CU_EVENT_DEFAULT));
    ok(cuEventRecord(events[0], b.stream[0]));
    ok(cuMemcpyHtoDAsync_v2(b.device[0], b.pinned[0], COPY, b.stream[0]));
    ok(cuEventRecord(events[1], b.stream[0]));
    ok(cuEventSynchronize(events[1]));
    ok(cuEventElapsedTime(&ms, events[0], events[1]));
    cr_expect_float_eq(ms, (double)AT_10(COPY) / 1e6, 0.01);
}

Test(sim_time, a_loop_of_questions_comes_to_its_end)
{
    struct buffers b = make_buffers();
    uint64_t from = sim_clock_now();
    unsigned int questions = 0;

    ok(cuMemcpyHtoDAsync_v2(b.device[0], b.pinned[0], COPY, b.stream[0]));
    while (cuStreamQuery(b.stream[0]) == CUDA_ERROR_NOT_READY)
        questions++;
    expect_about(since(from), AT_10(COPY));
    cr_expect_geq(questions, 1000);
}

Test(sim_time, mapping_has_a_price_by_size)
{
    CUmemGenericAllocationHandle handle;
    CUmemAllocationProp prop = device_prop();
    CUdeviceptr at;
    uint64_t from;

    ok(cuMemCreate(&handle, 8 * MIB, &prop, 0));
    ok(cuMemAddressReserve(&at, 8 * MIB, 0, 0, 0));
    from = sim_clock_now();
    ok(cuMemMap(at, 8 * MIB, 0, handle, 0));
    cr_expect_eq(since(from), 18000 + CALL);
}

Test(sim_time, the_program_can_charge_its_own_work)
{
    uint64_t from = sim_clock_now();

    sim_clock_charge(12345);
    cr_expect_eq(since(from), 12345);
}

Test(sim_time, the_same_program_takes_the_same_time)
{
    uint64_t times[3];

    for (int round = 0; round < 3; round++) {
        struct buffers b = make_buffers();
        struct device_code code = load_code();
        uint64_t from = sim_clock_now();

        for (int i = 0; i < 20; i++) {
            ok(cuMemcpyHtoDAsync_v2(b.device[i % 2], b.pinned[i % 2], COPY >> i % 5,
                                    b.stream[i % 2]));
            launch_touching(&code, b.device[(i + 1) % 2], MIB << i % 3, b.stream[i / 2 % 2]);
        }
        ok(cuCtxSynchronize());
        times[round] = since(from);
    }
    cr_expect_eq(times[0], times[1]);
    cr_expect_eq(times[0], times[2]);
}
