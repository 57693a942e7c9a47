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
};

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

struct ptx_kernel {
    char *name;
    struct ptx_param *params;
    size_t n_params;
    size_t param_bytes;

    struct ptx_insn *code;
    size_t n_code;
    uint32_t entry; /* index of the first instruction; device functions lie before it */
    uint32_t *lists;
    size_t n_lists;
    struct ptx_constant *constants;
    size_t n_constants;
    size_t file_bytes; /* of the registers of one warp */
    size_t shared_bytes;
    size_t local_bytes; /* of one thread */
};

struct ptx_module {
    struct ptx_variable *variables;
    size_t n_variables;
    struct ptx_kernel *kernels;
    size_t n_kernels;
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
