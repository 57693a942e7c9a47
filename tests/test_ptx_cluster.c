/* SPDX-License-Identifier: MIT */

/* Barriers in shared memory, clusters of one block, electing, and atomic changes of what is small
 * or wide. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/test_ptx_support.h"
#include "tests/test_ptx_table.h"

#define COUNT(array) (sizeof(array) / sizeof(array[0]))

/* Runs a body with %r1 the thread, %rd1 its 16 bytes of p0, and %rd2 all of p0; the result of a
 * thread is %r3. */
static void run_block(const char *body, unsigned int threads, uint32_t *out, size_t bytes)
{
    char text[8192];
    struct ptx_module *module;
    struct ptx_fault fault;
    uint64_t memory = fake_alloc(65536);
    enum ptx_outcome outcome;

    memcpy(fake_host(memory), out, bytes);
    snprintf(text, sizeof(text),
             "mov.u32 %%r1, %%tid.x; ld.param.u64 %%rd2, [p0]; mad.wide.u32 %%rd1, %%r1, 16, "
             "%%rd2;\n%s\nret;",
             body);
    module = fake_load_body(text);
    outcome = fake_run(module, "k", 1, threads, 0, &fault, (uint64_t[4]){memory});
    cr_assert_eq(outcome, PTX_DONE, "outcome %d in line %d: %s", outcome, fault.line, text);
    memcpy(out, fake_host(memory), bytes);
    ptx_module_free(module);
    fake_reset();
}

/* Warp 0 fills shared memory slowly; the others wait for it at a barrier of 40 arrivals, in two
 * phases, by state and by parity. */
Test(ptx_cluster, waits_at_barriers_in_memory)
{
    static uint32_t out[96 * 4];

    run_block(".shared .align 8 .b8 bar[8]; .shared .align 4 .b8 word[4]; mov.u32 %r5, bar;\n"
              "setp.ne.u32 %p1, %r1, 0; @%p1 bra START; mbarrier.init.shared.b64 [%r5], 96;\n"
              "st.shared.u32 [word], 0; START: bar.sync 0;\n"
              "setp.ge.u32 %p2, %r1, 32; @%p2 bra ARRIVE; mov.u32 %r6, 0;\n"
              "SLOW: add.u32 %r6, %r6, 1; setp.lt.u32 %p3, %r6, 20000; @%p3 bra SLOW;\n"
              "setp.eq.u32 %p3, %r1, 9; @%p3 st.shared.u32 [word], 77;\n"
              "ARRIVE: mbarrier.arrive.shared.b64 %rd5, [%r5];\n"
              "WAIT: mbarrier.test_wait.shared.b64 %p4, [%r5], %rd5; @!%p4 bra WAIT;\n"
              "ld.shared.u32 %r7, [word]; mbarrier.arrive.shared.b64 _, [%r5];\n"
              "AGAIN: mbarrier.try_wait.parity.shared.b64 %p4, [%r5], 1; @!%p4 bra AGAIN;\n"
              "@!%p1 st.shared.u32 [word], 5; mbarrier.arrive.shared::cta.b64 %rd5, [%r5], 1;\n"
              "LAST: mbarrier.try_wait.parity.shared.b64 %p4, [%r5], 0, 1000; @!%p4 bra LAST;\n"
              "ld.shared.u32 %r8, [word]; mad.lo.u32 %r3, %r8, 1000, %r7;\n"
              "st.global.u32 [%rd1], %r3;",
              96, out, sizeof(out));
    for (unsigned int i = 0; i < 96; i++)
        cr_assert_eq(out[4 * i], 5077, "%u: %u", i, out[4 * i]);
}

