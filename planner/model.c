/* SPDX-License-Identifier: MIT */
/*
 * Sums over a model's tensors.
 *
 * A role is read off the tensor's name: the names are a convention of the format's users, not part
 * of the format, so a model of an unknown family shows up as "other", with the right sums.
 */
#include "planner/model.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"

enum {
#define TYPE(id, name, block_elements, block_bytes) TYPE_INDEX_##name,
#include "planner/gguf_types.def"
    N_GGUF_TYPES,
};
enum {
#define TYPE(name, block_elements, block_bytes) OTHER_TYPE_INDEX_##name,
#include "planner/safetensors_types.def"
    N_OTHER_TYPES,
};
_Static_assert(MODEL_MAX_TYPES > (int)N_GGUF_TYPES + (int)N_OTHER_TYPES,
               "a row for every type and one for the unknown");

static const char *const role_names[ROLE_COUNT] = {
    [ROLE_EMBEDDING] = "embeddings",
    [ROLE_ATTENTION] = "attention",
    [ROLE_FEED_FORWARD] = "feed-forward",
    [ROLE_EXPERTS] = "experts",
    [ROLE_NORM] = "norms",
    [ROLE_OUTPUT] = "output",
    [ROLE_OTHER] = "other",
};

/* The first match decides: "attn_norm" is a norm, "ffn_up_exps" are experts. GGUF's words first,
 * then those of transformers. */
static const struct rule {
    const char *part;
    bool at_start; /* else anywhere */
    enum role role;
} rules[] = {
    {"_exps", false, ROLE_EXPERTS},
    {"_chexps", false, ROLE_EXPERTS},
    {".experts.", false, ROLE_EXPERTS},
    {"norm", false, ROLE_NORM},
    {"embd", false, ROLE_EMBEDDING},
    {"token_types", true, ROLE_EMBEDDING},
    {"embed_tokens", false, ROLE_EMBEDDING},
    {".wte.", false, ROLE_EMBEDDING},
    {"lm_head", false, ROLE_OUTPUT},
    {"attn", false, ROLE_ATTENTION},
    {"ssm_", false, ROLE_ATTENTION},
    {"time_mix_", false, ROLE_ATTENTION},
    {"mixer", false, ROLE_ATTENTION},
    {"ffn", false, ROLE_FEED_FORWARD},
    {"mlp", false, ROLE_FEED_FORWARD},
    {"block_sparse_moe", false, ROLE_FEED_FORWARD},
    {"channel_mix", false, ROLE_FEED_FORWARD},
    {"output_blocks.", true, ROLE_OTHER},
    {"output", true, ROLE_OUTPUT},
    {"cls", true, ROLE_OUTPUT},
};

const char *role_name(enum role role)
{
    return role_names[role];
}

static bool matches(const struct rule *rule, struct text name)
{
    return rule->at_start ? text_begins(name, rule->part) : text_has(name, rule->part);
}

/* As GGUF files had experts before they were stacked: blk.0.ffn_up.7.weight */
static bool is_single_expert(struct text name)
{
    static const char *const parts[] = {".ffn_gate.", ".ffn_up.", ".ffn_down."};

    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        const char *at =
            name.size ? memmem(name.data, name.size, parts[i], strlen(parts[i])) : NULL;

        if (at && at + strlen(parts[i]) < name.data + name.size)
            return isdigit((unsigned char)at[strlen(parts[i])]);
    }
    return false;
}

enum role role_of(struct text name)
{
    if (is_single_expert(name))
        return ROLE_EXPERTS;
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
        if (matches(&rules[i], name))
            return rules[i].role;
    return ROLE_OTHER;
}

static bool ends(struct text name, const char *end)
{
    size_t n = strlen(end);

    return name.size >= n && memcmp(name.data + name.size - n, end, n) == 0;
}

/* The first ending that fits decides; a type of NULL fits any. */
uint64_t model_parameters(const struct tensor *tensor)
{
    static const struct {
        const char *end, *type;
        unsigned int per_element;
    } rows[] = {
        {"_blocks", "U8", 2},
        {"_scales", NULL, 0},
        {".scales", NULL, 0},
        {"weight_scale", NULL, 0},
        {"scale_inv", NULL, 0},
        {"_scale", NULL, 0},
        {"weight_scale_2", NULL, 0},
        {"absmax", NULL, 0},
        {"quant_map", NULL, 0},
        {"qzeros", NULL, 0},
        {"g_idx", NULL, 0},
        {"weight_shape", NULL, 0},
        {"quant_state.bitsandbytes__nf4", NULL, 0},
        {"qweight", "I32", 8},
        {"weight_packed", "I32", 8},
        {"weight_packed", "U8", 2},
        {"weight", "U8", 2},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (ends(tensor->name, rows[i].end) &&
            (!rows[i].type || (tensor->type && strcmp(tensor->type->name, rows[i].type) == 0)))
            return tensor->elements * rows[i].per_element;
    return tensor->elements;
}

/* The row of that name, a new one when there is none yet. There is room for every type that the
 * format's table has, and all unknown ones share a row. */
static struct share *type_share(struct model *model, const struct tensor_type *type)
{
    const char *name = type ? type->name : "unknown";

    for (size_t i = 0; i < model->n_types; i++)
        if (strcmp(model->types[i].name, name) == 0)
            return &model->types[i];
    model->types[model->n_types].name = name;
    return &model->types[model->n_types++];
}

static void count(struct share *share, uint64_t bytes)
{
    share->n_tensors++;
    share->bytes += bytes;
}

static int by_bytes(const void *a, const void *b)
{
    const struct share *x = a;
    const struct share *y = b;

    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return strcmp(x->name, y->name);
}

void model_init(struct model *model, const struct input *input)
{
    memset(model, 0, sizeof(*model));
    model->input = input;
    for (enum role role = 0; role < ROLE_COUNT; role++)
        model->roles[role].name = role_names[role];
    for (size_t i = 0; i < input->n_tensors; i++) {
        const struct tensor *tensor = &input->tensors[i];

        model->bytes += tensor->bytes;
        count(type_share(model, tensor->type), tensor->bytes);
        count(&model->roles[role_of(tensor->name)], tensor->bytes);
        if (!model->largest || tensor->bytes > model->largest->bytes)
            model->largest = tensor;
    }
    qsort(model->types, model->n_types, sizeof(model->types[0]), by_bytes);
}
