/* SPDX-License-Identifier: MIT */

/* Recursion, calls through pointers, jump tables, initialisers that are addresses, and the
 * functions that the driver has. */

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/test_ptx_support.h"

#define HEAD ".version 8.6\n.target sm_90\n.address_size 64\n"
/* A kernel with the thread's place of p0 in %rd1, of p1 in %rd2, its number in %r1. */
#define KERNEL                                                                                     \
    ".visible .entry k(.param .u64 p0, .param .u64 p1) {\n"                                        \
    ".reg .pred %p<9>; .reg .b32 %r<30>; .reg .b64 %rd<30>; .reg .f32 %f<9>; .reg .f64 %fd<9>;\n"  \
    "mov.u32 %r1, %tid.x; ld.param.u64 %rd1, [p0]; mad.wide.u32 %rd1, %r1, 8, %rd1;\n"             \
    "ld.param.u64 %rd2, [p1]; mad.wide.u32 %rd2, %r1, 8, %rd2; ld.global.u32 %r2, [%rd1];\n"
#define END "st.global.u32 [%rd2], %r3; ret; }\n"

static uint64_t in[128];
static uint64_t out[128];

static enum ptx_outcome run(const char *text, unsigned int threads, struct ptx_fault *fault)
{
    struct ptx_module *module = fake_load(text);
    uint64_t from = fake_upload(in, sizeof(in));
    uint64_t to = fake_alloc(sizeof(out));
    enum ptx_outcome outcome = fake_run(module, "k", 2, threads, 0, fault, (uint64_t[4]){from, to});

    memcpy(out, fake_host(to), sizeof(out));
    ptx_module_free(module);
    return outcome;
}

static void run_well(const char *text, unsigned int threads)
{
    struct ptx_fault fault;

    cr_assert_eq(run(text, threads, &fault), PTX_DONE, "line %d: %s", fault.line,
                 fault.why ? fault.why : "");
}

static void fill(void)
{
    for (unsigned int i = 0; i < 128; i++)
        in[i] = i;
}

/* Two calls of itself, in registers that each call has for itself. */
static const char fibonacci[] =
    HEAD ".func (.param .b32 r) fib(.param .b32 n);\n"
         ".func (.param .b32 r) fib(.param .b32 n) {\n"
         ".reg .pred %p<3>; .reg .b32 %r<9>; ld.param.u32 %r1, [n];\n"
         "setp.lt.u32 %p1, %r1, 2; mov.u32 %r7, %r1; @%p1 bra OUT;\n"
         "add.u32 %r2, %r1, -1; { .param .b32 a; .param .b32 b; st.param.b32 [a], %r2;\n"
         "call.uni (b), fib, (a); ld.param.b32 %r3, [b]; }\n"
         "add.u32 %r4, %r1, -2; { .param .b32 a; .param .b32 b; st.param.b32 [a], %r4;\n"
         "call.uni (b), fib, (a); ld.param.b32 %r5, [b]; }\n"
         "add.u32 %r7, %r3, %r5;\n"
         "OUT: st.param.b32 [r], %r7; ret; }\n" KERNEL
         "rem.u32 %r2, %r2, 12; { .param .b32 a; .param .b32 b; st.param.b32 [a], %r2;\n"
         "call (b), fib, (a); ld.param.b32 %r3, [b]; }\n" END;

Test(ptx_call, calls_itself)
{
    static const uint32_t expected[] = {0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89};

    fill();
    run_well(fibonacci, 40);
    for (unsigned int i = 0; i < 40; i++)
        cr_assert_eq((uint32_t)out[i], expected[i % 12], "%u: %u", i, (uint32_t)out[i]);
}

/* Each call has a frame whose address it hands down; two functions take turns; calls are guarded by
 * a predicate that the callee changes. */
