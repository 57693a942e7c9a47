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
/* How many blocks of `block` threads a multiprocessor holds at once (occupancy.c). */
uint64_t occupancy_blocks(const struct function *function, uint64_t block, uint64_t dynamic);
size_t function_local_bytes(const struct function *function);

struct library;

struct module {
    struct module *next;
    struct context *context;
    struct library *library; /* NULL for a module of its own */
    struct image *image;     /* the library's, or its own */
    struct ptx_module *ptx;
    struct function *functions;
};
extern struct module *modules;

/* Shows what kernels printed so far. */
void print_flush(void);

/* On failure the image stays the caller's. */
CUresult module_new(struct context *context, struct image *image, struct library *library,
                    struct module **out);
void module_free(struct module *module);
void module_free_of_context(const struct context *context);
/* NOT_FOUND when the module has no such kernel, or variable. */
CUresult module_function(struct module *module, const char *name, struct function **out);
CUresult module_global(const struct module *module, const char *name, CUdeviceptr *dptr,
                       size_t *bytes);
/* The kernels of an image, in its order. */
size_t image_n_kernels(const struct image *image);
const char *image_kernel_name(const struct image *image, size_t index);
/* The file with a NUL after it, for free(); NULL when it cannot be read. */
char *module_read_file(const char *path, size_t *out_bytes);
