/* SPDX-License-Identifier: MIT */

/*
 * Logic, shifts and bit fields.
 *
 * Shifts by the width or more give 0, or the sign for an arithmetic shift to the right. Predicates
 * are masks of lanes, so logic on them is one operation for the whole warp.
 */

#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_opcode.h"

#define MAKE(n)                                                                                    \
    PTX_BINARY(run_and_u##n, uint##n##_t, uint##n##_t, uint##n##_t, x &y)                          \
    PTX_BINARY(run_or_u##n, uint##n##_t, uint##n##_t, uint##n##_t, x | y)                          \
    PTX_BINARY(run_xor_u##n, uint##n##_t, uint##n##_t, uint##n##_t, x ^ y)                         \
    PTX_UNARY(run_not_u##n, uint##n##_t, uint##n##_t, ~x)                                          \
    PTX_UNARY(run_cnot_u##n, uint##n##_t, uint##n##_t, x == 0)                                     \
    PTX_BINARY(run_shl_u##n, uint##n##_t, uint##n##_t, uint32_t,                                   \
               y < n ? (uint64_t)x << (y & (n - 1)) : 0)                                           \
    PTX_BINARY(run_shr_u##n, uint##n##_t, uint##n##_t, uint32_t, y < n ? x >> (y & (n - 1)) : 0)   \
    PTX_BINARY(run_shr_s##n, int##n##_t, int##n##_t, uint32_t, x >> (y < n ? y : n - 1))
MAKE(16)
MAKE(32)
MAKE(64)
#undef MAKE

static uint32_t reverse32(uint32_t x)
{
    x = (x >> 1 & 0x55555555) | (x & 0x55555555) << 1;
    x = (x >> 2 & 0x33333333) | (x & 0x33333333) << 2;
    x = (x >> 4 & 0x0f0f0f0f) | (x & 0x0f0f0f0f) << 4;
    return __builtin_bswap32(x);
}

static uint64_t reverse64(uint64_t x)
{
    return (uint64_t)reverse32((uint32_t)x) << 32 | reverse32((uint32_t)(x >> 32));
}

PTX_UNARY(run_popc_u32, uint32_t, uint32_t, __builtin_popcount(x))
PTX_UNARY(run_popc_u64, uint32_t, uint64_t, __builtin_popcountll(x))
PTX_UNARY(run_clz_u32, uint32_t, uint32_t, x ? __builtin_clz(x) : 32)
PTX_UNARY(run_clz_u64, uint32_t, uint64_t, x ? __builtin_clzll(x) : 64)
PTX_UNARY(run_brev_u32, uint32_t, uint32_t, reverse32(x))
PTX_UNARY(run_brev_u64, uint64_t, uint64_t, reverse64(x))

/* The highest bit that differs from the sign; all ones when there is none. */
static uint32_t highest(uint64_t x)
{
    return x ? 63 - (uint32_t)__builtin_clzll(x) : UINT32_MAX;
}

PTX_UNARY(run_bfind_u32, uint32_t, uint32_t, highest(x))
PTX_UNARY(run_bfind_u64, uint32_t, uint64_t, highest(x))
PTX_UNARY(run_bfind_s32, uint32_t, int32_t, highest((uint32_t)(x < 0 ? ~x : x)))
PTX_UNARY(run_bfind_s64, uint32_t, int64_t, highest((uint64_t)(x < 0 ? ~x : x)))
/* Counted from the top instead: by how much to shift the bit there. */
#define FROM_TOP(top, found) ((found) == UINT32_MAX ? UINT32_MAX : (top) - (found))
PTX_UNARY(run_bfind_shift_u32, uint32_t, uint32_t, FROM_TOP(31, highest(x)))
PTX_UNARY(run_bfind_shift_u64, uint32_t, uint64_t, FROM_TOP(63, highest(x)))
PTX_UNARY(run_bfind_shift_s32, uint32_t, int32_t, FROM_TOP(31, highest((uint32_t)(x < 0 ? ~x : x))))
PTX_UNARY(run_bfind_shift_s64, uint32_t, int64_t, FROM_TOP(63, highest((uint64_t)(x < 0 ? ~x : x))))

static uint64_t low_bits(uint32_t n)
{
    return n >= 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1;
}

/* `length` bits of x from `at`, where x has `width` bits; beyond these are zeros or the sign. */
static uint64_t extract(uint64_t x, uint32_t at, uint32_t length, uint32_t width, bool is_signed)
{
    uint64_t field;
    uint32_t sign_at;

    at &= 0xff;
    length &= 0xff;
    sign_at = at + length - 1 < width ? at + length - 1 : width - 1;
    field = (at < width ? x >> at : 0) & low_bits(length);
    if (!is_signed || !length || !(x >> sign_at & 1))
        return field;
    /* The sign fills from where the field, or the source, ends. */
    if (sign_at >= at)
        return field | ~low_bits(sign_at - at + 1);
    return UINT64_MAX;
}

PTX_TERNARY(run_bfe_u32, uint32_t, uint32_t, uint32_t, uint32_t, extract(x, y, z, 32, false))
PTX_TERNARY(run_bfe_u64, uint64_t, uint64_t, uint32_t, uint32_t, extract(x, y, z, 64, false))
PTX_TERNARY(run_bfe_s32, uint32_t, uint32_t, uint32_t, uint32_t, extract(x, y, z, 32, true))
PTX_TERNARY(run_bfe_s64, uint64_t, uint64_t, uint32_t, uint32_t, extract(x, y, z, 64, true))

/* x put into `length` bits of y from `at`. */
static uint64_t insert(uint64_t x, uint64_t y, uint32_t at, uint32_t length, uint32_t width)
{
    at &= 0xff;
    length &= 0xff;
    if (at >= width)
        return y;
    uint64_t field = low_bits(length) << at;
    return (y & ~field) | (x << at & field);
}

#define INSERT(name, type, width)                                                                  \
    RUN(name)                                                                                      \
    {                                                                                              \
        DST(type);                                                                                 \
        A(type);                                                                                   \
        B(type);                                                                                   \
        C(uint32_t);                                                                               \
        const uint32_t *e = ptx_slot(warp, insn->src[3]);                                          \
        EACH_LANE(d[lane] = (type)insert(a[lane], b[lane], c[lane], e[lane], width));              \
        return PTX_STEP_NEXT;                                                                      \
    }
INSERT(run_bfi_u32, uint32_t, 32)
INSERT(run_bfi_u64, uint64_t, 64)

/* Bits [x, x + y), in 32; wrapping or clamping at the width. */
static uint32_t bit_mask(uint32_t at, uint32_t length, bool wrap)
{
    if (wrap) {
        at &= 31;
        length &= 31;
    }
    return at < 32 ? (uint32_t)(low_bits(length) << at) : 0;
}

PTX_BINARY(run_bmsk_clamp, uint32_t, uint32_t, uint32_t, bit_mask(x, y, false))
PTX_BINARY(run_bmsk_wrap, uint32_t, uint32_t, uint32_t, bit_mask(x, y, true))

static uint64_t pair(uint32_t low, uint32_t high)
{
    return (uint64_t)high << 32 | low;
}

#define CLAMP32(z) ((z) < 32 ? (z) : 32)
PTX_TERNARY(run_shf_l_wrap, uint32_t, uint32_t, uint32_t, uint32_t, (pair(x, y) << (z & 31)) >> 32)
PTX_TERNARY(run_shf_r_wrap, uint32_t, uint32_t, uint32_t, uint32_t, pair(x, y) >> (z & 31))
PTX_TERNARY(run_shf_l_clamp, uint32_t, uint32_t, uint32_t, uint32_t,
            (pair(x, y) << CLAMP32(z)) >> 32)
PTX_TERNARY(run_shf_r_clamp, uint32_t, uint32_t, uint32_t, uint32_t, pair(x, y) >> CLAMP32(z))

/* Each nibble of z picks one of the 8 bytes of x and y, or, with its top bit, spreads its sign. */
static uint32_t permute(uint32_t x, uint32_t y, uint32_t z)
{
    uint64_t bytes = pair(x, y);
    uint32_t result = 0;

    for (unsigned int i = 0; i < 4; i++) {
        uint32_t pick = z >> 4 * i;
        uint32_t byte = bytes >> 8 * (pick & 7) & 0xff;
        if (pick & 8)
            byte = byte & 0x80 ? 0xff : 0;
        result |= byte << 8 * i;
    }
    return result;
}

PTX_TERNARY(run_prmt, uint32_t, uint32_t, uint32_t, uint32_t, permute(x, y, z))

/* The named modes are selectors that depend on the lowest two bits of z. */
static uint32_t permute_mode(unsigned int mode, uint32_t z)
{
    static const uint16_t selectors[6][4] = {
        {0x3210, 0x4321, 0x5432, 0x6543}, /* f4e */
        {0x5670, 0x6701, 0x7012, 0x0123}, /* b4e */
        {0x0000, 0x1111, 0x2222, 0x3333}, /* rc8 */
        {0x3210, 0x3211, 0x3222, 0x3333}, /* ecl */
        {0x0000, 0x1110, 0x2210, 0x3210}, /* ecr */
        {0x1010, 0x3232, 0x1010, 0x3232}, /* rc16 */
    };
    return selectors[mode][z & 3];
}

PTX_TERNARY(run_prmt_mode, uint32_t, uint32_t, uint32_t, uint32_t,
            permute(x, y, permute_mode(insn->op, z)))

/* insn->imm is the truth table: bit (x y z) is the result. */
static uint32_t logic3(uint32_t x, uint32_t y, uint32_t z, uint32_t table)
{
    uint32_t result = 0;

    for (unsigned int i = 0; i < 8; i++) {
        if (table >> i & 1)
            result |= (i & 4 ? x : ~x) & (i & 2 ? y : ~y) & (i & 1 ? z : ~z);
    }
    return result;
}

PTX_TERNARY(run_lop3, uint32_t, uint32_t, uint32_t, uint32_t, logic3(x, y, z, (uint32_t)insn->imm))

static int decode_lop3(struct ptx_builder *builder, const struct statement *statement,
                       struct ptx_insn *insn)
{
    if (statement->n_operands != 5 || statement->operands[4].kind != OPERAND_INTEGER)
        return lex_fail(&builder->lex, statement->line, "lop3 takes 4 operands and a truth table");
    insn->dst = ptx_dest(builder, &statement->operands[0], PTX_B32);
    for (unsigned int i = 0; i < 3; i++)
        insn->src[i] = ptx_source(builder, &statement->operands[i + 1], PTX_B32);
    insn->imm = (int64_t)statement->operands[4].bits;
    return builder->lex.failed ? -1 : 0;
}

#define PREDICATE(name, expression)                                                                \
    static enum ptx_step name(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)   \
    {                                                                                              \
        uint32_t x = ptx_predicate(warp, insn->src[0]);                                            \
        uint32_t y = ptx_predicate(warp, insn->src[1]);                                            \
        (void)y;                                                                                   \
        ptx_set_predicate(warp, insn->dst, expression, mask);                                      \
        return PTX_STEP_NEXT;                                                                      \
    }
PREDICATE(run_and_pred, x &y)
PREDICATE(run_or_pred, x | y)
PREDICATE(run_xor_pred, x ^ y)
PREDICATE(run_not_pred, ~x)

#define LOGIC(f)                                                                                   \
    PTX_RUNS([PTX_B16] = f##_u16, [PTX_B32] = f##_u32, [PTX_B64] = f##_u64, [PTX_PRED] = f##_pred)
#define SHIFT_RIGHT                                                                                \
    PTX_RUNS([PTX_B16] = run_shr_u16, [PTX_B32] = run_shr_u32, [PTX_B64] = run_shr_u64,            \
             [PTX_U16] = run_shr_u16, [PTX_U32] = run_shr_u32, [PTX_U64] = run_shr_u64,            \
             [PTX_S16] = run_shr_s16, [PTX_S32] = run_shr_s32, [PTX_S64] = run_shr_s64)
#define BITS32_64(f) PTX_RUNS([PTX_B32] = f##_u32, [PTX_B64] = f##_u64)
#define FIELD(f)                                                                                   \
    PTX_RUNS([PTX_U32] = f##_u32, [PTX_U64] = f##_u64, [PTX_S32] = f##_s32, [PTX_S64] = f##_s64)
#define B32(f) PTX_RUNS([PTX_B32] = f)

const struct ptx_opcode ptx_bits_opcodes[] = {
    {"and", .operands = "ttt", .runs = LOGIC(run_and)},
    {"or", .operands = "ttt", .runs = LOGIC(run_or)},
    {"xor", .operands = "ttt", .runs = LOGIC(run_xor)},
    {"not", .operands = "tt", .runs = LOGIC(run_not)},
    {"cnot", .operands = "tt", .runs = PTX_RUNS_BITS(run_cnot)},
    {"shl", .operands = "tt4", .runs = PTX_RUNS_BITS(run_shl)},
    {"shr", .operands = "tt4", .runs = SHIFT_RIGHT},
    {"popc", .operands = "4t", .runs = BITS32_64(run_popc)},
    {"clz", .operands = "4t", .runs = BITS32_64(run_clz)},
    {"brev", .operands = "tt", .runs = BITS32_64(run_brev)},
    {"bfind", .operands = "4t", .runs = FIELD(run_bfind)},
    {"bfind.shiftamt", .operands = "4t", .runs = FIELD(run_bfind_shift)},
    {"bfe", .operands = "tt44", .runs = FIELD(run_bfe)},
    {"bfi", .operands = "ttt44", .runs = BITS32_64(run_bfi)},
    {"bmsk.clamp", .operands = "ttt", .runs = B32(run_bmsk_clamp)},
    {"bmsk.wrap", .operands = "ttt", .runs = B32(run_bmsk_wrap)},
    {"shf.l.wrap", .operands = "tttt", .runs = B32(run_shf_l_wrap)},
    {"shf.r.wrap", .operands = "tttt", .runs = B32(run_shf_r_wrap)},
    {"shf.l.clamp", .operands = "tttt", .runs = B32(run_shf_l_clamp)},
    {"shf.r.clamp", .operands = "tttt", .runs = B32(run_shf_r_clamp)},
    {"prmt", .operands = "tttt", .runs = B32(run_prmt)},
    {"prmt.f4e", .operands = "tttt", .runs = B32(run_prmt_mode), .op = 0},
    {"prmt.b4e", .operands = "tttt", .runs = B32(run_prmt_mode), .op = 1},
    {"prmt.rc8", .operands = "tttt", .runs = B32(run_prmt_mode), .op = 2},
    {"prmt.ecl", .operands = "tttt", .runs = B32(run_prmt_mode), .op = 3},
    {"prmt.ecr", .operands = "tttt", .runs = B32(run_prmt_mode), .op = 4},
    {"prmt.rc16", .operands = "tttt", .runs = B32(run_prmt_mode), .op = 5},
    {"lop3", .decode = decode_lop3, .runs = B32(run_lop3)},
    {NULL},
};
