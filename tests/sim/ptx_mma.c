/* SPDX-License-Identifier: MIT */

/*
 * mma and wmma.mma: D = A * B + C, by a whole warp.
 *
 * The tiles (ptx_matrix.h) become three plain matrices, which are multiplied by loops that the
 * compiler can make vector code of. Products of small floats are exact in f32; they are added to C
 * in f32, along k. A device adds in an order of its own, so the last bits of a sum may differ.
 * Integers wrap, or stop at the limits of s32 after all is summed (.satfinite).
 */

#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_matrix.h"
#include "tests/sim/ptx_number.h"

enum { MULTIPLY, XOR_POPC, AND_POPC };

/* insn->imm. The elements of B are those of A, but for s8 with u8 and the like. */
union description {
    int64_t packed;
    struct {
        struct ptx_shape shape;
        uint8_t a, b, c, d;
    };
};

/* The largest matrices of any shape: b1 has the longest k. */
#define MOST_AB (16 * 256)
#define MOST_C  (16 * 16)
#define LONGEST (PTX_LANES * 32) /* elements of a tile */

static float e4m3_float(uint8_t bits)
{
    unsigned int exponent = bits >> 3 & 15;
    float fraction = (float)(bits & 7);
    float size = exponent ? ldexpf(8 + fraction, (int)exponent - 10) : fraction * 0x1p-9f;

    if ((bits & 0x7f) == 0x7f)
        return PTX_NAN32;
    return bits & 0x80 ? -size : size;
}

static float e5m2_float(uint8_t bits)
{
    return half_float((uint16_t)(bits << 8));
}

/* One register of all lanes, as the floats of a tile. */
static void tile_floats(enum ptx_element element, const void *tile, float *out)
{
    const uint8_t *bytes = tile;
    const uint16_t *halves = tile;
    const uint32_t *words = tile;

    switch (element) {
    case PTX_ELEMENT_F16:
        for (unsigned int i = 0; i < 2 * PTX_LANES; i++)
            out[i] = half_float(halves[i]);
        return;
    case PTX_ELEMENT_BF16:
        for (unsigned int i = 0; i < 2 * PTX_LANES; i++)
            out[i] = bfloat_float(halves[i]);
        return;
    case PTX_ELEMENT_E4M3:
    case PTX_ELEMENT_E5M2:
        for (unsigned int i = 0; i < 4 * PTX_LANES; i++)
            out[i] = element == PTX_ELEMENT_E4M3 ? e4m3_float(bytes[i]) : e5m2_float(bytes[i]);
        return;
    default: /* tf32: what its mantissa has no room for is not read */
        for (unsigned int i = 0; i < PTX_LANES; i++)
            out[i] = image_float(words[i] & 0xffffe000);
        return;
    }
}

static void tile_integers(enum ptx_element element, const void *tile, int32_t *out)
{
    const uint8_t *bytes = tile;
    unsigned int bits = ptx_element_bits(element);

    for (unsigned int i = 0; i < PTX_LANES * 32 / bits; i++) {
        unsigned int at = i * bits;
        unsigned int value = bytes[at / 8] >> at % 8 & ((1u << bits) - 1);
        bool negative =
            (element == PTX_ELEMENT_S8 || element == PTX_ELEMENT_S4) && value >> (bits - 1);
        out[i] = (int32_t)value - (negative ? 1 << bits : 0);
    }
}

/* Defines the reading of A into m x k and of B into k x n. */
#define GATHER(name, type, convert)                                                                \
    static void gather_a_##name(const struct ptx_warp *warp, const uint32_t *slots,                \
                                enum ptx_element element, struct ptx_shape shape, type *out)       \
    {                                                                                              \
        unsigned int columns = 4 * ptx_elements_per_register(element);                             \
        unsigned int down = shape.m / 8u;                                                          \
        type tile[LONGEST];                                                                        \
        for (unsigned int i = 0; i < down * (shape.k / columns); i++) {                            \
            type *to = out + i % down * 8 * shape.k + i / down * columns;                          \
            convert(element, ptx_slot(warp, slots[i]), tile);                                      \
            for (unsigned int row = 0; row < 8; row++)                                             \
                memcpy(to + row * shape.k, tile + row * columns, columns * sizeof(type));          \
        }                                                                                          \
    }                                                                                              \
    static void gather_b_##name(const struct ptx_warp *warp, const uint32_t *slots,                \
                                enum ptx_element element, struct ptx_shape shape, type *out)       \
    {                                                                                              \
        unsigned int columns = 4 * ptx_elements_per_register(element);                             \
        unsigned int along = shape.k / columns;                                                    \
        type tile[LONGEST];                                                                        \
        for (unsigned int i = 0; i < along * (shape.n / 8u); i++) {                                \
            type *to = out + i % along * columns * shape.n + i / along * 8;                        \
            convert(element, ptx_slot(warp, slots[i]), tile);                                      \
            for (unsigned int k = 0; k < columns; k++) {                                           \
                for (unsigned int n = 0; n < 8; n++)                                               \
                    to[k * shape.n + n] = tile[n * columns + k];                                   \
            }                                                                                      \
        }                                                                                          \
    }

