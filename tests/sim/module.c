/* SPDX-License-Identifier: MIT */
/*
 * Modules: device code in one context, from loading to unloading.
 */
#include "tests/sim/module.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"
#include "tests/sim/calls.h"
#include "tests/sim/capture.h"
#include "tests/sim/memory.h"
#include "tests/sim/pool.h"

struct module *modules;

static const struct jit_options no_options;

static void place_initialiser(const struct ptx_variable *variable, int device)
{
    for (uint64_t at = 0; at < variable->bytes;) {
        uint64_t span;
        bool on_host;
        uint8_t *to = mmu_copy_span(device, variable->address + at, variable->bytes - at, true,
                                    &span, &on_host);

        memcpy(to, (const uint8_t *)variable->initialiser + at, span);
        at += span;
    }
}

static CUresult place_variables(struct module *module)
{
    struct allocation *allocation;

    for (size_t i = 0; module->ptx && i < ptx_module_n_variables(module->ptx); i++) {
        struct ptx_variable *variable = ptx_module_variable(module->ptx, i);
        CUresult res =
            allocation_new_or_drain(module->context, max_u64(variable->bytes, 1), &allocation);

        variable->address = 0;
        if (res)
            return res;
        /* Not the program's to free. */
        allocation->freeing = true;
        variable->address = allocation->range.base;
    }
    if (module->ptx)
        ptx_module_relocate(module->ptx);
    for (size_t i = 0; module->ptx && i < ptx_module_n_variables(module->ptx); i++)
        place_initialiser(ptx_module_variable(module->ptx, i), module->context->device);
    return CUDA_SUCCESS;
}

static void free_variables(const struct module *module)
{
    for (size_t i = 0; module->ptx && i < ptx_module_n_variables(module->ptx); i++) {
        struct ptx_variable *variable = ptx_module_variable(module->ptx, i);
        struct allocation *allocation = ranges_find(&allocations, variable->address);

        if (variable->address && allocation)
            allocation_free(allocation);
        variable->address = 0;
    }
}

static void function_free(struct function *function)
{
    handle_remove(function);
    free(function->name);
    free(function);
}

/* Leaves the image to whoever it belongs to. */
static void module_detach(struct module *module)
{
    struct module **at = &modules;

    while (*at != module)
        at = &(*at)->next;
    *at = module->next;
    handle_remove(module);
    free_variables(module);
    while (module->functions) {
        struct function *function = module->functions;

        module->functions = function->next;
        function_free(function);
    }
    if (module->ptx == module->image->ptx)
        module->image->claimed = false;
    else
        ptx_module_free(module->ptx);
    free(module);
}

void module_free(struct module *module)
{
    struct image *own = module->library ? NULL : module->image;

    module_detach(module);
    image_free(own);
}

CUresult module_new(struct context *context, struct image *image, struct library *library,
                    struct module **out)
{
    struct module *module = calloc(1, sizeof(*module));
    CUresult res;

    if (!module || !handle_add(module, HANDLE_MODULE)) {
        free(module);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    module->context = context;
    module->image = image;
    module->library = library;
    module->ptx = image->claimed && !image->native ? image_parse(image) : image->ptx;
    image->claimed = true;
    module->next = modules;
    modules = module;
    res = module->ptx || image->native ? place_variables(module) : CUDA_ERROR_INVALID_PTX;
    if (res) {
        module_detach(module);
        return res;
    }
    *out = module;
    return CUDA_SUCCESS;
}

void module_free_of_context(const struct context *context)
{
    struct module *next;

    for (struct module *module = modules; module; module = next) {
        next = module->next;
        if (module->context == context)
            module_free(module);
    }
}

static CUresult module_load(CUmodule *out, const void *data, size_t bytes,
                            const struct jit_options *jit)
{
    struct context *context;
    struct image *image;
    struct module *module;
    CUresult res = context_require(&context);

    if (!res)
        res = capture_refuse_unsafe();
    if (res)
        return res;
    if (!out)
        return CUDA_ERROR_INVALID_VALUE;
    res = image_open(data, bytes, jit, &image);
    if (res)
        return res;
    res = module_new(context, image, NULL, &module);
    if (res) {
        image_free(image);
        return res;
    }
    *out = (CUmodule)module;
    return CUDA_SUCCESS;
}

CUresult sim_cuModuleGetLoadingMode(CUmoduleLoadingMode *mode)
{
    if (!mode)
        return CUDA_ERROR_INVALID_VALUE;
    *mode = CU_MODULE_EAGER_LOADING;
    return CUDA_SUCCESS;
}

CUresult sim_cuModuleLoadData(CUmodule *module, const void *image)
{
    return module_load(module, image, IMAGE_UNSIZED, &no_options);
}

CUresult sim_cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int num_options,
                                CUjit_option *options, void **option_values)
{
    const struct jit_options jit = {num_options, options, option_values};

    return module_load(module, image, IMAGE_UNSIZED, &jit);
}

CUresult sim_cuModuleLoadFatBinary(CUmodule *module, const void *fat_cubin)
{
    return module_load(module, fat_cubin, IMAGE_UNSIZED, &no_options);
}

char *module_read_file(const char *path, size_t *out_bytes)
{
    FILE *file = fopen(path, "rb");
    char *data = NULL;
    long size;

    if (!file)
        return NULL;
    if (!fseek(file, 0, SEEK_END) && (size = ftell(file)) >= 0 && !fseek(file, 0, SEEK_SET)) {
        data = calloc(1, (size_t)size + 1);
        if (data && fread(data, 1, (size_t)size, file) != (size_t)size) {
            free(data);
            data = NULL;
        }
        *out_bytes = (size_t)size;
    }
    fclose(file);
    return data;
}

