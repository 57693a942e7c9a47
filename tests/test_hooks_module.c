/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>

#include "interpose/hooks.h"
#include "runtime/image.h"
#include "runtime/layout.h"
#include "runtime/repute.h"
#include "runtime/util.h"
#include "tests/data/data.h"

/* A driver of one module, one library and one handle of each sort. */
static char a_module, a_library, a_function, a_kernel;
static CUresult next_result;

static CUresult module_load_data(CUmodule *module, const void *image)
{
    *module = (CUmodule)&a_module;
    return next_result;
}

static CUresult module_load(CUmodule *module, const char *fname)
{
    return module_load_data(module, fname);
}

static CUresult module_load_data_ex(CUmodule *module, const void *image, unsigned int num_options,
                                    CUjit_option *options, void **option_values)
{
    return module_load_data(module, image);
}

static CUresult module_unload(CUmodule module)
{
    return next_result;
}

static CUresult module_get_function(CUfunction *func, CUmodule module, const char *name)
{
    *func = (CUfunction)&a_function;
    return next_result;
}

static CUresult library_load_data(CUlibrary *library, const void *code, CUjit_option *jit_options,
                                  void **jit_options_values, unsigned int num_jit_options,
                                  CUlibraryOption *library_options, void **library_option_values,
                                  unsigned int num_library_options)
{
    *library = (CUlibrary)&a_library;
    return next_result;
}

static CUresult library_load_file(CUlibrary *library, const char *file_name,
                                  CUjit_option *jit_options, void **jit_options_values,
                                  unsigned int num_jit_options, CUlibraryOption *library_options,
                                  void **library_option_values, unsigned int num_library_options)
{
    *library = (CUlibrary)&a_library;
    return next_result;
}

static CUresult library_unload(CUlibrary library)
{
    return next_result;
}

static CUresult library_get_kernel(CUkernel *kernel, CUlibrary library, const char *name)
{
    *kernel = (CUkernel)&a_kernel;
    return next_result;
}

static CUresult kernel_get_function(CUfunction *func, CUkernel kernel)
{
    *func = (CUfunction)&a_function;
    return next_result;
}

/* The arrays of the tests are longer. */
static CUresult count(unsigned int *n, void *owner)
{
    *n = 1;
    return next_result;
}

static CUresult module_count(unsigned int *n, CUmodule module)
{
    return count(n, module);
}

static CUresult library_count(unsigned int *n, CUlibrary library)
{
    return count(n, library);
}

static CUresult module_list(CUfunction *functions, unsigned int n, CUmodule module)
{
    functions[0] = (CUfunction)&a_function;
    return next_result;
}

static CUresult library_list(CUkernel *kernels, unsigned int n, CUlibrary library)
{
    kernels[0] = (CUkernel)&a_kernel;
    return next_result;
}

static CUresult library_get_module(CUmodule *module, CUlibrary library)
{
    *module = (CUmodule)&a_module;
    return next_result;
}

static CUresult func_get_name(const char **name, CUfunction func)
{
    cr_assert_eq(func, (CUfunction)&a_function);
    *name = "mixed";
    return CUDA_SUCCESS;
}

static CUresult kernel_get_name(const char **name, CUkernel kernel)
{
    cr_assert_eq(kernel, (CUkernel)&a_kernel);
    *name = "mixed";
    return CUDA_SUCCESS;
}

static CUresult ctx_get_device(CUdevice *device)
{
    *device = 0;
    return CUDA_SUCCESS;
}

static CUresult device_get_attribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
    *value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR ? 7 : 5;
    return CUDA_SUCCESS;
}

