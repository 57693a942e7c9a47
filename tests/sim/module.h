/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Modules, libraries and the kernels in them.
 *
 * A module lives in one context. A library is a module in each context that uses it. A CUfunction
 * is a kernel of a module; a CUkernel a kernel of a library, and stands for the CUfunction of the
 * current context wherever one is expected.
 */

#include "tests/sim/context.h"
#include "tests/sim/image.h"

struct function {
    struct function *next;
    struct module *module;
    char *name;
    const struct ptx_kernel *ptx; /* one of these two */
    const struct sim_native_kernel *native;
    int max_dynamic_shared;
    int carveout;
};

/* The function a launch means; INVALID_HANDLE when the handle is neither kind. */
CUresult function_resolve(CUfunction handle, struct context *context, struct function **out);
size_t function_n_params(const struct function *function);
void function_param(const struct function *function, size_t index, size_t *offset, size_t *bytes);
size_t function_param_bytes(const struct function *function);
size_t function_shared_bytes(const struct function *function);
size_t function_local_bytes(const struct function *function);

void module_free_of_context(const struct context *context);
