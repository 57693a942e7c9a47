/* SPDX-License-Identifier: MIT */

/* What the driver half of the simulator asks about modules and kernels. */

#include <string.h>

#include "tests/sim/ptx_code.h"

size_t ptx_module_n_variables(const struct ptx_module *module)
{
    return module->n_variables;
}

struct ptx_variable *ptx_module_variable(struct ptx_module *module, size_t index)
{
    return index < module->n_variables ? &module->variables[index] : NULL;
}

void ptx_module_relocate(struct ptx_module *module)
{
    for (size_t i = 0; i < module->n_relocations; i++) {
        const struct ptx_relocation *relocation = &module->relocations[i];
        uint8_t *data = (uint8_t *)module->variables[relocation->variable].initialiser;
        uint64_t value = module->variables[relocation->target].address + relocation->addend;

        value &= relocation->mask;
        if (relocation->mask)
            value >>= __builtin_ctzll(relocation->mask);
        memcpy(data + relocation->offset, &value, relocation->bytes);
    }
}

size_t ptx_module_n_kernels(const struct ptx_module *module)
{
    return module->n_kernels;
}

const struct ptx_kernel *ptx_module_kernel_at(const struct ptx_module *module, size_t index)
{
    return index < module->n_kernels ? &module->kernels[index] : NULL;
}

const struct ptx_kernel *ptx_module_kernel(const struct ptx_module *module, const char *name)
{
    for (size_t i = 0; i < module->n_kernels; i++) {
        if (!strcmp(module->kernels[i].name, name))
            return &module->kernels[i];
    }
    return NULL;
}

const char *ptx_kernel_name(const struct ptx_kernel *kernel)
{
    return kernel->name;
}

size_t ptx_kernel_n_params(const struct ptx_kernel *kernel)
{
    return kernel->n_params;
}

void ptx_kernel_param(const struct ptx_kernel *kernel, size_t index, size_t *offset, size_t *bytes)
{
    *offset = kernel->params[index].offset;
    *bytes = kernel->params[index].bytes;
}

size_t ptx_kernel_param_bytes(const struct ptx_kernel *kernel)
{
    return kernel->param_bytes;
}

size_t ptx_kernel_static_shared_bytes(const struct ptx_kernel *kernel)
{
    return kernel->shared_bytes;
}

size_t ptx_kernel_local_bytes(const struct ptx_kernel *kernel)
{
    return kernel->local_bytes;
}
