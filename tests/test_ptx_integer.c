/* SPDX-License-Identifier: MIT */

/* Integer and bit instructions against C. Expectations are written for clarity, not speed: with
 * wide integers and bit by bit. */

#include <criterion/criterion.h>

#include "tests/test_ptx_table.h"

#define ROWS(rows) rows, sizeof(rows) / sizeof(rows[0])

static const uint64_t values[] = {
    0,
    1,
    2,
    3,
    7,
    15,
    16,
    17,
    31,
    32,
    33,
    63,
    64,
    0x7fff,
    0x8000,
    0xffff,
    0x7fffffff,
    0x80000000,
    0xffffffff,
    0x123456789abcdef0,
    0x7fffffffffffffff,
    0x8000000000000000,
    0xffffffffffffffff,
    0xfedcba9876543210,
};

#define CHECK(rows) table_check(ROWS(rows), values, sizeof(values) / sizeof(values[0]))

EXPECT(add, a + b)
EXPECT(sub, a - b)
EXPECT(mul, a *b)
EXPECT(mad, a *b + c)

Test(ptx_integer, wraps_sums_and_products)
{
    static const struct table_row rows[] = {
        {"add.u16 %h4, %h1, %h2;", 'h', add},
        {"add.s16 %h4, %h1, %h2;", 'h', add},
        {"add.u32 %r4, %r1, %r2;", 'r', add},
        {"add.s32 %r4, %r1, %r2;", 'r', add},
        {"add.u64 %rd4, %rd1, %rd2;", 'q', add},
        {"add.s64 %rd4, %rd1, %rd2;", 'q', add},
        {"sub.s16 %h4, %h1, %h2;", 'h', sub},
        {"sub.s32 %r4, %r1, %r2;", 'r', sub},
        {"sub.s64 %rd4, %rd1, %rd2;", 'q', sub},
        {"mul.lo.s16 %h4, %h1, %h2;", 'h', mul},
        {"mul.lo.u32 %r4, %r1, %r2;", 'r', mul},
        {"mul.lo.s64 %rd4, %rd1, %rd2;", 'q', mul},
        {"mad.lo.s16 %h4, %h1, %h2, %h3;", 'h', mad},
        {"mad.lo.s32 %r4, %r1, %r2, %r3;", 'r', mad},
        {"mad.lo.u64 %rd4, %rd1, %rd2, %rd3;", 'q', mad},
    };
    CHECK(rows);
}

static uint64_t clamp32(int64_t x)
{
    return (uint64_t)(x > INT32_MAX ? INT32_MAX : x < INT32_MIN ? INT32_MIN : x);
}

EXPECT(add_sat, clamp32((int64_t)(int32_t)a + (int32_t)b))
EXPECT(sub_sat, clamp32((int64_t)(int32_t)a - (int32_t)b))

Test(ptx_integer, saturates_when_asked_to)
{
    static const struct table_row rows[] = {
        {"add.sat.s32 %r4, %r1, %r2;", 'r', add_sat},
        {"sub.sat.s32 %r4, %r1, %r2;", 'r', sub_sat},
    };
    CHECK(rows);
}

EXPECT(hi_u16, (uint64_t)(uint16_t)a *(uint16_t)b >> 16)
EXPECT(hi_s16, (int64_t)(int16_t)a *(int16_t)b >> 16)
EXPECT(hi_u32, (uint64_t)(uint32_t)a *(uint32_t)b >> 32)
EXPECT(hi_s32, (int64_t)(int32_t)a *(int32_t)b >> 32)
EXPECT(hi_u64, (unsigned __int128)a *b >> 64)
EXPECT(hi_s64, (__int128)(int64_t)a *(int64_t)b >> 64)
EXPECT(wide_u16, (uint64_t)(uint16_t)a *(uint16_t)b)
EXPECT(wide_s16, (int64_t)(int16_t)a *(int16_t)b)
EXPECT(wide_u32, (uint64_t)(uint32_t)a *(uint32_t)b)
EXPECT(wide_s32, (int64_t)(int32_t)a *(int32_t)b)
EXPECT(mad_wide_s32, wide_s32(a, b, c) + c)
EXPECT(mad_wide_u16, wide_u16(a, b, c) + c)
EXPECT(mad_hi_u32, hi_u32(a, b, c) + c)
EXPECT(mad_hi_s64, hi_s64(a, b, c) + c)

