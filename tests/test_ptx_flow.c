/* SPDX-License-Identifier: MIT */

/* Control flow, barriers, calls, and lanes that talk to each other. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/test_ptx_support.h"

#define COUNT(array) (sizeof(array) / sizeof(array[0]))

/* %r1 = thread, %rd1 = where its 32-bit result goes. */
#define START "mov.u32 %r1, %tid.x; ld.param.u64 %rd1, [p0]; mad.wide.u32 %rd1, %r1, 4, %rd1;\n"
#define END   "st.global.u32 [%rd1], %r2; ret;"

static uint32_t results[1024];
static struct ptx_fault fault;

static enum ptx_outcome run(struct ptx_module *module, unsigned int threads)
{
    uint64_t out = fake_alloc(sizeof(results));
    enum ptx_outcome outcome = fake_run(module, "k", 1, threads, 4096, &fault, (uint64_t[4]){out});

    memcpy(results, fake_host(out), sizeof(results));
    ptx_module_free(module);
    fake_reset();
    return outcome;
}

static void run_body(const char *body, unsigned int threads)
{
    cr_assert_eq(run(fake_load_body(body), threads), PTX_DONE, "line %d", fault.line);
}

Test(ptx_flow, takes_both_sides_of_a_branch_and_joins)
{
    run_body(START "and.b32 %r3, %r1, 1; setp.eq.u32 %p1, %r3, 0; @%p1 bra EVEN;\n"
                   "add.u32 %r2, %r1, 1000; bra.uni JOIN;\n"
                   "EVEN: mul.lo.u32 %r2, %r1, 3;\n"
                   "JOIN: activemask.b32 %r4; xor.b32 %r4, %r4, -1; add.u32 %r2, %r2, %r4;" END,
             64);
    for (uint32_t i = 0; i < 64; i++)
        cr_assert_eq(results[i], i % 2 ? i + 1000 : i * 3, "lane %u: all lanes are together again",
                     i);
}

static uint32_t collatz(uint32_t x)
{
    uint32_t n = 0;

    for (; x > 1; n++)
        x = x % 2 ? 3 * x + 1 : x / 2;
    return n;
}

Test(ptx_flow, lets_each_lane_leave_a_loop_in_its_own_time)
{
    run_body(START "mov.u32 %r2, 0; mov.u32 %r3, %r1;\n"
                   "LOOP: setp.le.u32 %p1, %r3, 1; @%p1 bra DONE;\n"
                   "add.u32 %r2, %r2, 1; and.b32 %r4, %r3, 1; setp.eq.u32 %p2, %r4, 0;\n"
                   "@%p2 bra EVEN;\n mad.lo.u32 %r3, %r3, 3, 1; bra LOOP;\n"
                   "EVEN: shr.u32 %r3, %r3, 1; bra.uni LOOP;\n DONE:" END,
             200);
    for (uint32_t i = 0; i < 200; i++)
        cr_assert_eq(results[i], collatz(i), "lane %u", i);
}

Test(ptx_flow, guards_any_instruction_and_either_sense)
{
    run_body(START "mov.u32 %r2, 5; setp.lt.u32 %p1, %r1, 10; @%p1 add.u32 %r2, %r2, 1;\n"
                   "@!%p1 add.u32 %r2, %r2, 2; setp.eq.u32 %p2, %r1, 3; @%p2 mov.u32 %r2, %tid.x;\n"
                   "@%p1 bra SKIP; add.u32 %r2, %r2, 100; SKIP:\n" END,
             33);
    for (uint32_t i = 0; i < 33; i++)
        cr_assert_eq(results[i], i == 3 ? 3 : i < 10 ? 6 : 107);
}

Test(ptx_flow, stops_lanes_that_exit)
{
    run_body(START "mov.u32 %r2, 7; setp.ge.u32 %p1, %r1, 20; @%p1 exit; bar.sync 0;\n"
                   "setp.eq.u32 %p2, %r1, 4; @%p2 ret;\n" END,
             96);
    for (uint32_t i = 0; i < 96; i++)
        cr_assert_eq(results[i], i < 20 && i != 4 ? 7 : 0, "lane %u", i);
}

