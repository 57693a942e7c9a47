/* SPDX-License-Identifier: MIT */
/*
 * The linker: several PTX texts made into one module.
 *
 * The texts are put behind each other, which is what linking means where functions are found by
 * name. What is handed back is a fatbin with the whole of the text in it, not machine code: good
 * for the loaders, and for nothing else. Two inputs that define a variable or a kernel of the same
 * name are refused, even if neither is visible outside its text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/calls.h"
#include "tests/sim/context.h"
#include "tests/sim/fatbin.h"
#include "tests/sim/module.h"
#include "tests/sim/profile.h"

struct link {
    char *text;
    size_t bytes;
    struct jit_options jit; /* the program keeps the arrays alive until cuLinkDestroy */
    void *linked;
};

static CUresult link_fail(const struct link *link, CUresult res, const char *input, const char *why)
{
    char error[320];

    snprintf(error, sizeof(error), "%s: %s", input, why);
    jit_options_tell(&link->jit, error);
    core_say("cannot link %s", error);
    return res;
}

CUresult sim_cuLinkCreate_v2(unsigned int num_options, CUjit_option *options, void **option_values,
                             CUlinkState *state_out)
{
    const struct jit_options jit = {num_options, options, option_values};
    struct context *context;
    struct link *link;
    CUresult res = context_require(&context);

    if (!res)
        res = jit_options_check(&jit);
    if (!res && !state_out)
        res = CUDA_ERROR_INVALID_VALUE;
    if (res)
        return res;
    link = calloc(1, sizeof(*link));
    if (!link || !handle_add(link, HANDLE_LINK)) {
        free(link);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    link->jit = jit;
    *state_out = (CUlinkState)link;
    return CUDA_SUCCESS;
}

static CUresult link_append(struct link *link, const char *text, size_t bytes)
{
    char *longer = realloc(link->text, link->bytes + bytes + 2);

    if (!longer)
        return CUDA_ERROR_OUT_OF_MEMORY;
    memcpy(longer + link->bytes, text, bytes);
    link->text = longer;
    link->bytes += bytes;
    link->text[link->bytes++] = '\n';
    link->text[link->bytes] = '\0';
    return CUDA_SUCCESS;
}

static CUresult append_fatbin(struct link *link, const void *data, size_t bytes, const char *name)
{
    const char *why = "it is no fatbin";
    char *text;
    CUresult res = image_is_fatbin(data, bytes) ? image_fatbin_text(data, bytes, &why, &text)
                                                : CUDA_ERROR_INVALID_IMAGE;

    if (res)
        return link_fail(link, res, name, why);
    res = link_append(link, text, strlen(text));
    free(text);
    return res;
}

static CUresult link_add(struct link *link, CUjitInputType type, const void *data, size_t bytes,
                         const char *name)
{
    switch (type) {
    case CU_JIT_INPUT_PTX:
        bytes = strnlen(data, bytes);
        if (!memmem(data, bytes, ".version", strlen(".version")))
            return link_fail(link, CUDA_ERROR_INVALID_PTX, name, "it has no .version");
        return link_append(link, data, bytes);
    case CU_JIT_INPUT_FATBINARY:
        return append_fatbin(link, data, bytes, name);
    case CU_JIT_INPUT_CUBIN:
    case CU_JIT_INPUT_OBJECT:
    case CU_JIT_INPUT_LIBRARY:
        return link_fail(link, CUDA_ERROR_NO_BINARY_FOR_GPU, name,
                         "machine code, which is not simulated");
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

static CUresult link_enter(CUlinkState state, const struct jit_options *jit, struct link **out)
{
    struct link *link = (struct link *)state;
    CUresult res = context_check_sticky();

    if (!res && !handle_is(link, HANDLE_LINK))
        res = CUDA_ERROR_INVALID_HANDLE;
    if (!res)
        res = jit_options_check(jit);
    if (!res && link->linked)
        res = CUDA_ERROR_INVALID_HANDLE;
    if (!res)
        *out = link;
    return res;
}

CUresult sim_cuLinkAddData_v2(CUlinkState state, CUjitInputType type, void *data, size_t size,
                              const char *name, unsigned int num_options, CUjit_option *options,
                              void **option_values)
{
    const struct jit_options jit = {num_options, options, option_values};
    struct link *link;
    CUresult res = link_enter(state, &jit, &link);

    if (res)
        return res;
    if (!data || !size)
        return CUDA_ERROR_INVALID_VALUE;
    return link_add(link, type, data, size, name ? name : "<unnamed>");
}

CUresult sim_cuLinkAddFile_v2(CUlinkState state, CUjitInputType type, const char *path,
                              unsigned int num_options, CUjit_option *options, void **option_values)
{
    const struct jit_options jit = {num_options, options, option_values};
    struct link *link;
    size_t bytes;
    char *data;
    CUresult res = link_enter(state, &jit, &link);

    if (res)
        return res;
    if (!path)
        return CUDA_ERROR_INVALID_VALUE;
    data = module_read_file(path, &bytes);
    if (!data)
        return CUDA_ERROR_FILE_NOT_FOUND;
    res = link_add(link, type, data, bytes, path);
    free(data);
    return res;
}

static const char *first_repeated_variable(struct ptx_module *ptx)
{
    for (size_t i = 0; i < ptx_module_n_variables(ptx); i++)
        for (size_t j = 0; j < i; j++)
            if (!strcmp(ptx_module_variable(ptx, i)->name, ptx_module_variable(ptx, j)->name))
                return ptx_module_variable(ptx, i)->name;
    return NULL;
}

static const char *first_repeated_kernel(const struct ptx_module *ptx)
{
    for (size_t i = 0; i < ptx_module_n_kernels(ptx); i++)
        if (ptx_module_kernel(ptx, ptx_kernel_name(ptx_module_kernel_at(ptx, i))) !=
            ptx_module_kernel_at(ptx, i))
            return ptx_kernel_name(ptx_module_kernel_at(ptx, i));
    return NULL;
}

static CUresult link_check(struct link *link)
{
    char error[256];
    struct ptx_module *ptx = ptx_module_parse(link->text, error, sizeof(error));
    const char *repeated;
    CUresult res = CUDA_SUCCESS;

    if (!ptx)
        return link_fail(link, CUDA_ERROR_INVALID_PTX, "what was added", error);
    repeated = first_repeated_variable(ptx);
    if (!repeated)
        repeated = first_repeated_kernel(ptx);
    if (repeated)
        res = link_fail(link, CUDA_ERROR_INVALID_PTX, repeated, "defined by two inputs");
    ptx_module_free(ptx);
    return res;
}

CUresult sim_cuLinkComplete(CUlinkState state, void **cubin_out, size_t *size_out)
{
    const struct jit_options none = {0};
    struct link *link;
    size_t bytes;
    CUresult res = link_enter(state, &none, &link);

    if (res)
        return res;
    if (!cubin_out || !link->text)
        return CUDA_ERROR_INVALID_VALUE;
    res = link_check(link);
    if (res)
        return res;
    if (fatbin_wrap(link->text, (int)(profile.compute_major * 10 + profile.compute_minor),
                    &link->linked, &bytes))
        return CUDA_ERROR_OUT_OF_MEMORY;
    jit_options_tell(&link->jit, "");
    *cubin_out = link->linked;
    if (size_out)
        *size_out = bytes;
    return CUDA_SUCCESS;
}

CUresult sim_cuLinkDestroy(CUlinkState state)
{
    struct link *link = (struct link *)state;

    if (!handle_is(link, HANDLE_LINK))
        return CUDA_ERROR_INVALID_HANDLE;
    handle_remove(link);
    free(link->text);
    free(link->linked);
    free(link);
    return CUDA_SUCCESS;
}
