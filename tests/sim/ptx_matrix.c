/* SPDX-License-Identifier: MIT */

/* What the shapes and elements of matrices are; see the header for how registers hold them. */

#include <string.h>

#include "tests/sim/ptx_matrix.h"

static const struct {
    const char *name;
    uint8_t bits;
} elements[PTX_ELEMENT_COUNT] = {
    [PTX_ELEMENT_F16] = {"f16", 16},   [PTX_ELEMENT_BF16] = {"bf16", 16},
    [PTX_ELEMENT_TF32] = {"tf32", 32}, [PTX_ELEMENT_F32] = {"f32", 32},
    [PTX_ELEMENT_F64] = {"f64", 64},   [PTX_ELEMENT_E4M3] = {"e4m3", 8},
    [PTX_ELEMENT_E5M2] = {"e5m2", 8},  [PTX_ELEMENT_S8] = {"s8", 8},
    [PTX_ELEMENT_U8] = {"u8", 8},      [PTX_ELEMENT_S4] = {"s4", 4},
    [PTX_ELEMENT_U4] = {"u4", 4},      [PTX_ELEMENT_B1] = {"b1", 1},
    [PTX_ELEMENT_S32] = {"s32", 32},
};

#define F16(m, n, k)                                                                               \
    {                                                                                              \
        {m, n, k}, PTX_ELEMENT_F16                                                                 \
    }
#define BF16(m, n, k)                                                                              \
    {                                                                                              \
        {m, n, k}, PTX_ELEMENT_BF16                                                                \
    }
#define TF32(m, n, k)                                                                              \
    {                                                                                              \
        {m, n, k}, PTX_ELEMENT_TF32                                                                \
    }
#define F64(m, n, k)                                                                               \
    {                                                                                              \
        {m, n, k}, PTX_ELEMENT_F64                                                                 \
    }
#define FP8(m, n, k)                                                                               \
    {{m, n, k}, PTX_ELEMENT_E4M3},                                                                 \
    {                                                                                              \
        {m, n, k}, PTX_ELEMENT_E5M2                                                                \
    }
#define INT8(m, n, k)                                                                              \
    {{m, n, k}, PTX_ELEMENT_S8},                                                                   \
    {                                                                                              \
        {m, n, k}, PTX_ELEMENT_U8                                                                  \
    }
#define INT4(m, n, k)                                                                              \
    {{m, n, k}, PTX_ELEMENT_S4},                                                                   \
    {                                                                                              \
        {m, n, k}, PTX_ELEMENT_U4                                                                  \
    }
#define BIT(m, n, k)                                                                               \
    {                                                                                              \
        {m, n, k}, PTX_ELEMENT_B1                                                                  \
    }

struct matrix_row {
    struct ptx_shape shape;
    uint8_t a;
};

static const struct matrix_row mma_rows[] = {
    F16(16, 8, 8),   F16(16, 8, 16),  BF16(16, 8, 8),  BF16(16, 8, 16), TF32(16, 8, 4),
    TF32(16, 8, 8),  F64(8, 8, 4),    F64(16, 8, 4),   F64(16, 8, 8),   F64(16, 8, 16),
    FP8(16, 8, 16),  FP8(16, 8, 32),  INT8(8, 8, 16),  INT8(16, 8, 16), INT8(16, 8, 32),
    INT4(8, 8, 32),  INT4(16, 8, 32), INT4(16, 8, 64), BIT(8, 8, 128),  BIT(16, 8, 128),
    BIT(16, 8, 256),
};

static const struct matrix_row wmma_rows[] = {
    F16(16, 16, 16), F16(32, 8, 16),  F16(8, 32, 16), BF16(16, 16, 16), BF16(32, 8, 16),
    BF16(8, 32, 16), TF32(16, 16, 8), F64(8, 8, 4),   INT8(16, 16, 16), INT8(32, 8, 16),
    INT8(8, 32, 16), INT4(8, 8, 32),  BIT(8, 8, 128),
};