Test(ptx_flow, sums_through_shared_memory_and_barriers)
{
    run_body(START ".shared .align 4 .b8 box[4096];\n"
                   "mul.lo.u32 %r3, %r1, 4; mov.u32 %r9, box; add.u32 %r3, %r3, %r9;\n"
                   "st.shared.u32 [%r3], %r1; mov.u32 %r4, 512;\n"
                   "LOOP: bar.sync 0; setp.ge.u32 %p1, %r1, %r4; @%p1 bra SKIP;\n"
                   "mul.lo.u32 %r5, %r4, 4; add.u32 %r5, %r3, %r5; ld.shared.u32 %r6, [%r5];\n"
                   "ld.shared.u32 %r7, [%r3]; add.u32 %r7, %r7, %r6; st.shared.u32 [%r3], %r7;\n"
                   "SKIP: shr.u32 %r4, %r4, 1; setp.ne.u32 %p2, %r4, 0; @%p2 bra LOOP;\n"
                   "bar.sync 0; ld.shared.u32 %r2, [box];" END,
             1024);
    for (uint32_t i = 0; i < 1024; i++)
        cr_assert_eq(results[i], 1023 * 1024 / 2);
}

Test(ptx_flow, counts_threads_of_named_and_partial_barriers)
{
    /* Warps 0 and 1 meet at barrier 1; warp 1 only reports to barrier 2, where warp 2 waits. */
    run_body(START ".shared .u32 cell; mov.u32 %r8, %warpid;\n"
                   "setp.eq.u32 %p1, %r8, 0; setp.eq.u32 %p2, %r8, 1; mov.u32 %r2, 0;\n"
                   "@%p1 st.shared.u32 [cell], 11; @%p1 bar.sync 1, 64; @%p1 bra END;\n"
                   "@!%p2 bra TWO; barrier.sync 1, 64; ld.shared.u32 %r2, [cell];\n"
                   "st.shared.u32 [cell], 12; bar.arrive 2, 64; bra END;\n"
                   "TWO: bar.sync 2, 64; ld.shared.u32 %r2, [cell];\n"
                   "END:" END,
             96);
    cr_assert_eq(results[0], 0);
    cr_assert_eq(results[32], 11);
    cr_assert_eq(results[64], 12);
}

Test(ptx_flow, waits_for_a_barrier_in_divergent_code)
{
    run_body(START ".shared .u32 cell; setp.lt.u32 %p1, %r1, 7; @%p1 bra A;\n"
                   "bar.sync 0; bra B;\n"
                   "A: st.shared.u32 [cell], 5; bar.sync 0;\n"
                   "B: ld.shared.u32 %r2, [cell];" END,
             40);
    for (uint32_t i = 0; i < 40; i++)
        cr_assert_eq(results[i], 5);
}

Test(ptx_flow, reduces_at_a_barrier)
{
    run_body(START "rem.u32 %r3, %r1, 3; setp.eq.u32 %p1, %r3, 0;\n"
                   "bar.red.popc.u32 %r2, 0, %p1; bar.red.and.pred %p2, 0, %p1;\n"
                   "bar.red.or.pred %p3, 0, 64, !%p1; @%p2 mov.u32 %r2, 0;\n"
                   "@%p3 add.u32 %r2, %r2, 1000; setp.lt.u32 %p4, %r1, 64;\n"
                   "barrier.red.and.pred %p5, 1, %p4; @%p5 add.u32 %r2, %r2, 5000;" END,
             64);
    for (uint32_t i = 0; i < 64; i++)
        cr_assert_eq(results[i], 6022, "lane %u: %u", i, results[i]);
}

Test(ptx_flow, calls_a_barrier_that_cannot_open_a_trap)
{
    static const char body[] = START "setp.lt.u32 %p1, %r1, 7;\n"
                                     "@%p1 bar.sync 0, 64;\n" END;

    cr_assert_eq(run(fake_load_body(body), 32), PTX_TRAP);
    cr_assert_eq(fault.line, 9);
    cr_assert_eq(fault.thread[0], 0);
}

Test(ptx_flow, gives_spinning_lanes_and_warps_their_turn)
{
    /* Lane 0 of warp 0 waits for the last lane of its own warp, which waits for warp 1. */
    run_body(START ".shared .u32 first; .shared .u32 second; mov.u32 %r2, 1;\n"
                   "setp.eq.u32 %p1, %r1, 0; @%p1 st.shared.u32 [first], 0;\n"
                   "@%p1 st.shared.u32 [second], 0; bar.sync 0;\n"
                   "@%p1 bra WAIT1; setp.eq.u32 %p2, %r1, 31; @%p2 bra WAIT2;\n"
                   "setp.eq.u32 %p3, %r1, 40; @%p3 st.volatile.shared.u32 [second], 9; bra END;\n"
                   "WAIT1: ld.volatile.shared.u32 %r3, [first]; setp.eq.u32 %p4, %r3, 0;\n"
                   "@%p4 bra WAIT1; mov.u32 %r2, %r3; bra END;\n"
                   "WAIT2: ld.volatile.shared.u32 %r3, [second]; setp.eq.u32 %p4, %r3, 0;\n"
                   "@%p4 bra WAIT2; st.volatile.shared.u32 [first], 8; mov.u32 %r2, %r3;\n"
                   "END:" END,
             64);
    cr_assert_eq(results[0], 8);
    cr_assert_eq(results[31], 9);
    cr_assert_eq(results[40], 1);
}

