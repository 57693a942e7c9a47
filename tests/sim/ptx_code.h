/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Decoded kernels: what the decoder makes and the runner runs.
 *
 * Every register, immediate, symbol address and special register of a kernel is a *slot*: the byte
 * offset of its 32 lanes in the warp's register file. A lane takes 2, 4 or 8 bytes, by the type; a
 * predicate is one 32-bit mask of lanes. An instruction thus only has slots, whatever its operands
 * were in the text, and constants are filled in once, before the first instruction.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/ptx.h"
#include "tests/sim/ptx_type.h"

#define PTX_LANES   32
#define PTX_NO_SLOT UINT32_MAX

struct ptx_warp;
struct ptx_insn;

/* What the runner does after an instruction. */
enum ptx_step {
    PTX_STEP_NEXT,   /* go on with the following instruction */
    PTX_STEP_JUMP,   /* all active lanes go on at warp->pc */
    PTX_STEP_SELECT, /* lanes went different ways: lane_pc and the masks are up to date */
    PTX_STEP_STOP,   /* launch->outcome is set */
};

/* Runs an instruction for the lanes in `mask`, which is never 0. */
typedef enum ptx_step ptx_run(struct ptx_warp *warp, const struct ptx_insn *insn, uint32_t mask);

enum ptx_space {
    PTX_SPACE_GENERIC,
    PTX_SPACE_GLOBAL, /* .const too: the loader puts constants in device memory */
    PTX_SPACE_SHARED,
    PTX_SPACE_LOCAL, /* also the parameters of device functions */
    PTX_SPACE_PARAM, /* the parameters of the kernel */
    PTX_SPACE_GRID,  /* the workspace of a cooperative launch; known by its address only */
};

/* Of a grid's barrier: a word that nobody uses, and the barrier. */
#define PTX_WORKSPACE_BYTES 16

/* Where the spaces lie in generic addresses: above every address that a device or host can have. */
#define PTX_WINDOW_SHIFT  56
#define PTX_WINDOW(space) ((uint64_t)((space) > PTX_SPACE_GLOBAL ? (space) : 0) << PTX_WINDOW_SHIFT)

struct ptx_insn {
    ptx_run *run;
    uint32_t dst; /* slot; with `count` > 1 the index in kernel->lists of the first of `count` */
    uint32_t dst2;
    uint32_t src[4];
    uint32_t guard;      /* slot of the predicate that guards it, or PTX_NO_SLOT */
    uint32_t guard_flip; /* ~0 for @!p */
    int64_t imm;         /* offset of an address; index of the target of a branch */
    int line;
    uint8_t type;  /* enum ptx_type of the operation */
    uint8_t type2; /* of the source, where that differs */
    uint8_t op;    /* which of the operations that share a run function */
    uint8_t mode;  /* PTX_MODE_*, rounding in the low bits */
    uint8_t space;
    uint8_t bytes; /* of one element in memory */
    uint8_t width; /* bytes of a lane of the register read or written */
    uint8_t count; /* elements of a vector */
};

enum {
    PTX_ROUND_NEAREST,
    PTX_ROUND_ZERO,
    PTX_ROUND_DOWN,
    PTX_ROUND_UP,
    PTX_ROUND_MASK = 3,
    PTX_MODE_FTZ = 1 << 2,
    PTX_MODE_SAT = 1 << 3,
    PTX_MODE_RELU = 1 << 4,
    PTX_MODE_INTEGRAL = 1 << 5, /* cvt to a whole number of a float type */
};

enum ptx_constant_kind {
    PTX_CONSTANT_VALUE,
    PTX_CONSTANT_VARIABLE, /* address of `variable`, plus `value` */
    PTX_CONSTANT_DYNAMIC,  /* where dynamic shared memory begins, plus `value` */
    PTX_CONSTANT_SPECIAL,  /* special register number `value` (enum ptx_special) */
};

struct ptx_constant {
    enum ptx_constant_kind kind;
    uint8_t width; /* bytes of a lane; 0 = predicate */
    uint32_t slot;
    uint64_t value;
    const struct ptx_variable *variable;
};

struct ptx_param {
    size_t offset;
    size_t bytes;
};

/* Where an argument or a result of a call is. */
struct ptx_place {
    enum { PTX_PLACE_REGISTER, PTX_PLACE_PREDICATE, PTX_PLACE_LOCAL } kind;
    uint32_t at;    /* slot, or offset in local memory */
    uint32_t frame; /* slot of what the offset counts from; PTX_NO_SLOT for a kernel's own */
    uint32_t bytes;
};

/* `count` lanes of registers in a row, of `bytes` each (0: predicates). */
struct ptx_registers {
    uint32_t at, bytes, count;
};

/* A device function, as part of a kernel. */
struct ptx_function {
    uint64_t address;            /* what a pointer to it holds */
    uint32_t start;              /* index of its first instruction */
    uint32_t return_slot;        /* where each lane goes on after the call */
    uint32_t frame_slot;         /* where each lane's local memory of this call begins */
    uint64_t local_bytes;        /* of a call, a multiple of 16 */
    struct ptx_place *formals;   /* results first */
    size_t n_results, n_formals; /* these include the results */
    struct ptx_registers *registers;
    size_t n_registers;
    size_t saved_bytes; /* of all of them, for one lane */
};

struct ptx_call {
    uint32_t function;        /* index in kernel->functions */
    uint32_t pointer;         /* slot that says which function instead, or PTX_NO_SLOT */
    struct ptx_place *places; /* of the caller; results first */
    unsigned int n_results, n_arguments;
};

/* Pointers to device functions: numbers that no memory has as its address. */
#define PTX_FUNCTION_ADDRESS(index) (((uint64_t)0x46 << 56) + ((uint64_t)(index) + 1) * 16)

struct ptx_kernel {
    uint64_t id; /* of no other kernel in this process, ever */
    char *name;
    struct ptx_param *params;
    size_t n_params;
    size_t param_bytes;

    struct ptx_insn *code;
    size_t n_code;
    uint32_t entry; /* index of the first instruction; device functions lie before it */
    uint32_t *lists;
    size_t n_lists;
    struct ptx_constant *constants; /* those that differ from block to block first */
    size_t n_constants;
    size_t n_block_constants;
    size_t file_bytes; /* of the registers of one warp */
    size_t shared_bytes;
    size_t local_bytes; /* of one thread */
    size_t stack_at;    /* where in it frames of device functions begin */
    struct ptx_function *functions;
    size_t n_functions;
    struct ptx_call *calls;
    size_t n_calls;
};

/* `bytes` at `offset` of a variable's initialiser become those bits of an address that `mask` has,
 * moved to the right. */
struct ptx_relocation {
    size_t variable, target; /* indexes of variables */
    size_t offset;
    unsigned int bytes;
    uint64_t mask;
    uint64_t addend;
};

struct ptx_module {
    struct ptx_variable *variables;
    size_t n_variables;
    struct ptx_kernel *kernels;
    size_t n_kernels;
    struct ptx_relocation *relocations;
    size_t n_relocations;
};

/* Special registers: name, value; see ptx_special_value(). */
enum ptx_special {
#define SPECIAL(id, name) PTX_SREG_##id,
#include "tests/sim/ptx_special.def"
#undef SPECIAL
    PTX_SREG_COUNT,
};

/* Makes room for one more item; aborts when there is no memory (the parser's policy). */
void *ptx_grow(void *items, size_t n, size_t *capacity, size_t item_bytes);
