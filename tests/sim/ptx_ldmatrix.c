/* SPDX-License-Identifier: MIT */

/*
 * Matrices between memory and registers: ldmatrix, stmatrix, movmatrix, wmma.load and wmma.store.
 *
 * Row r of an 8x8 matrix of 16-bit elements is, in the register file, in lanes 4r to 4r+3 of one
 * register: 16 bytes in a row, as in memory. So ldmatrix copies rows.
 */

#include "tests/sim/ptx_lanes.h"
#include "tests/sim/ptx_matrix.h"

#define ROW_BYTES 16

static void transpose(const uint16_t *from, uint16_t *to)
{
    for (unsigned int row = 0; row < 8; row++) {
        for (unsigned int column = 0; column < 8; column++)
            to[column * 8 + row] = from[row * 8 + column];
    }
}

static void write_lanes(struct ptx_warp *warp, uint32_t slot, const void *values, uint32_t mask)
{
    uint32_t *to = ptx_slot(warp, slot);

    EACH_ACTIVE_LANE(lane, mask)
    {
        memcpy(&to[lane], (const uint8_t *)values + lane * sizeof(*to), sizeof(*to));
    }
}

/* The lanes that give the addresses of the rows: 8 for each matrix. */
static uint32_t address_lanes(const struct ptx_insn *insn)
{
    return insn->count == 4 ? PTX_ALL_LANES : (1u << 8 * insn->count) - 1;
}

static enum ptx_step run_ldmatrix(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    const uint32_t *slots = warp->launch->kernel->lists + insn->dst;
    uint8_t *rows[PTX_LANES];
    uint32_t there = address_lanes(insn) & mask;

    if (ptx_warp_stall(warp, insn, PTX_ALL_LANES))
        return PTX_STEP_SELECT;
    if (ptx_resolve(warp, insn, there, ROW_BYTES, false, rows))
        return PTX_STEP_STOP;
    for (unsigned int i = 0; i < insn->count; i++) {
        uint16_t matrix[64] = {0};
        uint16_t turned[64];
        for (unsigned int row = 0; row < 8; row++) {
            if (there >> (8 * i + row) & 1)
                memcpy(&matrix[8 * row], rows[8 * i + row], ROW_BYTES);
        }
        transpose(matrix, turned);
        write_lanes(warp, slots[i], insn->op ? turned : matrix, mask);
    }
    return PTX_STEP_NEXT;
}

static enum ptx_step run_stmatrix(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask)
{
    const uint32_t *slots = warp->launch->kernel->lists + insn->dst;
    uint8_t *rows[PTX_LANES];
    uint32_t there = address_lanes(insn) & mask;

    if (ptx_warp_stall(warp, insn, PTX_ALL_LANES))
        return PTX_STEP_SELECT;
    if (ptx_resolve(warp, insn, there, ROW_BYTES, true, rows))
        return PTX_STEP_STOP;
    for (unsigned int i = 0; i < insn->count; i++) {
        const uint16_t *matrix = ptx_slot(warp, slots[i]);
        uint16_t turned[64];
        transpose(matrix, turned);
        for (unsigned int row = 0; row < 8; row++) {
            if (there >> (8 * i + row) & 1)
                memcpy(rows[8 * i + row], (insn->op ? turned : matrix) + 8 * row, ROW_BYTES);
        }
    }
    return PTX_STEP_NEXT;
}

static enum ptx_step run_movmatrix(struct ptx_warp *warp, const struct ptx_insn *insn,
                                   uint32_t mask)
{
    uint16_t turned[64];

    if (ptx_warp_stall(warp, insn, PTX_ALL_LANES))
        return PTX_STEP_SELECT;
    transpose(ptx_slot(warp, insn->src[0]), turned);
    write_lanes(warp, insn->dst, turned, mask);
    return PTX_STEP_NEXT;
}

static int decode_ldmatrix(struct ptx_builder *builder, const struct statement *statement,
                           struct ptx_insn *insn)
{
    const struct spelling *spelling = statement->spelling;
    bool load = spelling_has(spelling, "ldmatrix");
    unsigned int count = spelling_has(spelling, "x4") ? 4 : spelling_has(spelling, "x2") ? 2 : 1;

    if (statement->n_operands != 2)
        return lex_fail(&builder->lex, statement->line, "'%.*s' takes 2 operands",
                        (int)spelling->text.length, spelling->text.text);
    insn->op = spelling_has(spelling, "trans");
    insn->dst = ptx_matrix_list(builder, statement, &statement->operands[!load], PTX_ELEMENT_F16,
                                count, load);
    insn->bytes = ROW_BYTES / (uint8_t)count;
    insn->count = (uint8_t)count;
    return ptx_decode_address(builder, statement, &statement->operands[load], insn);
}