/* What lane i reads, by the manual's formulas; valid says whether it is in range. */
static uint32_t shuffled(char mode, uint32_t i, uint32_t b, uint32_t c, bool *valid)
{
    uint32_t segment = c >> 8 & 31;
    int last = (int)((i & segment) | (c & 31 & ~segment));
    int first = (int)(i & segment);
    int j = mode == 'u'   ? (int)i - (int)b
            : mode == 'd' ? (int)(i + b)
            : mode == 'b' ? (int)(i ^ b)
                          : (first | (int)(b & ~segment));

    *valid = mode == 'u' ? j >= last : j <= last;
    return *valid ? (uint32_t)j : i;
}

static const struct {
    const char *mode;
    uint32_t b, c;
} shuffles[] = {
    {"up", 1, 0},        {"up", 5, 0},        {"up", 3, 0x1800}, {"down", 1, 31},
    {"down", 9, 31},     {"down", 3, 0x181f}, {"bfly", 1, 31},   {"bfly", 16, 31},
    {"bfly", 7, 0x1c1f}, {"idx", 0, 31},      {"idx", 13, 31},   {"idx", 2, 0x181f},
    {"idx", 31, 7},
};

Test(ptx_flow, shuffles_in_every_mode)
{
    for (size_t i = 0; i < COUNT(shuffles); i++) {
        char body[512];
        snprintf(body, sizeof(body),
                 "%smul.lo.u32 %%r3, %%r1, 10; mov.u32 %%r4, %u;\n"
                 "shfl.sync.%s.b32 %%r2|%%p1, %%r3, %%r4, %u, -1;\n"
                 "@%%p1 add.u32 %%r2, %%r2, 1000; st.global.u32 [%%rd1], %%r2; ret;",
                 START, shuffles[i].b, shuffles[i].mode, shuffles[i].c);
        run_body(body, 32);
        for (uint32_t lane = 0; lane < 32; lane++) {
            bool valid;
            uint32_t from =
                shuffled(shuffles[i].mode[0], lane, shuffles[i].b, shuffles[i].c, &valid);
            cr_assert_eq(results[lane], from * 10 + 1000 * valid, "%s %u %#x lane %u",
                         shuffles[i].mode, shuffles[i].b, shuffles[i].c, lane);
        }
    }
}

Test(ptx_flow, brings_lanes_together_for_a_shuffle)
{
    /* The odd lanes take a detour before; each half shuffles with its own mask after. */
    run_body(START "and.b32 %r3, %r1, 1; setp.eq.u32 %p1, %r3, 0; mov.u32 %r4, %r1;\n"
                   "@%p1 bra MEET; add.u32 %r4, %r4, 100; bra.uni MEET; nanosleep.u32 20;\n"
                   "MEET: shfl.sync.bfly.b32 %r2, %r4, 1, 31, -1;\n"
                   "bar.warp.sync -1; @!%p1 bra ODD; \n"
                   "shfl.sync.down.b32 %r5, %r2, 2, 31, 0x55555555; bra JOIN;\n"
                   "ODD: shfl.sync.down.b32 %r5, %r2, 2, 31, 0xaaaaaaaa;\n"
                   "JOIN: mad.lo.u32 %r2, %r5, 1000, %r2;" END,
             32);
    for (uint32_t i = 0; i < 30; i++) {
        uint32_t first = i % 2 ? i - 1 : i + 1 + 100;
        uint32_t second = i % 2 ? i + 1 : i + 3 + 100;
        cr_assert_eq(results[i], second * 1000 + first, "lane %u: %u", i, results[i]);
    }
}

Test(ptx_flow, waits_for_lanes_that_come_from_further_on)
{
    /* The even lanes are at the shuffle, and ahead in turn, before the odd ones jump back to it. */
    run_body(START "and.b32 %r3, %r1, 1; setp.eq.u32 %p1, %r3, 1; mov.u32 %r4, %r1;\n"
                   "@%p1 bra FAR;\n"
                   "MEET: shfl.sync.bfly.b32 %r2, %r4, 1, 31, -1;\n" END
                   "FAR: add.u32 %r4, %r4, 100; bra MEET;",
             32);
    for (uint32_t i = 0; i < 32; i++)
        cr_assert_eq(results[i], i % 2 ? i - 1 : i + 101, "lane %u: %u", i, results[i]);
}