Test(ptx_integer, gives_the_upper_half_and_the_whole_of_a_product)
{
    static const struct table_row rows[] = {
        {"mul.hi.u16 %h4, %h1, %h2;", 'h', hi_u16},
        {"mul.hi.s16 %h4, %h1, %h2;", 'h', hi_s16},
        {"mul.hi.u32 %r4, %r1, %r2;", 'r', hi_u32},
        {"mul.hi.s32 %r4, %r1, %r2;", 'r', hi_s32},
        {"mul.hi.u64 %rd4, %rd1, %rd2;", 'q', hi_u64},
        {"mul.hi.s64 %rd4, %rd1, %rd2;", 'q', hi_s64},
        {"mul.wide.u16 %r4, %h1, %h2;", 'r', wide_u16},
        {"mul.wide.s16 %r4, %h1, %h2;", 'r', wide_s16},
        {"mul.wide.u32 %rd4, %r1, %r2;", 'q', wide_u32},
        {"mul.wide.s32 %rd4, %r1, %r2;", 'q', wide_s32},
        {"mad.wide.s32 %rd4, %r1, %r2, %rd3;", 'q', mad_wide_s32},
        {"mad.wide.u16 %r4, %h1, %h2, %r3;", 'r', mad_wide_u16},
        {"mad.hi.u32 %r4, %r1, %r2, %r3;", 'r', mad_hi_u32},
        {"mad.hi.s64 %rd4, %rd1, %rd2, %rd3;", 'q', mad_hi_s64},
    };
    CHECK(rows);
}

/* 128-bit sums of (a, b) and (b, c), upper half. */
#define LONG(low, high) ((unsigned __int128)(high) << 64 | (low))
static uint64_t both32(uint64_t low, uint64_t high)
{
    return (uint32_t)low | high << 32;
}

EXPECT(long_add, (LONG(a, b) + LONG(b, c)) >> 64)
EXPECT(long_sub, (LONG(a, b) - LONG(b, c)) >> 64)
EXPECT(long_add_32, (both32(a, b) + both32(b, c)) >> 32)
EXPECT(long_mul, (((unsigned __int128)a * b) + LONG(c, c)) >> 64)

Test(ptx_integer, carries_from_word_to_word)
{
    static const struct table_row rows[] = {
        {"add.cc.u64 %rd4, %rd1, %rd2; addc.u64 %rd4, %rd2, %rd3;", 'q', long_add},
        {"sub.cc.s64 %rd4, %rd1, %rd2; subc.cc.s64 %rd4, %rd2, %rd3;", 'q', long_sub},
        {"add.cc.u32 %r4, %r1, %r2; addc.cc.u32 %r4, %r2, %r3;", 'r', long_add_32},
        {"mad.lo.cc.u64 %rd4, %rd1, %rd2, %rd3; madc.hi.u64 %rd4, %rd1, %rd2, %rd3;", 'q',
         long_mul},
    };
    CHECK(rows);
}

static int64_t low24(uint64_t x)
{
    return (int64_t)(x & 0xffffff);
}

static int64_t signed24(uint64_t x)
{
    return low24(x) >= 0x800000 ? low24(x) - 0x1000000 : low24(x);
}

EXPECT(mul24_lo_u, low24(a) * low24(b))
EXPECT(mul24_lo_s, signed24(a) * signed24(b))
EXPECT(mul24_hi_u, low24(a) * low24(b) >> 16)
EXPECT(mul24_hi_s, signed24(a) * signed24(b) >> 16)
EXPECT(mad24_lo_s, (uint64_t)(signed24(a) * signed24(b)) + c)

