/* SPDX-License-Identifier: MIT */

/*
 * Matrix instructions against plain C.
 *
 * Where an element lies in the registers of a warp is written here once more, element by element as
 * the PTX manual tells it. Values have so few bits that every sum is exact, whatever its order.
 */

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/test_ptx_support.h"
#include "tests/test_ptx_table.h"

#define COUNT(array) (sizeof(array) / sizeof(array[0]))

enum kind { F16, BF16, TF32, F32, F64, E4M3, E5M2, S8, U8, S4, U4, B1, S32 };

static const struct {
    const char *name;
    unsigned int bits;
    bool whole;
} kinds[] = {
    [F16] = {"f16", 16, false},  [BF16] = {"bf16", 16, false}, [TF32] = {"tf32", 32, false},
    [F32] = {"f32", 32, false},  [F64] = {"f64", 64, false},   [E4M3] = {"e4m3", 8, false},
    [E5M2] = {"e5m2", 8, false}, [S8] = {"s8", 8, true},       [U8] = {"u8", 8, true},
    [S4] = {"s4", 4, true},      [U4] = {"u4", 4, true},       [B1] = {"b1", 1, true},
    [S32] = {"s32", 32, true},
};

static uint32_t noise(void)
{
    static uint32_t state = 2463534242;

    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

/* The number that these bits are. */
static double value_of(enum kind kind, uint64_t bits)
{
    float single;
    double wide;
    int exponent = (int)(bits >> 3 & 15);

    switch (kind) {
    case F16:
        return small_value(bits, 10);
    case BF16:
        return small_value(bits, 7);
    case E5M2:
        return small_value(bits << 8, 10);
    case E4M3:
        if ((bits & 127) == 127)
            return NAN;
        wide =
            exponent ? ldexp(1 + (double)(bits & 7) / 8, exponent - 7) : (double)(bits & 7) / 512;
        return bits & 128 ? -wide : wide;
    case TF32:
        bits &= ~(uint64_t)0x1fff;
        /* fallthrough */
    case F32:
        memcpy(&single, &bits, sizeof(single));
        return (double)single;
    case F64:
        memcpy(&wide, &bits, sizeof(wide));
        return wide;
    case S8:
        return (int8_t)bits;
    case S4:
        return (double)(bits & 7) - (double)(bits & 8);
    case S32:
        return (int32_t)bits;
    default:
        return (double)bits;
    }
}

/* Bits that a result of this kind has for this number. */
static uint64_t bits_of(enum kind kind, double value)
{
    float single = (float)value;
    uint64_t bits = 0;

    switch (kind) {
    case F16:
        return small_nearest(value, 10);
    case BF16:
        return small_nearest(value, 7);
    case F32:
        memcpy(&bits, &single, sizeof(single));
        return isnan(single) ? 0x7fffffff : bits;
    case F64:
        memcpy(&bits, &value, sizeof(value));
        return isnan(value) ? UINT64_MAX : bits;
    default:
        return (uint64_t)(int64_t)value & 0xffffffff;
    }
}

/* Any element of few enough bits. */
static uint64_t some_bits(enum kind kind)
{
    double eighths = (double)(int)(noise() % 65 - 32) / 8;

    switch (kind) {
    case F16:
    case BF16:
    case F64:
    case F32:
        return bits_of(kind, eighths);
    case TF32: /* the last 13 bits are noise that must not count */
        return bits_of(F32, eighths) | (noise() & 0x1fff);
    case E4M3:
        return (0x28 + noise() % 0x20) | (noise() & 0x80);
    case E5M2:
        return (0x38 + noise() % 0x10) | (noise() & 0x80);
    case S32:
        return noise() >> 12;
    default:
        return noise() & ((1u << kinds[kind].bits) - 1);
    }
}

#define MOST 4096
struct problem {
    unsigned int m, n, k;
    enum kind a, b, c, d;
    uint64_t as[MOST], bs[MOST], cs[MOST]; /* row after row */
};

static void fill(struct problem *p)
{
    for (unsigned int i = 0; i < p->m * p->k; i++)
        p->as[i] = some_bits(p->a);
    for (unsigned int i = 0; i < p->k * p->n; i++)
        p->bs[i] = some_bits(p->b);
    for (unsigned int i = 0; i < p->m * p->n; i++)
        p->cs[i] = some_bits(p->c);
}

/* Rows of A and columns of B with what is not an ordinary number. */
static void add_specials(struct problem *p)
{
    static const uint64_t infinity[] = {
        [F16] = 0x7c00, [BF16] = 0x7f80, [TF32] = 0x7f800000, [E5M2] = 0x7c, [E4M3] = 0x7e};
    static const uint64_t nan[] = {
        [F16] = 0xfe01, [BF16] = 0xffc1, [TF32] = 0xffc02000, [E5M2] = 0xff, [E4M3] = 0xff};
    static const uint64_t tiny[] = {
        [F16] = 0x8001, [BF16] = 0x0001, [TF32] = 0x80002000, [E5M2] = 0x01, [E4M3] = 0x81};

    if (kinds[p->a].whole || p->a == F64)
        return;
    p->as[1 * p->k + 2] = infinity[p->a];
    p->as[3 * p->k + 1] = nan[p->a];
    p->bs[1 * p->n + 4] = infinity[p->b];
    p->bs[0 * p->n + 5] = nan[p->b];
    /* Row 6: one smallest number, and nothing else that would hide it. */
    for (unsigned int i = 0; i < p->k; i++)
        p->as[6 * p->k + i] = i == 3 ? tiny[p->a] : 0;
    for (unsigned int i = 0; i < p->n; i++)
        p->cs[6 * p->n + i] = 0;
}

static double product(const struct problem *p, unsigned int row, unsigned int column, char bits)
{
    double sum = 0;

    for (unsigned int i = 0; i < p->k; i++) {
        uint64_t x = p->as[row * p->k + i];
        uint64_t y = p->bs[i * p->n + column];
        if (bits)
            sum += (double)(bits == '^' ? x ^ y : x & y);
        else
            sum += value_of(p->a, x) * value_of(p->b, y);
    }
    return sum;
}

static uint64_t expected(const struct problem *p, unsigned int row, unsigned int column, char bits,
                         bool saturate)
{
    double sum = product(p, row, column, bits) + value_of(p->c, p->cs[row * p->n + column]);

    if (p->d != S32)
        return bits_of(p->d, sum);
    if (saturate && sum > INT32_MAX)
        return INT32_MAX;
    return saturate && sum < INT32_MIN ? 0x80000000 : bits_of(S32, sum);
}

/* Elements of a matrix that one lane holds, in all its registers. */
static unsigned int held(unsigned int rows, unsigned int columns)
{
    return rows * columns / 32;
}

static unsigned int per_register(enum kind kind)
{
    return kinds[kind].bits < 32 ? 32 / kinds[kind].bits : 1;
}

/* Element i of a lane, of A, B and C, as (row, column); m, n and k as mma has them. */
static void place_a(const struct problem *p, unsigned int lane, unsigned int i, unsigned int *row,
                    unsigned int *column)
{
    unsigned int e = per_register(p->a);

    *row = lane >> 2;
    *column = (lane & 3) * e + i % e;
    if (p->m == 16) {
        *row += i / e % 2 ? 8 : 0;
        *column += i / e / 2 * 4 * e;
    } else {
        *column += i / e * 4 * e;
    }
}

static void place_b(const struct problem *p, unsigned int lane, unsigned int i, unsigned int *row,
                    unsigned int *column)
{
    unsigned int e = per_register(p->b);

    *row = (lane & 3) * e + i % e + i / e * 4 * e;
    *column = lane >> 2;
}

static void place_c(unsigned int lane, unsigned int i, unsigned int *row, unsigned int *column)
{
    *row = (lane >> 2) + (i < 2 ? 0 : 8);
    *column = (lane & 3) * 2 + (i & 1);
}

/* What each lane holds, its A, B and C one after the other, a register every 8 bytes. */
#define LANE_WORDS 32

static void put(uint64_t *words, enum kind kind, unsigned int i, uint64_t bits)
{
    unsigned int e = per_register(kind);

    words[i / e] |= bits << i % e * kinds[kind].bits;
}

static void pack(const struct problem *p, uint64_t *words)
{
    unsigned int row;
    unsigned int column;

    for (unsigned int lane = 0; lane < 32; lane++, words += LANE_WORDS) {
        uint64_t *at = words;
        for (unsigned int i = 0; i < held(p->m, p->k); i++) {
            place_a(p, lane, i, &row, &column);
            put(at, p->a, i, p->as[row * p->k + column]);
        }
        at += held(p->m, p->k) / per_register(p->a);
        for (unsigned int i = 0; i < held(p->k, p->n); i++) {
            place_b(p, lane, i, &row, &column);
            put(at, p->b, i, p->bs[row * p->n + column]);
        }
        at += held(p->k, p->n) / per_register(p->b);
        for (unsigned int i = 0; i < held(p->m, p->n); i++) {
            place_c(lane, i, &row, &column);
            put(at, p->c, i, p->cs[row * p->n + column]);
        }
    }
}

/* "{%r1, %r2}" */
static void name_registers(char *out, size_t size, bool wide, unsigned int first, unsigned int n)
{
    size_t at = (size_t)snprintf(out, size, "{");

    for (unsigned int i = 0; i < n; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%%%s%u", i ? ", " : "", wide ? "fd" : "r",
                               first + i);
    snprintf(out + at, size - at, "}");
}

/* Loads the registers 1.. of every lane, runs the opcode on them, stores those from 50. */
static struct ptx_module *build_mma(const struct problem *p, const char *opcode)
{
    unsigned int n_a = held(p->m, p->k) / per_register(p->a);
    unsigned int n_b = held(p->k, p->n) / per_register(p->b);
    unsigned int n_c = held(p->m, p->n) / per_register(p->c);
    unsigned int n_d = held(p->m, p->n) / per_register(p->d);
    bool wide = p->a == F64;
    char d[256], a[256], b[256], c[256], body[8192];
    size_t at = (size_t)snprintf(
        body, sizeof(body),
        "mov.u32 %%r90, %%tid.x; ld.param.u64 %%rd1, [p0]; mad.wide.u32 %%rd1, %%r90, %d, %%rd1;\n"
        "ld.param.u64 %%rd2, [p1]; mad.wide.u32 %%rd2, %%r90, %d, %%rd2;\n",
        LANE_WORDS * 8, LANE_WORDS * 8);

    for (unsigned int i = 0; i < n_a + n_b + n_c; i++)
        at += (size_t)snprintf(body + at, sizeof(body) - at, "ld.global.%s %%%s%u, [%%rd1+%u];\n",
                               wide ? "f64" : "b32", wide ? "fd" : "r", i + 1, i * 8);
    name_registers(d, sizeof(d), wide, 50, n_d);
    name_registers(a, sizeof(a), wide, 1, n_a);
    name_registers(b, sizeof(b), wide, 1 + n_a, n_b);
    name_registers(c, sizeof(c), wide, 1 + n_a + n_b, n_c);
    at +=
        (size_t)snprintf(body + at, sizeof(body) - at, "%s %s, %s, %s, %s;\n", opcode, d, a, b, c);
    for (unsigned int i = 0; i < n_d; i++)
        at += (size_t)snprintf(body + at, sizeof(body) - at, "st.global.%s [%%rd2+%u], %%%s%u;\n",
                               wide ? "f64" : "b32", i * 8, wide ? "fd" : "r", 50 + i);
    snprintf(body + at, sizeof(body) - at, "ret;");
    return fake_load_body(body);
}

static void check_mma(struct problem *p, const char *opcode, char bits, bool saturate)
{
    struct ptx_module *module = build_mma(p, opcode);
    uint64_t in = fake_alloc(32 * LANE_WORDS * 8);
    uint64_t out = fake_alloc(32 * LANE_WORDS * 8);
    uint64_t params[4] = {in, out};
    struct ptx_fault fault;

    pack(p, fake_host(in));
    cr_assert_eq(fake_run(module, "k", 1, 32, 0, &fault, params), PTX_DONE, "%s", opcode);
    for (unsigned int lane = 0; lane < 32; lane++) {
        const uint64_t *words = (const uint64_t *)fake_host(out) + lane * LANE_WORDS;
        for (unsigned int i = 0; i < held(p->m, p->n); i++) {
            unsigned int row;
            unsigned int column;
            unsigned int e = per_register(p->d);
            uint64_t got = words[i / e] >> i % e * kinds[p->d].bits;
            uint64_t want;
            place_c(lane, i, &row, &column);
            want = expected(p, row, column, bits, saturate);
            got &= UINT64_MAX >> (64 - kinds[p->d].bits);
            cr_assert_eq(got, want, "%s: (%u, %u) is %#lx, not %#lx", opcode, row, column, got,
                         want);
        }
    }
    ptx_module_free(module);
    fake_reset();
}

static const struct {
    unsigned int m, n, k;
    enum kind a, b, c;
    const char *more; /* .satfinite and the like */
} products[] = {
    {16, 8, 8, F16, F16, F32, ""},
    {16, 8, 8, F16, F16, F16, ""},
    {16, 8, 16, F16, F16, F32, ""},
    {16, 8, 16, F16, F16, F16, ""},
    {16, 8, 8, BF16, BF16, F32, ""},
    {16, 8, 16, BF16, BF16, F32, ""},
    {16, 8, 4, TF32, TF32, F32, ""},
    {16, 8, 8, TF32, TF32, F32, ""},
    {8, 8, 4, F64, F64, F64, ""},
    {16, 8, 4, F64, F64, F64, ""},
    {16, 8, 8, F64, F64, F64, ""},
    {16, 8, 16, F64, F64, F64, ""},
    {16, 8, 16, E4M3, E4M3, F32, ""},
    {16, 8, 32, E4M3, E4M3, F32, ""},
    {16, 8, 32, E5M2, E4M3, F32, ""},
    {16, 8, 32, E4M3, E5M2, F16, ""},
    {16, 8, 32, E5M2, E5M2, F32, ""},
    {8, 8, 16, S8, S8, S32, ""},
    {8, 8, 16, U8, S8, S32, ""},
    {16, 8, 16, S8, U8, S32, ""},
    {16, 8, 16, U8, U8, S32, ".satfinite"},
    {16, 8, 32, S8, S8, S32, ""},
    {16, 8, 32, S8, S8, S32, ".satfinite"},
    {8, 8, 32, S4, S4, S32, ""},
    {16, 8, 32, U4, S4, S32, ""},
    {16, 8, 64, U4, U4, S32, ".satfinite"},
    {8, 8, 128, B1, B1, S32, ".xor.popc"},
    {16, 8, 128, B1, B1, S32, ".and.popc"},
    {16, 8, 256, B1, B1, S32, ".xor.popc"},
};

Test(ptx_matrix, multiplies_matrices_of_every_shape)
{
    static struct problem p;

    for (size_t i = 0; i < COUNT(products); i++) {
        char opcode[128];
        char bits = strstr(products[i].more, "xor")   ? '^'
                    : strstr(products[i].more, "and") ? '&'
                                                      : 0;
        bool saturate = strstr(products[i].more, "satfinite") != NULL;

        p = (struct problem){
            products[i].m, products[i].n, products[i].k, products[i].a, products[i].b,
            products[i].c, products[i].c, {0},           {0},           {0}};
        snprintf(opcode, sizeof(opcode), "mma.sync.aligned.m%un%uk%u.row.col%s.%s.%s.%s.%s", p.m,
                 p.n, p.k, products[i].more, kinds[p.d].name, kinds[p.a].name, kinds[p.b].name,
                 kinds[p.c].name);
        fill(&p);
        check_mma(&p, opcode, bits, saturate);
        add_specials(&p);
        if (p.c == S32) {
            p.cs[0] = INT32_MAX - 1;
            p.cs[1] = 0x80000001;
            p.cs[9] = INT32_MAX;
        }
        check_mma(&p, opcode, bits, saturate);
    }
}

static const struct {
    unsigned int m, n, k, registers[3]; /* of A, B and C */
    enum kind a, c, d;
    const char *layouts; /* of A, B, C and D: r or c each */
    const char *types;   /* of the product */
} whole_products[] = {
    {16, 16, 16, {8, 8, 8}, F16, F32, F32, "rcrc", "f32.f32"},
    {16, 16, 16, {8, 8, 4}, F16, F16, F16, "crcr", "f16.f16"},
    {16, 16, 16, {8, 8, 4}, F16, F16, F32, "rrrr", "f32.f16"},
    {32, 8, 16, {8, 8, 8}, F16, F32, F32, "rrcr", "f32.f32"},
    {8, 32, 16, {8, 8, 4}, F16, F16, F16, "ccrc", "f16.f16"},
    {16, 16, 16, {4, 4, 8}, BF16, F32, F32, "rcrr", "f32.bf16.bf16.f32"},
    {32, 8, 16, {8, 2, 8}, BF16, F32, F32, "crrr", "f32.bf16.bf16.f32"},
    {8, 32, 16, {2, 8, 8}, BF16, F32, F32, "cccc", "f32.bf16.bf16.f32"},
    {16, 16, 8, {4, 4, 8}, TF32, F32, F32, "rcrr", "f32.tf32.tf32.f32"},
    {16, 16, 8, {4, 4, 8}, TF32, F32, F32, "crcc", "f32.tf32.tf32.f32"},
    {8, 8, 4, {1, 1, 2}, F64, F64, F64, "rccr", "f64.f64.f64.f64.rn"},
    {16, 16, 16, {2, 2, 8}, S8, S32, S32, "rcrr", "s32.s8.s8.s32"},
    {32, 8, 16, {4, 1, 8}, U8, S32, S32, "crcr", "s32.u8.u8.s32"},
    {8, 32, 16, {1, 4, 8}, S8, S32, S32, "ccrc", "s32.s8.s8.s32"},
    {8, 8, 32, {1, 1, 2}, S4, S32, S32, "rcrr", "s32.s4.s4.s32"},
    {8, 8, 32, {1, 1, 2}, U4, S32, S32, "rccc", "s32.u4.u4.s32"},
    {8, 8, 128, {1, 1, 2}, B1, S32, S32, "rcrc", "s32.b1.b1.s32"},
};

/* A matrix as wmma.load finds it. */
static void lay_out(uint8_t *memory, enum kind kind, const uint64_t *values, unsigned int rows,
                    unsigned int columns, bool by_columns, unsigned int stride)
{
    unsigned int bits = kinds[kind].bits;

    for (unsigned int row = 0; row < rows; row++) {
        for (unsigned int column = 0; column < columns; column++) {
            size_t at = by_columns ? column * stride + row : row * stride + column;
            if (bits >= 8)
                memcpy(memory + at * bits / 8, &values[row * columns + column], bits / 8);
            else
                memory[at * bits / 8] |= (uint8_t)(values[row * columns + column] << at * bits % 8);
        }
    }
}

static unsigned int stride_of(enum kind kind, unsigned int length)
{
    /* A multiple of 16 bytes; small elements lie without gaps. */
    return kinds[kind].bits < 8 ? length : length + 128 / kinds[kind].bits;
}

/* Row number t of the table as a kernel: p0 to p3 are A, B, C and D. */
static struct ptx_module *build_wmma(size_t t, const struct problem *p, const unsigned int *strides)
{
    const unsigned int *n = whole_products[t].registers;
    const char *names[4];
    char shape[32], d[256], a[256], b[256], c[256], body[4096];
    bool wide = p->a == F64;

    for (int i = 0; i < 4; i++)
        names[i] = whole_products[t].layouts[i] == 'c' ? "col" : "row";
    snprintf(shape, sizeof(shape), "m%un%uk%u", p->m, p->n, p->k);
    name_registers(a, sizeof(a), wide, 1, n[0]);
    name_registers(b, sizeof(b), wide, 20, n[1]);
    name_registers(c, sizeof(c), wide, 40, n[2]);
    name_registers(d, sizeof(d), wide, 60, p->d == F32 ? 8 : n[2]);
    snprintf(body, sizeof(body),
             "ld.param.u64 %%rd1, [p0]; ld.param.u64 %%rd2, [p1]; ld.param.u64 %%rd3, [p2];\n"
             "ld.param.u64 %%rd4, [p3]; mov.u32 %%r90, %u;\n"
             "wmma.load.a.sync.aligned.%s.%s.global.%s %s, [%%rd1], %%r90;\n"
             "wmma.load.b.sync.aligned.%s.%s.global.%s %s, [%%rd2], %u;\n"
             "wmma.load.c.sync.aligned.%s.%s.global.%s %s, [%%rd3], %u;\n"
             "wmma.mma%s.sync.aligned.%s.%s.%s.%s %s, %s, %s, %s;\n"
             "wmma.store.d.sync.aligned.%s.%s.%s [%%rd4], %s, %u; ret;",
             strides[0], names[0], shape, kinds[p->a].name, a, names[1], shape, kinds[p->b].name, b,
             strides[1], names[2], shape, kinds[p->c].name, c, strides[2],
             p->a == B1 ? ".xor.popc" : "", names[0], names[1], shape, whole_products[t].types, d,
             a, b, c, names[3], shape, kinds[p->d].name, d, strides[3]);
    return fake_load_body(body);
}

static void compare_whole(const struct problem *p, const uint8_t *memory, bool by_columns,
                          unsigned int stride, const char *types)
{
    for (unsigned int row = 0; row < p->m; row++) {
        for (unsigned int column = 0; column < p->n; column++) {
            size_t at = by_columns ? column * stride + row : row * stride + column;
            uint64_t want = expected(p, row, column, p->a == B1 ? '^' : 0, false);
            uint64_t got = 0;
            memcpy(&got, memory + at * kinds[p->d].bits / 8, kinds[p->d].bits / 8);
            cr_assert_eq(got, want, "m%un%uk%u %s: (%u, %u) is %#lx, not %#lx", p->m, p->n, p->k,
                         types, row, column, got, want);
        }
    }
}

Test(ptx_matrix, multiplies_matrices_from_memory)
{
    static struct problem p;

    for (size_t t = 0; t < COUNT(whole_products); t++) {
        const char *layouts = whole_products[t].layouts;
        uint64_t memory[4];
        struct ptx_module *module;
        struct ptx_fault fault;

        p = (struct problem){whole_products[t].m,
                             whole_products[t].n,
                             whole_products[t].k,
                             whole_products[t].a,
                             whole_products[t].a,
                             whole_products[t].c,
                             whole_products[t].d,
                             {0},
                             {0},
                             {0}};
        unsigned int strides[] = {stride_of(p.a, layouts[0] == 'c' ? p.m : p.k),
                                  stride_of(p.b, layouts[1] == 'c' ? p.k : p.n),
                                  stride_of(p.c, layouts[2] == 'c' ? p.m : p.n),
                                  stride_of(p.d, layouts[3] == 'c' ? p.m : p.n)};
        fill(&p);
        for (int i = 0; i < 4; i++)
            memory[i] = fake_alloc(16384);
        lay_out(fake_host(memory[0]), p.a, p.as, p.m, p.k, layouts[0] == 'c', strides[0]);
        lay_out(fake_host(memory[1]), p.b, p.bs, p.k, p.n, layouts[1] == 'c', strides[1]);
        lay_out(fake_host(memory[2]), p.c, p.cs, p.m, p.n, layouts[2] == 'c', strides[2]);
        module = build_wmma(t, &p, strides);
        cr_assert_eq(fake_run(module, "k", 1, 32, 0, &fault, memory), PTX_DONE, "%s",
                     whole_products[t].types);
        compare_whole(&p, fake_host(memory[3]), layouts[3] == 'c', strides[3],
                      whole_products[t].types);
        ptx_module_free(module);
        fake_reset();
    }
}

Test(ptx_matrix, refuses_what_ptx_does_not_have)
{
    static const char *const bad[] = {
        "mma.sync.aligned.m16n8k32.row.col.f32.f16.f16.f32 {%r1,%r1,%r1,%r1}, {%r1,%r1,%r1,%r1}, "
        "{%r1,%r1}, {%r1,%r1,%r1,%r1};",
        "mma.sync.aligned.m16n8k8.row.col.f32.f16.bf16.f32 {%r1,%r1,%r1,%r1}, {%r1,%r1}, {%r1}, "
        "{%r1,%r1,%r1,%r1};",
        "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%r1,%r1,%r1}, {%r1,%r1}, {%r1}, "
        "{%r1,%r1,%r1,%r1};",
        "mma.sync.aligned.m16n8k8.row.row.f32.f16.f16.f32 {%r1,%r1,%r1,%r1}, {%r1,%r1}, {%r1}, "
        "{%r1,%r1,%r1,%r1};",
        "mma.sync.aligned.m16n8k8.row.col.f16.f16.f16.f32 {%r1,%r1}, {%r1,%r1}, {%r1}, "
        "{%r1,%r1,%r1,%r1};",
        "wmma.load.a.sync.aligned.col.m8n8k32.s4 {%r1}, [%rd1], 32;",
        "wmma.load.a.sync.aligned.row.m16n16k16.s4 {%r1}, [%rd1], 32;",
        "ldmatrix.sync.aligned.m8n8.x2.b16 {%r1}, [%rd1];",
    };

    for (size_t i = 0; i < COUNT(bad); i++) {
        char text[1024];
        char error[256] = "";
        snprintf(text, sizeof(text),
                 ".version 8.6\n.target sm_90\n.address_size 64\n.entry k() {\n"
                 ".reg .b32 %%r<9>; .reg .b64 %%rd<9>;\n%s\nret; }",
                 bad[i]);
        cr_assert_null(ptx_module_parse(text, error, sizeof(error)), "%s", bad[i]);
        cr_assert_eq(strncmp(error, "line 6, kernel k: ", 18), 0, "%s: %s", bad[i], error);
    }
}
