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

#include "interpose/hooks.h"
#include "runtime/image.h"
#include "runtime/layout.h"
#include "runtime/log.h"

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

static void note_load(const struct driver *drv, const void *owner, const void *image)
{
    if (!drv->cuFuncGetParamInfo && image_record(owner, image, current_arch(drv)) < 0)
        log_debug("module %p has no cubin that can be read; its kernels stay opaque", owner);
    layout_retry_unknown();
}

static void note_unload(const void *owner)
{
    image_forget(owner);
    layout_forget_all();
}

CUresult hook_cuModuleLoadData(const struct driver *drv, CUmodule *module, const void *image)
{
    CUresult res = drv->cuModuleLoadData(module, image);

    if (res == CUDA_SUCCESS)
        note_load(drv, *module, image);
    return res;
}

CUresult hook_cuModuleLoadDataEx(const struct driver *drv, CUmodule *module, const void *image,
                                 unsigned int num_options, CUjit_option *options,
                                 void **option_values)
{
    CUresult res = drv->cuModuleLoadDataEx(module, image, num_options, options, option_values);

    if (res == CUDA_SUCCESS)
        note_load(drv, *module, image);
    return res;
}

CUresult hook_cuModuleLoadFatBinary(const struct driver *drv, CUmodule *module,
                                    const void *fat_cubin)
{
    CUresult res = drv->cuModuleLoadFatBinary(module, fat_cubin);

    if (res == CUDA_SUCCESS)
        note_load(drv, *module, fat_cubin);
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

CUresult hook_cuLibraryLoadData(const struct driver *drv, CUlibrary *library, const void *code,
                                CUjit_option *jit_options, void **jit_options_values,
                                unsigned int num_jit_options, CUlibraryOption *library_options,
                                void **library_option_values, unsigned int num_library_options)
{
    CUresult res =
        drv->cuLibraryLoadData(library, code, jit_options, jit_options_values, num_jit_options,
                               library_options, library_option_values, num_library_options);

    if (res == CUDA_SUCCESS)
        note_load(drv, *library, code);
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

CUresult hook_cuKernelGetFunction(const struct driver *drv, CUfunction *p_func, CUkernel kernel)
{
    CUresult res = drv->cuKernelGetFunction(p_func, kernel);

    if (res == CUDA_SUCCESS)
        image_attach_function(kernel, *p_func);
    return res;
}
