/* SPDX-License-Identifier: MIT */

/*
 * Comparisons, and what chooses by them.
 *
 * A comparison computes all 32 lanes and gives a mask of lanes, whatever is active; only what the
 * mask is stored to depends on the active lanes.
 */

#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_number.h"
#include "tests/sim/ptx_opcode.h"

/* The ordered ones first; LTU and the like are also true when either is NaN. */
enum comparison { EQ, NE, LT, LE, GT, GE, EQU, NEU, LTU, LEU, GTU, GEU, NUM, NAN_ };

static const struct {
    const char *name;
    uint8_t comparison;
} comparisons[] = {
    {"eq", EQ},   {"ne", NE},    {"lt", LT},   {"le", LE},   {"gt", GT},   {"ge", GE},
    {"equ", EQU}, {"neu", NEU},  {"ltu", LTU}, {"leu", LEU}, {"gtu", GTU}, {"geu", GEU},
    {"num", NUM}, {"nan", NAN_}, {"lo", LT},   {"ls", LE},   {"hi", GT},   {"hs", GE},
};

typedef uint32_t compare_fn(const struct ptx_warp *warp, const struct ptx_insn *insn);

#define TEST(expression)                                                                           \
    do {                                                                                           \
        uint32_t result = 0;                                                                       \
        for (unsigned int lane = 0; lane < PTX_LANES; lane++)                                      \
            result |= (uint32_t)(expression) << lane;                                              \
        return result;                                                                             \
    } while (0)

#define COMPARE_INT(name, type)                                                                    \
    PTX_CLONES static uint32_t compare_##name(const struct ptx_warp *warp,                         \
                                              const struct ptx_insn *insn)                         \
    {                                                                                              \
        A(type);                                                                                   \
        B(type);                                                                                   \
        switch (insn->op) {                                                                        \
        case EQ:                                                                                   \
            TEST(a[lane] == b[lane]);                                                              \
        case NE:                                                                                   \
            TEST(a[lane] != b[lane]);                                                              \
        case LT:                                                                                   \
            TEST(a[lane] < b[lane]);                                                               \
        case LE:                                                                                   \
            TEST(a[lane] <= b[lane]);                                                              \
        case GT:                                                                                   \
            TEST(a[lane] > b[lane]);                                                               \
        default:                                                                                   \
            TEST(a[lane] >= b[lane]);                                                              \
        }                                                                                          \
    }
COMPARE_INT(u16, uint16_t)
COMPARE_INT(s16, int16_t)
COMPARE_INT(u32, uint32_t)
COMPARE_INT(s32, int32_t)
COMPARE_INT(u64, uint64_t)
COMPARE_INT(s64, int64_t)

#define COMPARE_FLOAT(name, type, value)                                                           \
    PTX_CLONES static uint32_t compare_##name(const struct ptx_warp *warp,                         \
                                              const struct ptx_insn *insn)                         \
    {                                                                                              \
        A(type);                                                                                   \
        B(type);                                                                                   \
        switch (insn->op) {                                                                        \
        case EQ:                                                                                   \
            TEST(value(a[lane]) == value(b[lane]));                                                \
        case NE:                                                                                   \
            TEST(value(a[lane]) < value(b[lane]) || value(a[lane]) > value(b[lane]));              \
        case LT:                                                                                   \
            TEST(value(a[lane]) < value(b[lane]));                                                 \
        case LE:                                                                                   \
            TEST(value(a[lane]) <= value(b[lane]));                                                \
        case GT:                                                                                   \
            TEST(value(a[lane]) > value(b[lane]));                                                 \
        case GE:                                                                                   \
            TEST(value(a[lane]) >= value(b[lane]));                                                \
        case EQU:                                                                                  \
            TEST(!(value(a[lane]) < value(b[lane]) || value(a[lane]) > value(b[lane])));           \
        case NEU:                                                                                  \
            TEST(value(a[lane]) != value(b[lane]));                                                \
        case LTU:                                                                                  \
            TEST(!(value(a[lane]) >= value(b[lane])));                                             \
        case LEU:                                                                                  \
            TEST(!(value(a[lane]) > value(b[lane])));                                              \
        case GTU:                                                                                  \
            TEST(!(value(a[lane]) <= value(b[lane])));                                             \
        case GEU:                                                                                  \
            TEST(!(value(a[lane]) < value(b[lane])));                                              \
        case NUM:                                                                                  \
            TEST(value(a[lane]) == value(a[lane]) && value(b[lane]) == value(b[lane]));            \
        default:                                                                                   \
            TEST(value(a[lane]) != value(a[lane]) || value(b[lane]) != value(b[lane]));            \
        }                                                                                          \
    }
