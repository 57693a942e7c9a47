/* SPDX-License-Identifier: MIT */
/*
 * Modules, libraries and the handles got from them. Every call is the driver's own; what is noted
 * here is where each handle comes from and, if the driver is too old to be asked for parameter
 * layouts, what the images say of them. Nothing here changes what the program sees: a layout that
 * is not had only makes its kernel opaque.
 *
 * Everything is forgotten before the driver unloads, not after: by the time it returns, another
 * thread may have been given the same handle anew.
 */

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interpose/hooks.h"
#include "runtime/file.h"
#include "runtime/image.h"
#include "runtime/layout.h"
#include "runtime/log.h"
#include "runtime/repute.h"
#include "runtime/util.h"

#define IMAGE_FILE_MAX ((off_t)(2 * GIB))

/* The current device's, as 90 for 9.0; 0 when it cannot be told. */
static unsigned int current_arch(const struct driver *drv)
{
    CUdevice device;
    int major, minor;

    if (!drv->cuCtxGetDevice || drv->cuCtxGetDevice(&device) != CUDA_SUCCESS ||
        !drv->cuDeviceGetAttribute ||
        drv->cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device) !=
            CUDA_SUCCESS ||
        drv->cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device) !=
            CUDA_SUCCESS)
        return 0;
    return 10 * major + minor;
}

/* `image` is NULL when nobody has it; `stays`: it is there for as long as the owner is. */
static void note_load(const struct driver *drv, const void *owner, const void *image, bool stays)
{
    image_forget(owner);
    if (image && !drv->cuFuncGetParamInfo && image_record(owner, image, current_arch(drv)) < 0)
        log_debug("module %p has no cubin that can be read; its kernels stay opaque", owner);
    if (image && repute_is_open())
        image_identify(owner, image, stays);
    layout_retry_unknown();
}

static char *read_image(int fd)
{
    struct stat status;
    size_t size, got;
    char *image;

    if (fstat(fd, &status) || !S_ISREG(status.st_mode) || status.st_size > IMAGE_FILE_MAX)
        return NULL;
    size = (size_t)status.st_size;
    image = calloc(1, size + 1); /* text ends with a NUL */
    if (image && !file_read(fd, image, size, &got) && got == size)
        return image;
    free(image);
    return NULL;
}

/* The driver has loaded it from a file, which is read once more where what is in it counts. */
static void note_load_of_file(const struct driver *drv, const void *owner, const char *name)
{
    bool counts = !drv->cuFuncGetParamInfo || repute_is_open();
    int fd = counts ? open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) : -1;
    char *image = fd >= 0 ? read_image(fd) : NULL;

    if (fd >= 0)
        close(fd);
    note_load(drv, owner, image, false);
    free(image);
}

static void note_unload(const void *owner)
{
    image_forget(owner);
    layout_forget_all();
}

CUresult hook_cuModuleLoad(const struct driver *drv, CUmodule *module, const char *fname)
{
    CUresult res = drv->cuModuleLoad(module, fname);

    if (res == CUDA_SUCCESS)
        note_load_of_file(drv, *module, fname);
    return res;
}

CUresult hook_cuModuleLoadData(const struct driver *drv, CUmodule *module, const void *image)
{
    CUresult res = drv->cuModuleLoadData(module, image);

    if (res == CUDA_SUCCESS)
        note_load(drv, *module, image, false);
    return res;
}

CUresult hook_cuModuleLoadDataEx(const struct driver *drv, CUmodule *module, const void *image,
                                 unsigned int num_options, CUjit_option *options,
                                 void **option_values)
{
    CUresult res = drv->cuModuleLoadDataEx(module, image, num_options, options, option_values);

    if (res == CUDA_SUCCESS)
        note_load(drv, *module, image, false);
    return res;
}

CUresult hook_cuModuleLoadFatBinary(const struct driver *drv, CUmodule *module,
                                    const void *fat_cubin)
{
    CUresult res = drv->cuModuleLoadFatBinary(module, fat_cubin);

    if (res == CUDA_SUCCESS)
        note_load(drv, *module, fat_cubin, false);
    return res;
}

CUresult hook_cuModuleUnload(const struct driver *drv, CUmodule module)
{
    note_unload(module);
    return drv->cuModuleUnload(module);
}

CUresult hook_cuModuleGetFunction(const struct driver *drv, CUfunction *func, CUmodule module,
                                  const char *name)
{
    CUresult res = drv->cuModuleGetFunction(func, module, name);

    if (res == CUDA_SUCCESS)
        image_attach(module, name, *func, IMAGE_HANDLE_FUNCTION);
    return res;
}

