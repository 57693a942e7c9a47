/* SPDX-License-Identifier: MIT */

/* ldmatrix, stmatrix and movmatrix against plain C. */

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/test_ptx_support.h"

#define COUNT(array) (sizeof(array) / sizeof(array[0]))

/* Fills shared memory with 16-bit numbers, each its own place, in 40 rows of 24 bytes and more. */
static const char fill_box[] =
    ".shared .align 16 .b8 box[2048];\n"
    "mov.u32 %r1, %tid.x; ld.param.u64 %rd1, [p0]; mad.wide.u32 %rd1, %r1, 16, %rd1;\n"
    "mov.u32 %r2, box; mad.lo.u32 %r2, %r1, 64, %r2; mul.lo.u32 %r3, %r1, 32;\n"
    "mov.u32 %r4, 0;\n"
    "FILL: cvt.u16.u32 %h1, %r3; st.shared.u16 [%r2], %h1; add.u32 %r2, %r2, 2;\n"
    "add.u32 %r3, %r3, 1; add.u32 %r4, %r4, 1; setp.lt.u32 %p1, %r4, 32; @%p1 bra FILL;\n"
    "bar.sync 0; mov.u32 %r5, box; mad.lo.u32 %r5, %r1, 48, %r5;\n";

static void run_lanes(const char *body, uint32_t *out)
{
    struct ptx_module *module = fake_load_body(body);
    uint64_t memory = fake_alloc(32 * 16);
    uint64_t params[4] = {memory};
    struct ptx_fault fault;

    cr_assert_eq(fake_run(module, "k", 1, 32, 0, &fault, params), PTX_DONE, "%s", body);
    memcpy(out, fake_host(memory), 32 * 16);
    ptx_module_free(module);
    fake_reset();
}

/* Element (row, column) of matrix i when lane 8i + row points to 24 numbers further each. */
static uint32_t in_box(unsigned int i, unsigned int row, unsigned int column)
{
    return (8 * i + row) * 24 + column;
}

Test(ptx_ldmatrix, loads_matrices_by_rows)
{
    static const struct {
        const char *how;
        const char *to;
        const char *base;
        unsigned int n;
        bool trans;
    } rows[] = {
        {".x1.shared.b16", "{%r10}", "[%r5]", 1, false},
        {".x2.shared.b16", "{%r10, %r11}", "[%r5]", 2, false},
        {".x4.shared.b16", "{%r10, %r11, %r12, %r13}", "[%r5]", 4, false},
        {".x4.b16", "{%r10, %r11, %r12, %r13}", "[%rd2]", 4, false},
        {".x1.trans.shared.b16", "{%r10}", "[%r5]", 1, true},
        {".x2.trans.shared::cta.b16", "{%r10, %r11}", "[%r5]", 2, true},
        {".x4.trans.shared.b16", "{%r10, %r11, %r12, %r13}", "[%r5]", 4, true},
    };

    for (size_t t = 0; t < COUNT(rows); t++) {
        char body[2048];
        uint32_t out[32][4];
        snprintf(body, sizeof(body),
                 "%scvt.u64.u32 %%rd2, %%r5; cvta.shared.u64 %%rd2, %%rd2;\n"
                 "mov.u32 %%r10, 0; mov.u32 %%r11, 0; mov.u32 %%r12, 0; mov.u32 %%r13, 0;\n"
                 "ldmatrix.sync.aligned.m8n8%s %s, %s;\n"
                 "st.global.v4.u32 [%%rd1], {%%r10, %%r11, %%r12, %%r13}; ret;",
                 fill_box, rows[t].how, rows[t].to, rows[t].base);
        run_lanes(body, out[0]);
        for (unsigned int lane = 0; lane < 32; lane++) {
            for (unsigned int i = 0; i < rows[t].n; i++) {
                unsigned int row = lane / 4;
                unsigned int column = lane % 4 * 2;
                uint32_t low = rows[t].trans ? in_box(i, column, row) : in_box(i, row, column);
                uint32_t high =
                    rows[t].trans ? in_box(i, column + 1, row) : in_box(i, row, column + 1);
                cr_assert_eq(out[lane][i], high << 16 | low, "%s: lane %u, matrix %u is %#x",
                             rows[t].how, lane, i, out[lane][i]);
            }
        }
    }
}

/* What stmatrix wrote, or movmatrix turned, is read back by an ldmatrix that is known to be right.
 */
Test(ptx_ldmatrix, stores_and_turns_matrices)
{
    static const char *const moves[] = {
        "stmatrix.sync.aligned.m8n8.x4.shared.b16 [%r6], {%r10, %r11, %r12, %r13}; bar.sync 0;\n"
        "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%r10, %r11, %r12, %r13}, [%r6];\n",
        "stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%r6], {%r10, %r11, %r12, %r13};\n"
        "bar.sync 0;\n"
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r10, %r11, %r12, %r13}, [%r6];\n",
        "movmatrix.sync.aligned.m8n8.trans.b16 %r10, %r10;\n"
        "movmatrix.sync.aligned.m8n8.trans.b16 %r11, %r11;\n"
        "movmatrix.sync.aligned.m8n8.trans.b16 %r12, %r12;\n"
        "movmatrix.sync.aligned.m8n8.trans.b16 %r13, %r13;\n",
        "stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%r6], {%r10, %r11}; bar.sync 0;\n"
        "add.u32 %r7, %r6, 256; stmatrix.sync.aligned.m8n8.x1.trans.shared.b16 [%r7], {%r12};\n"
        "add.u32 %r7, %r6, 384; stmatrix.sync.aligned.m8n8.trans.x1.shared.b16 [%r7], {%r13};\n"
        "bar.sync 0;\n"
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r10, %r11, %r12, %r13}, [%r6];\n",
    };

    for (size_t t = 0; t < COUNT(moves); t++) {
        char body[4096];
        uint32_t out[32][4];
        snprintf(body, sizeof(body),
                 "%s.shared .align 16 .b8 other[512]; mov.u32 %%r6, other;\n"
                 "mad.lo.u32 %%r6, %%r1, 16, %%r6;\n"
                 "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%%r10, %%r11, %%r12, %%r13}, "
                 "[%%r5];\n%s"
                 "st.global.v4.u32 [%%rd1], {%%r10, %%r11, %%r12, %%r13}; ret;",
                 fill_box, moves[t]);
        run_lanes(body, out[0]);
        for (unsigned int lane = 0; lane < 32; lane++) {
            for (unsigned int i = 0; i < 4; i++) {
                uint32_t low = in_box(i, lane % 4 * 2, lane / 4);
                uint32_t high = in_box(i, lane % 4 * 2 + 1, lane / 4);
                cr_assert_eq(out[lane][i], high << 16 | low, "%zu: lane %u, matrix %u is %#x", t,
                             lane, i, out[lane][i]);
            }
        }
    }
}
