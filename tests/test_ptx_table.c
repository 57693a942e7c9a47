/* SPDX-License-Identifier: MIT */

/* Runs the rows of an instruction table and compares. */

#include <criterion/criterion.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/test_ptx_support.h"
#include "tests/test_ptx_table.h"

static const char head[] = "mov.u32 %r90, %tid.x; mov.u32 %r91, %ctaid.x; mov.u32 %r92, %ntid.x;\n"
                           "mad.lo.u32 %r90, %r91, %r92, %r90;\n"
                           "ld.param.u32 %r93, [p2]; setp.ge.u32 %p90, %r90, %r93;\n"
                           "@%p90 exit;\n"
                           "ld.param.u64 %rd90, [p0]; mad.wide.u32 %rd90, %r90, 24, %rd90;\n";

static const char each[] = "ld.global.b64 %%rd%d, [%%rd90+%d]; ld.global.b32 %%r%d, [%%rd90+%d];\n"
                           "ld.global.b16 %%h%d, [%%rd90+%d]; ld.global.f32 %%f%d, [%%rd90+%d];\n"
                           "ld.global.f64 %%fd%d, [%%rd90+%d];\n"
                           "and.b32 %%r91, %%r%d, 1; setp.ne.u32 %%p%d, %%r91, 0;\n";

/* Where an untouched result stays visible. */
static const char clear[] = "mov.b64 %rd4, -1; mov.b32 %r4, -1; mov.b16 %h4, -1;\n"
                            "mov.f32 %f4, 0fffffffff; mov.f64 %fd4, 0dffffffffffffffff;\n"
                            "setp.eq.u32 %p4, %r90, -1;\n"
                            "ld.param.u64 %rd91, [p1]; mad.wide.u32 %rd91, %r90, 8, %rd91;\n";

static const char *store_of(char result)
{
    switch (result) {
    case 'h':
        return "st.global.b16 [%rd91], %h4;";
    case 'r':
        return "st.global.b32 [%rd91], %r4;";
    case 'f':
        return "st.global.f32 [%rd91], %f4;";
    case 'd':
        return "st.global.f64 [%rd91], %fd4;";
    case 'p':
        return "selp.b32 %r4, 1, 0, %p4; st.global.b32 [%rd91], %r4;";
    default:
        return "st.global.b64 [%rd91], %rd4;";
    }
}

static unsigned int bits_of(char result)
{
    return result == 'h' ? 16 : strchr("rfp", result) ? 32 : 64;
}

static struct ptx_module *build(const struct table_row *row)
{
    char body[4096];
    size_t at = (size_t)snprintf(body, sizeof(body), "%s", head);

    for (int i = 1; i <= 3; i++) {
        int offset = (i - 1) * 8;
        at += (size_t)snprintf(body + at, sizeof(body) - at, each, i, offset, i, offset, i, offset,
                               i, offset, i, offset, i, i);
    }
    snprintf(body + at, sizeof(body) - at, "%s%s\n%s\nret;", clear, row->ptx,
             store_of(row->result));
    return fake_load_body(body);
}

static void compare(const struct table_row *row, const uint64_t *in, uint64_t got)
{
    uint64_t mask = UINT64_MAX >> (64 - bits_of(row->result));
    uint64_t expected = row->expect(in[0], in[1], in[2]) & mask;

    cr_assert_eq(got & mask, expected,
                 "%s with %#" PRIx64 ", %#" PRIx64 ", %#" PRIx64 " gives %#" PRIx64
                 ", not %#" PRIx64,
                 row->ptx, in[0], in[1], in[2], got & mask, expected);
}

static void run_row(const struct table_row *row, uint64_t in, size_t n, unsigned int threads)
{
    struct ptx_module *module = build(row);
    uint64_t out = fake_alloc(n * 8);
    uint64_t params[4] = {in, out, n};
    struct ptx_fault fault;
    unsigned int blocks = (unsigned int)(n / threads + 1);

    cr_assert_eq(fake_run(module, "k", blocks, threads, 0, &fault, params), PTX_DONE,
                 "%s ends with a fault in line %d", row->ptx, fault.line);
    for (size_t i = 0; i < n; i++)
        compare(row, (uint64_t *)fake_host(in) + i * 3, ((uint64_t *)fake_host(out))[i]);
    ptx_module_free(module);
}

/* Does the statement read a register with this number? */
static bool uses(const char *ptx, char number)
{
    for (const char *at = strchr(ptx, '%'); at; at = strchr(at, '%')) {
        at += 1 + strspn(at + 1, "hrdfp");
        if (*at == number)
            return true;
    }
    return false;
}

/* Every combination of the values, for the operands that the row has. */
static uint64_t upload_triples(const struct table_row *row, const uint64_t *values, size_t n,
                               size_t *n_triples)
{
    size_t n_second = uses(row->ptx, '2') ? n : 1;
    size_t n_third = uses(row->ptx, '3') ? n : 1;
    uint64_t in = fake_alloc(n * n_second * n_third * 24);
    uint64_t *at = fake_host(in);

    *n_triples = n * n_second * n_third;
    for (size_t i = 0; i < *n_triples; i++) {
        *at++ = values[i % n];
        *at++ = values[i / n % n_second];
        *at++ = values[i / n / n_second];
    }
    return in;
}

void table_check(const struct table_row *rows, size_t n_rows, const uint64_t *values,
                 size_t n_values)
{
    for (size_t i = 0; i < n_rows; i++) {
        size_t n;
        uint64_t in = upload_triples(&rows[i], values, n_values, &n);
        run_row(&rows[i], in, n, 64);
        run_row(&rows[i], in, n, 31);
        fake_reset();
    }
}

double small_value(uint64_t bits, int mantissa)
{
    int bias = (1 << (14 - mantissa)) - 1;
    int exponent = (int)(bits >> mantissa) & (2 * bias + 1);
    double fraction = (double)(bits & ((1u << mantissa) - 1)) / (1 << mantissa);
    double size = exponent ? ldexp(1 + fraction, exponent - bias) : ldexp(fraction, 1 - bias);

    if (exponent == 2 * bias + 1)
        size = fraction != 0 ? NAN : INFINITY;
    return bits & 0x8000 ? -size : size;
}

uint64_t small_nearest(double x, int mantissa)
{
    uint64_t sign = signbit(x) ? 0x8000 : 0;
    uint64_t infinity = (0x8000u >> mantissa << mantissa) - (1u << mantissa);
    uint64_t low = 0;
    uint64_t high = infinity;
    double size = fabs(x);

    if (isnan(x))
        return 0x7fff;
    while (high - low > 1) {
        uint64_t middle = (low + high) / 2;
        if (small_value(middle, mantissa) <= size)
            low = middle;
        else
            high = middle;
    }
    /* What would follow the largest stands for infinity here. */
    double above = high == infinity
                       ? 2 * small_value(high - 1, mantissa) - small_value(high - 2, mantissa)
                       : small_value(high, mantissa);
    double below = small_value(low, mantissa);
    if (isinf(size) || size - below > above - size || (size - below == above - size && low & 1))
        return sign | high;
    return sign | low;
}
