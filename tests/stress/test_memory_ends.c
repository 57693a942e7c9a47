/* SPDX-License-Identifier: MIT */
/*
 * The end of a context while memory of it is away, moving or read ahead: by an error of the
 * program's, which the driver repeats from then on, and by calls.
 */
#include "tests/stress/model.h"

TestSuite(memory_ends, .timeout = 120, .fini = stop_paged);

enum {
    PIECES = 12,
};

/* The program's own mistake: an address that is nobody's. */
static void break_context(const struct device_code *code)
{
    ok(launch_fill(code, 4096, 1, 1, NULL));
    fails(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}

static void expect_the_error_everywhere(const struct device_code *code, CUdeviceptr at)
{
    CUdeviceptr other;
    CUstream stream;
    uint32_t word = 1;

    fails(launch_fill(code, at, 1, 1, NULL), CUDA_ERROR_ILLEGAL_ADDRESS);
    fails(cuMemcpyHtoD_v2(at, &word, 4), CUDA_ERROR_ILLEGAL_ADDRESS);
    fails(cuMemcpyDtoH_v2(&word, at, 4), CUDA_ERROR_ILLEGAL_ADDRESS);
    fails(cuMemsetD32Async(at, 1, 1, NULL), CUDA_ERROR_ILLEGAL_ADDRESS);
    fails(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING), CUDA_ERROR_ILLEGAL_ADDRESS);
    fails(cuMemAlloc_v2(&other, 2 * PAGE), CUDA_ERROR_ILLEGAL_ADDRESS);
    fails(cuMemAllocAsync(&other, 2 * PAGE, NULL), CUDA_ERROR_ILLEGAL_ADDRESS);
    fails(cuMemFree_v2(at), CUDA_ERROR_ILLEGAL_ADDRESS);
    fails(cuMemFreeAsync(at, NULL), CUDA_ERROR_ILLEGAL_ADDRESS);
    fails(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}

/* More than the card has, used: some of it is away. */
static CUdeviceptr use_memory(const struct device_code *code, CUdeviceptr *pieces)
{
    for (int i = 0; i < PIECES; i++) {
        pieces[i] = alloc(PAGE);
        ok(launch_fill(code, pieces[i], 8, (uint32_t)i, NULL));
    }
    ok(cuCtxSynchronize());
    return pieces[0];
}

Test(memory_ends, an_error_of_the_program_is_what_it_sees_from_then_on)
{
    CUdeviceptr pieces[PIECES];
    struct device_code code;
    CUdeviceptr at;

    start_paged("16MiB", "64MiB");
    code = load_code();
    at = use_memory(&code, pieces);
    cr_assert_gt(stats_get(host_bytes), 0);
    break_context(&code);
    for (int i = 0; i < 3; i++)
        expect_the_error_everywhere(&code, at);
    cr_expect_eq(stats_now().illegal_addresses, 1, "none but the program's own");
}

Test(memory_ends, after_such_an_error_and_a_reset_everything_works_again)
{
    CUdeviceptr pieces[PIECES];
    struct device_code code;

    start_paged("16MiB", "64MiB");
    for (int i = 0; i < 3; i++) {
        start();
        code = load_code();
        (void)use_memory(&code, pieces);
        break_context(&code);
        expect_the_error_everywhere(&code, pieces[PIECES - 1]);
        ok(cuDevicePrimaryCtxReset_v2(0));
        expect_nothing_left();
    }
}

/* A model that is read ahead, a copy of it under way. */
static struct model streaming_model(void)
{
    struct model m = start_model("40MiB");

    passes(&m, 6);
    cr_assert_gt(stats_get(launches_redirected), 0);
    for (uint32_t i = 0; i < TENSORS / 2; i++)
        read_tensor(&m, i);
    return m;
}

Test(memory_ends, an_error_amid_a_pass_is_what_the_program_sees)
{
    struct model m = streaming_model();

    break_context(&m.code);
    expect_the_error_everywhere(&m.code, m.weights);
    ok(cuDevicePrimaryCtxReset_v2(0));
    expect_nothing_left();
    free(m.mirror);
}

Test(memory_ends, a_reset_amid_a_pass_leaves_nothing)
{
    struct model m = streaming_model();

    ok(cuDevicePrimaryCtxReset_v2(0));
    expect_nothing_left();
    free(m.mirror);
}

Test(memory_ends, a_release_amid_a_pass_leaves_nothing_and_the_next_context_streams_again)
{
    for (int i = 0; i < 2; i++) {
        struct model m = streaming_model();

        ok(cuDevicePrimaryCtxRelease_v2(0));
        expect_nothing_left();
        free(m.mirror);
    }
}
