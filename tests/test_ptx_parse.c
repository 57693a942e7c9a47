/* SPDX-License-Identifier: MIT */

/* What the parser accepts, what it says about the rest, and that no text makes it fall over. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/test_ptx_support.h"

#define COUNT(array) (sizeof(array) / sizeof(array[0]))
#define HEAD         ".version 7.0\n.target sm_75\n.address_size 64\n"
#define BODY(text)                                                                                 \
    HEAD ".entry k(.param .u64 p)\n{\n.reg .b32 %r<4>; .reg .b64 %rd<4>; .reg .pred %p<4>;\n"      \
         ".reg .b16 %h<4>; .reg .f32 %f<4>;\n" text "\n}\n"

/* In a body the text stands on line 8. */
static const struct {
    const char *ptx;
    const char *error;
} refused[] = {
    {BODY("frobnicate.u32 %r1, %r2;"),
     "line 8, kernel k: opcode 'frobnicate.u32' is not understood"},
    {BODY("add.u33 %r1, %r2, %r3;"), "line 8, kernel k: opcode 'add.u33' is not understood"},
    {BODY("add.rn.s32 %r1, %r2, %r3;"), "line 8, kernel k: opcode 'add.rn.s32' is not understood"},
    {BODY("ld.global.magic.u32 %r1, [%rd1];"),
     "line 8, kernel k: opcode 'ld.global.magic.u32' is not understood"},
    {BODY("add.u32 %r1, %r2;"), "line 8, kernel k: 'add.u32' takes 3 operands"},
    {BODY("add.u32 %r1, %r2, %r9;"),
     "line 8, kernel k: '%r9' where a declared register is expected"},
    {BODY("add.u64 %rd1, %rd2, %r3;"), "line 8, kernel k: %r3 is .b32 where .u64 is needed"},
    {BODY("add.u32 7, %r2, %r3;"), "line 8, kernel k: '7' where a register is expected"},
    {BODY("ld.global.u64 %r1, [%rd1];"), "line 8, kernel k: %r1 is .b32 where .u64 is needed"},
    {BODY("ld.global.u32 %r1, %rd1;"), "line 8, kernel k: '%rd1' where an address is expected"},
    {BODY("ld.global.v2.u32 %r1, [%rd1];"),
     "line 8, kernel k: 'ld.global.v2.u32' moves 2 elements"},
    {BODY("bra NOWHERE;"), "line 8, kernel k: there is no label 'NOWHERE'"},
    {BODY("{ INNER: ret; } bra INNER;"), "line 8, kernel k: there is no label 'INNER'"},
    {BODY("call (%r1), nothing, (%r2);"), "line 8, kernel k: there is no function 'nothing'"},
    {BODY("call k, (%r2);"), "line 8, kernel k: 'k' cannot be called here: it is a kernel"},
    {BODY("mov.u32 %r1, somewhere;"), "line 8, kernel k: 'somewhere' where a value is expected"},
    {BODY(".bogus 3;"), "line 8, kernel k: directive '.bogus' is not understood"},
    {BODY("mov.u32 %r1, 0x12zz;"), "line 8, kernel k: 'z' in a number"},
    {BODY("mov.f32 %f1, 0f123;"), "line 8, kernel k: the number needs 8 hexadecimal digits"},
    {BODY(".local .align 3 .b8 x[4];"), "line 8, kernel k: .align needs a power of two"},
    {BODY(".reg .b32 %q<99999999>;"), "line 8, kernel k: 99999999 is more than 16777216"},
    {BODY(".reg .b64 %q<9999999>;"),
     "line 8, kernel k: more than 16777216 bytes of registers in a warp"},
    {BODY(".local .b8 x[99999999];"), "line 8, kernel k: more than 524288 bytes of local memory"},
    {BODY("setp.ltu.s32 %p1, %r1, %r2;"), "line 8, kernel k: 'setp.ltu.s32' is no comparison"},
    {BODY("selp.b32 %r1, !%r2, %r3, %p1;"),
     "line 8, kernel k: '%r2' where a value without '!' is expected"},
    {HEAD ".entry k() { ret; ", "line 4, kernel k: the text ends where '}' is expected"},
    {HEAD ".global .b8 x[3] = {1, 2, 3, 4};",
     "line 4: more initial values than the variable has room for"},
    {HEAD ".global .b8 x[];", "line 4: 'x' has no size"},
    {HEAD ".global .u64 x = y;", "line 4: there is no variable 'y'"},
    {HEAD ".global .texref t;", "line 4: '.texref' where a type is expected"},
    {HEAD ".nonsense", "line 4: directive '.nonsense' is not understood"},
    {HEAD "add.u32", "line 4: directive 'add.u32' is not understood"},
    {HEAD ".extern .global .u32 other; .entry k() { .reg .b32 %r; ld.global.u32 %r, [other]; }",
     "line 4, kernel k: 'other' is declared but not defined"},
    {".version 7.0\n\"unending", "line 2: the string does not end"},
};