/* One thread, and what it sees of a barrier after each step. */
static const struct {
    const char *steps;
    uint32_t expected; /* bits: phase 0 over, phase 1 over; then the pending count from bit 2 */
} barriers[] = {
    {"mbarrier.init.shared.b64 [%r5], 3;", 3 << 2 | 2},
    {"mbarrier.init.shared.b64 [%r5], 3; mbarrier.arrive.shared.b64 _, [%r5];", 2 << 2 | 2},
    {"mbarrier.init.shared.b64 [%r5], 3; mbarrier.arrive.shared.b64 _, [%r5], 3;", 3 << 2 | 1},
    {"mbarrier.init.shared.b64 [%r5], 2; mbarrier.arrive_drop.shared.b64 _, [%r5];"
     "mbarrier.arrive.shared.b64 _, [%r5];",
     1 << 2 | 1},
    {"mbarrier.init.shared.b64 [%r5], 1; mbarrier.expect_tx.relaxed.cta.shared.b64 [%r5], 100;"
     "mbarrier.arrive.shared.b64 _, [%r5];",
     0 << 2 | 2},
    {"mbarrier.init.shared.b64 [%r5], 1; mbarrier.arrive.expect_tx.shared.b64 _, [%r5], 100;"
     "mbarrier.complete_tx.relaxed.cta.shared.b64 [%r5], 60;"
     "mbarrier.complete_tx.relaxed.cta.shared.b64 [%r5], 40;",
     1 << 2 | 1},
    {"mbarrier.init.shared.b64 [%r5], 2; mbarrier.arrive.noComplete.shared.b64 %rd6, [%r5], 1;",
     1 << 2 | 2},
    {"mbarrier.init.shared.b64 [%r5], 1; cp.async.mbarrier.arrive.shared.b64 [%r5];", 1 << 2 | 2},
    {"mbarrier.init.shared.b64 [%r5], 1; cp.async.mbarrier.arrive.noinc.shared.b64 [%r5];",
     1 << 2 | 1},
    {"mbarrier.init.shared.b64 [%r5], 1; mbarrier.inval.shared.b64 [%r5];"
     "mbarrier.init.b64 [%rd7], 9; mbarrier.arrive.b64 %rd6, [%rd7];",
     8 << 2 | 2},
};

Test(ptx_cluster, counts_arrivals_and_bytes)
{
    for (size_t i = 0; i < COUNT(barriers); i++) {
        char body[2048];
        uint32_t out[4] = {0};
        snprintf(body, sizeof(body),
                 ".shared .align 8 .b8 bar[8]; mov.u32 %%r5, bar; cvt.u64.u32 %%rd7, %%r5;\n"
                 "cvta.shared.u64 %%rd7, %%rd7;\n%s\n"
                 "mbarrier.test_wait.parity.shared.b64 %%p1, [%%r5], 0;\n"
                 "mbarrier.test_wait.parity.shared.b64 %%p2, [%%r5], 1;\n"
                 "ld.shared.b64 %%rd8, [bar]; mbarrier.pending_count.b64 %%r6, %%rd8;\n"
                 "shl.b32 %%r6, %%r6, 2; @%%p1 or.b32 %%r6, %%r6, 1; @%%p2 or.b32 %%r6, %%r6, 2;\n"
                 "st.global.u32 [%%rd1], %%r6;",
                 barriers[i].steps);
        run_block(body, 1, out, sizeof(out));
        cr_assert_eq(out[0], barriers[i].expected, "%s: %#x", barriers[i].steps, out[0]);
    }
}

Test(ptx_cluster, is_a_cluster_of_one)
{
    static uint32_t out[64 * 4];

    run_block(".shared .align 4 .b8 word[4]; setp.eq.u32 %p1, %r1, 40; mov.u32 %r5, word;\n"
              "mapa.shared::cluster.u32 %r6, %r5, 0; @%p1 st.shared::cluster.u32 [%r6], 9;\n"
              "barrier.cluster.arrive.release.aligned; barrier.cluster.wait.acquire.aligned;\n"
              "fence.mbarrier_init.release.cluster; griddepcontrol.wait;\n"
              "griddepcontrol.launch_dependents; ld.shared.u32 %r3, [word];\n"
              "mov.u32 %r7, %cluster_ctarank; mov.u32 %r8, %cluster_nctarank;\n"
              "mov.u32 %r9, %nclusterid.x; getctarank.shared::cluster.u32 %r10, %r6;\n"
              "add.u32 %r3, %r3, %r7; mad.lo.u32 %r3, %r8, 100, %r3;\n"
              "mad.lo.u32 %r3, %r9, 1000, %r3; add.u32 %r3, %r3, %r10;\n"
              "elect.sync %r11|%p2, -1; selp.u32 %r12, 1, 0, %p2;\n"
              "st.global.v4.u32 [%rd1], {%r3, %r11, %r12, %r1};",
              64, out, sizeof(out));
    for (unsigned int i = 0; i < 64; i++) {
        cr_assert_eq(out[4 * i], 1109, "%u: %u", i, out[4 * i]);
        cr_assert_eq(out[4 * i + 1], 0);
        cr_assert_eq(out[4 * i + 2], i % 32 == 0);
    }
}