static const char frames[] =
    HEAD ".func (.param .b32 r) down(.param .b32 n, .param .b64 above);\n"
         ".func (.param .b32 r) step(.param .b32 n, .param .b64 above) {\n"
         ".local .align 8 .b8 own[8]; .reg .pred %p<3>; .reg .b32 %r<9>; .reg .b64 %rd<9>;\n"
         "ld.param.u32 %r4, [n]; ld.param.u64 %rd2, [above]; ld.u32 %r1, [%rd2];\n"
         "add.u32 %r1, %r1, %r4; st.u32 [%rd2], %r1; st.local.u32 [own], %r4; mov.u32 %r5, 0;\n"
         "mov.u64 %rd1, own; cvta.local.u64 %rd1, %rd1; add.u32 %r2, %r4, -1;\n"
         "setp.ne.u32 %p1, %r4, 0;\n"
         "{ .param .b32 a; .param .b64 b; .param .b32 c;\n"
         "st.param.b32 [c], %r5;\n"
         "st.param.b32 [a], %r2; st.param.b64 [b], %rd1; @%p1 call (c), down, (a, b);\n"
         "ld.param.b32 %r5, [c]; }\n"
         "ld.local.u32 %r3, [own]; add.u32 %r5, %r5, %r3;\n"
         "st.param.b32 [r], %r5; ret; }\n"
         ".func (.param .b32 r) down(.param .b32 n, .param .b64 above) {\n"
         ".reg .b32 %r<4>; .reg .b64 %rd<3>; ld.param.u32 %r1, [n]; ld.param.u64 %rd1, [above];\n"
         "{ .param .b32 a; .param .b64 b; .param .b32 c;\n"
         "st.param.b32 [a], %r1; st.param.b64 [b], %rd1; call (c), step, (a, b);\n"
         "ld.param.b32 %r2, [c]; }\n"
         "st.param.b32 [r], %r2; ret; }\n" KERNEL
         ".local .align 8 .b8 mine[8]; mov.u32 %r6, 7; st.local.u32 [mine+0], %r6;\n"
         "mov.u64 %rd5, mine; cvta.local.u64 %rd5, %rd5; rem.u32 %r2, %r2, 9;\n"
         "setp.eq.u32 %p1, %r2, 5; mov.u32 %r3, 1000;\n"
         "{ .param .b32 a; .param .b64 b; .param .b32 c;\n"
         "st.param.b32 [c], %r3;\n"
         "st.param.b32 [a], %r2; st.param.b64 [b], %rd5; @!%p1 call (c), down, (a, b);\n"
         "ld.param.b32 %r3, [c]; }\n"
         "ld.local.u32 %r4, [mine]; mad.lo.u32 %r3, %r4, 10000, %r3;\n" END;

Test(ptx_call, gives_each_call_its_own_memory)
{
    fill();
    run_well(frames, 50);
    for (uint32_t i = 0; i < 50; i++) {
        uint32_t n = i % 9;
        uint32_t sum = 0;
        /* Each level adds what the one below it was given to its own n. */
        for (uint32_t j = n; j > 0; j--)
            sum += j + (j - 1);
        uint32_t expected = n == 5 ? 71000 : (7 + n) * 10000 + sum;
        cr_assert_eq((uint32_t)out[i], expected, "%u: %u, not %u", i, (uint32_t)out[i], expected);
    }
}

Test(ptx_call, notices_calls_without_end)
{
    struct ptx_fault fault;

    cr_assert_eq(run(HEAD ".func f(.param .b32 n) { .local .align 4 .b8 x[64]; .reg .b32 %r<3>;\n"
                          "ld.param.u32 %r1, [n]; { .param .b32 a; st.param.b32 [a], %r1;\n"
                          "call f, (a); } ret; }\n" KERNEL
                          "{ .param .b32 a; st.param.b32 [a], %r2; call f, (a); }\n" END,
                     32, &fault),
                 PTX_TRAP);
    cr_assert_str_eq(fault.why, "stack overflow");
}

#define CALLEES                                                                                    \
    ".func (.param .b32 r) twice(.param .b32 n);\n"                                                \
    ".global .align 8 .u64 table[3] = {twice, square, 0};\n"                                       \
    ".func (.param .b32 r) twice(.param .b32 n) { .reg .b32 %r<3>; ld.param.u32 %r1, [n];\n"       \
    "add.u32 %r1, %r1, %r1; st.param.b32 [r], %r1; ret; }\n"                                       \
    ".func (.param .b32 r) square(.param .b32 n) { .reg .b32 %r<3>; ld.param.u32 %r1, [n];\n"      \
    "mul.lo.u32 %r1, %r1, %r1; st.param.b32 [r], %r1; ret; }\n"                                    \
    ".func (.param .b32 r) unused(.param .b32 n) { st.param.b32 [r], 77; ret; }\n"
#define CALL_POINTER                                                                               \
    "{ .param .b32 a; .param .b32 b; st.param.b32 [a], %r2;\n"                                     \
    "proto: .callprototype (.param .b32 _) _ (.param .b32 _);\n"                                   \
    "call (b), %rd7, (a), proto; ld.param.b32 %r3, [b]; }\n"