CUresult sim_cuModuleLoad(CUmodule *module, const char *fname)
{
    size_t bytes;
    char *data = fname ? module_read_file(fname, &bytes) : NULL;
    CUresult res;

    if (!fname)
        return CUDA_ERROR_INVALID_VALUE;
    if (!data)
        return CUDA_ERROR_FILE_NOT_FOUND;
    res = module_load(module, data, bytes, &no_options);
    free(data);
    return res;
}

CUresult sim_cuModuleUnload(CUmodule handle)
{
    struct module *module = (struct module *)handle;
    CUresult res = context_check_sticky();

    if (res)
        return res;
    if (!handle_is(module, HANDLE_MODULE) || module->library)
        return CUDA_ERROR_INVALID_HANDLE;
    context_drain(module->context);
    module_free(module);
    return CUDA_SUCCESS;
}

CUresult module_function(struct module *module, const char *name, struct function **out)
{
    struct function *function;

    for (function = module->functions; function; function = function->next) {
        if (!strcmp(function->name, name)) {
            *out = function;
            return CUDA_SUCCESS;
        }
    }
    function = calloc(1, sizeof(*function));
    if (!function)
        return CUDA_ERROR_OUT_OF_MEMORY;
    function->native = native_find(name);
    if (!module->image->native) {
        function->ptx = ptx_module_kernel(module->ptx, name);
        if (!function->ptx || !function->native || !function->native->stands_in)
            function->native = NULL;
    }
    if (!function->native && !function->ptx) {
        free(function);
        return CUDA_ERROR_NOT_FOUND;
    }
    function->name = strdup(name);
    if (!function->name || !handle_add(function, HANDLE_FUNCTION)) {
        free(function->name);
        free(function);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    function->module = module;
    function->max_dynamic_shared = -1;
    function->carveout = -1;
    function->next = module->functions;
    module->functions = function;
    *out = function;
    return CUDA_SUCCESS;
}

CUresult sim_cuModuleGetFunction(CUfunction *func, CUmodule module, const char *name)
{
    struct context *context;
    struct function *function;
    CUresult res = context_require(&context);

    if (res)
        return res;
    if (!func || !name)
        return CUDA_ERROR_INVALID_VALUE;
    if (!handle_is(module, HANDLE_MODULE))
        return CUDA_ERROR_INVALID_HANDLE;
    res = module_function((struct module *)module, name, &function);
    if (!res)
        *func = (CUfunction)function;
    return res;
}

size_t image_n_kernels(const struct image *image)
{
    size_t n = 0;

    if (!image->native)
        return ptx_module_n_kernels(image->ptx);
    while (native_at(n))
        n++;
    return n;
}

const char *image_kernel_name(const struct image *image, size_t index)
{
    if (image->native)
        return native_at(index)->name;
    return ptx_kernel_name(ptx_module_kernel_at(image->ptx, index));
}

static CUresult module_resolve(CUmodule handle, struct module **out)
{
    struct context *context;
    CUresult res = context_require(&context);

    if (!res && !handle_is(handle, HANDLE_MODULE))
        res = CUDA_ERROR_INVALID_HANDLE;
    if (!res)
        *out = (struct module *)handle;
    return res;
}

CUresult sim_cuModuleGetFunctionCount(unsigned int *count, CUmodule handle)
{
    struct module *module;
    CUresult res = count ? module_resolve(handle, &module) : CUDA_ERROR_INVALID_VALUE;

    if (!res)
        *count = (unsigned int)image_n_kernels(module->image);
    return res;
}

CUresult sim_cuModuleEnumerateFunctions(CUfunction *functions, unsigned int num_functions,
                                        CUmodule handle)
{
    struct module *module;
    struct function *function;
    CUresult res =
        functions && num_functions ? module_resolve(handle, &module) : CUDA_ERROR_INVALID_VALUE;

    if (res)
        return res;
    for (unsigned int i = 0; i < num_functions && i < image_n_kernels(module->image); i++) {
        res = module_function(module, image_kernel_name(module->image, i), &function);
        if (res)
            return res;
        functions[i] = (CUfunction)function;
    }
    return CUDA_SUCCESS;
}

CUresult module_global(const struct module *module, const char *name, CUdeviceptr *dptr,
                       size_t *bytes)
{
    for (size_t i = 0; module->ptx && i < ptx_module_n_variables(module->ptx); i++) {
        const struct ptx_variable *variable = ptx_module_variable(module->ptx, i);

        if (strcmp(variable->name, name))
            continue;
        if (dptr)
            *dptr = variable->address;
        if (bytes)
            *bytes = variable->bytes;
        return CUDA_SUCCESS;
    }
    return CUDA_ERROR_NOT_FOUND;
}

CUresult sim_cuModuleGetGlobal_v2(CUdeviceptr *dptr, size_t *bytes, CUmodule module,
                                  const char *name)
{
    struct context *context;
    CUresult res = context_require(&context);

    if (res)
        return res;
    if (!name)
        return CUDA_ERROR_INVALID_VALUE;
    if (!handle_is(module, HANDLE_MODULE))
        return CUDA_ERROR_INVALID_HANDLE;
    return module_global((struct module *)module, name, dptr, bytes);
}
