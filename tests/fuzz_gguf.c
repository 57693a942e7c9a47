/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target: no bytes may make the GGUF reader crash, read outside them, hang, or allocate
 * out of proportion, and what it accepts must be readable to the end. Run by tests/fuzz.sh.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "planner/gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const struct gguf *gguf, const uint8_t *data)
{
    volatile uint64_t sum = 0;
    uint64_t number;

    for (size_t i = 0; i < gguf->n_entries; i++) {
        const struct gguf_value *value = &gguf->entries[i].value;
        struct gguf_value item;

        if (value->kind == GGUF_STRING && value->string.size)
            sum += (uint8_t)value->string.data[value->string.size - 1];
        if (value->kind != GGUF_ARRAY)
            continue;
        for (struct gguf_items items = gguf_items(value); gguf_items_next(&items, &item);)
            sum += item.kind == GGUF_STRING ? item.string.size : item.u;
    }
    for (size_t i = 0; i < gguf->n_tensors; i++) {
        const struct tensor *tensor = &gguf->tensors[i];

        if (tensor->bytes > gguf->file_bytes || tensor->offset > gguf->file_bytes - tensor->bytes)
            abort();
        if (tensor->bytes)
            sum += data[tensor->offset + tensor->bytes - 1];
    }
    (void)gguf_get_u64(gguf, "general.alignment", &number);
    (void)sum;
}

static void try(const uint8_t *data, size_t size)
{
    struct gguf *gguf = NULL;
    char error[512] = "";

    if (gguf_parse("fuzz", data, size, error, sizeof(error), &gguf) == 0)
        read_all(gguf, data);
    else if (!error[0] || strpbrk(error, "\n\r\x1b"))
        abort();
    gguf_free(gguf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t start[8] = {'G', 'G', 'U', 'F', 3};
    uint8_t *file;

    try(data, size);
    if (size < 2)
        return 0;

    /* Behind a good header, so that the search need not find that first. */
    file = calloc(1, size + 22);
    if (!file)
        return 0;
    memcpy(file, start, sizeof(start));
    file[8] = data[0];
    file[16] = data[1];
    memcpy(file + 24, data + 2, size - 2);
    try(file, size + 22);
    free(file);
    return 0;
}