Test(ptx_call, calls_through_pointers)
{
    fill();
    run_well(HEAD ".func (.param .b32 r) square(.param .b32 n);\n" CALLEES KERNEL
                  "rem.u32 %r4, %r2, 3; mov.u64 %rd7, unused; setp.eq.u32 %p1, %r4, 2;\n"
                  "@%p1 bra GO; mov.u64 %rd6, table; mad.wide.u32 %rd6, %r4, 8, %rd6;\n"
                  "ld.global.u64 %rd7, [%rd6]; GO:\n" CALL_POINTER END,
             64);
    for (uint32_t i = 0; i < 64; i++)
        cr_assert_eq((uint32_t)out[i], i % 3 == 0 ? 2 * i : i % 3 == 1 ? i * i : 77, "%u", i);
}

Test(ptx_call, calls_nothing_that_is_no_function)
{
    struct ptx_fault fault;

    cr_assert_eq(run(HEAD ".func (.param .b32 r) square(.param .b32 n);\n" CALLEES KERNEL
                          "mov.u64 %rd6, table; ld.global.u64 %rd7, [%rd6+16];\n" CALL_POINTER END,
                     32, &fault),
                 PTX_TRAP);
    cr_assert_str_eq(fault.why, "call of what is no such function");
    cr_assert_eq(run(HEAD ".func other() { ret; }\n" KERNEL
                          "mov.u64 %rd7, other;\n" CALL_POINTER END,
                     32, &fault),
                 PTX_TRAP, "another number of arguments");
}

static const char jumps[] =
    HEAD KERNEL "rem.u32 %r4, %r2, 5; mov.u32 %r3, 1; setp.eq.u32 %p1, %r4, 4;\n"
                "places: .branchtargets A, B, C, B;\n"
                "@!%p1 brx.idx %r4, places;\n"
                "mov.u32 %r3, 50; bra OUT;\n"
                "A: add.u32 %r3, %r3, 10;\n"
                "B: add.u32 %r3, %r3, 100; bra OUT;\n"
                "C: add.u32 %r3, %r3, 1000;\n"
                "OUT:\n" END;

Test(ptx_call, jumps_by_a_table)
{
    static const uint32_t expected[] = {111, 101, 1001, 101, 50};
    struct ptx_fault fault;
    char error[200];
    const char *beyond =
        HEAD KERNEL "places: .branchtargets OUT; brx.idx.uni %r1, places; OUT:\n" END;

    fill();
    run_well(jumps, 40);
    for (unsigned int i = 0; i < 40; i++)
        cr_assert_eq((uint32_t)out[i], expected[i % 5], "%u: %u", i, (uint32_t)out[i]);
    cr_assert_eq(run(beyond, 2, &fault), PTX_TRAP);
    cr_assert_str_eq(fault.why, "brx.idx beyond its targets");
    cr_assert_null(
        ptx_module_parse(HEAD KERNEL "brx.idx %r1, nowhere;\n" END, error, sizeof(error)));
    cr_assert_str_eq(error, "line 8, kernel k: there is no .branchtargets 'nowhere'");
}

Test(ptx_call, places_addresses_in_variables)
{
    fill();
    run_well(HEAD
             ".global .align 4 .u32 values[4] = {10, 20, 30, 40};\n"
             ".global .align 8 .u64 ps[3] = {generic(values)+8, values+4, 1075838976};\n"
             ".const .align 8 .u64 cs[2] = {generic(values), generic(ps)+8};\n"
             ".global .align 1 .u8 bytes[9] = {5, 0xff(values), 0xff00(values), 0xff0000(values),"
             " 0xff000000(values), 0xff00000000(values), 0xff0000000000(values),"
             " 0xff000000000000(values), 0xff00000000000000(values)};\n" KERNEL
             "mov.u64 %rd5, ps; ld.global.u64 %rd6, [%rd5]; ld.u32 %r4, [%rd6]; mov.u32 %r3, %r4;\n"
             "ld.global.u64 %rd6, [%rd5+8]; ld.global.u32 %r4, [%rd6]; mad.lo.u32 %r3, %r4, 100, "
             "%r3;\n"
             "mov.u64 %rd7, cs; ld.const.u64 %rd6, [%rd7]; ld.u32 %r4, [%rd6+12];\n"
             "mad.lo.u32 %r3, %r4, 10000, %r3; ld.const.u64 %rd8, [%rd7+8]; sub.u64 %rd8, %rd8, "
             "%rd5;\n"
             "cvt.u32.u64 %r4, %rd8; add.u32 %r3, %r3, %r4;\n"
             "mov.u64 %rd9, 0; mov.u64 %rd7, bytes; mov.u32 %r5, 8;\n"
             "NEXT: cvt.u64.u32 %rd10, %r5; add.u64 %rd10, %rd7, %rd10; ld.global.u8 %rd11, "
             "[%rd10];\n"
             "shl.b64 %rd9, %rd9, 8; or.b64 %rd9, %rd9, %rd11; add.u32 %r5, %r5, -1;\n"
             "setp.ne.u32 %p1, %r5, 0; @%p1 bra NEXT; ld.global.u32 %r4, [%rd9+4];\n"
             "sub.u32 %r3, %r3, %r4;\n" END,
             1);
    cr_assert_eq((uint32_t)out[0], 30 + 2000 + 400000 + 8 - 20);
}

