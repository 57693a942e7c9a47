/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the tests of the PTX interpreter share: a small device memory, and launching.
 *
 * Device memory starts at FAKE_BASE, each allocation on a page of its own, so that what lies
 * between two allocations is unmapped. It stands in for the simulator's MMU.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/sim/ptx.h"

#define FAKE_BASE 0x700000000000ull

/* Zeroed; stays until fake_reset(). Aborts when there is no room. */
uint64_t fake_alloc(size_t bytes);
/* Host pointer to device memory. */
void *fake_host(uint64_t address);
/* Allocates, and copies `bytes` from `data` there. */
uint64_t fake_upload(const void *data, size_t bytes);
/* Kernels may read the allocation at `address`, not write. */
void fake_protect(uint64_t address);
void fake_reset(void);
/* What sim_mmu_account() was told so far, and how often the MMU was asked. */
uint64_t fake_accounted(uint64_t address);
uint64_t fake_translations(void);

/* What kernels printed, or said of failed assertions, since fake_reset(). */
const char *fake_printed(bool is_error);

/* Parses PTX that must be right; places its variables. Ends the program with the error otherwise.
 */
struct ptx_module *fake_load(const char *text);
/* The same for a kernel body: `.entry k(.param .u64 p0, ..)`; registers %p, %h, %r, %f, %rd,
 * %fd<100> are declared. Any number of parameters p0.. of 64 bits. */
struct ptx_module *fake_load_body(const char *body);
/* How fake_run() launches: host threads, and whether the blocks may wait for each other. */
extern unsigned int fake_threads;
extern bool fake_cooperative;
/* What fake_run() executed, in all. */
extern uint64_t fake_instructions;
/* Runs kernel `name` with `n_params` parameters of 64 bits. */
enum ptx_outcome fake_run(struct ptx_module *module, const char *name, unsigned int blocks,
                          unsigned int threads, size_t shared_bytes, struct ptx_fault *fault,
                          const uint64_t *params);
/* The whole text of a file; ends the program when it cannot be read. Free it. */
char *fake_read_file(const char *path);
