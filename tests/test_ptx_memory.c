/* SPDX-License-Identifier: MIT */

/* Loads, stores, atomics, address spaces, variables and faults. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/mmu.h"
#include "tests/test_ptx_support.h"

#define COUNT(array) (sizeof(array) / sizeof(array[0]))

/* Runs a body with p0 = in, p1 = out; `threads` threads in one block. */
static enum ptx_outcome run_body(const char *body, unsigned int threads, uint64_t in, uint64_t out,
                                 struct ptx_fault *fault)
{
    struct ptx_module *module = fake_load_body(body);
    uint64_t params[4] = {in, out, threads, 0x1122334455667788};
    enum ptx_outcome outcome = fake_run(module, "k", 1, threads, 64, fault, params);

    ptx_module_free(module);
    return outcome;
}

#define START                                                                                      \
    "ld.param.u64 %rd1, [p0]; ld.param.u64 %rd2, [p1]; mov.u32 %r1, %tid.x;"                       \
    "mad.wide.u32 %rd1, %r1, 16, %rd1; mad.wide.u32 %rd2, %r1, 16, %rd2;"

/* What each way to load gives for the 16 bytes 0x80, 0x91, .. of a lane (and lane n: all plus n).
 */
static const struct {
    const char *ptx; /* stores 8 bytes at [%rd2] */
    uint64_t lane0;
} loads[] = {
    {"ld.global.u8 %r2, [%rd1]; st.global.u32 [%rd2], %r2;", 0x80},
    {"ld.global.s8 %r2, [%rd1]; st.global.u32 [%rd2], %r2;", 0xffffff80},
    {"ld.global.s8 %h2, [%rd1+1]; st.global.u16 [%rd2], %h2;", 0xff91},
    {"ld.global.u16 %h2, [%rd1]; st.global.u16 [%rd2], %h2;", 0x9180},
    {"ld.global.u16 %r2, [%rd1]; st.global.u32 [%rd2], %r2;", 0x9180},
    {"ld.global.s16 %r2, [%rd1]; st.global.u32 [%rd2], %r2;", 0xffff9180},
    {"ld.global.s16 %rd3, [%rd1+2]; st.global.u64 [%rd2], %rd3;", 0xffffffffffffb3a2},
    {"ld.global.u32 %r2, [%rd1+4]; st.global.u32 [%rd2], %r2;", 0xf7e6d5c4},
    {"ld.global.s32 %rd3, [%rd1]; st.global.u64 [%rd2], %rd3;", 0xffffffffb3a29180},
    {"ld.global.u64 %rd3, [%rd1+8]; st.global.u64 [%rd2], %rd3;", 0x7f6e5d4c3b2a1908},
    {"ld.global.v2.u32 {%r2, %r3}, [%rd1]; st.global.v2.u32 [%rd2], {%r3, %r2};",
     0xb3a29180f7e6d5c4},
    {"ld.global.v4.u32 {%r2, _, _, %r5}, [%rd1]; st.global.v2.u32 [%rd2], {%r5, %r2};",
     0xb3a291807f6e5d4c},
    {"ld.global.v2.u64 {%rd3, %rd4}, [%rd1]; st.global.u64 [%rd2], %rd4;", 0x7f6e5d4c3b2a1908},
    {"ld.global.v4.u8 {%h2, %h3, %h4, %h5}, [%rd1]; st.global.v4.u8 [%rd2], {%h5, %h4, %h3, %h2};",
     0x8091a2b3},
    {"ld.global.v4.u16 {%h2, %h3, %h4, %h5}, [%rd1];"
     "st.global.v4.u16 [%rd2], {%h5, %h4, %h3, %h2};",
     0x9180b3a2d5c4f7e6},
    {"ld.global.v2.f32 {%f2, %f3}, [%rd1]; st.global.f32 [%rd2], %f3;", 0xf7e6d5c4},
    {"ld.global.f64 %fd2, [%rd1]; st.global.f64 [%rd2], %fd2;", 0xf7e6d5c4b3a29180},
    {"ld.global.nc.u32 %r2, [%rd1]; st.global.wt.u32 [%rd2], %r2;", 0xb3a29180},
    {"ld.volatile.global.u32 %r2, [%rd1]; st.volatile.global.u32 [%rd2], %r2;", 0xb3a29180},
    {"ld.relaxed.gpu.global.u32 %r2, [%rd1]; st.release.sys.global.u32 [%rd2], %r2;", 0xb3a29180},
    {"ld.global.nc.L1::no_allocate.L2::128B.u32 %r2, [%rd1]; st.global.u32 [%rd2], %r2;",
     0xb3a29180},
    {"ld.u32 %r2, [%rd1]; st.u32 [%rd2], %r2;", 0xb3a29180},
    {"add.u64 %rd1, %rd1, 4; ld.global.u32 %r2, [%rd1+-4]; st.global.u32 [%rd2], %r2;", 0xb3a29180},
    {"ld.param.u8 %r2, [p3+1]; st.global.u32 [%rd2], %r2;", 0x77},
    {"ld.param.v2.u32 {%r2, %r3}, [p3]; st.global.v2.u32 [%rd2], {%r3, %r2};", 0x5566778811223344},
    {"mov.u64 %rd3, p3; ld.param.u16 %r2, [%rd3+6]; st.global.u32 [%rd2], %r2;", 0x1122},
    {"mov.u64 %rd3, p3; cvta.param.u64 %rd3, %rd3; ld.u32 %r2, [%rd3+4]; st.u32 [%rd2], %r2;",
     0x11223344},
};