#define TEXTS                                                                                      \
    ".extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 a);\n"                       \
    ".global .align 1 .b8 word[4] = {87, 71, 33, 0};\n"
#define PRINT                                                                                      \
    "{ .param .b64 f; .param .b64 a; .param .b32 n; st.param.b64 [f], %rd7;\n"                     \
    "st.param.b64 [a], %rd8; call.uni (n), vprintf, (f, a); ld.param.b32 %r3, [n]; }\n"

/* The format as the bytes of a variable, and a frame of arguments for it. */
static void print(char *text, size_t size, const char *format, const char *stores)
{
    size_t at = (size_t)snprintf(text, size, HEAD TEXTS ".global .align 1 .b8 format[%zu] = {",
                                 strlen(format) + 1);

    for (const char *c = format; *c; c++)
        at += (size_t)snprintf(text + at, size - at, "%d, ", (unsigned char)*c);
    snprintf(text + at, size - at,
             "0};\n%s.local .align 8 .b8 args[64]; mov.u64 %%rd7, format;\n"
             "cvta.global.u64 %%rd7, %%rd7; mov.u64 %%rd8, args; cvta.local.u64 %%rd8, %%rd8;\n"
             "mov.u64 %%rd9, word; cvta.global.u64 %%rd9, %%rd9;\n%s\n%s",
             KERNEL, stores, PRINT END);
}

static const struct {
    const char *format;
    const char *stores;
    const char *printed;
    int n;
} formats[] = {
    {"plain\n", "", "plain\n", 0},
    {"100%% %", "", "100% %", 0},
    {"%d|%i|%u", "st.u32 [%rd8], -5; st.u32 [%rd8+4], 7; st.u32 [%rd8+8], -1;", "-5|7|4294967295",
     3},
    {"%x %X %#o %c",
     "st.u32 [%rd8], 255; st.u32 [%rd8+4], 255; st.u32 [%rd8+8], 8;"
     "st.u32 [%rd8+12], 65;",
     "ff FF 010 A", 4},
    {"%5d|%-5d|%05d|%+d|% d",
     "st.u32 [%rd8], 42; st.u32 [%rd8+4], 42; st.u32 [%rd8+8], 42;"
     "st.u32 [%rd8+12], 42; st.u32 [%rd8+16], 42;",
     "   42|42   |00042|+42| 42", 5},
    {"%lld %llu %ld %zu %lx",
     "st.u64 [%rd8], -5; st.u64 [%rd8+8], -1; st.u64 [%rd8+16], 1;"
     "st.u64 [%rd8+24], 2; st.u64 [%rd8+32], 0x123456789abc;",
     "-5 18446744073709551615 1 2 123456789abc", 5},
    {"%d %lld", "st.u32 [%rd8], 1; st.u64 [%rd8+8], 2;", "1 2", 2},
    {"%f %.2f %e %g %8.3f|",
     "st.f64 [%rd8], 0d3ff8000000000000; st.f64 [%rd8+8], "
     "0d3ff8000000000000; st.f64 [%rd8+16], 0d3ff8000000000000;"
     "st.f64 [%rd8+24], 0d3ff8000000000000; st.f64 [%rd8+32], "
     "0d3ff8000000000000;",
     "1.500000 1.50 1.500000e+00 1.5    1.500|", 5},
    {"%f %f", "st.f64 [%rd8], 0d7ff0000000000000; st.f64 [%rd8+8], 0dfff0000000000000;", "inf -inf",
     2},
    {"<%s> <%6s> <%.1s>", "st.u64 [%rd8], %rd9; st.u64 [%rd8+8], %rd9; st.u64 [%rd8+16], %rd9;",
     "<WG!> <   WG!> <W>", 3},
    {"%s", "st.u64 [%rd8], 0;", "(null)", 1},
    {"%p", "st.u64 [%rd8], 0x7000;", "0x7000", 1},
    {"%*d", "st.u32 [%rd8], 4; st.u32 [%rd8+4], 9;", "   9", 2},
    {"%hd %hhu", "st.u32 [%rd8], 3; st.u32 [%rd8+4], 4;", "3 4", 2},
    {"%y %", "", "%y %", 0},
};

