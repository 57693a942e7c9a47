/* SPDX-License-Identifier: MIT */
/*
 * Loading, finding and unloading device code.
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

struct library;

struct module {
    struct module *next;
    struct context *context;
    struct library *library; /* NULL for a module of its own */
    struct image *image;     /* the library's, or its own */
    struct ptx_module *ptx;
    struct function *functions;
};

struct kernel {
    struct kernel *next;
    struct library *library;
    char *name;
};

struct library {
    struct image *image;
    struct kernel *kernels;
};

static struct module *modules;

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
        CUresult res = allocation_new_or_drain(module->context, max_u64(variable->bytes, 1), true,
                                               &allocation);

        variable->address = 0;
        if (res)
            return res;
        /* Not the program's to free. */
        allocation->freeing = true;
        variable->address = allocation->range.base;
        place_initialiser(variable, module->context->device);
    }
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

static void module_free(struct module *module)
{
    struct image *own = module->library ? NULL : module->image;

    module_detach(module);
    image_free(own);
}

/* On failure the image stays the caller's. */
static CUresult module_new(struct context *context, struct image *image, struct library *library,
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

static CUresult module_load(CUmodule *out, const void *data)
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
    res = image_open(data, &image);
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
    return module_load(module, image);
}

CUresult sim_cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned int num_options,
                                CUjit_option *options, void **option_values)
{
    /* Options tune a compiler that is not there; what they ask to be told stays empty. */
    if (num_options && (!options || !option_values))
        return CUDA_ERROR_INVALID_VALUE;
    return module_load(module, image);
}

CUresult sim_cuModuleLoadFatBinary(CUmodule *module, const void *fat_cubin)
{
    return module_load(module, fat_cubin);
}

static char *read_whole(const char *path)
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
    }
    fclose(file);
    return data;
}

CUresult sim_cuModuleLoad(CUmodule *module, const char *fname)
{
    char *data = fname ? read_whole(fname) : NULL;
    CUresult res;

    if (!fname)
        return CUDA_ERROR_INVALID_VALUE;
    if (!data)
        return CUDA_ERROR_FILE_NOT_FOUND;
    res = module_load(module, data);
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

static CUresult function_get(struct module *module, const char *name, struct function **out)
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
    if (module->image->native)
        function->native = native_find(name);
    else
        function->ptx = ptx_module_kernel(module->ptx, name);
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
    res = function_get((struct module *)module, name, &function);
    if (!res)
        *func = (CUfunction)function;
    return res;
}

static CUresult global_get(const struct module *module, const char *name, CUdeviceptr *dptr,
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
    return global_get((struct module *)module, name, dptr, bytes);
}

CUresult sim_cuLibraryLoadData(CUlibrary *library, const void *code, CUjit_option *jit_options,
                               void **jit_options_values, unsigned int num_jit_options,
                               CUlibraryOption *library_options, void **library_option_values,
                               unsigned int num_library_options)
{
    struct library *loaded;
    CUresult res = context_check_sticky();

    if (res)
        return res;
    if (!library || (num_jit_options && !jit_options) || (num_library_options && !library_options))
        return CUDA_ERROR_INVALID_VALUE;
    loaded = calloc(1, sizeof(*loaded));
    if (!loaded)
        return CUDA_ERROR_OUT_OF_MEMORY;
    res = image_open(code, &loaded->image);
    if (!res && !handle_add(loaded, HANDLE_LIBRARY))
        res = CUDA_ERROR_OUT_OF_MEMORY;
    if (res) {
        image_free(loaded->image);
        free(loaded);
        return res;
    }
    *library = (CUlibrary)loaded;
    return CUDA_SUCCESS;
}

CUresult sim_cuLibraryUnload(CUlibrary handle)
{
    struct library *library = (struct library *)handle;
    struct module *next;

    if (!handle_is(library, HANDLE_LIBRARY))
        return CUDA_ERROR_INVALID_HANDLE;
    for (struct module *module = modules; module; module = next) {
        if (module->library == library)
            context_drain(module->context);
        next = module->next;
        if (module->library == library)
            module_free(module);
    }
    while (library->kernels) {
        struct kernel *kernel = library->kernels;

        library->kernels = kernel->next;
        handle_remove(kernel);
        free(kernel->name);
        free(kernel);
    }
    handle_remove(library);
    image_free(library->image);
    free(library);
    return CUDA_SUCCESS;
}

CUresult sim_cuLibraryGetKernel(CUkernel *p_kernel, CUlibrary handle, const char *name)
{
    struct library *library = (struct library *)handle;
    struct kernel *kernel;

    if (!p_kernel || !name)
        return CUDA_ERROR_INVALID_VALUE;
    if (!handle_is(library, HANDLE_LIBRARY))
        return CUDA_ERROR_INVALID_HANDLE;
    if (library->image->native ? !native_find(name) : !ptx_module_kernel(library->image->ptx, name))
        return CUDA_ERROR_NOT_FOUND;
    for (kernel = library->kernels; kernel; kernel = kernel->next) {
        if (!strcmp(kernel->name, name)) {
            *p_kernel = (CUkernel)kernel;
            return CUDA_SUCCESS;
        }
    }
    kernel = calloc(1, sizeof(*kernel));
    if (kernel)
        kernel->name = strdup(name);
    if (!kernel || !kernel->name || !handle_add(kernel, HANDLE_KERNEL)) {
        free(kernel ? kernel->name : NULL);
        free(kernel);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    kernel->library = library;
    kernel->next = library->kernels;
    library->kernels = kernel;
    *p_kernel = (CUkernel)kernel;
    return CUDA_SUCCESS;
}

/* The library's module in a context, loaded there on first use. */
static CUresult library_module(struct library *library, struct context *context,
                               struct module **out)
{
    for (struct module *module = modules; module; module = module->next) {
        if (module->library == library && module->context == context) {
            *out = module;
            return CUDA_SUCCESS;
        }
    }
    return module_new(context, library->image, library, out);
}

static CUresult library_enter(CUlibrary handle, struct module **out)
{
    struct context *context;
    CUresult res = context_require(&context);

    if (res)
        return res;
    if (!handle_is(handle, HANDLE_LIBRARY))
        return CUDA_ERROR_INVALID_HANDLE;
    return library_module((struct library *)handle, context, out);
}

CUresult sim_cuLibraryGetModule(CUmodule *p_mod, CUlibrary library)
{
    struct module *module;
    CUresult res = p_mod ? library_enter(library, &module) : CUDA_ERROR_INVALID_VALUE;

    if (!res)
        *p_mod = (CUmodule)module;
    return res;
}

CUresult sim_cuLibraryGetGlobal(CUdeviceptr *dptr, size_t *bytes, CUlibrary library,
                                const char *name)
{
    struct module *module;
    CUresult res = name ? library_enter(library, &module) : CUDA_ERROR_INVALID_VALUE;

    return res ? res : global_get(module, name, dptr, bytes);
}

CUresult function_resolve(CUfunction handle, struct context *context, struct function **out)
{
    const struct kernel *kernel = (struct kernel *)handle;
    struct module *module;
    CUresult res;

    switch (handle_kind_of(handle)) {
    case HANDLE_FUNCTION:
        *out = (struct function *)handle;
        return CUDA_SUCCESS;
    case HANDLE_KERNEL:
        res = library_module(kernel->library, context, &module);
        return res ? res : function_get(module, kernel->name, out);
    default:
        return CUDA_ERROR_INVALID_HANDLE;
    }
}
