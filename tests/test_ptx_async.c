/* SPDX-License-Identifier: MIT */

/* Copies from global to shared memory beside the thread. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/test_ptx_support.h"

#define COUNT(array) (sizeof(array) / sizeof(array[0]))

/* Each lane copies from its 32 bytes of p0 to its 16 of shared memory, which hold 0xee, and shows
 * them in p1. %r2: the lane; %r5, %rd3: where to and from; %p1: odd lanes. */
static enum ptx_outcome run_copies(const char *copies, uint64_t in, uint64_t out)
{
    char body[2048];
    struct ptx_module *module;
    struct ptx_fault fault;
    enum ptx_outcome outcome;

    snprintf(body, sizeof(body),
             ".shared .align 16 .b8 box[512]; mov.u32 %%r2, %%tid.x;\n"
             "ld.param.u64 %%rd3, [p0]; mad.wide.u32 %%rd3, %%r2, 32, %%rd3;\n"
             "ld.param.u64 %%rd4, [p1]; mad.wide.u32 %%rd4, %%r2, 16, %%rd4;\n"
             "mov.u32 %%r5, box; mad.lo.u32 %%r5, %%r2, 16, %%r5; mov.u32 %%r6, 0xeeeeeeee;\n"
             "st.shared.v4.u32 [%%r5], {%%r6, %%r6, %%r6, %%r6};\n"
             "and.b32 %%r7, %%r2, 1; setp.ne.u32 %%p1, %%r7, 0; and.b32 %%r8, %%r2, 15;\n"
             "%s\n"
             "cp.async.commit_group; cp.async.wait_group 1; cp.async.wait_group 0;\n"
             "cp.async.wait_all; bar.sync 0;\n"
             "ld.shared.v4.u32 {%%r10, %%r11, %%r12, %%r13}, [%%r5];\n"
             "st.global.v4.u32 [%%rd4], {%%r10, %%r11, %%r12, %%r13}; ret;",
             copies);
    module = fake_load_body(body);
    outcome = fake_run(module, "k", 1, 32, 0, &fault, (uint64_t[4]){in, out});
    ptx_module_free(module);
    return outcome;
}

/* Bytes [at, at + n) come from `from` onwards; up to `zeros` are 0, then 0xee. */
static const struct {
    const char *ptx;
    unsigned int at, from;
    unsigned int n[2]; /* in even and odd lanes; 99: the lane's number below 16 */
    unsigned int zeros[2];
} copies[] = {
    {"cp.async.ca.shared.global [%r5], [%rd3], 4;", 0, 0, {4, 4}, {4, 4}},
    {"cp.async.ca.shared.global [%r5+8], [%rd3+16], 8;", 8, 16, {8, 8}, {8, 8}},
    {"cp.async.ca.shared.global [%r5], [%rd3+16], 16;", 0, 16, {16, 16}, {16, 16}},
    {"cp.async.cg.shared.global.L2::128B [%r5], [%rd3], 16;", 0, 0, {16, 16}, {16, 16}},
    {"cp.async.cg.shared::cta.global [%r5], [%rd3], 16, 16;", 0, 0, {16, 16}, {16, 16}},
    {"cp.async.cg.shared.global [%r5], [%rd3], 16, 5;", 0, 0, {5, 5}, {16, 16}},
    {"cp.async.cg.shared.global [%r5], [%rd3], 16, 0;", 0, 0, {0, 0}, {16, 16}},
    {"cp.async.ca.shared.global [%r5+4], [%rd3+8], 4, 3;", 4, 8, {3, 3}, {4, 4}},
    {"cp.async.cg.shared.global [%r5], [%rd3], 16, %r8;", 0, 0, {99, 99}, {16, 16}},
    {"cp.async.ca.shared.global [%r5], [%rd3], 8, %p1;", 0, 0, {8, 0}, {8, 8}},
    {"cp.async.ca.shared.global [%r5], [%rd3], 8, !%p1;", 0, 0, {0, 8}, {8, 8}},
    {"@%p1 cp.async.ca.shared.global [%r5], [%rd3], 8;", 0, 0, {0, 8}, {0, 8}},
    {"mov.b64 %rd9, 0; cp.async.cg.shared.global.L2::cache_hint [%r5], [%rd3], 16, %rd9;",
     0,
     0,
     {16, 16},
     {16, 16}},
    {"cvt.u64.u32 %rd6, %r5; cp.async.ca.shared.global [%rd6], [%rd3], 16;",
     0,
     0,
     {16, 16},
     {16, 16}},
};

Test(ptx_async, copies_and_fills_with_zeros)
{
    for (size_t t = 0; t < COUNT(copies); t++) {
        uint64_t in = fake_alloc(1024);
        uint64_t out = fake_alloc(512);
        uint8_t *from = fake_host(in);
        const uint8_t *got = fake_host(out);

        for (unsigned int i = 0; i < 1024; i++)
            from[i] = (uint8_t)(i * 7 + i / 256 + 1);
        cr_assert_eq(run_copies(copies[t].ptx, in, out), PTX_DONE, "%s", copies[t].ptx);
        for (unsigned int i = 0; i < 512; i++) {
            unsigned int lane = i / 16;
            unsigned int n = copies[t].n[lane % 2];
            unsigned int offset = i % 16 - copies[t].at;
            uint8_t want = offset < copies[t].zeros[lane % 2] ? 0 : 0xee;
            if (n == 99)
                n = lane % 16;
            if (offset < n)
                want = from[lane * 32 + copies[t].from + offset];
            cr_assert_eq(got[i], want, "%s: lane %u byte %u is %#x, not %#x", copies[t].ptx, lane,
                         i % 16, got[i], want);
        }
        fake_reset();
    }
}

Test(ptx_async, reads_no_more_than_it_is_told)
{
    uint64_t out = fake_alloc(512);
    uint64_t in = fake_alloc(16); /* lane 0 alone has something to read, and only half of it */

    cr_assert_eq(
        run_copies("min.u32 %r8, %r8, 0; cp.async.cg.shared.global [%r5], [%rd3], 16, %r8;", in,
                   out),
        PTX_DONE);
    cr_assert_eq(run_copies("cp.async.cg.shared.global [%r5], [%rd3], 16;", in, out),
                 PTX_ILLEGAL_ADDRESS);
    cr_assert_eq(run_copies("cp.async.cg.shared.global [%r5], [%rd3+4], 16;", in, out),
                 PTX_MISALIGNED);
    cr_assert_eq(run_copies("cp.async.cg.shared.global [%r5+512], [%rd3], 16;", in, out),
                 PTX_ILLEGAL_ADDRESS);
    cr_assert_eq(run_copies("@%p1 exit; setp.eq.u32 %p2, %r2, 0; @!%p2 exit; "
                            "cp.async.ca.shared.global [%r5], [%rd3+8], 8, 8;",
                            in, out),
                 PTX_DONE);
}
