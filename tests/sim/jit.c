/* SPDX-License-Identifier: MIT */
/*
 * An option's value is a pointer or a number in a pointer's place; the answers of the latter kind
 * are written over the value.
 */
#include "tests/sim/jit.h"

#include <string.h>

CUresult jit_options_check(const struct jit_options *jit)
{
    if (jit->n && (!jit->options || !jit->values))
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned int i = 0; i < jit->n; i++)
        if ((unsigned int)jit->options[i] >= CU_JIT_NUM_OPTIONS)
            return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

/* Where an option's value is; NULL when it was not given. */
static void **value_of(const struct jit_options *jit, CUjit_option option)
{
    for (unsigned int i = 0; i < jit->n; i++)
        if (jit->options[i] == option)
            return &jit->values[i];
    return NULL;
}

static void tell(void **buffer, void **size, const char *text)
{
    size_t room = buffer && *buffer && size ? (uintptr_t)*size : 0;
    size_t bytes = strlen(text) + 1;

    if (bytes > room)
        bytes = room;
    if (bytes) {
        memcpy(*buffer, text, bytes);
        ((char *)*buffer)[bytes - 1] = '\0';
    }
    if (size)
        *size = (void *)(uintptr_t)bytes;
}

void jit_options_tell(const struct jit_options *jit, const char *error)
{
    void **time = value_of(jit, CU_JIT_WALL_TIME);

    tell(value_of(jit, CU_JIT_ERROR_LOG_BUFFER), value_of(jit, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES),
         error);
    tell(value_of(jit, CU_JIT_INFO_LOG_BUFFER), value_of(jit, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES),
         "");
    if (time)
        *time = NULL; /* a float, in milliseconds */
}
