/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a program hands over as device code: PTX text, a fatbin with PTX in it, or the name of the
 * registered C kernels.
 */

#include "tests/sim/core.h"
#include "tests/sim/jit.h"
#include "tests/sim/ptx.h"
#include "tests/sim/sim.h"

struct image {
    bool native;            /* "SIM-NATIVE" */
    char *text;             /* PTX, NUL-terminated; NULL when native */
    struct ptx_module *ptx; /* parsed; NULL when native */
    bool claimed;           /* a module runs `ptx` itself; further ones parse `text` again */
};

/* A size that the program did not tell: text ends at a NUL, a fatbin where its header says. */
#define IMAGE_UNSIZED SIZE_MAX

/* NO_BINARY_FOR_GPU, INVALID_PTX and so on, with a line that says why, also in the error log that
 * the options may name. Of a known size there is a NUL after it. */
CUresult image_open(const void *data, size_t bytes, const struct jit_options *jit,
                    struct image **out);
struct image *image_free(struct image *image); /* NULL is fine; returns NULL */
/* Parses the text once more. NULL on failure. */
struct ptx_module *image_parse(const struct image *image);
/* The PTX that this card runs out of a fatbin, wrapped or not; *why says why there is none. */
CUresult image_fatbin_text(const void *fatbin, size_t bytes, const char **why, char **out);
/* Whether this is a fatbin, or a wrapper in memory. */
bool image_is_fatbin(const void *data, size_t bytes);

/* NULL when no such kernel is registered. */
const struct sim_native_kernel *native_find(const char *name);
/* In the order of registration; NULL past the end. */
const struct sim_native_kernel *native_at(size_t index);