static void tile_doubles(enum ptx_element element, const void *tile, double *out)
{
    (void)element;
    memcpy(out, tile, PTX_LANES * sizeof(*out));
}

GATHER(f32, float, tile_floats)
GATHER(s32, int32_t, tile_integers)
GATHER(f64, double, tile_doubles)

/* C and D: either one register for a tile, or two, for its even and its odd columns. */
static void gather_c_f32(const struct ptx_warp *warp, const uint32_t *slots,
                         enum ptx_element element, struct ptx_shape shape, float *out)
{
    unsigned int down = shape.m / 8u;

    for (unsigned int i = 0; i < down * (shape.n / 8u); i++) {
        float *to = out + i % down * 8 * shape.n + i / down * 8;
        for (unsigned int lane = 0; lane < PTX_LANES; lane++) {
            float *pair = to + lane / 4 * shape.n + lane % 4 * 2;
            if (element == PTX_ELEMENT_F16) {
                const uint16_t *halves = ptx_slot(warp, slots[i]);
                pair[0] = half_float(halves[2 * lane]);
                pair[1] = half_float(halves[2 * lane + 1]);
            } else {
                pair[0] = ((const float *)ptx_slot(warp, slots[2 * i]))[lane];
                pair[1] = ((const float *)ptx_slot(warp, slots[2 * i + 1]))[lane];
            }
        }
    }
}

static void scatter_d_f32(const struct ptx_warp *warp, const uint32_t *slots,
                          enum ptx_element element, struct ptx_shape shape, const float *in,
                          uint32_t mask)
{
    unsigned int down = shape.m / 8u;

    for (unsigned int i = 0; i < down * (shape.n / 8u); i++) {
        const float *from = in + i % down * 8 * shape.n + i / down * 8;
        EACH_ACTIVE_LANE(lane, mask)
        {
            const float *pair = from + lane / 4 * shape.n + lane % 4 * 2;
            if (element == PTX_ELEMENT_F16) {
                uint16_t *halves = ptx_slot(warp, slots[i]);
                halves[2 * lane] = float_half(pair[0]);
                halves[2 * lane + 1] = float_half(pair[1]);
            } else {
                ((float *)ptx_slot(warp, slots[2 * i]))[lane] = one_nan(pair[0]);
                ((float *)ptx_slot(warp, slots[2 * i + 1]))[lane] = one_nan(pair[1]);
            }
        }
    }
}

#define WHOLE_REGISTERS(name, type)                                                                \
    static void gather_c_##name(const struct ptx_warp *warp, const uint32_t *slots,                \
                                struct ptx_shape shape, type *out)                                 \
    {                                                                                              \
        unsigned int down = shape.m / 8u;                                                          \
        for (unsigned int i = 0; i < 2 * down * (shape.n / 8u); i++) {                             \
            const type *from = ptx_slot(warp, slots[i]);                                           \
            type *to = out + i / 2 % down * 8 * shape.n + i / 2 / down * 8 + i % 2;                \
            for (unsigned int lane = 0; lane < PTX_LANES; lane++)                                  \
                to[lane / 4 * shape.n + lane % 4 * 2] = from[lane];                                \
        }                                                                                          \
    }                                                                                              \
    static void scatter_d_##name(const struct ptx_warp *warp, const uint32_t *slots,               \
                                 struct ptx_shape shape, const type *in, uint32_t mask)            \
    {                                                                                              \
        unsigned int down = shape.m / 8u;                                                          \
        for (unsigned int i = 0; i < 2 * down * (shape.n / 8u); i++) {                             \
            const type *from = in + i / 2 % down * 8 * shape.n + i / 2 / down * 8 + i % 2;         \
            type *to = ptx_slot(warp, slots[i]);                                                   \
            EACH_ACTIVE_LANE(lane, mask)                                                           \
            {                                                                                      \
                to[lane] = from[lane / 4 * shape.n + lane % 4 * 2];                                \
            }                                                                                      \
        }                                                                                          \
    }
WHOLE_REGISTERS(s32, int32_t)
WHOLE_REGISTERS(f64, double)