Test(ptx_integer, multiplies_24_bits)
{
    static const struct table_row rows[] = {
        {"mul24.lo.u32 %r4, %r1, %r2;", 'r', mul24_lo_u},
        {"mul24.lo.s32 %r4, %r1, %r2;", 'r', mul24_lo_s},
        {"mul24.hi.u32 %r4, %r1, %r2;", 'r', mul24_hi_u},
        {"mul24.hi.s32 %r4, %r1, %r2;", 'r', mul24_hi_s},
        {"mad24.lo.s32 %r4, %r1, %r2, %r3;", 'r', mad24_lo_s},
    };
    CHECK(rows);
}

#define QUOTIENT(x, y)  ((y) == 0 ? (__int128)-1 : (__int128)(x) / (y))
#define REMAINDER(x, y) ((y) == 0 ? (__int128)(x) : (__int128)(x) % (y))
EXPECT(div_u16, QUOTIENT((uint16_t)a, (uint16_t)b))
EXPECT(div_s16, QUOTIENT((int16_t)a, (int16_t)b))
EXPECT(div_u32, QUOTIENT((uint32_t)a, (uint32_t)b))
EXPECT(div_s32, QUOTIENT((int32_t)a, (int32_t)b))
EXPECT(div_u64, b == 0 ? UINT64_MAX : a / b)
EXPECT(div_s64, QUOTIENT((int64_t)a, (int64_t)b))
EXPECT(rem_u16, REMAINDER((uint16_t)a, (uint16_t)b))
EXPECT(rem_s16, REMAINDER((int16_t)a, (int16_t)b))
EXPECT(rem_u32, REMAINDER((uint32_t)a, (uint32_t)b))
EXPECT(rem_s32, REMAINDER((int32_t)a, (int32_t)b))
EXPECT(rem_u64, b == 0 ? a : a % b)
EXPECT(rem_s64, REMAINDER((int64_t)a, (int64_t)b))

Test(ptx_integer, divides_without_stopping_at_zero_or_overflow)
{
    static const struct table_row rows[] = {
        {"div.u16 %h4, %h1, %h2;", 'h', div_u16},    {"div.s16 %h4, %h1, %h2;", 'h', div_s16},
        {"div.u32 %r4, %r1, %r2;", 'r', div_u32},    {"div.s32 %r4, %r1, %r2;", 'r', div_s32},
        {"div.u64 %rd4, %rd1, %rd2;", 'q', div_u64}, {"div.s64 %rd4, %rd1, %rd2;", 'q', div_s64},
        {"rem.u16 %h4, %h1, %h2;", 'h', rem_u16},    {"rem.s16 %h4, %h1, %h2;", 'h', rem_s16},
        {"rem.u32 %r4, %r1, %r2;", 'r', rem_u32},    {"rem.s32 %r4, %r1, %r2;", 'r', rem_s32},
        {"rem.u64 %rd4, %rd1, %rd2;", 'q', rem_u64}, {"rem.s64 %rd4, %rd1, %rd2;", 'q', rem_s64},
    };
    CHECK(rows);
}

EXPECT(neg, 0 - a)
EXPECT(abs16, (int16_t)a < 0 ? -(int64_t)(int16_t)a : (int16_t)a)
EXPECT(abs32, (int32_t)a < 0 ? -(int64_t)(int32_t)a : (int32_t)a)
EXPECT(abs64, (int64_t)a < 0 ? 0 - a : a)
EXPECT(min_u16, (uint16_t)a < (uint16_t)b ? a : b)
EXPECT(min_s16, (int16_t)a < (int16_t)b ? a : b)
EXPECT(min_u32, (uint32_t)a < (uint32_t)b ? a : b)
EXPECT(min_s32, (int32_t)a < (int32_t)b ? a : b)
EXPECT(min_u64, a < b ? a : b)
EXPECT(min_s64, (int64_t)a < (int64_t)b ? a : b)
EXPECT(max_u32, (uint32_t)a > (uint32_t)b ? a : b)
EXPECT(max_s32, (int32_t)a > (int32_t)b ? a : b)
EXPECT(max_u64, a > b ? a : b)
EXPECT(max_s64, (int64_t)a > (int64_t)b ? a : b)
EXPECT(sad_u32, ((uint32_t)a > (uint32_t)b ? a - b : b - a) + c)
EXPECT(sad_s32, ((int32_t)a > (int32_t)b ? a - b : b - a) + c)

