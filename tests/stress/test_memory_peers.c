/* SPDX-License-Identifier: MIT */
/* Two cards that reach into each other's paged memory. */
#include "tests/stress/paged.h"

static void stop_both(void)
{
    stop_paged();
    (void)cuDevicePrimaryCtxReset_v2(1);
}

TestSuite(memory_peers, .timeout = 30, .fini = stop_both);

#define BYTES (3 * PAGE)

struct card {
    CUcontext context;
    struct device_code code;
};

/* Card 0's context is current afterwards. */
static void start_both(struct card cards[2])
{
    setenv("SIM_DEVICES", "2", 1);
    start_paged("8MiB", "64MiB");
    for (int i = 1; i >= 0; i--) {
        ok(cuDevicePrimaryCtxRetain(&cards[i].context, i));
        ok(cuCtxSetCurrent(cards[i].context));
        cards[i].code = load_code();
    }
}

/* Card 1 writes to the allocation, wherever it is. */
static void write_from_other(struct card cards[2], CUdeviceptr at, uint32_t value)
{
    ok(cuCtxSetCurrent(cards[1].context));
    ok(launch_fill(&cards[1].code, at, 4, value, NULL));
    ok(launch_fill(&cards[1].code, at + BYTES - 16, 4, value, NULL));
    ok(cuCtxSynchronize());
    ok(cuCtxSetCurrent(cards[0].context));
    cr_expect_eq(read_word(at), value);
    cr_expect_eq(read_word(at + BYTES - 4), value);
}

Test(memory_peers, a_peer_reaches_memory_in_every_tier)
{
    struct card cards[2];
    CUdeviceptr at[4];

    start_both(cards);
    for (size_t i = 0; i < 2; i++)
        at[i] = alloc(BYTES);
    ok(cuCtxSetCurrent(cards[1].context));
    ok(cuCtxEnablePeerAccess(cards[0].context, 0));
    fails(cuCtxEnablePeerAccess(cards[0].context, 0), CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
    ok(cuCtxSetCurrent(cards[0].context));
    for (size_t i = 2; i < 4; i++)
        at[i] = alloc(BYTES);
    for (uint32_t i = 0; i < 4; i++)
        write_from_other(cards, at[i], 10 + i);
    for (uint32_t i = 0; i < 4; i++) {
        ok(launch_fill(&cards[0].code, at[i], 1, 1, NULL)); /* homes move */
        ok(cuCtxSynchronize());
        write_from_other(cards, at[i], 20 + i);
        write_from_other(cards, at[3 - i], 30 + i);
    }
    cr_expect_gt(stats_get(chunks_to_host), 0);
    cr_expect_eq(stats_now().illegal_addresses, 0);
}

Test(memory_peers, a_context_that_had_no_access_is_given_none)
{
    struct card cards[2];
    CUdeviceptr at;

    start_both(cards);
    at = alloc(BYTES);
    ok(cuCtxSetCurrent(cards[1].context));
    ok(launch_fill(&cards[1].code, at, 4, 1, NULL));
    fails(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}

Test(memory_peers, no_home_moves_under_a_copy_of_another_card)
{
    struct card cards[2];
    CUdeviceptr at[4], target;
    CUstream stream;

    setenv("SIM_ORDER", "restless", 1);
    start_both(cards);
    for (uint32_t i = 0; i < 4; i++) {
        at[i] = alloc(BYTES);
        ok(cuMemsetD32_v2(at[i], i, BYTES / 4));
    }
    ok(cuCtxSynchronize());
    ok(cuCtxSetCurrent(cards[1].context));
    ok(cuMemAlloc_v2(&target, 4096));
    stream = new_stream();
    for (uint32_t i = 0; i < 200; i++) {
        ok(cuMemcpyPeerAsync(target, cards[1].context, at[i % 4] + i % 3 * PAGE, cards[0].context,
                             4096, stream));
        ok(cuCtxSetCurrent(cards[0].context));
        ok(launch_fill(&cards[0].code, at[(i + 2) % 4] + PAGE + 8192, 1, i, NULL));
        ok(cuCtxSetCurrent(cards[1].context));
        if (i % 4 == 3)
            ok(cuStreamSynchronize(stream));
    }
    cr_expect_eq(read_word(target), 3);
    cr_expect_gt(stats_get(chunks_to_host), 20);
    cr_expect_eq(stats_now().illegal_addresses, 0);
}