static uint64_t upload_bytes(unsigned int threads)
{
    uint64_t in = fake_alloc(threads * 16);
    uint8_t *bytes = fake_host(in);

    for (unsigned int i = 0; i < threads * 16; i++)
        bytes[i] = (uint8_t)(0x80 + i % 16 * 0x11 + i / 16);
    return in;
}

Test(ptx_memory, loads_and_stores_every_width)
{
    static const unsigned int sizes[] = {1, 32, 45};

    for (size_t i = 0; i < COUNT(loads) * COUNT(sizes); i++) {
        const char *ptx = loads[i / COUNT(sizes)].ptx;
        unsigned int threads = sizes[i % COUNT(sizes)];
        uint64_t in = upload_bytes(threads);
        uint64_t out = fake_alloc(threads * 16);
        struct ptx_fault fault;
        char body[1024];

        snprintf(body, sizeof(body), "%s%s ret;", START, ptx);
        cr_assert_eq(run_body(body, threads, in, out, &fault), PTX_DONE, "%s", ptx);
        cr_assert_eq(*(uint64_t *)fake_host(out), loads[i / COUNT(sizes)].lane0, "%s gives %#lx",
                     ptx, *(uint64_t *)fake_host(out));
        fake_reset();
    }
}

Test(ptx_memory, gives_each_lane_its_own_element)
{
    uint64_t in = upload_bytes(100);
    uint64_t out = fake_alloc(1600);
    struct ptx_fault fault;
    static const char body[] = START "ld.global.v4.u32 {%r2, %r3, %r4, %r5}, [%rd1];"
                                     "st.global.v4.u32 [%rd2], {%r2, %r3, %r4, %r5}; ret;";

    cr_assert_eq(run_body(body, 100, in, out, &fault), PTX_DONE);
    cr_assert_arr_eq(fake_host(out), fake_host(in), 1600);
    cr_assert_eq(fake_accounted(in), 1600);
    cr_assert_eq(fake_accounted(out), 1600);
    cr_assert_eq(fake_translations(), 2, "one translation serves the whole launch");
    fake_reset();
}