#define ITSELF(x) (x)
COMPARE_FLOAT(f32, float, ITSELF)
COMPARE_FLOAT(f32_ftz, float, flush_f32)
COMPARE_FLOAT(f64, double, ITSELF)
COMPARE_FLOAT(f16, uint16_t, half_float)
COMPARE_FLOAT(bf16, uint16_t, bfloat_float)

static compare_fn *const compare[PTX_TYPE_COUNT] = {
    [PTX_B16] = compare_u16, [PTX_B32] = compare_u32,   [PTX_B64] = compare_u64,
    [PTX_U16] = compare_u16, [PTX_U32] = compare_u32,   [PTX_U64] = compare_u64,
    [PTX_S16] = compare_s16, [PTX_S32] = compare_s32,   [PTX_S64] = compare_s64,
    [PTX_F16] = compare_f16, [PTX_BF16] = compare_bf16, [PTX_F32] = compare_f32,
    [PTX_F64] = compare_f64,
};

/* insn->space: how the result is combined with a predicate; insn->imm flips that. */
enum { COMBINE_NOT, COMBINE_AND, COMBINE_OR, COMBINE_XOR };

static uint32_t combine(const struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t result)
{
    uint32_t other;

    if (insn->space == COMBINE_NOT)
        return result;
    other = ptx_predicate(warp, insn->src[2]) ^ (uint32_t)insn->imm;
    if (insn->space == COMBINE_AND)
        return result & other;
    return insn->space == COMBINE_OR ? result | other : result ^ other;
}

static uint32_t compare_lanes(const struct ptx_warp *warp, const struct ptx_insn *insn)
{
    if (insn->mode & PTX_MODE_FTZ && insn->type2 == PTX_F32)
        return compare_f32_ftz(warp, insn);
    return compare[insn->type2](warp, insn);
}

static enum ptx_step run_setp(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    uint32_t result = compare_lanes(warp, insn);
    uint32_t opposite = combine(warp, insn, ~result);

    ptx_set_predicate(warp, insn->dst, combine(warp, insn, result), mask);
    if (insn->dst2 != PTX_NO_SLOT)
        ptx_set_predicate(warp, insn->dst2, opposite, mask);
    return PTX_STEP_NEXT;
}

/* All ones or 1.0 where true. */
static enum ptx_step run_set(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    uint32_t result = combine(warp, insn, compare_lanes(warp, insn));
    uint32_t yes = insn->type == PTX_F32 ? float_image(1.0f) : UINT32_MAX;
    DST(uint32_t);

    EACH_LANE(d[lane] = result >> lane & 1 ? yes : 0);
    return PTX_STEP_NEXT;
}

static int decode_comparison(struct ptx_builder *builder, const struct statement *statement,
                             struct ptx_insn *insn)
{
    const struct spelling *spelling = statement->spelling;
    bool found = false;