/* The matrix that wmma moves, in insn->imm. */
union piece {
    int64_t packed;
    struct {
        struct ptx_shape shape;
        uint8_t matrix;      /* enum ptx_matrix */
        uint8_t element;     /* enum ptx_element */
        uint8_t n_registers; /* with repetitions */
        bool columns;        /* the matrix lies column after column */
    };
};

/* Row and column of element `i` of lane `lane` in a register. */
static void place_of(const union piece *piece, unsigned int reg, unsigned int lane, unsigned int i,
                     unsigned int *row, unsigned int *column)
{
    unsigned int each = ptx_elements_per_register((enum ptx_element)piece->element);
    unsigned int needed =
        ptx_matrix_registers(piece->shape, piece->matrix, (enum ptx_element)piece->element);
    unsigned int tile = reg % needed;
    unsigned int down = piece->shape.m / 8u;
    unsigned int along = piece->shape.k / (4 * each);

    switch (piece->matrix) {
    case PTX_MATRIX_A:
        *row = tile % down * 8 + lane / 4;
        *column = tile / down * 4 * each + lane % 4 * each + i;
        break;
    case PTX_MATRIX_B:
        *row = tile % along * 4 * each + lane % 4 * each + i;
        *column = tile / along * 8 + lane / 4;
        break;
    default:
        if (each == 1) {
            i = tile % 2;
            tile /= 2;
        }
        *row = tile % down * 8 + lane / 4;
        *column = tile / down * 8 + lane % 4 * 2 + i;
        break;
    }
}

/* Elements that lie in memory as they do in the register can go together. */
static bool goes_whole(const union piece *piece)
{
    if (piece->matrix == PTX_MATRIX_C)
        return ptx_elements_per_register((enum ptx_element)piece->element) == 1 || !piece->columns;
    return piece->columns == (piece->matrix == PTX_MATRIX_B);
}

/* Puts the address of element `i` of a register, for each lane, into the slot insn->src[0] of `to`.
 */
static void set_addresses(struct ptx_warp *warp, const struct ptx_insn *insn,
                          const struct ptx_insn *to, const union piece *piece, unsigned int reg,
                          unsigned int i, uint32_t mask)
{
    uint64_t *addresses = ptx_slot(warp, to->src[0]);
    unsigned int bits = ptx_element_bits((enum ptx_element)piece->element);

    EACH_ACTIVE_LANE(lane, mask)
    {
        uint64_t base = insn->type2 == PTX_B32
                            ? ((const uint32_t *)ptx_slot(warp, insn->src[0]))[lane]
                            : ((const uint64_t *)ptx_slot(warp, insn->src[0]))[lane];
        uint64_t stride = ((const uint32_t *)ptx_slot(warp, insn->src[1]))[lane];
        unsigned int row;
        unsigned int column;
        uint64_t at;
        place_of(piece, reg, lane, i, &row, &column);
        at = piece->columns ? column * stride + row : row * stride + column;
        addresses[lane] = base + (uint64_t)insn->imm + at * bits / 8;
    }
}

/* wmma.load and wmma.store, an element (or a register) of all lanes at a time. */
static enum ptx_step run_wmma_move(struct ptx_warp *warp, const struct ptx_insn *insn,
                                   uint32_t mask)
{
    const uint32_t *lists = warp->launch->kernel->lists;
    const uint32_t *slots = lists + insn->dst;
    union piece piece = {.packed = (int64_t)lists[insn->dst2] | (int64_t)lists[insn->dst2 + 1]
                                                                    << 32};
    unsigned int bits = ptx_element_bits((enum ptx_element)piece.element);
    bool whole = goes_whole(&piece);
    unsigned int bytes = whole ? (bits < 32 ? 4 : bits / 8) : bits / 8;
    unsigned int width = bits == 64 ? 8 : 4;
    struct ptx_insn access = *insn;

    if (ptx_warp_stall(warp, insn, PTX_ALL_LANES))
        return PTX_STEP_SELECT;
    access.src[0] = insn->src[2];
    access.type2 = PTX_B64;
    access.imm = 0;
    access.bytes = (uint8_t)bytes;
    access.count = 1;
    for (unsigned int reg = 0; reg < piece.n_registers; reg++) {
        uint8_t *lanes = ptx_slot(warp, slots[reg]);
        for (unsigned int i = 0; i < width / bytes; i++) {
            uint8_t *pointers[PTX_LANES];
            set_addresses(warp, insn, &access, &piece, reg, i, mask);
            if (ptx_resolve(warp, &access, mask, bytes, insn->op, pointers))
                return PTX_STEP_STOP;
            EACH_ACTIVE_LANE(lane, mask)
            {
                uint8_t *element = lanes + lane * width + i * bytes;
                if (insn->op)
                    memcpy(pointers[lane], element, bytes);
                else
                    memcpy(element, pointers[lane], bytes);
            }
        }
    }
    return PTX_STEP_NEXT;
}

