/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a program hands over as device code: PTX text, a fatbin with PTX in it, or the name of the
 * registered C kernels.
 */

#include "tests/sim/core.h"
#include "tests/sim/ptx.h"
#include "tests/sim/sim.h"

struct image {
    bool native;            /* "SIM-NATIVE" */
    char *text;             /* PTX, NUL-terminated; NULL when native */
    struct ptx_module *ptx; /* parsed; NULL when native */
    bool claimed;           /* a module runs `ptx` itself; further ones parse `text` again */
};

/* NO_BINARY_FOR_GPU, INVALID_PTX and so on, with a line that says why. */
CUresult image_open(const void *data, struct image **out);
struct image *image_free(struct image *image); /* NULL is fine; returns NULL */
/* Parses the text once more. NULL on failure. */
struct ptx_module *image_parse(const struct image *image);
/* NULL when no such kernel is registered. */
const struct sim_native_kernel *native_find(const char *name);