    for (size_t i = 0; i < sizeof(comparisons) / sizeof(comparisons[0]); i++) {
        if (spelling_has(spelling, comparisons[i].name)) {
            insn->op = comparisons[i].comparison;
            found = true;
        }
    }
    insn->space = spelling_has(spelling, "and")   ? COMBINE_AND
                  : spelling_has(spelling, "or")  ? COMBINE_OR
                  : spelling_has(spelling, "xor") ? COMBINE_XOR
                                                  : COMBINE_NOT;
    if (!found || !compare[insn->type2] || (!ptx_type_is_float(insn->type2) && insn->op > GE) ||
        statement->n_operands != (insn->space == COMBINE_NOT ? 3 : 4))
        return lex_fail(&builder->lex, statement->line, "'%.*s' is no comparison",
                        (int)spelling->text.length, spelling->text.text);
    insn->src[0] = ptx_source(builder, &statement->operands[1], insn->type2);
    insn->src[1] = ptx_source(builder, &statement->operands[2], insn->type2);
    if (insn->space != COMBINE_NOT) {
        insn->src[2] = ptx_source(builder, &statement->operands[3], PTX_PRED);
        insn->imm = statement->operands[3].flip ? -1 : 0;
    }
    return builder->lex.failed ? -1 : 0;
}

static int decode_setp(struct ptx_builder *builder, const struct statement *statement,
                       struct ptx_insn *insn)
{
    if (insn->type == PTX_F16X2 || insn->type == PTX_BF16X2)
        return ptx_decode_setp_half(builder, statement, insn);
    insn->type2 = insn->type;
    if (decode_comparison(builder, statement, insn))
        return -1;
    insn->dst = ptx_dest(builder, &statement->operands[0], PTX_PRED);
    insn->dst2 = PTX_NO_SLOT;
    if (statement->has_pipe)
        insn->dst2 = ptx_dest(builder, &statement->pipe, PTX_PRED);
    return builder->lex.failed ? -1 : 0;
}

static int decode_set(struct ptx_builder *builder, const struct statement *statement,
                      struct ptx_insn *insn)
{
    if (insn->type2 == PTX_F16X2 || insn->type2 == PTX_BF16X2)
        return ptx_decode_set_half(builder, statement, insn);
    if (decode_comparison(builder, statement, insn))
        return -1;
    insn->dst = ptx_dest(builder, &statement->operands[0], PTX_B32);
    return builder->lex.failed ? -1 : 0;
}

