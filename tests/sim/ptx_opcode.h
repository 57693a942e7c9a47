/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The opcode tables: a new opcode is one row and one function.
 *
 * Each file of run functions ends with its rows. The rows of one opcode are tried in order, across
 * all tables; the first that matches decodes the instruction. A row matches when
 *   - `name` (the opcode, then words that must follow it) is there,
 *   - every other word is among `options` or is a type, and
 *   - `runs` has a function for the first type (or `run` is given).
 * A row that understands rounding, saturation or flushing lists them as options; a faster row
 * without these options stands before it.
 *
 * `operands` says what each operand is, destination first, and fills insn->dst and insn->src:
 *   t  the first type     2  the second type    w  an integer twice as wide as the first type
 *   4  32 bits            p  a predicate
 * What that cannot say is left to `decode`, which replaces it.
 */

#include "tests/sim/ptx_build.h"

typedef int ptx_decode_fn(struct ptx_builder *builder, const struct statement *statement,
                          struct ptx_insn *insn);

struct ptx_opcode {
    const char *name;
    const char *options;
    const char *operands;
    ptx_decode_fn *decode;
    ptx_run *const *runs; /* by type, PTX_TYPE_COUNT long */
    ptx_run *run;
    uint8_t op;
};

/* Each ends with a row whose name is NULL. */
extern const struct ptx_opcode ptx_integer_opcodes[];
extern const struct ptx_opcode ptx_carry_opcodes[];
extern const struct ptx_opcode ptx_bits_opcodes[];
extern const struct ptx_opcode ptx_float_opcodes[];
extern const struct ptx_opcode ptx_half_opcodes[];
extern const struct ptx_opcode ptx_rounded_opcodes[];
extern const struct ptx_opcode ptx_compare_opcodes[];
extern const struct ptx_opcode ptx_move_opcodes[];
extern const struct ptx_opcode ptx_convert_opcodes[];
extern const struct ptx_opcode ptx_memory_opcodes[];
extern const struct ptx_opcode ptx_atomic_opcodes[];
extern const struct ptx_opcode ptx_flow_opcodes[];
extern const struct ptx_opcode ptx_warp_opcodes[];
extern const struct ptx_opcode ptx_mma_opcodes[];
extern const struct ptx_opcode ptx_ldmatrix_opcodes[];
extern const struct ptx_opcode ptx_async_opcodes[];
extern const struct ptx_opcode ptx_pair_opcodes[];
extern const struct ptx_opcode ptx_set_half_opcodes[];
extern const struct ptx_opcode ptx_convert_small_opcodes[];
extern const struct ptx_opcode ptx_cluster_opcodes[];
extern const struct ptx_opcode ptx_mbarrier_opcodes[];
extern const struct ptx_opcode ptx_atomic_vector_opcodes[];

/* call has a syntax of its own: it parses itself (ptx_call_parse.c). */
int ptx_call_parse(struct ptx_builder *builder, struct statement *statement,
                   const struct ptx_insn *guard);
/* What runs `name` with that many results and arguments; NULL when the driver has no such. */
ptx_run *ptx_known_function(const struct lex_token *name, unsigned int n_results,
                            unsigned int n_arguments);
/* The same for malloc and free (ptx_heap.c); the slot of where the heap is; and making one. */
ptx_run *ptx_heap_function(const struct lex_token *name, unsigned int n_results,
                           unsigned int n_arguments);
uint32_t ptx_heap_slot(struct ptx_builder *builder);
void ptx_heap_declare(struct ptx_builder *builder, const struct lex_token *name);
ptx_run ptx_run_call;
ptx_run ptx_run_results;
ptx_run ptx_run_frame_address;
ptx_run ptx_run_branch;
ptx_run ptx_run_return;
ptx_run ptx_run_trap;

/* Fills in space and address from the words of ld, st and atom and their [..] operand. */
int ptx_decode_address(struct ptx_builder *builder, const struct statement *statement,
                       const struct operand *operand, struct ptx_insn *insn);

/* The same for an address of a space that the caller knows. */
int ptx_decode_address_in(struct ptx_builder *builder, const struct statement *statement,
                          const struct operand *operand, enum ptx_space space,
                          struct ptx_insn *insn);

/* set and setp where the sources are pairs of floats of 16 bits (ptx_set_half.c). */
ptx_decode_fn ptx_decode_set_half;
ptx_decode_fn ptx_decode_setp_half;

/* insn->mode from the words of an opcode. */
uint8_t ptx_mode(const struct spelling *spelling);

/* A `runs` table. */
#define PTX_RUNS(...)                                                                              \
    (ptx_run *const[PTX_TYPE_COUNT])                                                               \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
/* The same function family for all integer types of 16 to 64 bits, whatever the sign. */
#define PTX_RUNS_INT(f)                                                                            \
    PTX_RUNS([PTX_U16] = f##_u16, [PTX_S16] = f##_u16, [PTX_U32] = f##_u32, [PTX_S32] = f##_u32,   \
             [PTX_U64] = f##_u64, [PTX_S64] = f##_u64)
/* Where the sign matters. */
#define PTX_RUNS_SIGNED(f)                                                                         \
    PTX_RUNS([PTX_U16] = f##_u16, [PTX_S16] = f##_s16, [PTX_U32] = f##_u32, [PTX_S32] = f##_s32,   \
             [PTX_U64] = f##_u64, [PTX_S64] = f##_s64)
#define PTX_RUNS_BITS(f)  PTX_RUNS([PTX_B16] = f##_u16, [PTX_B32] = f##_u32, [PTX_B64] = f##_u64)
#define PTX_RUNS_FLOAT(f) PTX_RUNS([PTX_F32] = f##_f32, [PTX_F64] = f##_f64)