/* c += a * b; n is a multiple of 8, of which sums fit a vector register. */
#define MULTIPLY_BY(name, type, combine)                                                           \
    PTX_CLONES static void name(const type *a, const type *b, type *c, struct ptx_shape shape)     \
    {                                                                                              \
        for (unsigned int m = 0; m < shape.m; m++) {                                               \
            for (unsigned int n = 0; n < shape.n; n += 8) {                                        \
                type sums[8];                                                                      \
                memcpy(sums, c + m * shape.n + n, sizeof(sums));                                   \
                for (unsigned int k = 0; k < shape.k; k++) {                                       \
                    const type x = a[m * shape.k + k];                                             \
                    const type *ys = b + k * shape.n + n;                                          \
                    for (unsigned int i = 0; i < 8; i++)                                           \
                        sums[i] = combine(x, ys[i], sums[i]);                                      \
                }                                                                                  \
                memcpy(c + m * shape.n + n, sums, sizeof(sums));                                   \
            }                                                                                      \
        }                                                                                          \
    }
#define PRODUCT(x, y, sum) ((sum) + (x) * (y))
#define FUSED(x, y, sum)   fma(x, y, sum)
#define EITHER(x, y, sum)  ((sum) + ((x) ^ (y)))
#define BOTH(x, y, sum)    ((sum) + ((x) & (y)))
MULTIPLY_BY(multiply_f32, float, PRODUCT)
MULTIPLY_BY(multiply_f64, double, FUSED)
MULTIPLY_BY(multiply_s32, int32_t, PRODUCT)
MULTIPLY_BY(multiply_xor, int32_t, EITHER)
MULTIPLY_BY(multiply_and, int32_t, BOTH)

static int32_t finish_sum(int32_t sum, int32_t c, bool saturate)
{
    int64_t whole = (int64_t)sum + c;

    if (!saturate)
        return (int32_t)(uint32_t)whole;
    return whole > INT32_MAX ? INT32_MAX : whole < INT32_MIN ? INT32_MIN : (int32_t)whole;
}

#define LISTS(d, a, b, c)                                                                          \
    const uint32_t *lists = warp->launch->kernel->lists;                                           \
    const uint32_t *d = lists + insn->dst;                                                         \
    const uint32_t *a = lists + insn->src[0];                                                      \
    const uint32_t *b = lists + insn->src[1];                                                      \
    const uint32_t *c = lists + insn->src[2];                                                      \
    union description is = {.packed = insn->imm};                                                  \
    if (ptx_warp_stall(warp, insn, PTX_ALL_LANES))                                                 \
    return PTX_STEP_SELECT

static enum ptx_step run_mma_f32(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    float fa[32 * 16];
    float fb[32 * 16];
    float fc[MOST_C];
    LISTS(d, a, b, c);

    gather_a_f32(warp, a, is.a, is.shape, fa);
    gather_b_f32(warp, b, is.b, is.shape, fb);
    gather_c_f32(warp, c, is.c, is.shape, fc);
    multiply_f32(fa, fb, fc, is.shape);
    scatter_d_f32(warp, d, is.d, is.shape, fc, mask);
    return PTX_STEP_NEXT;
}

static enum ptx_step run_mma_f64(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    double fa[16 * 16];
    double fb[16 * 8];
    double fc[MOST_C];
    LISTS(d, a, b, c);

    gather_a_f64(warp, a, is.a, is.shape, fa);
    gather_b_f64(warp, b, is.b, is.shape, fb);
    gather_c_f64(warp, c, is.shape, fc);
    multiply_f64(fa, fb, fc, is.shape);
    scatter_d_f64(warp, d, is.shape, fc, mask);
    return PTX_STEP_NEXT;
}

static enum ptx_step run_mma_s32(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    static void (*const multiply[])(const int32_t *a, const int32_t *b, int32_t *c,
                                    struct ptx_shape shape) = {
        [MULTIPLY] = multiply_s32, [XOR_POPC] = multiply_xor, [AND_POPC] = multiply_and};
    int32_t ia[MOST_AB];
    int32_t ib[MOST_AB];
    int32_t ic[MOST_C];
    int32_t sums[MOST_C] = {0};
    LISTS(d, a, b, c);

    gather_a_s32(warp, a, is.a, is.shape, ia);
    gather_b_s32(warp, b, is.b, is.shape, ib);
    gather_c_s32(warp, c, is.shape, ic);
    multiply[insn->op](ia, ib, sums, is.shape);
    for (unsigned int i = 0; i < (unsigned int)is.shape.m * is.shape.n; i++)
        ic[i] = finish_sum(sums[i], ic[i], insn->mode & PTX_MODE_SAT);
    scatter_d_s32(warp, d, is.shape, ic, mask);
    return PTX_STEP_NEXT;
}

static bool is_integer(enum ptx_element element)
{
    return element >= PTX_ELEMENT_S8;
}

/* Elements may differ only in their sign, or in which fp8 they are. */
static bool goes_with(enum ptx_element a, enum ptx_element b)
{
    return a == b || (ptx_element_bits(a) == ptx_element_bits(b) && ptx_element_bits(a) < 16 &&
                      is_integer(a) == is_integer(b));
}

