/* SPDX-License-Identifier: MIT */

/*
 * libFuzzer: any bytes as a PTX module, and each of its kernels run on a small memory.
 *
 * A byte above 127 stands for a piece of PTX (255: the next one does), so that few bytes make a
 * kernel that parses; an input that begins with one is the body of a kernel with registers. Only
 * short runs end: a kernel that loops for ever is the input's right, so those with a branch
 * backwards, that is, any branch, are parsed but not run.
 */

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/test_ptx_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char head[] =
    ".version 7.0\n.target sm_75\n.address_size 64\n"
    ".shared .align 8 .b8 box[64]; .global .b8 var[8] = {1, 2};\n"
    ".func (.param .b32 o) f(.param .b32 i) { .reg .b32 %r<3>;"
    " ld.param.b32 %r1, [i]; st.param.b32 [o], %r1; ret; }\n"
    ".extern .func (.param .b32 r) vprintf(.param .b64 f, .param .b64 a);\n"
    ".extern .func (.param .b64 r) malloc(.param .b64 n);\n"
    ".extern .func free(.param .b64 p);\n"
    ".global .align 1 .b8 text[6] = {37, 100, 37, 115, 10, 0};\n"
    ".func (.param .b32 o) g(.param .b32 i);\n"
    ".global .align 8 .u64 where[2] = {generic(text)+2, g};\n"
    ".func (.param .b32 o) g(.param .b32 i) { .reg .b32 %r<3>; .reg .pred %p;"
    " .local .align 8 .b8 own[8]; ld.param.b32 %r1, [i];"
    " st.local.b32 [own], %r1; and.b32 %r1, %r1, 3; setp.ne.u32 %p, %r1, 0;"
    " add.u32 %r1, %r1, -1; { .param .b32 a; .param .b32 b;"
    " st.param.b32 [a], %r1; @%p call (b), g, (a);"
    " ld.param.b32 %r1, [b]; } st.param.b32 [o], %r1; ret; }\n"
    ".entry k(.param .u64 p0, .param .u64 p1) { .reg .pred %p<4>;"
    ".reg .b16 %h<4>; .reg .b32 %r<4>; .reg .b64 %rd<4>; .reg .f32 %f<4>;"
    ".reg .f64 %fd<4>; .local .align 8 .b8 own[32];\n"
    "ld.param.u64 %rd1, [p0]; mov.u32 %r1, %tid.x;\n";

