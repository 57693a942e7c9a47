/* SPDX-License-Identifier: MIT */
/*
 * Libraries: device code that is no context's own. A library's code is loaded into a context when
 * it is first needed there, and its kernels stand for the functions of whichever is current.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/calls.h"
#include "tests/sim/module.h"

struct kernel {
    struct kernel *next;
    struct library *library;
    char *name;
};

struct library {
    struct image *image;
    struct kernel *kernels;
};

static CUresult library_new(const void *code, size_t bytes, const struct jit_options *jit,
                            CUlibrary *out)
{
    struct library *library = calloc(1, sizeof(*library));
    CUresult res;

    if (!library)
        return CUDA_ERROR_OUT_OF_MEMORY;
    res = image_open(code, bytes, jit, &library->image);
    if (!res && !handle_add(library, HANDLE_LIBRARY))
        res = CUDA_ERROR_OUT_OF_MEMORY;
    if (res) {
        image_free(library->image);
        free(library);
        return res;
    }
    *out = (CUlibrary)library;
    return CUDA_SUCCESS;
}

/* They say who keeps the code, and pass tables of the runtime's: neither matters here. */
static CUresult check_library_options(const CUlibraryOption *options, unsigned int n)
{
    if (n && !options)
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned int i = 0; i < n; i++)
        if ((unsigned int)options[i] >= CU_LIBRARY_NUM_OPTIONS)
            return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

CUresult sim_cuLibraryLoadData(CUlibrary *library, const void *code, CUjit_option *jit_options,
                               void **jit_options_values, unsigned int num_jit_options,
                               CUlibraryOption *library_options, void **library_option_values,
                               unsigned int num_library_options)
{
    const struct jit_options jit = {num_jit_options, jit_options, jit_options_values};
    CUresult res = check_library_options(library_options, num_library_options);

    if (!res)
        res = library ? context_check_sticky() : CUDA_ERROR_INVALID_VALUE;
    return res ? res : library_new(code, IMAGE_UNSIZED, &jit, library);
}

CUresult sim_cuLibraryLoadFromFile(CUlibrary *library, const char *file_name,
                                   CUjit_option *jit_options, void **jit_options_values,
                                   unsigned int num_jit_options, CUlibraryOption *library_options,
                                   void **library_option_values, unsigned int num_library_options)
{
    const struct jit_options jit = {num_jit_options, jit_options, jit_options_values};
    CUresult res = check_library_options(library_options, num_library_options);
    size_t bytes;
    char *code;

    if (!res)
        res = library && file_name ? context_check_sticky() : CUDA_ERROR_INVALID_VALUE;
    if (res)
        return res;
    code = module_read_file(file_name, &bytes);
    if (!code)
        return CUDA_ERROR_FILE_NOT_FOUND;
    res = library_new(code, bytes, &jit, library);
    free(code);
    return res;
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

static CUresult library_kernel(struct library *library, const char *name, CUkernel *out)
{
    struct kernel *kernel;

    for (kernel = library->kernels; kernel; kernel = kernel->next) {
        if (!strcmp(kernel->name, name)) {
            *out = (CUkernel)kernel;
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
    *out = (CUkernel)kernel;
    return CUDA_SUCCESS;
}

CUresult sim_cuLibraryGetKernel(CUkernel *p_kernel, CUlibrary handle, const char *name)
{
    struct library *library = (struct library *)handle;

    if (!p_kernel || !name)
        return CUDA_ERROR_INVALID_VALUE;
    if (!handle_is(library, HANDLE_LIBRARY))
        return CUDA_ERROR_INVALID_HANDLE;
    if (library->image->native ? !native_find(name) : !ptx_module_kernel(library->image->ptx, name))
        return CUDA_ERROR_NOT_FOUND;
    return library_kernel(library, name, p_kernel);
}

CUresult sim_cuLibraryGetKernelCount(unsigned int *count, CUlibrary library)
{
    if (!count)
        return CUDA_ERROR_INVALID_VALUE;
    if (!handle_is(library, HANDLE_LIBRARY))
        return CUDA_ERROR_INVALID_HANDLE;
    *count = (unsigned int)image_n_kernels(((struct library *)library)->image);
    return CUDA_SUCCESS;
}

CUresult sim_cuLibraryEnumerateKernels(CUkernel *kernels, unsigned int num_kernels,
                                       CUlibrary handle)
{
    struct library *library = (struct library *)handle;
    CUresult res = CUDA_SUCCESS;

    if (!kernels || !num_kernels)
        return CUDA_ERROR_INVALID_VALUE;
    if (!handle_is(library, HANDLE_LIBRARY))
        return CUDA_ERROR_INVALID_HANDLE;
    for (unsigned int i = 0; !res && i < num_kernels && i < image_n_kernels(library->image); i++)
        res = library_kernel(library, image_kernel_name(library->image, i), &kernels[i]);
    return res;
}

CUresult sim_cuKernelGetName(const char **name, CUkernel kernel)
{
    if (!name)
        return CUDA_ERROR_INVALID_VALUE;
    if (!handle_is(kernel, HANDLE_KERNEL))
        return CUDA_ERROR_INVALID_HANDLE;
    *name = ((struct kernel *)kernel)->name;
    return CUDA_SUCCESS;
}

CUresult sim_cuKernelGetLibrary(CUlibrary *p_library, CUkernel kernel)
{
    if (!p_library)
        return CUDA_ERROR_INVALID_VALUE;
    if (!handle_is(kernel, HANDLE_KERNEL))
        return CUDA_ERROR_INVALID_HANDLE;
    *p_library = (CUlibrary)((struct kernel *)kernel)->library;
    return CUDA_SUCCESS;
}

/* No PTX that can be loaded here has either. */
CUresult sim_cuLibraryGetManaged(CUdeviceptr *dptr, size_t *bytes, CUlibrary library,
                                 const char *name)
{
    if (!name)
        return CUDA_ERROR_INVALID_VALUE;
    return handle_is(library, HANDLE_LIBRARY) ? CUDA_ERROR_NOT_FOUND : CUDA_ERROR_INVALID_HANDLE;
}

CUresult sim_cuLibraryGetUnifiedFunction(void **fptr, CUlibrary library, const char *symbol)
{
    if (!fptr || !symbol)
        return CUDA_ERROR_INVALID_VALUE;
    return handle_is(library, HANDLE_LIBRARY) ? CUDA_ERROR_NOT_FOUND : CUDA_ERROR_INVALID_HANDLE;
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

    return res ? res : module_global(module, name, dptr, bytes);
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
        return res ? res : module_function(module, kernel->name, out);
    default:
        return CUDA_ERROR_INVALID_HANDLE;
    }
}