#define SELECT(n)                                                                                  \
    RUN(run_selp_u##n)                                                                             \
    {                                                                                              \
        DST(uint##n##_t);                                                                          \
        A(uint##n##_t);                                                                            \
        B(uint##n##_t);                                                                            \
        uint32_t choice = ptx_predicate(warp, insn->src[2]) ^ (uint32_t)insn->imm;                 \
        EACH_LANE(d[lane] = choice >> lane & 1 ? a[lane] : b[lane]);                               \
        return PTX_STEP_NEXT;                                                                      \
    }                                                                                              \
    PTX_TERNARY(run_slct_s32_u##n, uint##n##_t, uint##n##_t, uint##n##_t, int32_t, z >= 0 ? x : y) \
    PTX_TERNARY(run_slct_f32_u##n, uint##n##_t, uint##n##_t, uint##n##_t, float, z >= 0 ? x : y)
SELECT(16)
SELECT(32)
SELECT(64)

static int decode_selp(struct ptx_builder *builder, const struct statement *statement,
                       struct ptx_insn *insn)
{
    if (statement->n_operands != 4)
        return lex_fail(&builder->lex, statement->line, "selp takes 4 operands");
    insn->dst = ptx_dest(builder, &statement->operands[0], insn->type);
    insn->src[0] = ptx_source(builder, &statement->operands[1], insn->type);
    insn->src[1] = ptx_source(builder, &statement->operands[2], insn->type);
    insn->src[2] = ptx_source(builder, &statement->operands[3], PTX_PRED);
    insn->imm = statement->operands[3].flip ? -1 : 0;
    return builder->lex.failed ? -1 : 0;
}

static int decode_slct(struct ptx_builder *builder, const struct statement *statement,
                       struct ptx_insn *insn)
{
    static ptx_run *const by_float[] = {
        [2] = run_slct_f32_u16, [4] = run_slct_f32_u32, [8] = run_slct_f32_u64};

    if (statement->n_operands != 4 || (insn->type2 != PTX_S32 && insn->type2 != PTX_F32))
        return lex_fail(&builder->lex, statement->line, "slct takes 4 operands, the last a number");
    if (insn->type2 == PTX_F32)
        insn->run = by_float[ptx_type_bytes(insn->type)];
    insn->dst = ptx_dest(builder, &statement->operands[0], insn->type);
    insn->src[0] = ptx_source(builder, &statement->operands[1], insn->type);
    insn->src[1] = ptx_source(builder, &statement->operands[2], insn->type);
    insn->src[2] = ptx_source(builder, &statement->operands[3], insn->type2);
    return builder->lex.failed ? -1 : 0;
}

/* testp: one property of a number. */
enum { TEST_FINITE, TEST_INFINITE, TEST_NUMBER, TEST_NAN, TEST_NORMAL, TEST_SUBNORMAL };

static bool has_property(int kind, unsigned int property)
{
    switch (property) {
    case TEST_FINITE:
        return kind != FP_INFINITE && kind != FP_NAN;
    case TEST_INFINITE:
        return kind == FP_INFINITE;
    case TEST_NUMBER:
        return kind != FP_NAN;
    case TEST_NAN:
        return kind == FP_NAN;
    case TEST_NORMAL:
        return kind == FP_NORMAL;
    default:
        return kind == FP_SUBNORMAL;
    }
}

static enum ptx_step run_testp(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    uint32_t result = 0;

    EACH_ACTIVE_LANE(lane, mask)
    {
        int kind = insn->type == PTX_F32
                       ? fpclassify(((const float *)ptx_slot(warp, insn->src[0]))[lane])
                       : fpclassify(((const double *)ptx_slot(warp, insn->src[0]))[lane]);
        result |= (uint32_t)has_property(kind, insn->op) << lane;
    }
    ptx_set_predicate(warp, insn->dst, result, mask);
    return PTX_STEP_NEXT;
}

#define CHOICE(f)                                                                                  \
    PTX_RUNS([PTX_B16] = f##_u16, [PTX_B32] = f##_u32, [PTX_B64] = f##_u64, [PTX_U16] = f##_u16,   \
             [PTX_U32] = f##_u32, [PTX_U64] = f##_u64, [PTX_S16] = f##_u16, [PTX_S32] = f##_u32,   \
             [PTX_S64] = f##_u64, [PTX_F32] = f##_u32, [PTX_F64] = f##_u64, [PTX_F16] = f##_u16)
#define COMPARISONS   "eq ne lt le gt ge lo ls hi hs equ neu ltu leu gtu geu num nan and or xor ftz"
#define TESTP         PTX_RUNS_FLOAT(run_testp)
#define run_testp_f32 run_testp
#define run_testp_f64 run_testp

const struct ptx_opcode ptx_compare_opcodes[] = {
    {"setp", COMPARISONS, .decode = decode_setp, .run = run_setp},
    {"set", COMPARISONS, .decode = decode_set,
     .runs = PTX_RUNS([PTX_U32] = run_set, [PTX_S32] = run_set, [PTX_F32] = run_set)},
    {"selp", .decode = decode_selp, .runs = CHOICE(run_selp)},
    {"slct", "ftz", .decode = decode_slct, .runs = CHOICE(run_slct_s32)},
    {"testp.finite", "", "pt", .runs = TESTP, .op = TEST_FINITE},
    {"testp.infinite", "", "pt", .runs = TESTP, .op = TEST_INFINITE},
    {"testp.number", "", "pt", .runs = TESTP, .op = TEST_NUMBER},
    {"testp.notanumber", "", "pt", .runs = TESTP, .op = TEST_NAN},
    {"testp.normal", "", "pt", .runs = TESTP, .op = TEST_NORMAL},
    {"testp.subnormal", "", "pt", .runs = TESTP, .op = TEST_SUBNORMAL},
    {NULL},
};