static CUresult func_get_param_info(CUfunction func, size_t index, size_t *offset, size_t *bytes)
{
    *offset = 0;
    *bytes = 8;
    return index ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

static const struct driver old_drv = {
    .cuModuleLoad = module_load,
    .cuModuleLoadData = module_load_data,
    .cuModuleLoadDataEx = module_load_data_ex,
    .cuModuleLoadFatBinary = module_load_data,
    .cuModuleUnload = module_unload,
    .cuModuleGetFunction = module_get_function,
    .cuLibraryLoadData = library_load_data,
    .cuLibraryLoadFromFile = library_load_file,
    .cuLibraryUnload = library_unload,
    .cuLibraryGetKernel = library_get_kernel,
    .cuKernelGetFunction = kernel_get_function,
};

static struct driver listing_drv(void)
{
    struct driver drv = old_drv;

    drv.cuLibraryGetModule = library_get_module;
    drv.cuModuleEnumerateFunctions = module_list;
    drv.cuModuleGetFunctionCount = module_count;
    drv.cuFuncGetName = func_get_name;
    drv.cuLibraryEnumerateKernels = library_list;
    drv.cuLibraryGetKernelCount = library_count;
    drv.cuKernelGetName = kernel_get_name;
    return drv;
}

static void ok_load(CUmodule *module, const void *image, CUfunction *function)
{
    cr_assert_eq(hook_cuModuleLoadData(&old_drv, module, image), CUDA_SUCCESS);
    cr_assert_eq(hook_cuModuleGetFunction(&old_drv, function, *module, "mixed"), CUDA_SUCCESS);
}

static uint32_t n_params(const struct driver *drv, const void *handle)
{
    const struct layout *layout = layout_find(drv, (CUfunction)handle);

    return layout ? layout->n_params : UINT32_MAX;
}

Test(hooks_module, lets_a_function_of_a_module_be_known_by_its_image)
{
    struct data cubin = data_load("kernels.sm_75.cubin");
    CUfunction function;
    CUmodule module;

    cr_assert_eq(hook_cuModuleLoadData(&old_drv, &module, cubin.at), CUDA_SUCCESS);
    cr_assert_eq(hook_cuModuleGetFunction(&old_drv, &function, module, "mixed"), CUDA_SUCCESS);
    cr_expect_eq(n_params(&old_drv, function), 8);
    cr_assert_eq(hook_cuModuleUnload(&old_drv, module), CUDA_SUCCESS);
    cr_expect_eq(n_params(&old_drv, function), UINT32_MAX);

    cr_assert_eq(hook_cuModuleLoadDataEx(&old_drv, &module, cubin.at, 0, NULL, NULL), 0);
    cr_assert_eq(hook_cuModuleGetFunction(&old_drv, &function, module, "one_pointer"), 0);
    cr_expect_eq(n_params(&old_drv, function), 1);
    data_free(&cubin);
}

Test(hooks_module, picks_the_entry_of_the_current_device)
{
    struct data fatbin = data_load("pair.fatbin");
    struct driver drv = old_drv;
    CUfunction function;
    CUmodule module;

    drv.cuCtxGetDevice = ctx_get_device;
    drv.cuDeviceGetAttribute = device_get_attribute;
    cr_assert_eq(hook_cuModuleLoadFatBinary(&drv, &module, fatbin.at), CUDA_SUCCESS);
    cr_assert_eq(hook_cuModuleGetFunction(&drv, &function, module, "pair"), CUDA_SUCCESS);
    cr_expect_eq(n_params(&drv, function), 3);
    data_free(&fatbin);
}

Test(hooks_module, lets_a_kernel_of_a_library_and_its_function_be_known)
{
    struct data cubin = data_load("kernels.sm_75.cubin");
    CUfunction function;
    CUlibrary library;
    CUkernel kernel;

    cr_assert_eq(hook_cuLibraryLoadData(&old_drv, &library, cubin.at, NULL, NULL, 0, NULL, NULL, 0),
                 CUDA_SUCCESS);
    cr_assert_eq(hook_cuLibraryGetKernel(&old_drv, &kernel, library, "mixed"), CUDA_SUCCESS);
    cr_assert_eq(hook_cuKernelGetFunction(&old_drv, &function, kernel), CUDA_SUCCESS);
    cr_expect_eq(n_params(&old_drv, kernel), 8);
    cr_expect_eq(n_params(&old_drv, function), 8);
    cr_expect_eq(image_handle_kind(kernel), IMAGE_HANDLE_KERNEL);
    cr_expect_eq(image_handle_kind(function), IMAGE_HANDLE_FUNCTION);
    cr_assert_eq(hook_cuLibraryUnload(&old_drv, library), CUDA_SUCCESS);
    cr_expect_eq(n_params(&old_drv, kernel), UINT32_MAX);
    cr_expect_eq(n_params(&old_drv, function), UINT32_MAX);
    data_free(&cubin);
}

static uint64_t digest_of(const void *handle)
{
    uint64_t digest = 0;
    char *name = NULL;

    (void)image_function(handle, &digest, &name);
    free(name);
    return digest;
}

Test(hooks_module, tells_functions_of_images_in_memory_and_in_files_under_a_plan)
{
    static const struct roll nobody;
    struct data cubin = data_load("kernels.sm_75.cubin");
    CUlibraryOption option = CU_LIBRARY_BINARY_IS_PRESERVED;
    void *value = &option;
    CUfunction function;
    CUlibrary library;
    uint64_t digest;
    CUmodule module;
    CUkernel kernel;

    ok_load(&module, cubin.at, &function);
    cr_expect_eq(digest_of(function), 0, "nobody asks without a plan");
    repute_open(&nobody);
    ok_load(&module, cubin.at, &function);
    digest = digest_of(function);
    cr_expect_neq(digest, 0);
    cr_assert_eq(hook_cuModuleLoad(&old_drv, &module, data_path("kernels.sm_75.cubin")), 0);
    cr_expect_eq(digest_of(function), 0, "it was of what is gone");
    cr_assert_eq(hook_cuModuleGetFunction(&old_drv, &function, module, "mixed"), 0);
    cr_expect_eq(digest_of(function), digest);
    cr_expect_eq(n_params(&old_drv, function), 8);
    cr_assert_eq(hook_cuLibraryLoadFromFile(&old_drv, &library, data_path("kernels.sm_75.cubin"),
                                            NULL, NULL, 0, NULL, NULL, 0),
                 0);
    cr_assert_eq(hook_cuLibraryGetKernel(&old_drv, &kernel, library, "mixed"), 0);
    cr_expect_eq(digest_of(kernel), digest);
    cr_assert_eq(
        hook_cuLibraryLoadData(&old_drv, &library, cubin.at, NULL, NULL, 0, &option, &value, 1), 0);
    cr_assert_eq(hook_cuLibraryGetKernel(&old_drv, &kernel, library, "mixed"), 0);
    ((unsigned char *)cubin.at)[cubin.bytes - 1] ^= 1;
    cr_expect_neq(digest_of(kernel), digest, "what the program keeps is read when it is asked for");
    cr_assert_eq(hook_cuModuleLoad(&old_drv, &module, "/nowhere"), 0);
    cr_assert_eq(hook_cuModuleGetFunction(&old_drv, &function, module, "mixed"), 0);
    cr_expect_eq(digest_of(function), 0, "a file that is gone");
    data_free(&cubin);
}

Test(hooks_module, tells_functions_that_were_listed_under_a_plan)
{
    static const struct roll nobody;
    struct data cubin = data_load("kernels.sm_75.cubin");
    struct driver drv = listing_drv();
    CUfunction functions[2] = {NULL, (CUfunction)&a_kernel};
    CUkernel kernels[2] = {NULL, (CUkernel)&a_function};
    CUlibrary library;
    uint64_t digest;
    CUmodule module;

    repute_open(&nobody);
    ok_load(&module, cubin.at, functions);
    digest = digest_of(functions[0]);
    cr_assert_eq(hook_cuModuleLoadData(&drv, &module, cubin.at), 0);
    cr_expect_eq(digest_of(&a_function), 0);
    cr_assert_eq(hook_cuModuleEnumerateFunctions(&drv, functions, 2, module), 0);
    cr_expect_eq(digest_of(&a_function), digest);
    cr_assert_eq(hook_cuLibraryLoadData(&drv, &library, cubin.at, NULL, NULL, 0, NULL, NULL, 0), 0);
    cr_assert_eq(hook_cuLibraryEnumerateKernels(&drv, kernels, 2, library), 0);
    cr_expect_eq(digest_of(&a_kernel), digest);
    cr_expect_eq(image_handle_kind(&a_kernel), IMAGE_HANDLE_KERNEL);
    drv.cuFuncGetName = NULL;
    cr_assert_eq(hook_cuModuleLoadData(&drv, &module, cubin.at), 0);
    cr_assert_eq(hook_cuModuleEnumerateFunctions(&drv, functions, 2, module), 0);
    cr_expect_eq(digest_of(&a_function), 0, "a driver that does not tell names");
    data_free(&cubin);
}

Test(hooks_module, tells_functions_of_the_module_of_a_library)
{
    static const struct roll nobody;
    struct data cubin = data_load("kernels.sm_75.cubin");
    struct driver drv = listing_drv();
    CUfunction function;
    CUlibrary library;
    CUmodule module;

    repute_open(&nobody);
    cr_assert_eq(hook_cuLibraryLoadData(&drv, &library, cubin.at, NULL, NULL, 0, NULL, NULL, 0), 0);
    cr_assert_eq(hook_cuLibraryGetModule(&drv, &module, library), 0);
    cr_assert_eq(hook_cuModuleGetFunction(&drv, &function, module, "mixed"), 0);
    cr_expect_neq(digest_of(function), 0);
    cr_expect_eq(n_params(&old_drv, function), 8, "and what its image says of it");
    cr_assert_eq(hook_cuLibraryUnload(&drv, library), 0);
    cr_expect_eq(digest_of(function), 0);
    cr_assert_eq(hook_cuModuleGetFunction(&drv, &function, module, "mixed"), 0);
    cr_expect_eq(digest_of(function), 0, "the module is gone with it");
    data_free(&cubin);
}

Test(hooks_module, believes_a_driver_that_can_be_asked_over_the_image)
{
    struct data cubin = data_load("kernels.sm_75.cubin");
    struct driver drv = old_drv;
    CUfunction function;
    CUmodule module;

    drv.cuFuncGetParamInfo = func_get_param_info;
    cr_assert_eq(hook_cuModuleLoadData(&drv, &module, cubin.at), CUDA_SUCCESS);
    cr_assert_eq(hook_cuModuleGetFunction(&drv, &function, module, "mixed"), CUDA_SUCCESS);
    cr_expect_eq(n_params(&drv, function), 1);
    cr_assert_eq(hook_cuModuleUnload(&drv, module), CUDA_SUCCESS);
    cr_expect_eq(n_params(&old_drv, function), UINT32_MAX, "the image was not even read");
    data_free(&cubin);
}

Test(hooks_module, hands_on_the_errors_of_the_driver_and_notes_nothing)
{
    struct data cubin = data_load("kernels.sm_75.cubin");
    struct driver drv = listing_drv();
    CUfunction function;
    CUlibrary library;
    CUmodule module;
    CUkernel kernel;

    next_result = CUDA_ERROR_OUT_OF_MEMORY;
    cr_expect_eq(hook_cuModuleLoadData(&old_drv, &module, cubin.at), next_result);
    cr_expect_eq(hook_cuModuleLoadDataEx(&old_drv, &module, cubin.at, 0, NULL, NULL), next_result);
    cr_expect_eq(hook_cuModuleLoadFatBinary(&old_drv, &module, cubin.at), next_result);
    cr_expect_eq(hook_cuModuleUnload(&old_drv, (CUmodule)&a_module), next_result);
    cr_expect_eq(hook_cuModuleGetFunction(&old_drv, &function, module, "mixed"), next_result);
    cr_expect_eq(hook_cuLibraryLoadData(&old_drv, &library, cubin.at, NULL, NULL, 0, NULL, NULL, 0),
                 next_result);
    cr_expect_eq(hook_cuLibraryUnload(&old_drv, (CUlibrary)&a_library), next_result);
    cr_expect_eq(hook_cuLibraryGetKernel(&old_drv, &kernel, library, "mixed"), next_result);
    cr_expect_eq(hook_cuKernelGetFunction(&old_drv, &function, (CUkernel)&a_kernel), next_result);
    cr_expect_eq(hook_cuLibraryGetModule(&drv, &module, library), next_result);
    cr_expect_eq(hook_cuModuleEnumerateFunctions(&drv, &function, 1, module), next_result);
    cr_expect_eq(hook_cuLibraryEnumerateKernels(&drv, &kernel, 1, library), next_result);
    cr_expect_eq(image_handle_kind(&a_function), IMAGE_HANDLE_UNKNOWN);
    cr_expect_eq(image_handle_kind(&a_kernel), IMAGE_HANDLE_UNKNOWN);
    next_result = CUDA_SUCCESS;
    cr_expect_eq(hook_cuModuleGetFunction(&old_drv, &function, module, "mixed"), CUDA_SUCCESS);
    cr_expect_eq(n_params(&old_drv, function), UINT32_MAX);
    data_free(&cubin);
}