Test(ptx_flow, goes_on_without_lanes_that_cannot_come)
{
    /* Both halves wait for all lanes, at different shuffles. */
    run_body(START "setp.lt.u32 %p1, %r1, 16; @%p1 bra LOW;\n"
                   "shfl.sync.bfly.b32 %r2, %r1, 1, 31, -1; bra JOIN;\n"
                   "LOW: shfl.sync.bfly.b32 %r2, %r1, 2, 31, -1;\n"
                   "JOIN:" END,
             32);
    for (uint32_t i = 0; i < 32; i++)
        cr_assert_eq(results[i], i ^ (i < 16 ? 2 : 1), "lane %u: %u", i, results[i]);
}

Test(ptx_flow, votes_and_matches)
{
    run_body(START
             "rem.u32 %r3, %r1, 3; setp.eq.u32 %p1, %r3, 0;\n"
             "vote.sync.ballot.b32 %r2, %p1, -1; vote.sync.any.pred %p2, %p1, -1;\n"
             "vote.sync.all.pred %p3, %p1, -1; vote.sync.uni.pred %p4, !%p1, -1;\n"
             "vote.sync.all.pred %p5, %p1, 0x49249249;\n"
             "@%p2 xor.b32 %r2, %r2, 2; @%p3 xor.b32 %r2, %r2, 4; @%p4 xor.b32 %r2, %r2, 16;\n"
             "@%p5 xor.b32 %r2, %r2, 32;" END,
             32);
    cr_assert_eq(results[3], 0x49249249 ^ 2 ^ 32);
    run_body(START "rem.u32 %r3, %r1, 3; match.any.sync.b32 %r2, %r3, -1;\n"
                   "match.all.sync.b32 %r4|%p1, %r3, -1; @%p1 mov.u32 %r2, 0;\n"
                   "add.u32 %r2, %r2, %r4; mov.b64 %rd3, 77;\n"
                   "match.all.sync.b64 %r5|%p2, %rd3, -1; @!%p2 mov.u32 %r2, 0;" END,
             32);
    cr_assert_eq(results[4], 0x92492492);
    run_body(START "redux.sync.add.u32 %r2, %r1, -1; redux.sync.max.s32 %r3, %r1, 0xff;\n"
                   "mad.lo.u32 %r2, %r3, 1000, %r2;" END,
             32);
    cr_assert_eq(results[9], 496 + 7000);
}

static const char functions[] =
    ".version 7.0\n.target sm_75\n.address_size 64\n"
    ".func (.param .b32 back) triple(.param .b32 x);\n"
    ".func (.reg .u32 sum) add3(.reg .u32 a, .reg .u32 b, .reg .u32 c)\n"
    "{ add.u32 sum, a, b; add.u32 sum, sum, c; ret; }\n"
    ".visible .func (.param .b32 back) outer(.param .align 8 .b8 pair[8])\n"
    "{ .reg .b32 %r<9>; .reg .pred %p; .local .align 8 .b8 frame[8]; .reg .b64 %rd<3>;\n"
    "ld.param.u32 %r1, [pair]; ld.param.u32 %r2, [pair+4]; st.local.u32 [frame], %r1;\n"
    "setp.gt.u32 %p, %r1, 15; @%p bra BIG;\n"
    "{ .param .b32 in; .param .b32 out; st.param.b32 [in], %r2;\n"
    "call.uni (out), triple, (in); ld.param.b32 %r3, [out]; }\n"
    "bra DONE; BIG: call (%r3), add3, (%r1, %r2, 7);\n"
    "DONE: ld.local.u32 %r4, [frame]; mad.lo.u32 %r3, %r4, 1000, %r3;\n"
    "st.param.b32 [back+0], %r3; }\n"
    ".func (.param .b32 back) triple(.param .b32 x)\n"
    "{ .reg .b32 %r<3>; ld.param.u32 %r1, [x]; mul.lo.u32 %r2, %r1, 3;\n"
    "st.param.b32 [back], %r2; ret; }\n"
    ".entry k(.param .u64 out) { .reg .b32 %r<9>; .reg .b64 %rd<9>; .reg .pred %p<3>;\n"
    "mov.u32 %r1, %tid.x; ld.param.u64 %rd1, [out]; mad.wide.u32 %rd1, %r1, 4, %rd1;\n"
    "mov.u32 %r2, -1; setp.eq.u32 %p1, %r1, 3; @%p1 bra SKIP;\n"
    "{ .param .align 8 .b8 in[8]; .param .b32 got; add.u32 %r3, %r1, 1;\n"
    "st.param.v2.b32 [in], {%r1, %r3}; call.uni (got), outer, (in); ld.param.b32 %r2, [got+0]; }\n"
    "SKIP: activemask.b32 %r5; setp.ne.u32 %p2, %r5, -1; @%p2 mov.u32 %r2, 0;\n"
    "st.global.u32 [%rd1], %r2; ret; }\n";