static bool find_piece(const struct spelling *spelling, union piece *piece)
{
    enum ptx_element found[4];
    bool small;

    piece->packed = 0;
    if (ptx_elements_find(spelling, found) != 1 || !ptx_shape_find(spelling, &piece->shape))
        return false;
    piece->element = (uint8_t)found[0];
    piece->columns = spelling_has(spelling, "col");
    piece->matrix = spelling_has(spelling, "a")   ? PTX_MATRIX_A
                    : spelling_has(spelling, "b") ? PTX_MATRIX_B
                                                  : PTX_MATRIX_C;
    piece->n_registers =
        (uint8_t)ptx_wmma_registers(piece->shape, piece->matrix, (enum ptx_element)piece->element);
    if (piece->matrix == PTX_MATRIX_C)
        return found[0] == PTX_ELEMENT_F16 || found[0] == PTX_ELEMENT_F32 ||
               found[0] == PTX_ELEMENT_S32 || found[0] == PTX_ELEMENT_F64;
    /* Elements smaller than a byte cannot be addressed one by one. */
    small = ptx_element_bits(found[0]) < 8;
    return ptx_matrix_exists(true, piece->shape, found[0]) && (!small || goes_whole(piece));
}

/* The distance between rows or columns, where the operand is left out. */
static struct operand default_stride(const union piece *piece)
{
    unsigned int rows = piece->matrix == PTX_MATRIX_B ? piece->shape.k : piece->shape.m;
    unsigned int columns = piece->matrix == PTX_MATRIX_A ? piece->shape.k : piece->shape.n;

    return (struct operand){.kind = OPERAND_INTEGER, .bits = piece->columns ? rows : columns};
}

static int decode_wmma_move(struct ptx_builder *builder, const struct statement *statement,
                            struct ptx_insn *insn)
{
    const struct spelling *spelling = statement->spelling;
    bool store = spelling_has(spelling, "store");
    unsigned int n = statement->n_operands;
    union piece piece;
    struct operand stride;
    uint32_t words[2];

    if (!find_piece(spelling, &piece) || n < 2 || n > 3)
        return lex_fail(&builder->lex, statement->line, "opcode '%.*s' is not understood",
                        (int)spelling->text.length, spelling->text.text);
    insn->op = store;
    insn->dst = ptx_matrix_list(builder, statement, &statement->operands[store],
                                (enum ptx_element)piece.element, piece.n_registers, !store);
    words[0] = (uint32_t)piece.packed;
    words[1] = (uint32_t)((uint64_t)piece.packed >> 32);
    insn->dst2 = ptx_list(builder, words, 2);
    stride = n == 3 ? statement->operands[2] : default_stride(&piece);
    insn->src[1] = ptx_source(builder, &stride, PTX_B32);
    insn->src[2] = ptx_new_slots(builder, 8, 1);
    return ptx_decode_address(builder, statement, &statement->operands[!store], insn);
}

#define WHERE  "shared shared::cta global"
#define SHAPES " m16n16k16 m32n8k16 m8n32k16 m16n16k8 m8n8k4 m8n8k32 m8n8k128 row col tf32 s4 u4 b1"
#define B16    PTX_RUNS([PTX_B16] = run_movmatrix)

const struct ptx_opcode ptx_ldmatrix_opcodes[] = {
    {"ldmatrix.sync.aligned.m8n8", "x1 x2 x4 trans shared shared::cta", .decode = decode_ldmatrix,
     .runs = PTX_RUNS([PTX_B16] = run_ldmatrix)},
    {"stmatrix.sync.aligned.m8n8", "x1 x2 x4 trans shared shared::cta", .decode = decode_ldmatrix,
     .runs = PTX_RUNS([PTX_B16] = run_stmatrix)},
    {"movmatrix.sync.aligned.m8n8.trans", "", "44", .runs = B16},
    {"wmma.load.a.sync.aligned", WHERE SHAPES, .decode = decode_wmma_move, .run = run_wmma_move},
    {"wmma.load.b.sync.aligned", WHERE SHAPES, .decode = decode_wmma_move, .run = run_wmma_move},
    {"wmma.load.c.sync.aligned", WHERE SHAPES, .decode = decode_wmma_move, .run = run_wmma_move},
    {"wmma.store.d.sync.aligned", WHERE SHAPES, .decode = decode_wmma_move, .run = run_wmma_move},
    {NULL},
};
