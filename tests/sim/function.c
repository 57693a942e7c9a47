/* SPDX-License-Identifier: MIT */
/*
 * What programs ask about a kernel, and the kernels that are registered C functions.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"
#include "tests/sim/calls.h"
#include "tests/sim/device.h"
#include "tests/sim/memory.h"
#include "tests/sim/module.h"
#include "tests/sim/profile.h"

struct native {
    struct native *next;
    const struct sim_native_kernel *kernel;
};

static struct native *natives;

static bool is_registered(const struct sim_native_kernel *kernel)
{
    for (const struct native *native = natives; native; native = native->next)
        if (native->kernel == kernel)
            return true;
    return false;
}

EXPORT void sim_register_kernel(const struct sim_native_kernel *kernel)
{
    struct native *native = calloc(1, sizeof(*native));

    if (!native)
        abort();
    core_lock();
    if (is_registered(kernel)) {
        core_unlock();
        free(native);
        return;
    }
    native->kernel = kernel;
    native->next = natives;
    natives = native;
    core_unlock();
}

const struct sim_native_kernel *native_find(const char *name)
{
    for (const struct native *native = natives; native; native = native->next)
        if (!strcmp(native->kernel->name, name))
            return native->kernel;
    return NULL;
}

const struct sim_native_kernel *native_at(size_t index)
{
    const struct native *native = natives;
    size_t n = 0;

    /* The list begins with the newest. */
    for (const struct native *each = natives; each; each = each->next)
        n++;
    if (index >= n)
        return NULL;
    for (size_t i = n - 1; i > index; i--)
        native = native->next;
    return native->kernel;
}

EXPORT void *sim_kernel_access(uint64_t address, size_t bytes, int write)
{
    uint64_t from;
    uint64_t to;
    void *at = sim_mmu_translate(address, bytes, write, &from, &to);

    if (at)
        sim_mmu_account(address, bytes);
    else
        mmu_note_fault(address, write);
    return at;
}

size_t function_n_params(const struct function *function)
{
    return function->native ? function->native->n_params : ptx_kernel_n_params(function->ptx);
}

void function_param(const struct function *function, size_t index, size_t *offset, size_t *bytes)
{
    if (!function->native) {
        ptx_kernel_param(function->ptx, index, offset, bytes);
        return;
    }
    *offset = function->native->param_offsets[index];
    *bytes = function->native->param_sizes[index];
}

size_t function_param_bytes(const struct function *function)
{
    size_t end = 0;

    if (!function->native)
        return ptx_kernel_param_bytes(function->ptx);
    for (size_t i = 0; i < function->native->n_params; i++)
        end = max_u64(end, function->native->param_offsets[i] + function->native->param_sizes[i]);
    return end;
}

size_t function_shared_bytes(const struct function *function)
{
    return function->native ? 0 : ptx_kernel_static_shared_bytes(function->ptx);
}

size_t function_local_bytes(const struct function *function)
{
    return function->native ? 0 : ptx_kernel_local_bytes(function->ptx);
}

static CUresult enter(CUfunction handle, struct function **out)
{
    struct context *context;
    CUresult res = context_require(&context);

    return res ? res : function_resolve(handle, context, out);
}

CUresult sim_cuKernelGetFunction(CUfunction *p_func, CUkernel kernel)
{
    struct function *function;
    CUresult res;

    if (!p_func)
        return CUDA_ERROR_INVALID_VALUE;
    if (!handle_is(kernel, HANDLE_KERNEL))
        return CUDA_ERROR_INVALID_HANDLE;
    res = enter((CUfunction)kernel, &function);
    if (!res)
        *p_func = (CUfunction)function;
    return res;
}

CUresult sim_cuFuncGetParamInfo(CUfunction func, size_t param_index, size_t *param_offset,
                                size_t *param_size)
{
    struct function *function;
    size_t offset;
    size_t bytes;
    CUresult res = enter(func, &function);

    if (res)
        return res;
    if (!param_offset || param_index >= function_n_params(function))
        return CUDA_ERROR_INVALID_VALUE;
    function_param(function, param_index, &offset, &bytes);
    *param_offset = offset;
    if (param_size)
        *param_size = bytes;
    return CUDA_SUCCESS;
}

CUresult sim_cuKernelGetParamInfo(CUkernel kernel, size_t param_index, size_t *param_offset,
                                  size_t *param_size)
{
    return sim_cuFuncGetParamInfo((CUfunction)kernel, param_index, param_offset, param_size);
}