Test(ptx_call, prints)
{
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        char text[4096];
        char twice[256];

        print(text, sizeof(text), formats[i].format, formats[i].stores);
        run_well(text, 1);
        snprintf(twice, sizeof(twice), "%s%s", formats[i].printed, formats[i].printed);
        cr_assert_str_eq(fake_printed(false), twice, "%s", formats[i].format);
        cr_assert_eq((int32_t)out[0], formats[i].n, "%s: %d", formats[i].format, (int32_t)out[0]);
        fake_reset();
    }
}

Test(ptx_call, prints_lane_by_lane)
{
    char text[4096];

    print(text, sizeof(text), "%d ",
          "st.u32 [%rd8], %r1; and.b32 %r9, %r1, 1; setp.eq.u32 %p1, %r9, 0; @%p1 ret;");
    run_well(text, 7);
    cr_assert_str_eq(fake_printed(false), "1 3 5 1 3 5 ");
}

Test(ptx_call, tells_a_failed_assertion)
{
    struct ptx_fault fault;
    const char *text = HEAD
        ".extern .func __assertfail(.param .b64 m, .param .b64 f, .param .b32 l, .param .b64 n, "
        ".param .b64 c);\n"
        ".global .align 1 .b8 message[4] = {110, 62, 48, 0};\n"
        ".global .align 1 .b8 file[4] = {97, 46, 99, 0};\n"
        ".global .align 1 .b8 name[3] = {107, 40, 0};\n" KERNEL
        "setp.ne.u32 %p1, %r2, 5; @%p1 bra FINE;\n"
        "mov.u64 %rd5, message; cvta.global.u64 %rd5, %rd5; mov.u64 %rd6, file;\n"
        "cvta.global.u64 %rd6, %rd6; mov.u64 %rd7, name; cvta.global.u64 %rd7, %rd7;\n"
        "{ .param .b64 a; .param .b64 b; .param .b32 c; .param .b64 d; .param .b64 e;\n"
        "st.param.b64 [a], %rd5; st.param.b64 [b], %rd6; st.param.b32 [c], 12;\n"
        "st.param.b64 [d], %rd7; st.param.b64 [e], 1;\n"
        "call.uni __assertfail, (a, b, c, d, e); }\n"
        "FINE: mov.u32 %r3, 1;\n" END;

    fill();
    in[7] = 5;
    cr_assert_eq(run(text, 32, &fault), PTX_ASSERT);
    cr_assert_str_eq(fake_printed(true),
                     "a.c:12: k(: block: [0,0,0], thread: [5,0,0] Assertion `n>0` failed.\n"
                     "a.c:12: k(: block: [0,0,0], thread: [7,0,0] Assertion `n>0` failed.\n");
    cr_assert_eq(fault.thread[0], 5);
}

Test(ptx_call, takes_and_gives_memory)
{
    fill();
    run_well(HEAD ".extern .func (.param .b64 r) malloc(.param .b64 n);\n"
                  ".extern .func free(.param .b64 p);\n" KERNEL
                  "mul.wide.u32 %rd4, %r1, 10; mov.u64 %rd5, 0; mov.u32 %r5, 0;\n"
                  "AGAIN: { .param .b64 n; .param .b64 p; st.param.b64 [n], %rd4;\n"
                  "call (p), malloc, (n); ld.param.b64 %rd5, [p]; }\n"
                  "st.u64 [%rd5], %rd4; and.b64 %rd9, %rd5, 15; setp.ne.u64 %p1, %rd9, 0;\n"
                  "@%p1 trap; bar.sync 0; ld.u64 %rd6, [%rd5]; cvt.u32.u64 %r3, %rd6;\n"
                  "{ .param .b64 p; st.param.b64 [p], %rd5; call free, (p); }\n"
                  "add.u32 %r5, %r5, 1; setp.lt.u32 %p1, %r5, 3000; @%p1 bra AGAIN;\n"
                  "{ .param .b64 n; .param .b64 p; st.param.b64 [n], 9000000;\n"
                  "call (p), malloc, (n); ld.param.b64 %rd5, [p]; }\n"
                  "setp.ne.u64 %p1, %rd5, 0; @%p1 trap;\n" END,
             40);
    for (uint32_t i = 0; i < 40; i++)
        cr_assert_eq((uint32_t)out[i], i * 10);
}
