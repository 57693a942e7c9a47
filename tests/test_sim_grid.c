/* SPDX-License-Identifier: MIT */

/* Launches that several host threads run (SIM_THREADS), and cooperative ones. */

#include "tests/sim_test.h"

#define PAGES   6
#define BLOCKS  240
#define THREADS 64

TestSuite(sim_grid, .timeout = 60);

/*
 * visit: block i reads a word of page i % PAGES and writes one of the page after it, after some
 * work. meet: all blocks meet; then each adds what all have added before.
 */
static const char ptx[] =
    ".version 7.0\n.target sm_75\n.address_size 64\n"
    ".visible .entry visit(.param .u64 p)\n{\n"
    ".reg .pred %p<4>; .reg .b32 %r<16>; .reg .b64 %rd<8>;\n"
    "mov.u32 %r1, %ctaid.x; mov.u32 %r2, %tid.x; ld.param.u64 %rd1, [p]; mov.u32 %r3, 0;\n"
    "WORK: add.u32 %r3, %r3, 1; setp.lt.u32 %p1, %r3, 100; @%p1 bra WORK;\n"
    "rem.u32 %r4, %r1, 6; mul.wide.u32 %rd2, %r4, 2097152; add.u64 %rd2, %rd2, %rd1;\n"
    "ld.global.u32 %r5, [%rd2]; mad.lo.u32 %r6, %r1, 64, %r2; mad.wide.u32 %rd3, %r6, 4, %rd2;\n"
    "st.global.u32 [%rd3+2097156], %r6; ret;\n}\n"
    ".visible .entry meet(.param .u64 p)\n{\n"
    ".reg .pred %p<4>; .reg .b32 %r<16>; .reg .b64 %rd<8>;\n"
    "mov.u32 %r1, %envreg1; mov.u32 %r2, %envreg2; mov.b64 %rd1, {%r2, %r1};\n"
    "setp.ne.u64 %p1, %rd1, 0; @!%p1 trap; ld.param.u64 %rd2, [p]; mov.u32 %r3, %nctaid.x;\n"
    "mov.u32 %r4, %tid.x; setp.ne.u32 %p2, %r4, 0;\n"
    "red.global.add.u32 [%rd2], 1; bar.sync 0; @%p2 bra MET; membar.gl;\n"
    "atom.add.release.gpu.u32 %r5, [%rd1+4], 1;\n"
    "SPIN: ld.acquire.gpu.u32 %r6, [%rd1+4]; setp.ne.u32 %p3, %r6, %r3; @%p3 bra SPIN;\n"
    "MET: bar.sync 0; ld.volatile.global.u32 %r7, [%rd2]; @!%p2 red.global.add.u32 [%rd2+4], %r7;\n"
    "ret;\n}\n";

static CUfunction load(const char *name)
{
    CUfunction function;
    CUmodule module;

    ok(cuModuleLoadData(&module, ptx));
    ok(cuModuleGetFunction(&function, module, name));
    return function;
}

Test(sim_grid, logs_every_page_once_and_in_order)
{
    static struct sim_touch touches[64];
    struct sim_stats before;
    CUdeviceptr base;
    CUfunction visit;
    void *params[] = {&base};

    start();
    visit = load("visit");
    ok(cuMemAlloc_v2(&base, (PAGES + 1) * PAGE));
    ok(cuMemsetD8_v2(base, 0, (PAGES + 1) * PAGE));
    ok(cuCtxSynchronize());
    sim_touch_log(1);
    before = stats_now();
    ok(cuLaunchKernel(visit, BLOCKS, 1, 1, THREADS, 1, 1, 0, NULL, params, NULL));
    ok(cuCtxSynchronize());
    cr_assert_eq(sim_touches(touches, ARRAY_SIZE(touches)), PAGES + 1);
    for (size_t i = 0; i <= PAGES; i++) {
        cr_assert_eq(touches[i].page, base + i * PAGE);
        cr_assert_eq(touches[i].read, i < PAGES);
        cr_assert_eq(touches[i].written, i > 0);
        cr_assert_eq(touches[i].on_host, 0);
    }
    cr_assert_eq(stats_now().kernel_bytes_device - before.kernel_bytes_device,
                 (uint64_t)BLOCKS * THREADS * 8);
    cr_assert_eq(stats_now().thread_instructions - before.thread_instructions,
                 (uint64_t)BLOCKS * THREADS * (4 + 300 + 8));
    for (uint32_t i = 0; i < BLOCKS * THREADS; i += 97)
        cr_assert_eq(read_word(base + (i / THREADS % PAGES + 1) * PAGE + 4 + 4 * (uint64_t)i), i);
}