Test(ptx_memory, keeps_the_spaces_apart)
{
    static const char body[] =
        START ".shared .align 8 .b8 box[256]; .local .align 8 .b8 own[16];\n"
              "st.local.u32 [own+4], %r1; mov.u64 %rd3, own; cvta.local.u64 %rd4, %rd3;"
              "mad.lo.u32 %r2, %r1, 8, 0; cvt.u64.u32 %rd5, %r2; mov.u64 %rd6, box;"
              "add.u64 %rd6, %rd6, %rd5; cvta.shared.u64 %rd7, %rd6;"
              "ld.u32 %r3, [%rd4+4]; add.u32 %r3, %r3, 100; st.u32 [%rd7], %r3;"
              "ld.shared.u32 %r4, [%rd6]; add.u32 %r4, %r4, 1000; st.shared.u32 [%rd6+4], %r4;"
              "cvta.to.shared.u64 %rd8, %rd7; ld.shared.v2.u32 {%r5, %r6}, [%rd8];"
              "isspacep.shared %p1, %rd7; isspacep.local %p2, %rd4; isspacep.global %p3, %rd2;"
              "isspacep.global %p4, %rd7; and.pred %p1, %p1, %p2; and.pred %p1, %p1, %p3;"
              "not.pred %p4, %p4; and.pred %p1, %p1, %p4; selp.u32 %r7, 1, 0, %p1;"
              "cvt.u32.u64 %r8, %rd6; ld.shared.u32 %r8, [%r8];"
              "st.global.v4.u32 [%rd2], {%r5, %r6, %r7, %r8}; ret;";
    uint64_t in = upload_bytes(32);
    uint64_t out = fake_alloc(512);
    const uint32_t *result = fake_host(out);
    struct ptx_fault fault;

    cr_assert_eq(run_body(body, 32, in, out, &fault), PTX_DONE, "line %d", fault.line);
    for (uint32_t i = 0; i < 32; i++) {
        cr_assert_eq(result[i * 4], i + 100);
        cr_assert_eq(result[i * 4 + 1], i + 1100);
        cr_assert_eq(result[i * 4 + 2], 1);
        cr_assert_eq(result[i * 4 + 3], i + 100);
    }
    fake_reset();
}

Test(ptx_memory, puts_dynamic_shared_memory_behind_the_static)
{
    static const char text[] =
        ".version 7.0\n.target sm_75\n.address_size 64\n"
        ".extern .shared .align 16 .b8 heap[];\n.shared .align 4 .b8 fixed[20];\n"
        ".shared .align 4 .b8 unused[400];\n"
        ".entry k(.param .u64 out) { .reg .b32 %r<9>; .reg .b64 %rd<9>;\n"
        "ld.param.u64 %rd1, [out]; mov.u64 %rd2, heap; mov.u64 %rd3, fixed;\n"
        "st.shared.u32 [fixed+16], 7; st.shared.u32 [heap+60], 8; ld.shared.u32 %r3, [%rd2+60];\n"
        "ld.shared.u32 %r4, [%rd3+16]; cvt.u32.u64 %r1, %rd2; cvt.u32.u64 %r2, %rd3;\n"
        "mov.u32 %r5, %dynamic_smem_size; st.global.v4.u32 [%rd1], {%r1, %r2, %r3, %r4};\n"
        "st.global.u32 [%rd1+16], %r5; ret; }\n";
    struct ptx_module *module = fake_load(text);
    const struct ptx_kernel *kernel = ptx_module_kernel(module, "k");
    uint64_t out = fake_alloc(20);
    const uint32_t *result = fake_host(out);
    struct ptx_fault fault;

    cr_assert_eq(ptx_kernel_static_shared_bytes(kernel), 20, "what no kernel uses does not count");
    cr_assert_eq(fake_run(module, "k", 1, 1, 64, &fault, &out), PTX_DONE);
    cr_assert_eq(result[0], 32);
    cr_assert_eq(result[1], 0);
    cr_assert_eq(result[2], 8);
    cr_assert_eq(result[3], 7);
    cr_assert_eq(result[4], 64);
    cr_assert_eq(fake_run(module, "k", 1, 1, 60, &fault, &out), PTX_ILLEGAL_ADDRESS);
    ptx_module_free(module);
    fake_reset();
}