Test(ptx_cluster, elects_the_lowest_of_those_named)
{
    static uint32_t out[32 * 4];

    run_block("setp.lt.u32 %p1, %r1, 5; mov.u32 %r11, 99; @%p1 bra OUT;\n"
              "elect.sync %r11|%p2, 0xffffffe0; OUT: st.global.u32 [%rd1], %r11;",
              32, out, sizeof(out));
    for (unsigned int i = 0; i < 32; i++)
        cr_assert_eq(out[4 * i], i < 5 ? 99 : 5, "%u: %u", i, out[4 * i]);
}

/* 32 lanes, of which each adds (or offers) its number from 1 on in %f1 and %h1 (f16), 0.5 in %h2
 * and both halves of %r6 (bf16) and %r7 (f16). */
static const struct {
    const char *ptx;
    uint32_t before[4], after[4];
} changes[] = {
    /* 2 + 528; the sums before are exact too */
    {"atom.global.add.noftz.f16 %h4, [%rd2], %h1;", {0x3c004000}, {0x3c006024}},
    {"atom.add.noftz.bf16 %h4, [%rd2+2], %h2;", {0x41200007}, {0x41d00007}},
    {"atom.global.add.noftz.bf16x2 %r4, [%rd2], %r6;", {0x00003f80}, {0x41804188}},
    {"red.global.add.noftz.f16x2 [%rd2], %r7;", {0x00003c00}, {0x4c004c40}},
    {"red.relaxed.gpu.global.add.noftz.bf16 [%rd2], %h2;", {0x3f80}, {0x4188}},
    {"atom.global.add.v2.f32 {%f4, %f5}, [%rd2], {%f1, 0fc0000000};",
     {0x3f800000, 0x40000000, 7, 8},
     {0x44044000, 0xc2780000, 7, 8}},
    {"red.global.add.v4.f32 [%rd2], {%f1, %f1, 0f00000000, 0f3f800000};",
     {0, 0x3f800000, 9, 0},
     {0x44040000, 0x44044000, 9, 0x42000000}},
    {"atom.global.add.noftz.v2.f16 {%h4, %h5}, [%rd2], {%h1, %h3};", {0x3c004000}, {0x50206024}},
    {"atom.global.max.noftz.v2.f16 {%h4, %h5}, [%rd2], {%h1, %h3};", {0xbc004000}, {0x3c005000}},
    {"red.global.min.noftz.v2.bf16 [%rd2], {%h2, %h2};", {0x40003e80}, {0x3f003e80}},
    {"red.global.add.noftz.v4.bf16x2 [%rd2], {%r6, %r6, %r6, %r6};",
     {0, 0, 0, 0x3f800000},
     {0x41804180, 0x41804180, 0x41804180, 0x41884180}},
};

Test(ptx_cluster, adds_small_and_wide_floats)
{
    for (size_t i = 0; i < COUNT(changes); i++) {
        char body[2048];
        uint32_t out[4];
        memcpy(out, changes[i].before, sizeof(out));
        snprintf(body, sizeof(body),
                 "add.u32 %%r5, %%r1, 1; cvt.rn.f16.u32 %%h1, %%r5; mov.b16 %%h2, 0x3f00;\n"
                 "mov.b32 %%r6, 0x3f003f00; mov.b32 %%r7, 0x38003800; cvt.rn.f32.u32 %%f1, %%r5;\n"
                 "mov.b16 %%h3, 0x3c00;\n%s",
                 changes[i].ptx);
        run_block(body, 32, out, sizeof(out));
        for (unsigned int j = 0; j < 4; j++)
            cr_assert_eq(out[j], changes[i].after[j], "%s: word %u is %#x", changes[i].ptx, j,
                         out[j]);
    }
}