Test(ptx_integer, compares_by_sign)
{
    static const struct table_row rows[] = {
        {"neg.s16 %h4, %h1;", 'h', neg},
        {"neg.s32 %r4, %r1;", 'r', neg},
        {"neg.s64 %rd4, %rd1;", 'q', neg},
        {"abs.s16 %h4, %h1;", 'h', abs16},
        {"abs.s32 %r4, %r1;", 'r', abs32},
        {"abs.s64 %rd4, %rd1;", 'q', abs64},
        {"min.u16 %h4, %h1, %h2;", 'h', min_u16},
        {"min.s16 %h4, %h1, %h2;", 'h', min_s16},
        {"min.u32 %r4, %r1, %r2;", 'r', min_u32},
        {"min.s32 %r4, %r1, %r2;", 'r', min_s32},
        {"min.u64 %rd4, %rd1, %rd2;", 'q', min_u64},
        {"min.s64 %rd4, %rd1, %rd2;", 'q', min_s64},
        {"max.u32 %r4, %r1, %r2;", 'r', max_u32},
        {"max.s32 %r4, %r1, %r2;", 'r', max_s32},
        {"max.u64 %rd4, %rd1, %rd2;", 'q', max_u64},
        {"max.s64 %rd4, %rd1, %rd2;", 'q', max_s64},
        {"sad.u32 %r4, %r1, %r2, %r3;", 'r', sad_u32},
        {"sad.s32 %r4, %r1, %r2, %r3;", 'r', sad_s32},
    };
    CHECK(rows);
}

EXPECT(and_, a &b)
EXPECT(or_, a | b)
EXPECT(xor_, a ^ b)
EXPECT(not_, ~a)
EXPECT(cnot32, (uint32_t)a == 0)
EXPECT(and_p, a &b & 1)
EXPECT(or_p, (a | b) & 1)
EXPECT(xor_p, (a ^ b) & 1)
EXPECT(not_p, ~a & 1)
EXPECT(lop3_e8, (a & b) | (b & c) | (a & c))
EXPECT(lop3_96, a ^ b ^ c)
EXPECT(lop3_2a, ~(a &b) & c)

Test(ptx_integer, combines_bits_and_predicates)
{
    static const struct table_row rows[] = {
        {"and.b16 %h4, %h1, %h2;", 'h', and_},
        {"and.b32 %r4, %r1, %r2;", 'r', and_},
        {"and.b64 %rd4, %rd1, %rd2;", 'q', and_},
        {"or.b16 %h4, %h1, %h2;", 'h', or_},
        {"or.b32 %r4, %r1, %r2;", 'r', or_},
        {"or.b64 %rd4, %rd1, %rd2;", 'q', or_},
        {"xor.b32 %r4, %r1, %r2;", 'r', xor_},
        {"xor.b64 %rd4, %rd1, %rd2;", 'q', xor_},
        {"not.b16 %h4, %h1;", 'h', not_},
        {"not.b32 %r4, %r1;", 'r', not_},
        {"not.b64 %rd4, %rd1;", 'q', not_},
        {"cnot.b32 %r4, %r1;", 'r', cnot32},
        {"and.pred %p4, %p1, %p2;", 'p', and_p},
        {"or.pred %p4, %p1, %p2;", 'p', or_p},
        {"xor.pred %p4, %p1, %p2;", 'p', xor_p},
        {"not.pred %p4, %p1;", 'p', not_p},
        {"lop3.b32 %r4, %r1, %r2, %r3, 0xe8;", 'r', lop3_e8},
        {"lop3.b32 %r4, %r1, %r2, %r3, 0x96;", 'r', lop3_96},
        {"lop3.b32 %r4, %r1, %r2, %r3, 0x2a;", 'r', lop3_2a},
    };
    CHECK(rows);
}