static void check_meeting(CUdeviceptr words, uint32_t blocks)
{
    uint32_t got[2];

    ok(cuMemcpyDtoH_v2(got, words, sizeof(got)));
    cr_assert_eq(got[0], blocks * THREADS);
    cr_assert_eq(got[1], blocks * blocks * THREADS, "every block saw what all had added");
    ok(cuMemsetD8_v2(words, 0, sizeof(got)));
}

static CUdeviceptr two_words(void)
{
    CUdeviceptr words;

    ok(cuMemAlloc_v2(&words, 8));
    ok(cuMemsetD8_v2(words, 0, 8));
    return words;
}

Test(sim_grid, runs_all_blocks_of_a_cooperative_launch_at_once)
{
    CUlaunchAttribute attribute = {.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE, .value.cooperative = 1};
    CUlaunchConfig config = {.gridDimX = 20,
                             .gridDimY = 1,
                             .gridDimZ = 1,
                             .blockDimX = THREADS,
                             .blockDimY = 1,
                             .blockDimZ = 1,
                             .attrs = &attribute,
                             .numAttrs = 1};
    CUdeviceptr words;
    CUfunction meet;
    void *params[] = {&words};

    start();
    meet = load("meet");
    words = two_words();
    for (int i = 0; i < 3; i++) {
        ok(cuLaunchCooperativeKernel(meet, 30, 1, 1, THREADS, 1, 1, 0, NULL, params));
        check_meeting(words, 30);
        ok(cuLaunchKernelEx(&config, meet, params, NULL));
        check_meeting(words, 20);
    }
    attribute.value.cooperative = 0;
    ok(cuLaunchKernelEx(&config, meet, params, NULL));
    fails(cuCtxSynchronize(), CUDA_ERROR_LAUNCH_FAILED);
}

Test(sim_grid, replays_a_cooperative_launch_from_a_graph)
{
    CUdeviceptr words;
    CUfunction meet;
    CUstream stream;
    CUgraph graph;
    CUgraphExec exec;
    void *params[] = {&words};

    start();
    meet = load("meet");
    words = two_words();
    ok(cuStreamCreate(&stream, CU_STREAM_DEFAULT));
    ok(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL));
    ok(cuLaunchCooperativeKernel(meet, 25, 1, 1, THREADS, 1, 1, 0, stream, params));
    ok(cuStreamEndCapture(stream, &graph));
    ok(cuGraphInstantiateWithFlags(&exec, graph, 0));
    for (int i = 0; i < 2; i++) {
        ok(cuGraphLaunch(exec, stream));
        ok(cuStreamSynchronize(stream));
        check_meeting(words, 25);
    }
}

Test(sim_grid, refuses_more_blocks_than_fit_on_the_card_at_once)
{
    CUdeviceptr words;
    CUfunction meet;
    void *params[] = {&words};
    int processors;
    int each;

    start();
    meet = load("meet");
    words = two_words();
    ok(cuDeviceGetAttribute(&processors, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, 0));
    ok(cuOccupancyMaxActiveBlocksPerMultiprocessor(&each, meet, 1024, 0));
    fails(cuLaunchCooperativeKernel(meet, (unsigned int)(processors * each) + 1, 1, 1, 1024, 1, 1,
                                    0, NULL, params),
          CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE);
    ok(cuLaunchCooperativeKernel(meet, (unsigned int)(processors * each), 1, 1, 1024, 1, 1, 0, NULL,
                                 params));
    ok(cuCtxSynchronize());
}