Test(ptx_memory, initialises_module_variables)
{
    static const char text[] =
        ".version 7.0\n.target sm_75\n.address_size 64\n"
        ".const .align 4 .f32 pi[2] = {0f40490FDB, 0f3F800000};\n"
        ".global .align 8 .b8 bytes[6] = {1, 2, 255};\n"
        ".visible .global .u64 big = 0x1122334455667788;\n"
        ".global .s16 grid[2][2] = {{1, -2}, {3}};\n"
        ".const .f64 half = 0.5;\n"
        ".entry k(.param .u64 out) { .reg .b32 %r<9>; .reg .b64 %rd<9>; .reg .f32 %f<3>;\n"
        "ld.param.u64 %rd1, [out]; ld.const.f32 %f1, [pi]; st.global.f32 [%rd1], %f1;\n"
        "mov.u64 %rd2, bytes; ld.global.u8 %r1, [%rd2+2]; st.global.u32 [%rd1+4], %r1;\n"
        "ld.global.u64 %rd3, [big]; st.global.u64 [%rd1+8], %rd3; ld.global.s16 %r2, [grid+2];\n"
        "st.global.u32 [%rd1+16], %r2; mov.u64 %rd4, grid+4; ld.u16 %r3, [%rd4];\n"
        "st.global.u32 [%rd1+20], %r3; add.u64 %rd3, %rd3, 1; st.global.u64 [big], %rd3; ret; }\n";
    struct ptx_module *module = fake_load(text);
    uint64_t out = fake_alloc(24);
    const uint32_t *result = fake_host(out);
    struct ptx_fault fault;

    cr_assert_eq(ptx_module_n_variables(module), 5);
    cr_assert_str_eq(ptx_module_variable(module, 1)->name, "bytes");
    cr_assert_eq(ptx_module_variable(module, 1)->bytes, 6);
    cr_assert_eq(ptx_module_variable(module, 1)->align, 8);
    cr_assert_eq(*(const double *)ptx_module_variable(module, 4)->initialiser, 0.5);
    cr_assert_eq(fake_run(module, "k", 1, 1, 0, &fault, &out), PTX_DONE);
    cr_assert_eq(result[0], 0x40490fdb);
    cr_assert_eq(result[1], 255);
    cr_assert_eq(result[2], 0x55667788);
    cr_assert_eq(result[4], (uint32_t)-2);
    cr_assert_eq(result[5], 3);
    cr_assert_eq(*(uint64_t *)fake_host(ptx_module_variable(module, 2)->address),
                 0x1122334455667789);
    ptx_module_free(module);
    fake_reset();
}

/* Lane 5 of 32 does it wrong; the line is that of the text, where the body starts at line 7. */
static const struct {
    const char *ptx;
    enum ptx_outcome outcome;
    int64_t offset; /* of fault.address from the allocation; INT64_MIN: not in it */
    unsigned int bytes;
    int write;
} faults[] = {
    {"@%p1 ld.global.u32 %r3, [%rd1+4096];", PTX_ILLEGAL_ADDRESS, 5 * 16 + 4096, 4, 0},
    {"@%p1 st.global.v2.u32 [%rd1+4096], {%r1, %r1};", PTX_ILLEGAL_ADDRESS, 5 * 16 + 4096, 8, 1},
    {"@%p1 ld.global.u32 %r3, [%rd1+2];", PTX_MISALIGNED, 5 * 16 + 2, 4, 0},
    {"@%p1 ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%rd1+4];", PTX_MISALIGNED, 5 * 16 + 4, 16, 0},
    {"@%p1 atom.global.add.u32 %r3, [%rd1+-4096], 1;", PTX_ILLEGAL_ADDRESS, 5 * 16 - 4096, 4, 1},
    {"@%p1 mov.u64 %rd1, 0; ld.global.u8 %r3, [%rd1];", PTX_ILLEGAL_ADDRESS, INT64_MIN, 1, 0},
    {"@%p1 ld.shared.u32 %r3, [4096];", PTX_ILLEGAL_ADDRESS, INT64_MIN, 4, 0},
    {"@%p1 ld.local.u32 %r3, [4096];", PTX_ILLEGAL_ADDRESS, INT64_MIN, 4, 0},
    {"@%p1 st.u32 [p0], %r3;", PTX_ILLEGAL_ADDRESS, INT64_MIN, 4, 1},
    {"@%p1 trap;", PTX_TRAP, INT64_MIN, 0, 0},
};

