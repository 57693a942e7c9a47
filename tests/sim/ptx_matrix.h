/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Matrices in registers.
 *
 * A warp holds a matrix in tiles of 8 rows, one register of every lane for each tile: four lanes
 * hold a row, in order. The 32 lanes of a register, as they lie in the register file, thus are a
 * tile of 8 rows, row after row, whatever the width of an element.
 *   - A (m x k): tiles of 8 x 4e, where e elements fit a register; down the rows first.
 *   - B (k x n): the same of its transpose, along k first.
 *   - C and D (m x n): tiles of 8 x 8, down the rows first; elements as wide as a register take two
 *     registers, for the even and the odd columns.
 * This is what PTX defines for mma. It leaves wmma open, which here is the same; where wmma has
 * more registers than a matrix needs, the further ones repeat it.
 */

#include "tests/sim/ptx_opcode.h"

enum ptx_element {
    PTX_ELEMENT_F16,
    PTX_ELEMENT_BF16,
    PTX_ELEMENT_TF32,
    PTX_ELEMENT_F32,
    PTX_ELEMENT_F64,
    PTX_ELEMENT_E4M3,
    PTX_ELEMENT_E5M2,
    PTX_ELEMENT_S8,
    PTX_ELEMENT_U8,
    PTX_ELEMENT_S4,
    PTX_ELEMENT_U4,
    PTX_ELEMENT_B1,
    PTX_ELEMENT_S32,
    PTX_ELEMENT_COUNT,
};

enum ptx_matrix { PTX_MATRIX_A, PTX_MATRIX_B, PTX_MATRIX_C };

struct ptx_shape {
    uint8_t m, n;
    uint16_t k;
};

/* Per register of 32 bits, or of 64 for f64. */
unsigned int ptx_element_bits(enum ptx_element element);
unsigned int ptx_elements_per_register(enum ptx_element element);
/* The elements named in an opcode, in order; returns how many, at most 4. */
unsigned int ptx_elements_find(const struct spelling *spelling, enum ptx_element out[4]);
/* "m16n8k16" among the words. */
bool ptx_shape_find(const struct spelling *spelling, struct ptx_shape *out);
/* How many registers hold all of a matrix. */
unsigned int ptx_matrix_registers(struct ptx_shape shape, enum ptx_matrix matrix,
                                  enum ptx_element element);
/* How many wmma has instead, which may be more. */
unsigned int ptx_wmma_registers(struct ptx_shape shape, enum ptx_matrix matrix,
                                enum ptx_element element);
/* The slots of a vector operand of `n` registers as a list; records an error if it is not that. */
uint32_t ptx_matrix_list(struct ptx_builder *builder, const struct statement *statement,
                         const struct operand *operand, enum ptx_element element, unsigned int n,
                         bool written);

/* Does PTX have this? `c` is ignored by wmma.load and wmma.store: F32 then. */
bool ptx_matrix_exists(bool wmma, struct ptx_shape shape, enum ptx_element a);