Test(ptx_flow, calls_functions_from_divergent_code)
{
    cr_assert_eq(run(fake_load(functions), 32), PTX_DONE, "line %d", fault.line);
    for (uint32_t i = 0; i < 32; i++) {
        uint32_t inner = i > 15 ? i + (i + 1) + 7 : (i + 1) * 3;
        cr_assert_eq(results[i], i == 3 ? UINT32_MAX : i * 1000 + inner, "lane %u: %u", i,
                     results[i]);
    }
}

Test(ptx_flow, knows_where_each_thread_is)
{
    static const char body[] =
        "mov.u32 %r1, %tid.x; mov.u32 %r2, %tid.y; mov.u32 %r3, %tid.z;\n"
        "mov.u32 %r4, %ntid.x; mov.u32 %r5, %ntid.y; mov.u32 %r6, %ctaid.x; mov.u32 %r7, "
        "%ctaid.y;\n"
        "mov.u32 %r8, %nctaid.x; mad.lo.u32 %r10, %r3, %r5, %r2; mad.lo.u32 %r10, %r10, %r4, %r1;\n"
        "mad.lo.u32 %r11, %r7, %r8, %r6; mad.lo.u32 %r12, %r11, 30, %r10;\n"
        "ld.param.u64 %rd1, [p0]; mad.wide.u32 %rd1, %r12, 4, %rd1; mov.u32 %r13, %laneid;\n"
        "mov.u32 %r14, %lanemask_lt; popc.b32 %r15, %r14; sub.u32 %r13, %r13, %r15;\n"
        "mov.u64 %rd2, %clock64; mov.u32 %r16, %clock; mov.u64 %rd3, %globaltimer;\n"
        "sub.u64 %rd2, %rd3, %rd2; cvt.u32.u64 %r17, %rd2; setp.lt.u32 %p1, %r17, 3;\n"
        "@!%p1 mov.u32 %r13, 9; mad.lo.u32 %r12, %r13, 100000, %r12; st.global.u32 [%rd1], %r12;";
    struct ptx_module *module = fake_load_body(body);
    uint64_t out = fake_alloc(sizeof(results));
    struct ptx_launch launch = {.grid = {3, 2, 1}, .block = {5, 3, 2}, .params = &out};
    uint64_t instructions = 0;
    const uint32_t *got = fake_host(out);
    uint64_t params[4] = {out};

    launch.params = params;
    cr_assert_eq(ptx_kernel_run(ptx_module_kernel(module, "k"), &launch, &fault, &instructions),
                 PTX_DONE);
    for (uint32_t i = 0; i < 180; i++)
        cr_assert_eq(got[i], i, "thread %u: %u", i, got[i]);
    cr_assert_gt(instructions, 180 * 25);
    cr_assert_lt(instructions, 180 * 30);
    ptx_module_free(module);
    fake_reset();
}

Test(ptx_flow, packs_and_unpacks_registers)
{
    run_body(START "mov.b64 %rd2, {%r1, 7}; mov.b64 {%r3, %r4}, %rd2; add.u32 %r2, %r3, %r4;\n"
                   "mov.b32 {%h1, %h2}, 0x50003; mov.b32 %r5, {%h2, %h1}; add.u32 %r2, %r2, %r5;\n"
                   "mov.b64 %rd3, {%h1, %h2, %h1, %h2}; shr.u64 %rd3, %rd3, 32;\n"
                   "cvt.u32.u64 %r6, %rd3; add.u32 %r2, %r2, %r6; mov.b32 {_, %h5}, %r6;\n"
                   "cvt.u32.u16 %r7, %h5; add.u32 %r2, %r2, %r7; mov.pred %p1, %p2;\n"
                   "mov.f32 %f1, 0f3F800000; mov.b32 %r8, %f1; add.u32 %r2, %r2, %r8;" END,
             40);
    for (uint32_t i = 0; i < 40; i++)
        cr_assert_eq(results[i], i + 7 + 0x30005 + 0x50003 + 5 + 0x3f800000, "lane %u: %#x", i,
                     results[i]);
}