Test(ptx_memory, reports_where_an_access_fails)
{
    for (size_t i = 0; i < COUNT(faults); i++) {
        uint64_t in = fake_alloc(32 * 16);
        uint64_t out = fake_alloc(32 * 16);
        struct ptx_fault fault;
        char body[1024];

        snprintf(body, sizeof(body), "%ssetp.eq.u32 %%p1, %%r1, 5;\n\n%s\nret;", START,
                 faults[i].ptx);
        cr_assert_eq(run_body(body, 32, in, out, &fault), faults[i].outcome, "%s", faults[i].ptx);
        cr_assert_eq(fault.line, 9, "%s: line %d", faults[i].ptx, fault.line);
        cr_assert_eq(fault.thread[0], 5);
        cr_assert_eq(fault.access_bytes, faults[i].bytes, "%s", faults[i].ptx);
        cr_assert_eq(fault.write, faults[i].write, "%s", faults[i].ptx);
        if (faults[i].offset != INT64_MIN)
            cr_assert_eq(fault.address, in + (uint64_t)faults[i].offset, "%s", faults[i].ptx);
        fake_reset();
    }
}

Test(ptx_memory, refuses_to_write_what_is_only_readable)
{
    uint64_t in = upload_bytes(32);
    uint64_t out = fake_alloc(512);
    struct ptx_fault fault;

    fake_protect(out);
    cr_assert_eq(run_body(START "ld.global.u32 %r2, [%rd2]; ret;", 32, in, out, &fault), PTX_DONE);
    cr_assert_eq(run_body(START "ld.global.u32 %r2, [%rd2]; st.global.u32 [%rd2], %r2; ret;", 32,
                          in, out, &fault),
                 PTX_ILLEGAL_ADDRESS);
    cr_assert_eq(fault.address, out);
    fake_reset();
}

Test(ptx_memory, crosses_pages_and_accounts_each)
{
    uint64_t in = fake_alloc(3 * SIM_PAGE_BYTES);
    static const char body[] = "ld.param.u64 %rd1, [p0]; mov.u32 %r1, %tid.x;"
                               "mad.wide.u32 %rd1, %r1, 65536, %rd1; st.global.u32 [%rd1], %r1;"
                               "ld.global.u32 %r2, [%rd1+4]; ret;";
    struct ptx_fault fault;

    cr_assert_eq(run_body(body, 96, in, in, &fault), PTX_DONE);
    for (uint32_t i = 0; i < 96; i++)
        cr_assert_eq(*(uint32_t *)fake_host(in + i * 65536), i);
    cr_assert_eq(fake_accounted(in), 96 * 8);
    cr_assert_eq(fake_translations(), 6, "three pages, read and written");
    fake_reset();
}

/* 32 lanes, %r1 = lane, on one cell that starts at 100 (f32: 100.0); lane 31 sees what 31 left. */
static const struct {
    const char *ptx;
    uint64_t cell;
    uint64_t last; /* old value that lane 31 got */
} atomics[] = {
    {"atom.global.add.u32 %r2, [%rd1], %r1;", 100 + 496, 100 + 465},
    {"atom.add.u32 %r2, [%rd1], 1;", 132, 131},
    {"atom.global.min.s32 %r2, [%rd1], -5;", 0xfffffffb, 0xfffffffb},
    {"atom.global.min.u32 %r2, [%rd1], -5;", 100, 100},
    {"atom.global.max.u32 %r2, [%rd1], %r3;", 131, 130},
    {"atom.global.inc.u32 %r2, [%rd1], 110;", 21, 20},
    {"atom.global.dec.u32 %r2, [%rd1], 50;", 19, 20},
    {"atom.global.and.b32 %r2, [%rd1], 0x3c;", 0x24, 0x24},
    {"atom.global.or.b32 %r2, [%rd1], %r1;", 127, 127},
    {"atom.global.xor.b32 %r2, [%rd1], 1;", 100, 101},
    {"atom.global.exch.b32 %r2, [%rd1], %r1;", 31, 30},
    {"add.u32 %r4, %r3, 1; atom.global.cas.b32 %r2, [%rd1], %r3, %r4;", 132, 131},
    {"atom.relaxed.gpu.global.cas.b32 %r2, [%rd1], 99, 0;", 100, 100},
    {"red.global.add.u32 [%rd1], 2; mov.u32 %r2, 9;", 164, 9},
    {"atom.global.add.s32 %r2, [%rd1], -2;", 36, 38},
};