/* The program has promised that the image stays. */
static bool is_preserved(const CUlibraryOption *options, void *const *values, unsigned int n)
{
    for (unsigned int i = 0; options && values && i < n; i++) {
        if (options[i] == CU_LIBRARY_BINARY_IS_PRESERVED && values[i])
            return true;
    }
    return false;
}

CUresult hook_cuLibraryLoadData(const struct driver *drv, CUlibrary *library, const void *code,
                                CUjit_option *jit_options, void **jit_options_values,
                                unsigned int num_jit_options, CUlibraryOption *library_options,
                                void **library_option_values, unsigned int num_library_options)
{
    CUresult res =
        drv->cuLibraryLoadData(library, code, jit_options, jit_options_values, num_jit_options,
                               library_options, library_option_values, num_library_options);

    if (res == CUDA_SUCCESS)
        note_load(drv, *library, code,
                  is_preserved(library_options, library_option_values, num_library_options));
    return res;
}

CUresult hook_cuLibraryLoadFromFile(const struct driver *drv, CUlibrary *library,
                                    const char *file_name, CUjit_option *jit_options,
                                    void **jit_options_values, unsigned int num_jit_options,
                                    CUlibraryOption *library_options, void **library_option_values,
                                    unsigned int num_library_options)
{
    CUresult res = drv->cuLibraryLoadFromFile(library, file_name, jit_options, jit_options_values,
                                              num_jit_options, library_options,
                                              library_option_values, num_library_options);

    if (res == CUDA_SUCCESS)
        note_load_of_file(drv, *library, file_name);
    return res;
}

CUresult hook_cuLibraryUnload(const struct driver *drv, CUlibrary library)
{
    note_unload(library);
    return drv->cuLibraryUnload(library);
}

CUresult hook_cuLibraryGetKernel(const struct driver *drv, CUkernel *p_kernel, CUlibrary library,
                                 const char *name)
{
    CUresult res = drv->cuLibraryGetKernel(p_kernel, library, name);

    if (res == CUDA_SUCCESS)
        image_attach(library, name, *p_kernel, IMAGE_HANDLE_KERNEL);
    return res;
}

CUresult hook_cuLibraryGetModule(const struct driver *drv, CUmodule *p_mod, CUlibrary library)
{
    CUresult res = drv->cuLibraryGetModule(p_mod, library);

    if (res == CUDA_SUCCESS)
        image_alias(*p_mod, library);
    return res;
}

/* The program gave an array of any length; so many of it have been written. */
CUresult hook_cuModuleEnumerateFunctions(const struct driver *drv, CUfunction *functions,
                                         unsigned int num_functions, CUmodule module)
{
    CUresult res = drv->cuModuleEnumerateFunctions(functions, num_functions, module);
    unsigned int n = 0;
    const char *name;

    if (res != CUDA_SUCCESS || !repute_is_open() || !drv->cuFuncGetName ||
        !drv->cuModuleGetFunctionCount || drv->cuModuleGetFunctionCount(&n, module))
        return res;
    for (unsigned int i = 0; i < n && i < num_functions; i++) {
        if (drv->cuFuncGetName(&name, functions[i]) == CUDA_SUCCESS)
            image_attach(module, name, functions[i], IMAGE_HANDLE_FUNCTION);
    }
    return res;
}

CUresult hook_cuLibraryEnumerateKernels(const struct driver *drv, CUkernel *kernels,
                                        unsigned int num_kernels, CUlibrary library)
{
    CUresult res = drv->cuLibraryEnumerateKernels(kernels, num_kernels, library);
    unsigned int n = 0;
    const char *name;

    if (res != CUDA_SUCCESS || !repute_is_open() || !drv->cuKernelGetName ||
        !drv->cuLibraryGetKernelCount || drv->cuLibraryGetKernelCount(&n, library))
        return res;
    for (unsigned int i = 0; i < n && i < num_kernels; i++) {
        if (drv->cuKernelGetName(&name, kernels[i]) == CUDA_SUCCESS)
            image_attach(library, name, kernels[i], IMAGE_HANDLE_KERNEL);
    }
    return res;
}

CUresult hook_cuKernelGetFunction(const struct driver *drv, CUfunction *p_func, CUkernel kernel)
{
    CUresult res = drv->cuKernelGetFunction(p_func, kernel);

    if (res == CUDA_SUCCESS)
        image_attach_function(kernel, *p_func);
    return res;
}