#define SHIFTED_OUT(n) ((uint32_t)b >= (n))
EXPECT(shl16, SHIFTED_OUT(16) ? 0 : a << (uint32_t)b)
EXPECT(shl32, SHIFTED_OUT(32) ? 0 : a << (uint32_t)b)
EXPECT(shl64, SHIFTED_OUT(64) ? 0 : a << (uint32_t)b)
EXPECT(shr_u16, SHIFTED_OUT(16) ? 0 : (uint16_t)a >> (uint32_t)b)
EXPECT(shr_u32, SHIFTED_OUT(32) ? 0 : (uint32_t)a >> (uint32_t)b)
EXPECT(shr_u64, SHIFTED_OUT(64) ? 0 : a >> (uint32_t)b)
EXPECT(shr_s16, (int64_t)(int16_t)a >> (SHIFTED_OUT(16) ? 15 : (uint32_t)b))
EXPECT(shr_s32, (int64_t)(int32_t)a >> (SHIFTED_OUT(32) ? 31 : (uint32_t)b))
EXPECT(shr_s64, (int64_t)a >> (SHIFTED_OUT(64) ? 63 : (uint32_t)b))

EXPECT(shf_l_wrap, (both32(a, b) << (c % 32)) >> 32)
EXPECT(shf_r_wrap, both32(a, b) >> (c % 32))
EXPECT(shf_l_clamp, (uint32_t)c >= 32 ? a : (both32(a, b) << (c % 32)) >> 32)
EXPECT(shf_r_clamp, (uint32_t)c >= 32 ? b : both32(a, b) >> (c % 32))

Test(ptx_integer, shifts_out_everything_at_the_width_and_beyond)
{
    static const struct table_row rows[] = {
        {"shl.b16 %h4, %h1, %r2;", 'h', shl16},
        {"shl.b32 %r4, %r1, %r2;", 'r', shl32},
        {"shl.b64 %rd4, %rd1, %r2;", 'q', shl64},
        {"shr.u16 %h4, %h1, %r2;", 'h', shr_u16},
        {"shr.u32 %r4, %r1, %r2;", 'r', shr_u32},
        {"shr.b32 %r4, %r1, %r2;", 'r', shr_u32},
        {"shr.u64 %rd4, %rd1, %r2;", 'q', shr_u64},
        {"shr.s16 %h4, %h1, %r2;", 'h', shr_s16},
        {"shr.s32 %r4, %r1, %r2;", 'r', shr_s32},
        {"shr.s64 %rd4, %rd1, %r2;", 'q', shr_s64},
        {"shf.l.wrap.b32 %r4, %r1, %r2, %r3;", 'r', shf_l_wrap},
        {"shf.r.wrap.b32 %r4, %r1, %r2, %r3;", 'r', shf_r_wrap},
        {"shf.l.clamp.b32 %r4, %r1, %r2, %r3;", 'r', shf_l_clamp},
        {"shf.r.clamp.b32 %r4, %r1, %r2, %r3;", 'r', shf_r_clamp},
    };
    CHECK(rows);
}

static uint64_t count_ones(uint64_t x)
{
    uint64_t n = 0;

    for (; x; x >>= 1)
        n += x & 1;
    return n;
}

static uint64_t leading_zeros(uint64_t x, unsigned int width)
{
    uint64_t n = 0;

    while (n < width && !(x >> (width - 1 - n) & 1))
        n++;
    return n;
}

static uint64_t mirrored(uint64_t x, unsigned int width)
{
    uint64_t result = 0;

    for (unsigned int i = 0; i < width; i++)
        result |= (x >> i & 1) << (width - 1 - i);
    return result;
}