Test(ptx_memory, does_atomics_lane_by_lane)
{
    for (size_t i = 0; i < COUNT(atomics); i++) {
        uint64_t in = fake_alloc(64);
        uint64_t out = fake_alloc(512);
        struct ptx_fault fault;
        char body[1024];

        *(uint32_t *)fake_host(in) = 100;
        snprintf(body, sizeof(body),
                 "ld.param.u64 %%rd1, [p0]; ld.param.u64 %%rd2, [p1]; mov.u32 %%r1, %%tid.x;"
                 "mad.wide.u32 %%rd2, %%r1, 4, %%rd2; add.u32 %%r3, %%r1, 100;"
                 "%s st.global.u32 [%%rd2], %%r2; ret;",
                 atomics[i].ptx);
        cr_assert_eq(run_body(body, 32, in, out, &fault), PTX_DONE, "%s", atomics[i].ptx);
        cr_assert_eq(*(uint32_t *)fake_host(in), atomics[i].cell, "%s leaves %u", atomics[i].ptx,
                     *(uint32_t *)fake_host(in));
        cr_assert_eq(((uint32_t *)fake_host(out))[31], atomics[i].last, "%s gives %u",
                     atomics[i].ptx, ((uint32_t *)fake_host(out))[31]);
        fake_reset();
    }
}

Test(ptx_memory, does_atomics_of_every_type)
{
    static const char body[] =
        "ld.param.u64 %rd1, [p0]; .shared .align 8 .b8 cell[8]; mov.u32 %r1, %tid.x;"
        "setp.eq.u32 %p1, %r1, 0; mov.u64 %rd2, cell;"
        "@%p1 st.shared.f32 [cell], 0f00000000; bar.sync 0;"
        "cvt.rn.f32.u32 %f1, %r1; atom.shared.add.f32 %f2, [cell], %f1;"
        "atom.global.add.f64 %fd1, [%rd1], 0d3FE0000000000000;"
        "atom.global.add.u64 %rd3, [%rd1+8], 0x100000000;"
        "atom.global.max.s64 %rd3, [%rd1+16], -1;"
        "atom.add.noftz.f16 %h2, [%rd1+24], %h1; mov.b32 %r6, 0x3c004000; atom.add.noftz.f16x2 "
        "%r5, [%rd1+28], %r6;"
        "bar.sync 0; @!%p1 exit; ld.shared.f32 %f3, [cell]; st.global.f32 [%rd1+32], %f3; ret;";
    uint64_t in = fake_alloc(64);
    uint8_t *cells = fake_host(in);
    struct ptx_fault fault;

    memset(cells + 16, 0x80, 8);
    cr_assert_eq(run_body(body, 64, in, in, &fault), PTX_DONE);
    cr_assert_eq(*(double *)(void *)cells, 32.0);
    cr_assert_eq(*(uint64_t *)(void *)(cells + 8), 64ull << 32);
    cr_assert_eq(*(int64_t *)(void *)(cells + 16), -1);
    cr_assert_eq(*(uint32_t *)(void *)(cells + 28), 0x54005800, "64 x (1.0, 2.0)");
    cr_assert_eq(*(float *)(void *)(cells + 32), 2016.0f);
    fake_reset();
}
