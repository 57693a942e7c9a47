/* SPDX-License-Identifier: MIT */
/*
 * Questions about an open GGUF file: numbers and strings by key, items of arrays, tensor types.
 */
#include <errno.h>
#include <string.h>
#include "planner/gguf_reader.h"
#include "runtime/util.h"

static const struct tensor_type types[] = {
#define TYPE(id, name, block_elements, block_bytes) [id] = {#name, block_elements, block_bytes},
#include "planner/gguf_types.def"
};

static bool kind_is_signed(enum gguf_kind kind)
{
    return kind == GGUF_I8 || kind == GGUF_I16 || kind == GGUF_I32 || kind == GGUF_I64;
}

static bool kind_is_unsigned(enum gguf_kind kind)
{
    return kind == GGUF_U8 || kind == GGUF_U16 || kind == GGUF_U32 || kind == GGUF_U64;
}

int gguf_get_u64(const struct gguf *gguf, const char *key, uint64_t *out)
{
    const struct gguf_entry *entry = gguf_entry_find(gguf, key);

    if (!entry)
        return -ENOENT;
    if (!kind_is_unsigned(entry->value.kind) &&
        !(kind_is_signed(entry->value.kind) && entry->value.i >= 0))
        return -ERANGE;
    *out = entry->value.u;
    return 0;
}

int gguf_get_f64(const struct gguf *gguf, const char *key, double *out)
{
    const struct gguf_entry *entry = gguf_entry_find(gguf, key);

    if (!entry)
        return -ENOENT;
    if (entry->value.kind == GGUF_F32 || entry->value.kind == GGUF_F64)
        *out = entry->value.f;
    else if (kind_is_signed(entry->value.kind))
        *out = (double)entry->value.i;
    else if (kind_is_unsigned(entry->value.kind))
        *out = (double)entry->value.u;
    else
        return -ERANGE;
    return 0;
}

int gguf_get_string(const struct gguf *gguf, const char *key, struct text *out)
{
    const struct gguf_entry *entry = gguf_entry_find(gguf, key);

    if (!entry)
        return -ENOENT;
    if (entry->value.kind != GGUF_STRING)
        return -ERANGE;
    *out = entry->value.string;
    return 0;
}

struct gguf_items gguf_items(const struct gguf_value *array)
{
    return (struct gguf_items){
        .kind = array->array.kind,
        .left = array->array.n_items,
        .at = array->array.items,
    };
}

bool gguf_items_next(struct gguf_items *items, struct gguf_value *out)
{
    if (items->left == 0)
        return false;
    items->left--;
    items->at = reader_decode(items->kind, items->at, out);
    return true;
}

const struct tensor_type *gguf_type_find(uint32_t id)
{
    return id < ARRAY_SIZE(types) && types[id].name ? &types[id] : NULL;
}