Test(ptx_parse, names_line_kernel_and_what_it_does_not_understand)
{
    for (size_t i = 0; i < COUNT(refused); i++) {
        char error[256];
        cr_assert_null(ptx_module_parse(refused[i].ptx, error, sizeof(error)), "%s",
                       refused[i].ptx);
        cr_assert_str_eq(error, refused[i].error, "%s\n%s", error, refused[i].error);
    }
}

Test(ptx_parse, fits_its_message_into_any_buffer)
{
    char error[10];

    cr_assert_null(ptx_module_parse(BODY("frobnicate;"), error, sizeof(error)));
    cr_assert_str_eq(error, "line 8, k");
    cr_assert_null(ptx_module_parse(BODY("frobnicate;"), NULL, 0));
}

static const char ordinary[] =
    "//\n// comment\n/* another\n one */\n.version 7.0\n.target sm_75, debug\n.address_size 64\n"
    ".file 1 \"/a b/c.cu\"\n.extern .func (.param .b32 r) vprintf(.param .b64 a, .param .b64 b);\n"
    ".extern .func __assertfail(.param .b64 a) .noreturn;\n"
    ".visible .entry first(\n\t.param .u64 .ptr .global .align 16 a,\n\t.param .u8 b,\n"
    "\t.param .align 8 .b8 c[12],\n\t.param .f32 d, .param .u16 e, .param .f64 f\n)\n"
    ".maxntid 256, 1, 1\n.minnctapersm 2\n{\n\t.reg .pred \t%p<2>;\n\t.reg .b32 %r<3>, extra;\n"
    ".pragma \"nounroll\";\n\t.loc\t1 4 0, function_name $L__info, inlined_at 1 2 3\n"
    "$L__BB0_1:\n\tmov.u32 \t%r1, WARP_SZ;\n{ .reg .b32 %r<2>; mov.u32 %r1, 5; mov.u32 extra, "
    "%r1;\n"
    "bra $L; $L: }\n{ $L: ret; }\n\tret;\n\n}\n"
    ".section\t.debug_str\n{\n.b8 1,2\n}\n.weak .entry second() { exit; }\n.pragma \"x\";\n";

Test(ptx_parse, lays_parameters_out_as_cuda_does)
{
    static const size_t expected[][2] = {{0, 8}, {8, 1}, {16, 12}, {28, 4}, {32, 2}, {40, 8}};
    struct ptx_module *module = fake_load(ordinary);
    const struct ptx_kernel *kernel = ptx_module_kernel(module, "first");

    cr_assert_eq(ptx_module_n_kernels(module), 2);
    cr_assert_str_eq(ptx_kernel_name(ptx_module_kernel_at(module, 1)), "second");
    cr_assert_null(ptx_module_kernel(module, "third"));
    cr_assert_null(ptx_module_kernel_at(module, 2));
    cr_assert_eq(ptx_kernel_n_params(kernel), COUNT(expected));
    for (size_t i = 0; i < COUNT(expected); i++) {
        size_t offset, bytes;
        ptx_kernel_param(kernel, i, &offset, &bytes);
        cr_assert_eq(offset, expected[i][0], "parameter %zu is at %zu", i, offset);
        cr_assert_eq(bytes, expected[i][1]);
    }
    cr_assert_eq(ptx_kernel_param_bytes(kernel), 48);
    ptx_module_free(module);
}

Test(ptx_parse, survives_text_cut_anywhere)
{
    size_t length = strlen(ordinary);
    size_t accepted = 0;

    for (size_t n = 0; n < length; n++) {
        char error[256] = "";
        /* a copy of the exact size, so that reading past the end is noticed */
        char *text = strndup(ordinary, n);
        struct ptx_module *module = ptx_module_parse(text, error, sizeof(error));
        cr_assert(module || error[0], "cut at %zu, there is no message", n);
        accepted += module != NULL;
        ptx_module_free(module);
        free(text);
    }
    cr_assert_lt(accepted, length / 2, "most cuts are no whole module");
}

Test(ptx_parse, survives_any_byte_being_another)
{
    static const char replacements[] = "%.;{}[](),@!|<>:\"-0x\x01\xff\n";
    size_t length = strlen(ordinary);
    char *text = strdup(ordinary);

    for (size_t i = 0; i < length; i++) {
        char original = text[i];
        for (size_t j = 0; j < sizeof(replacements) - 1; j++) {
            char error[256] = "";
            text[i] = replacements[j];
            struct ptx_module *module = ptx_module_parse(text, error, sizeof(error));
            cr_assert(module || error[0], "byte %zu as %d, there is no message", i, text[i]);
            ptx_module_free(module);
        }
        text[i] = original;
    }
    free(text);
}

Test(ptx_parse, limits_nesting)
{
    char text[4096] = HEAD ".entry k() ";
    char error[256];

    for (int i = 0; i < 1000; i++)
        strcat(text, "{");
    for (int i = 0; i < 1000; i++)
        strcat(text, "}");
    cr_assert_null(ptx_module_parse(text, error, sizeof(error)));
    cr_assert_str_eq(error, "line 4, kernel k: braces nested more than 200 deep");
    cr_assert_null(ptx_module_free(NULL));
}