static const char *const pieces[] = {
    "%p1",
    "%p2",
    "%h1",
    "%h2",
    "%r1",
    "%r2",
    "%r3",
    "%rd1",
    "%rd2",
    "%f1",
    "%f2",
    "%fd1",
    "@%p1 ",
    "@!%p2 ",
    ", ",
    ";\n",
    "[%rd1]",
    "[%rd2+",
    "[%r1]",
    "[own]",
    "[box+8]",
    "[var]",
    "[p1]",
    "]",
    "{%r1, %r2}",
    "{%h1, %h2}",
    "{%f1, %f2}",
    "mov",
    "ld",
    "st",
    "add",
    "sub",
    "mul",
    "mad",
    "fma",
    "div",
    "rem",
    "shl",
    "shr",
    "and",
    "not",
    "setp",
    "selp",
    "cvt",
    "cvta",
    "bfe",
    "bfi",
    "prmt",
    "shfl.sync",
    "vote.sync",
    "match.any.sync",
    "atom",
    "red",
    "bar.sync",
    "bar.warp.sync",
    "ret;",
    "exit;",
    "min",
    "abs",
    "sqrt",
    "ex2.approx",
    "lop3",
    "dp4a",
    "popc",
    ".u16",
    ".s16",
    ".u32",
    ".s32",
    ".u64",
    ".s64",
    ".b8",
    ".b16",
    ".b32",
    ".b64",
    ".f16",
    ".f16x2",
    ".bf16",
    ".f32",
    ".f64",
    ".pred",
    ".lo",
    ".hi",
    ".wide",
    ".rn",
    ".rz",
    ".rzi",
    ".sat",
    ".ftz",
    ".global",
    ".shared",
    ".local",
    ".param",
    ".v2",
    ".v4",
    ".to",
    ".idx",
    ".bfly",
    ".ballot",
    ".lt",
    ".eq",
    ".geu",
    ".cas",
    ".exch",
    "-1",
    "0x7fffffff",
    "0f7FC00000",
    "%laneid",
    "%clock64",
    "call (%r1), f, (%r2);",
    "{ .param .b32 a; call (a), f, (a); }",
    "mov.u64 %rd2, own;",
    "cvta.local.u64 %rd2, %rd2;",
    "ld.u32 %r2, [%rd2];",
    "st.global.u32 [%rd1], %r1;",
    "mul.wide.u32 %rd2, %r1, 4;",
    "add.u64 %rd2, %rd1, %rd2;",
    "setp.lt.u32 %p1, %r1, 9;",
    "bar.sync 0;",
    "@%p1 exit;",
    "shfl.sync.idx.b32 %r2|%p2, %r1, 3, 31, -1;",
    "mma.sync.aligned.",
    "wmma.mma.sync.aligned.row.col.",
    "wmma.load.a.sync.aligned.row.",
    "wmma.store.d.sync.aligned.col.",
    "ldmatrix.sync.aligned.m8n8",
    "m16n8k16",
    "m8n8k32",
    "m16n16k16",
    ".row.col",
    ".f32.f16.f16.f32",
    ".s32.s8.u8.s32",
    ".s32.s4.s4.s32",
    "{%r1, %r2, %r3, %r1}",
    "{%r1, %r2, %r3, %r1, %r1, %r2, %r3, %r1}",
    "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r1, %r2, %r3, %r1}, [box];\n",
    "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%r1,%r2,%r3,%r1}, {%r1,%r2}, {%r3}, "
    "{%r1,%r2,%r3,%r1};\n",
    "wmma.load.b.sync.aligned.row.m16n16k16.s8 {%r1, %r2}, [%rd1], %r1;\n",
    "cp.async.ca.shared.global [box], [%rd1], 8, %r1;\n",
    "cp.async.cg.shared.global [box+16], [%rd1], 16, %p1;\n",
    "call (%r1), g, (%r2);",
    "mov.u64 %rd2, g;",
    "call (%r1), %rd2, (%r2), p;",
    "p: .callprototype (.param .b32 _) _ (.param .b32 _);",
    "{ .param .b64 a; .param .b64 b; .param .b32 c; st.param.b64 [a], %rd2; "
    "st.param.b64 [b], %rd1; call (c), vprintf, (a, b); }",
    "{ .param .b64 a; .param .b64 b; st.param.b64 [a], %rd1; call (b), malloc, (a); "
    "ld.param.b64 %rd2, [b]; call free, (b); }",
    "mov.u64 %rd2, text;",
    "t: .branchtargets t, u; u: ",
    "brx.idx %r1, t;",
    "mbarrier.init.shared.b64 [box], 3;",
    "mbarrier.arrive.shared.b64 %rd2, [box];",
    "mbarrier.test_wait.parity.shared.b64 %p1, [box], %r1;",
    "elect.sync %r1|%p1, -1;",
    "atom.add.noftz.bf16x2 %r1, [%rd1], %r2;",
    "red.global.add.v4.f32 [%rd1], {%f1, %f2, %f1, %f2};",
    "vabsdiff4.u32.s32.s32.add %r1, %r2, %r3, %r1;",
    "cvt.rn.satfinite.e4m3x2.f32 %h1, %f1, %f2;",
    "set.eq.u32.f16x2 %r1, %r2, %r3;",
    ".e4m3x2",
    ".tf32",
    ".s16x2",
    "barrier.cluster.wait;",
};

static char *spell(const uint8_t *data, size_t size)
{
    size_t capacity = sizeof(head) + size * 160 + 8;
    char *text = malloc(capacity);
    bool is_body = size && data[0] > 127;
    size_t at = 0;

    if (!text)
        abort();
    if (is_body)
        at += (size_t)snprintf(text, capacity, "%s", head);
    for (size_t i = 0; i < size; i++) {
        size_t piece = data[i] - 128u;
        if (data[i] < 128) {
            text[at++] = (char)data[i];
            continue;
        }
        if (data[i] == 255 && i + 1 < size)
            piece = 127u + data[++i];
        at += (size_t)snprintf(text + at, capacity - at, "%s",
                               pieces[piece % (sizeof(pieces) / sizeof(pieces[0]))]);
    }
    snprintf(text + at, capacity - at, "%s", is_body ? "\n}\n" : "");
    return text;
}

static void run_all(struct ptx_module *module, uint64_t memory)
{
    uint64_t params[64];

    for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++)
        params[i] = memory;
    for (size_t i = 0; i < ptx_module_n_kernels(module); i++) {
        const struct ptx_kernel *kernel = ptx_module_kernel_at(module, i);
        struct ptx_launch launch = {.grid = {2, 1, 1}, .block = {33, 1, 1}, .params = params};
        struct ptx_fault fault;
        uint64_t instructions = 0;
        if (ptx_kernel_param_bytes(kernel) <= sizeof(params) &&
            ptx_kernel_local_bytes(kernel) <= 65536)
            ptx_kernel_run(kernel, &launch, &fault, &instructions);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = spell(data, size);
    char error[200];
    struct ptx_module *module = ptx_module_parse(text, error, sizeof(error));

    if (module && !strstr(text, "bra") && !strstr(text, "brx")) {
        uint64_t memory = fake_alloc(65536);
        for (size_t i = 0; i < ptx_module_n_variables(module); i++)
            ptx_module_variable(module, i)->address = memory;
        ptx_module_relocate(module);
        run_all(module, memory);
        fake_reset();
    }
    ptx_module_free(module);
    free(text);
    return 0;
}