CUresult sim_cuFuncGetName(const char **name, CUfunction func)
{
    struct function *function;
    CUresult res = name ? enter(func, &function) : CUDA_ERROR_INVALID_VALUE;

    if (!res)
        *name = function->name;
    return res;
}

CUresult sim_cuFuncGetAttribute(int *pi, CUfunction_attribute attrib, CUfunction func)
{
    struct function *function;
    CUresult res = pi ? enter(func, &function) : CUDA_ERROR_INVALID_VALUE;

    if (res)
        return res;
    switch ((int)attrib) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
        *pi = DEVICE_MAX_THREADS;
        return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
        *pi = (int)function_shared_bytes(function);
        return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
        *pi = (int)function_local_bytes(function);
        return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_NUM_REGS:
        *pi = 32;
        return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_PTX_VERSION:
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
        *pi = (int)(profile.compute_major * 10 + profile.compute_minor);
        return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
        *pi = function->max_dynamic_shared >= 0
                  ? function->max_dynamic_shared
                  : DEVICE_SHARED_BYTES - (int)function_shared_bytes(function);
        return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
        *pi = function->carveout;
        return CUDA_SUCCESS;
    default:
        /* Constant memory, cache mode and clusters: none here. */
        if ((int)attrib < 0 || attrib >= CU_FUNC_ATTRIBUTE_MAX)
            return CUDA_ERROR_INVALID_VALUE;
        *pi = 0;
        return CUDA_SUCCESS;
    }
}

CUresult sim_cuKernelGetAttribute(int *pi, CUfunction_attribute attrib, CUkernel kernel,
                                  CUdevice device)
{
    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    return sim_cuFuncGetAttribute(pi, attrib, (CUfunction)kernel);
}

CUresult sim_cuFuncSetAttribute(CUfunction func, CUfunction_attribute attrib, int value)
{
    struct function *function;
    CUresult res = enter(func, &function);

    if (res)
        return res;
    if (attrib == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT) {
        if (value < -1 || value > 100)
            return CUDA_ERROR_INVALID_VALUE;
        function->carveout = value;
        return CUDA_SUCCESS;
    }
    if (attrib != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0 ||
        (size_t)value + function_shared_bytes(function) > DEVICE_SHARED_OPTIN_BYTES)
        return CUDA_ERROR_INVALID_VALUE;
    function->max_dynamic_shared = value;
    return CUDA_SUCCESS;
}

CUresult sim_cuFuncSetCacheConfig(CUfunction func, CUfunc_cache config)
{
    struct function *function;

    /* A hint: a device without caches may ignore it. */
    return enter(func, &function);
}

CUresult sim_cuFuncSetSharedMemConfig(CUfunction func, CUsharedconfig config)
{
    struct function *function;

    /* A hint, of no effect on any card of this generation. */
    if ((unsigned int)config > CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE)
        return CUDA_ERROR_INVALID_VALUE;
    return enter(func, &function);
}

CUresult sim_cuFuncGetModule(CUmodule *module, CUfunction func)
{
    struct function *function;
    CUresult res = module ? enter(func, &function) : CUDA_ERROR_INVALID_VALUE;

    if (!res)
        *module = (CUmodule)function->module;
    return res;
}

/* Loading is eager: whatever can be named is loaded. */
CUresult sim_cuFuncIsLoaded(CUfunctionLoadingState *state, CUfunction func)
{
    struct function *function;
    CUresult res = state ? enter(func, &function) : CUDA_ERROR_INVALID_VALUE;

    if (!res)
        *state = CU_FUNCTION_LOADING_STATE_LOADED;
    return res;
}

CUresult sim_cuFuncLoad(CUfunction func)
{
    struct function *function;

    return enter(func, &function);
}

/* Kernels have no state per device here but that of the current context. */
CUresult sim_cuKernelSetAttribute(CUfunction_attribute attrib, int value, CUkernel kernel,
                                  CUdevice device)
{
    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    return sim_cuFuncSetAttribute((CUfunction)kernel, attrib, value);
}

CUresult sim_cuKernelSetCacheConfig(CUkernel kernel, CUfunc_cache config, CUdevice device)
{
    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    return sim_cuFuncSetCacheConfig((CUfunction)kernel, config);
}