bool ptx_matrix_exists(bool wmma, struct ptx_shape shape, enum ptx_element a)
{
    const struct matrix_row *rows = wmma ? wmma_rows : mma_rows;
    size_t n = wmma ? sizeof(wmma_rows) / sizeof(*rows) : sizeof(mma_rows) / sizeof(*rows);

    for (size_t i = 0; i < n; i++) {
        if (rows[i].shape.m == shape.m && rows[i].shape.n == shape.n &&
            rows[i].shape.k == shape.k && rows[i].a == a)
            return true;
    }
    return false;
}

unsigned int ptx_element_bits(enum ptx_element element)
{
    return elements[element].bits;
}

unsigned int ptx_elements_per_register(enum ptx_element element)
{
    return elements[element].bits < 32 ? 32u / elements[element].bits : 1;
}

unsigned int ptx_elements_find(const struct spelling *spelling, enum ptx_element out[4])
{
    const char *at = spelling->text.text;
    const char *end = at + spelling->text.length;
    unsigned int n = 0;

    while (at < end && n < 4) {
        const char *dot = memchr(at, '.', (size_t)(end - at));
        size_t length = (size_t)((dot ? dot : end) - at);
        for (int i = 0; i < PTX_ELEMENT_COUNT; i++) {
            if (strlen(elements[i].name) == length && !memcmp(elements[i].name, at, length))
                out[n++] = (enum ptx_element)i;
        }
        at += length + 1;
    }
    return n;
}

/* One of "m16", "n8" and "k16" at *at; 0 when it is not there. */
static unsigned int take_size(const char **at, const char *end, char letter)
{
    unsigned int size = 0;

    if (*at == end || **at != letter)
        return 0;
    for ((*at)++; *at < end && **at >= '0' && **at <= '9' && size < 256; (*at)++)
        size = size * 10 + (unsigned int)(**at - '0');
    return size;
}

bool ptx_shape_find(const struct spelling *spelling, struct ptx_shape *out)
{
    for (unsigned int i = 0; i < spelling->n_words; i++) {
        const char *at = spelling->words[i].text;
        const char *end = at + spelling->words[i].length;
        unsigned int m = take_size(&at, end, 'm');
        unsigned int n = take_size(&at, end, 'n');
        unsigned int k = take_size(&at, end, 'k');
        if (m && m <= 32 && n && n <= 32 && k && k <= 256 && at == end) {
            *out = (struct ptx_shape){(uint8_t)m, (uint8_t)n, (uint16_t)k};
            return true;
        }
    }
    return false;
}

unsigned int ptx_matrix_registers(struct ptx_shape shape, enum ptx_matrix matrix,
                                  enum ptx_element element)
{
    unsigned int rows = matrix == PTX_MATRIX_B ? shape.n : shape.m;
    unsigned int columns = matrix == PTX_MATRIX_C ? shape.n : shape.k;

    return rows * columns / (PTX_LANES * ptx_elements_per_register(element));
}

unsigned int ptx_wmma_registers(struct ptx_shape shape, enum ptx_matrix matrix,
                                enum ptx_element element)
{
    if (element == PTX_ELEMENT_F16 && matrix != PTX_MATRIX_C)
        return 8;
    return ptx_matrix_registers(shape, matrix, element);
}

uint32_t ptx_matrix_list(struct ptx_builder *builder, const struct statement *statement,
                         const struct operand *operand, enum ptx_element element, unsigned int n,
                         bool written)
{
    enum ptx_type type = elements[element].bits == 64 ? PTX_B64 : PTX_B32;
    const struct operand *parts = operand;
    uint32_t slots[16] = {0};

    if (operand->kind == OPERAND_VECTOR)
        parts = &statement->elements[operand->first];
    if ((operand->kind == OPERAND_VECTOR ? operand->count : 1u) != n || n > 16) {
        lex_fail(&builder->lex, statement->line, "'%.*s' wants %u registers there",
                 (int)statement->spelling->text.length, statement->spelling->text.text, n);
        return 0;
    }
    for (unsigned int i = 0; i < n; i++)
        slots[i] =
            written ? ptx_dest(builder, &parts[i], type) : ptx_source(builder, &parts[i], type);
    return ptx_list(builder, slots, n);
}