EXPECT(popc32, count_ones((uint32_t)a))
EXPECT(popc64, count_ones(a))
EXPECT(clz32, leading_zeros(a, 32))
EXPECT(clz64, leading_zeros(a, 64))
EXPECT(brev32, mirrored(a, 32))
EXPECT(brev64, mirrored(a, 64))
EXPECT(bfind_u32, (uint32_t)a ? 31 - leading_zeros(a, 32) : UINT32_MAX)
EXPECT(bfind_u64, a ? 63 - leading_zeros(a, 64) : UINT32_MAX)
EXPECT(bfind_s32, bfind_u32((int32_t)a < 0 ? ~a : a, b, c))
EXPECT(bfind_amount, (uint32_t)a ? leading_zeros(a, 32) : UINT32_MAX)

Test(ptx_integer, counts_and_finds_bits)
{
    static const struct table_row rows[] = {
        {"popc.b32 %r4, %r1;", 'r', popc32},
        {"popc.b64 %r4, %rd1;", 'r', popc64},
        {"clz.b32 %r4, %r1;", 'r', clz32},
        {"clz.b64 %r4, %rd1;", 'r', clz64},
        {"brev.b32 %r4, %r1;", 'r', brev32},
        {"brev.b64 %rd4, %rd1;", 'q', brev64},
        {"bfind.u32 %r4, %r1;", 'r', bfind_u32},
        {"bfind.u64 %r4, %rd1;", 'r', bfind_u64},
        {"bfind.s32 %r4, %r1;", 'r', bfind_s32},
        {"bfind.shiftamt.u32 %r4, %r1;", 'r', bfind_amount},
    };
    CHECK(rows);
}

/* Bit by bit, as the PTX manual defines it. */
static uint64_t field_of(uint64_t a, uint64_t b, uint64_t c, unsigned int width, bool is_signed)
{
    unsigned int at = b & 0xff;
    unsigned int length = c & 0xff;
    unsigned int sign_at = at + length - 1 < width - 1 ? at + length - 1 : width - 1;
    uint64_t sign = is_signed && length ? a >> sign_at & 1 : 0;
    uint64_t result = 0;

    for (unsigned int i = 0; i < width; i++)
        result |= (i < length && at + i < width ? a >> (at + i) & 1 : sign) << i;
    return result;
}

static uint64_t with_field(uint64_t a, uint64_t b, unsigned int at, unsigned int length,
                           unsigned int width)
{
    for (unsigned int i = 0; i < length && at + i < width; i++) {
        b &= ~((uint64_t)1 << (at + i));
        b |= (a >> i & 1) << (at + i);
    }
    return b;
}

EXPECT(bfe_u32, field_of(a, b, c, 32, false))
EXPECT(bfe_s32, field_of(a, b, c, 32, true))
EXPECT(bfe_u64, field_of(a, b, c, 64, false))
EXPECT(bfe_s64, field_of(a, b, c, 64, true))
EXPECT(bfi_32, with_field(a, b, c & 0xff, 5, 32))
EXPECT(bfi_64, with_field(a, b, 3, c & 0xff, 64))
EXPECT(bmsk_clamp, with_field(UINT64_MAX, 0, (uint32_t)a < 64 ? a & 63 : 64,
                              (uint32_t)b < 32 ? b & 31 : 32, 32))
EXPECT(bmsk_wrap, with_field(UINT64_MAX, 0, a & 31, b & 31, 32))

Test(ptx_integer, takes_out_and_puts_in_bit_fields)
{
    static const struct table_row rows[] = {
        {"bfe.u32 %r4, %r1, %r2, %r3;", 'r', bfe_u32},
        {"bfe.s32 %r4, %r1, %r2, %r3;", 'r', bfe_s32},
        {"bfe.u64 %rd4, %rd1, %r2, %r3;", 'q', bfe_u64},
        {"bfe.s64 %rd4, %rd1, %r2, %r3;", 'q', bfe_s64},
        {"bfi.b32 %r4, %r1, %r2, %r3, 5;", 'r', bfi_32},
        {"bfi.b64 %rd4, %rd1, %rd2, 3, %r3;", 'q', bfi_64},
        {"bmsk.clamp.b32 %r4, %r1, %r2;", 'r', bmsk_clamp},
        {"bmsk.wrap.b32 %r4, %r1, %r2;", 'r', bmsk_wrap},
    };
    CHECK(rows);
}