static bool sums_fit(const union description *is, bool wmma)
{
    bool halves =
        is->a == PTX_ELEMENT_F16 || is->a == PTX_ELEMENT_E4M3 || is->a == PTX_ELEMENT_E5M2;

    if (is_integer(is->a))
        return is->c == PTX_ELEMENT_S32 && is->d == PTX_ELEMENT_S32;
    if (is->a == PTX_ELEMENT_F64)
        return is->c == PTX_ELEMENT_F64 && is->d == PTX_ELEMENT_F64;
    if (!wmma && is->c != is->d)
        return false;
    return (is->c == PTX_ELEMENT_F32 || (halves && is->c == PTX_ELEMENT_F16)) &&
           (is->d == PTX_ELEMENT_F32 || (halves && is->d == PTX_ELEMENT_F16));
}

/* .dtype.atype.btype.ctype; of wmma on f16 only .dtype.ctype. */
static bool find_elements(const struct spelling *spelling, bool wmma, union description *is)
{
    enum ptx_element found[4];
    unsigned int n = ptx_elements_find(spelling, found);

    is->packed = 0;
    if (n == 4) {
        is->d = (uint8_t)found[0];
        is->a = (uint8_t)found[1];
        is->b = (uint8_t)found[2];
        is->c = (uint8_t)found[3];
    } else if (n == 2 && wmma) {
        is->d = (uint8_t)found[0];
        is->a = PTX_ELEMENT_F16;
        is->b = PTX_ELEMENT_F16;
        is->c = (uint8_t)found[1];
    } else {
        return false;
    }
    return goes_with(is->a, is->b) && sums_fit(is, wmma) && ptx_shape_find(spelling, &is->shape) &&
           ptx_matrix_exists(wmma, is->shape, is->a);
}

static int decode_mma(struct ptx_builder *builder, const struct statement *statement,
                      struct ptx_insn *insn)
{
    const struct spelling *spelling = statement->spelling;
    const struct operand *operands = statement->operands;
    bool wmma = spelling_has(spelling, "wmma");
    unsigned int (*count)(struct ptx_shape, enum ptx_matrix, enum ptx_element) =
        wmma ? ptx_wmma_registers : ptx_matrix_registers;
    union description is;

    if (!find_elements(spelling, wmma, &is) || statement->n_operands != 4 ||
        (is.a == PTX_ELEMENT_B1) != spelling_has(spelling, "popc") ||
        (spelling_has(spelling, "satfinite") && !is_integer(is.a)))
        return lex_fail(&builder->lex, statement->line, "opcode '%.*s' is not understood",
                        (int)spelling->text.length, spelling->text.text);
    insn->run = is_integer(is.a)          ? run_mma_s32
                : is.a == PTX_ELEMENT_F64 ? run_mma_f64
                                          : run_mma_f32;
    insn->op = spelling_has(spelling, "xor")   ? XOR_POPC
               : spelling_has(spelling, "and") ? AND_POPC
                                               : MULTIPLY;
    insn->mode = spelling_has(spelling, "satfinite") ? PTX_MODE_SAT : 0;
    insn->imm = is.packed;
    insn->dst = ptx_matrix_list(builder, statement, &operands[0], is.d,
                                count(is.shape, PTX_MATRIX_C, is.d), true);
    insn->src[0] = ptx_matrix_list(builder, statement, &operands[1], is.a,
                                   count(is.shape, PTX_MATRIX_A, is.a), false);
    insn->src[1] = ptx_matrix_list(builder, statement, &operands[2], is.b,
                                   count(is.shape, PTX_MATRIX_B, is.b), false);
    insn->src[2] = ptx_matrix_list(builder, statement, &operands[3], is.c,
                                   count(is.shape, PTX_MATRIX_C, is.c), false);
    return builder->lex.failed ? -1 : 0;
}

#define SHAPES                                                                                     \
    "m8n8k4 m8n8k16 m8n8k32 m8n8k128 m16n8k4 m16n8k8 m16n8k16 m16n8k32 m16n8k64 m16n8k128 "        \
    "m16n8k256"
#define WMMA_SHAPES "m16n16k16 m32n8k16 m8n32k16 m16n16k8 m8n8k4 m8n8k32 m8n8k128"
#define SMALL       " tf32 e4m3 e5m2 s4 u4 b1 satfinite xor and popc"

/* m8n8k4 of f16 belongs to an older generation, whose layout is another. */
const struct ptx_opcode ptx_mma_opcodes[] = {
    {"mma.sync.aligned.row.col", "rn " SHAPES SMALL, .decode = decode_mma, .run = run_mma_f32},
    {"wmma.mma.sync.aligned", "row col rn " WMMA_SHAPES SMALL, .decode = decode_mma,
     .run = run_mma_f32},
    {NULL},
};
