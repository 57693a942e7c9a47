/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target: no bytes may make the safetensors reader crash, read outside them, hang, or
 * allocate out of proportion, and what it accepts must lie inside the file. Run by tests/fuzz.sh.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "planner/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct safetensors *file)
{
    uint64_t at = file->data_offset;

    for (size_t i = 0; i < file->n_tensors; i++) {
        const struct tensor *tensor = &file->tensors[i];

        if (tensor->offset != at || safetensors_find(file, tensor->name) != tensor)
            abort();
        at += tensor->bytes;
    }
    if (at != file->file_bytes)
        abort();
}

static void try(const uint8_t *data, size_t size)
{
    struct safetensors *file = NULL;
    char error[512] = "";

    if (safetensors_parse("fuzz", data, size, error, sizeof(error), &file) == 0)
        check(file);
    else if (!error[0] || strpbrk(error, "\n\r\x1b"))
        abort();
    safetensors_free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *file;

    try(data, size);

    /* As a header of the right length, so that the search need not find that, with some data. */
    file = calloc(1, size + 8 + 64);
    if (!file)
        return 0;
    memcpy(file, &(uint64_t){size}, 8);
    if (size)
        memcpy(file + 8, data, size);
    for (size_t rest = 0; rest <= 64; rest += 16)
        try(file, size + 8 + rest);
    free(file);
    return 0;
}