static uint64_t byte_of(uint64_t a, uint64_t b, unsigned int pick)
{
    uint64_t byte = (pick & 4 ? b : a) >> (pick & 3) * 8 & 0xff;

    return pick & 8 ? (byte & 0x80 ? 0xff : 0) : byte;
}

static uint64_t permuted(uint64_t a, uint64_t b, unsigned int selector)
{
    uint64_t result = 0;

    for (unsigned int i = 0; i < 4; i++)
        result |= byte_of(a, b, selector >> 4 * i & 15) << 8 * i;
    return result;
}

EXPECT(prmt, permuted(a, b, (unsigned int)c))
EXPECT(prmt_f4e, permuted(a, b, 0x3210 + 0x1111 * (c & 3)))
static const uint16_t backward[] = {0x5670, 0x6701, 0x7012, 0x0123};
EXPECT(prmt_b4e, permuted(a, b, backward[c & 3]))
EXPECT(prmt_rc8, permuted(a, b, 0x1111 * (c & 3)))
EXPECT(prmt_rc16, permuted(a, b, c & 1 ? 0x3232 : 0x1010))

Test(ptx_integer, permutes_bytes)
{
    static const struct table_row rows[] = {
        {"prmt.b32 %r4, %r1, %r2, %r3;", 'r', prmt},
        {"prmt.b32.f4e %r4, %r1, %r2, %r3;", 'r', prmt_f4e},
        {"prmt.b32.b4e %r4, %r1, %r2, %r3;", 'r', prmt_b4e},
        {"prmt.b32.rc8 %r4, %r1, %r2, %r3;", 'r', prmt_rc8},
        {"prmt.b32.rc16 %r4, %r1, %r2, %r3;", 'r', prmt_rc16},
    };
    CHECK(rows);
}

/* Products of n parts of `bits_a` and `bits_b` bits, with the signs asked for. */
static int64_t part(uint64_t x, unsigned int i, unsigned int bits, bool is_signed)
{
    int64_t value = (int64_t)(x >> i * bits & ((1u << bits) - 1));

    return is_signed && value >> (bits - 1) ? value - (1 << bits) : value;
}

static uint64_t dot4(uint64_t a, uint64_t b, uint64_t c, bool a_signed, bool b_signed)
{
    int64_t sum = (int32_t)c;

    for (unsigned int i = 0; i < 4; i++)
        sum += part(a, i, 8, a_signed) * part(b, i, 8, b_signed);
    return (uint64_t)sum;
}

static uint64_t dot2(uint64_t a, uint64_t b, uint64_t c, unsigned int first, bool is_signed)
{
    int64_t sum = (int32_t)c;

    for (unsigned int i = 0; i < 2; i++)
        sum += part(a, i, 16, is_signed) * part(b, first + i, 8, is_signed);
    return (uint64_t)sum;
}

EXPECT(dp4a_ss, dot4(a, b, c, true, true))
EXPECT(dp4a_uu, dot4(a, b, c, false, false))
EXPECT(dp4a_su, dot4(a, b, c, true, false))
EXPECT(dp4a_us, dot4(a, b, c, false, true))
EXPECT(dp2a_lo, dot2(a, b, c, 0, true))
EXPECT(dp2a_hi, dot2(a, b, c, 2, false))

Test(ptx_integer, sums_products_of_parts)
{
    static const struct table_row rows[] = {
        {"dp4a.s32.s32 %r4, %r1, %r2, %r3;", 'r', dp4a_ss},
        {"dp4a.u32.u32 %r4, %r1, %r2, %r3;", 'r', dp4a_uu},
        {"dp4a.s32.u32 %r4, %r1, %r2, %r3;", 'r', dp4a_su},
        {"dp4a.u32.s32 %r4, %r1, %r2, %r3;", 'r', dp4a_us},
        {"dp2a.lo.s32.s32 %r4, %r1, %r2, %r3;", 'r', dp2a_lo},
        {"dp2a.hi.u32.u32 %r4, %r1, %r2, %r3;", 'r', dp2a_hi},
    };
    CHECK(rows);
}
