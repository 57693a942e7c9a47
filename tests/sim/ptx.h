/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * PTX modules: parsing, and running their kernels on the CPU.
 *
 * This half of the simulator knows no driver calls. It reaches device memory only through
 * sim_mmu_translate() (tests/sim/mmu.h).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ptx_module;
struct ptx_kernel;

/*
 * Parses NUL-terminated PTX text. On failure returns NULL and writes one line to `error` that names
 * the line, the kernel and the opcode or directive that is not understood.
 */
struct ptx_module *ptx_module_parse(const char *text, char *error, size_t error_size);
struct ptx_module *ptx_module_free(struct ptx_module *module); /* NULL is fine; returns NULL */

/* Module-scope .global and .const variables: the loader gives each a device address, then calls
 * ptx_module_relocate(), and copies the initialisers there, all before the first launch. */
struct ptx_variable {
    const char *name;
    size_t bytes;
    size_t align;
    const void *initialiser; /* `bytes` long, zero-filled where PTX gives none */
    uint64_t address;        /* set by the loader */
};
size_t ptx_module_n_variables(const struct ptx_module *module);
struct ptx_variable *ptx_module_variable(struct ptx_module *module, size_t index);
/* Puts the addresses of variables into the initialisers that hold such. */
void ptx_module_relocate(struct ptx_module *module);

size_t ptx_module_n_kernels(const struct ptx_module *module);
const struct ptx_kernel *ptx_module_kernel_at(const struct ptx_module *module, size_t index);
const struct ptx_kernel *ptx_module_kernel(const struct ptx_module *module, const char *name);

const char *ptx_kernel_name(const struct ptx_kernel *kernel);
size_t ptx_kernel_n_params(const struct ptx_kernel *kernel);
/* Offset and size in the packed parameter buffer, laid out as CUDA does. */
void ptx_kernel_param(const struct ptx_kernel *kernel, size_t index, size_t *offset, size_t *bytes);
size_t ptx_kernel_param_bytes(const struct ptx_kernel *kernel);
size_t ptx_kernel_static_shared_bytes(const struct ptx_kernel *kernel);
size_t ptx_kernel_local_bytes(const struct ptx_kernel *kernel);

struct ptx_launch {
    unsigned int grid[3];
    unsigned int block[3];
    size_t dynamic_shared_bytes;
    uint64_t begin_ns;    /* what %globaltimer shows as the launch begins */
    unsigned int threads; /* of the host that may run it; 0 is 1 */
    bool cooperative;     /* all blocks run at once, and may wait for each other */
    const void *params;   /* packed, ptx_kernel_param_bytes() long, of any alignment; copied */
};

enum ptx_outcome {
    PTX_DONE,
    PTX_ILLEGAL_ADDRESS, /* unmapped or no-access touch; fault.address says where */
    PTX_MISALIGNED,      /* address not a multiple of the access size */
    PTX_TRAP,            /* trap, or what a device does not survive; fault.why may say more */
    PTX_ASSERT,          /* a failed assertion, which has been printed */
    PTX_OUT_OF_MEMORY,   /* the simulator itself could not allocate */
};

struct ptx_fault {
    uint64_t address;
    unsigned int access_bytes;
    int write;
    unsigned int block[3];
    unsigned int thread[3];
    int line;        /* of the PTX text */
    const char *why; /* of a trap; NULL when the program asked for it */
};

/*
 * Receives what kernels print: printf as it would stand on standard output, and failed assertions.
 * Whoever links the interpreter provides it; called from any thread that runs a launch.
 */
void sim_print(bool is_error, const char *text, size_t bytes);

/*
 * Runs the whole grid: in the calling thread alone, one block after another in the order of their
 * index (`threads` at most 1: always the same), or with others, which are kept for the next launch.
 * A block that waits for another lets others begin, or go on, in a fixed order too. After a fault,
 * blocks that run elsewhere stop soon; `fault`, of one that happened, is written for every outcome
 * but PTX_DONE. *instructions is increased by the number of thread instructions executed.
 * Thread-safe for different launches.
 */
enum ptx_outcome ptx_kernel_run(const struct ptx_kernel *kernel, const struct ptx_launch *launch,
                                struct ptx_fault *fault, uint64_t *instructions);
