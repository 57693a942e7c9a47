/* SPDX-License-Identifier: MIT */
/* Stands in for the PTX interpreter where it is not built: every PTX image is refused. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/ptx.h"

struct ptx_module *ptx_module_parse(const char *text, char *error, size_t error_size)
{
    snprintf(error, error_size, "the simulator was built without its PTX interpreter");
    return NULL;
}

struct ptx_module *ptx_module_free(struct ptx_module *module)
{
    return NULL;
}

/* No module exists, so none of these is ever reached. */
#define UNREACHED(type, name, ...)                                                                 \
    type name(__VA_ARGS__)                                                                         \
    {                                                                                              \
        abort();                                                                                   \
    }
UNREACHED(size_t, ptx_module_n_variables, const struct ptx_module *module)
UNREACHED(struct ptx_variable *, ptx_module_variable, struct ptx_module *module, size_t index)
UNREACHED(const struct ptx_kernel *, ptx_module_kernel, const struct ptx_module *module,
          const char *name)
UNREACHED(size_t, ptx_kernel_n_params, const struct ptx_kernel *kernel)
UNREACHED(void, ptx_kernel_param, const struct ptx_kernel *kernel, size_t index, size_t *offset,
          size_t *bytes)
UNREACHED(size_t, ptx_kernel_param_bytes, const struct ptx_kernel *kernel)
UNREACHED(size_t, ptx_kernel_static_shared_bytes, const struct ptx_kernel *kernel)
UNREACHED(size_t, ptx_kernel_local_bytes, const struct ptx_kernel *kernel)
UNREACHED(enum ptx_outcome, ptx_kernel_run, const struct ptx_kernel *kernel,
          const struct ptx_launch *launch, struct ptx_fault *fault, uint64_t *instructions)
