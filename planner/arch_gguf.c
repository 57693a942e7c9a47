/* SPDX-License-Identifier: MIT */
#include "planner/arch_gguf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A whole number of any kind that holds one. */
static int whole(const struct gguf_value *value, uint64_t *out)
{
    switch (value->kind) {
    case GGUF_U8:
    case GGUF_U16:
    case GGUF_U32:
    case GGUF_U64:
    case GGUF_BOOL:
        *out = value->u;
        return 0;
    case GGUF_I8:
    case GGUF_I16:
    case GGUF_I32:
    case GGUF_I64:
        if (value->i < 0)
            return -ERANGE;
        *out = (uint64_t)value->i;
        return 0;
    default:
        return -ERANGE;
    }
}

static int item(const struct gguf_value *array, uint64_t index, uint64_t *out)
{
    struct gguf_items items = gguf_items(array);
    struct gguf_value value;

    if (index >= array->array.n_items)
        return -ENOENT;
    while (gguf_items_next(&items, &value))
        if (index-- == 0)
            return whole(&value, out);
    return -ENOENT;
}

/* The words of the vocabulary are counted where their number is not said. */
static int count_words(const struct gguf *gguf, uint64_t *out)
{
    const struct gguf_entry *tokens = gguf_entry_find(gguf, "tokenizer.ggml.tokens");
    const struct tensor *table = gguf_tensor_find(gguf, "token_embd.weight");

    if (tokens && tokens->value.kind == GGUF_ARRAY)
        *out = tokens->value.array.n_items;
    else if (table)
        *out = table->dims[1];
    else
        return -ENOENT;
    return 0;
}

static int at(const struct arch_facts *facts, const char *key, uint64_t index, uint64_t *out)
{
    const struct gguf *gguf = facts->source;
    const struct gguf_entry *entry;
    char name[160];

    snprintf(name, sizeof(name), "%.*s.%s", (int)facts->name_size, facts->name, key);
    entry = gguf_entry_find(gguf, name);
    if (!entry)
        return strcmp(key, "vocab_size") ? -ENOENT : count_words(gguf, out);
    if (entry->value.kind == GGUF_ARRAY)
        return item(&entry->value, index, out);
    return whole(&entry->value, out);
}

void arch_read_gguf(const struct gguf *gguf, struct arch *out)
{
    struct arch_facts facts = {.source = gguf, .at = at};
    struct text name;

    if (gguf_get_string(gguf, "general.architecture", &name) == 0 && name.size < 64) {
        facts.name = name.data;
        facts.name_size = name.size;
    }
    arch_read(&facts, out);
}
