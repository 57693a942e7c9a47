/* SPDX-License-Identifier: MIT */
/*
 * config.json has other words for the same facts: a table translates them to GGUF's keys, which the
 * rest of the planner speaks. What has no word of its own (which layers slide, which are recurrent)
 * is read off the list of layer types, or the pattern string, that such files have.
 */
#include "planner/arch_config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runtime/util.h"

/* The first row whose names are all there decides; two names are multiplied, or added. A name with
 * a point is of an object in the object. */
static const struct word {
    const char *key;
    const char *name;
    const char *times, *plus;
} words[] = {
    {"block_count", "num_hidden_layers", NULL},
    {"block_count", "n_layer", NULL},
    {"block_count", "num_layers", NULL},
    {"block_count", "n_layers", NULL},
    {"embedding_length", "hidden_size", NULL},
    {"embedding_length", "n_embd", NULL},
    {"embedding_length", "d_model", NULL},
    {"vocab_size", "vocab_size", NULL},
    {"context_length", "max_position_embeddings", NULL},
    {"context_length", "n_positions", NULL},
    {"context_length", "max_seq_len", NULL},
    {"context_length", "seq_length", NULL},
    {"feed_forward_length", "intermediate_size", NULL},
    {"attention.head_count", "num_attention_heads", NULL},
    {"attention.head_count", "n_head", NULL},
    {"attention.head_count", "n_heads", NULL},
    {"attention.head_count_kv", "num_key_value_heads", NULL},
    {"attention.head_count_kv", "multi_query_group_num", NULL},
    {"attention.head_count_kv", "num_kv_heads", NULL},
    {"attention.head_count_kv", "n_head_kv", NULL},
    {"attention.head_count_kv", "attn_config.kv_n_heads", NULL},
    {"attention.key_length", "head_dim", NULL},
    {"attention.key_length", "kv_channels", NULL},
    {"attention.key_length", "qk_nope_head_dim", NULL, "qk_rope_head_dim"},
    {"attention.value_length", "head_dim", NULL},
    {"attention.value_length", "kv_channels", NULL},
    {"attention.value_length", "v_head_dim", NULL},
    {"attention.sliding_window", "sliding_window", NULL},
    {"attention.sliding_window", "sliding_window_size", NULL},
    {"attention.sliding_window_pattern", "sliding_window_pattern", NULL},
    {"attention.shared_kv_layers", "num_kv_shared_layers", NULL},
    {"attention.chunk_size", "attention_chunk_size", NULL},
    {"attention.kv_lora_rank", "kv_lora_rank", NULL},
    {"rope.dimension_count", "qk_rope_head_dim", NULL},
    {"full_attention_interval", "full_attention_interval", NULL},
    {"expert_count", "n_routed_experts", NULL},
    {"expert_count", "num_local_experts", NULL},
    {"expert_count", "num_experts", NULL},
    {"expert_count", "ffn_config.moe_num_experts", NULL},
    {"expert_used_count", "num_experts_per_tok", NULL},
    {"expert_used_count", "ffn_config.moe_top_k", NULL},
    {"expert_used_count", "top_k_experts", NULL},
    {"ssm.conv_kernel", "conv_kernel", NULL},
    {"ssm.conv_kernel", "mamba_d_conv", NULL},
    {"ssm.conv_kernel", "linear_conv_kernel_dim", NULL},
    {"ssm.conv_kernel", "linear_attn_config.short_conv_kernel_size", NULL},
    {"kda.head_dim", "linear_attn_config.head_dim", NULL},
    {"ssm.inner_size", "mamba_num_heads", "mamba_head_dim"},
    {"ssm.inner_size", "mamba_d_ssm", NULL},
    {"ssm.inner_size", "mamba_n_heads", "mamba_d_head"},
    {"ssm.inner_size", "linear_num_value_heads", "linear_value_head_dim"},
    {"ssm.inner_size", "mamba_expand", "hidden_size"},
    {"ssm.inner_size", "expand", "hidden_size"},
    {"ssm.state_size", "ssm_state_size", NULL},
    {"ssm.state_size", "mamba_d_state", NULL},
    {"ssm.state_size", "linear_key_head_dim", NULL},
    {"ssm.state_size", "state_size", NULL},
    {"ssm.group_count", "n_groups", NULL},
    {"ssm.group_count", "mamba_n_groups", NULL},
    {"ssm.group_count", "linear_num_key_heads", NULL},
    {"shortconv.l_cache", "conv_L_cache", NULL},
};

static const json_t *find(const json_t *config, const char *name)
{
    const char *point = strchr(name, '.');
    char outer[32];

    if (!point)
        return json_object_get(config, name);
    snprintf(outer, sizeof(outer), "%.*s", (int)(point - name), name);
    return json_object_get(json_object_get(config, outer), point + 1);
}

static int number(const json_t *config, const char *name, uint64_t *out)
{
    const json_t *value = find(config, name);

    if (!value || json_is_null(value))
        return -ENOENT;
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return -ERANGE;
    *out = (uint64_t)json_integer_value(value);
    return 0;
}

static int translated(const json_t *config, const char *key, uint64_t *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        uint64_t value, times = 1, plus = 0;

        if (strcmp(words[i].key, key) != 0 || number(config, words[i].name, &value) != 0)
            continue;
        if (words[i].times && number(config, words[i].times, &times) != 0)
            continue;
        if (words[i].plus && number(config, words[i].plus, &plus) != 0)
            continue;
        return __builtin_mul_overflow(value, times, out) || __builtin_add_overflow(*out, plus, out)
                   ? -ERANGE
                   : 0;
    }
    return -ENOENT;
}

/* Whether the layer is in a list of numbers that begin at 1. */
static bool is_listed(const json_t *list, uint64_t index)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_integer_value(json_array_get(list, i)) == (json_int_t)index + 1)
            return true;
    return false;
}

/* What the layer is called, in the terms of hybrid_override_pattern: M has a state, * attention,
 * anything else neither; W is attention to a window. 0: there is no list. */
static char layer_letter(const json_t *config, uint64_t index)
{
    static const struct {
        const char *word;
        char letter;
    } letters[] = {
        {"full_attention", '*'}, {"attention", '*'},         {"global", '*'},
        {"mamba", 'M'},          {"linear_attention", 'M'},  {"conv", 'M'},
        {"recurrent", 'M'},      {"sliding_attention", 'W'}, {"chunked_attention", 'W'},
    };
    const char *pattern = json_string_value(json_object_get(config, "hybrid_override_pattern"));
    const json_t *types = json_object_get(config, "layer_types");
    const char *type;
    const json_t *full = find(config, "linear_attn_config.full_attn_layers");
    uint64_t period, offset;

    if (json_array_size(full))
        return is_listed(full, index) ? '*' : 'M';
    if (number(config, "attn_layer_period", &period) == 0 && period &&
        number(config, "attn_layer_offset", &offset) == 0)
        return index % period == offset ? '*' : 'M';
    if (pattern)
        return index < strlen(pattern) ? pattern[index] : '\0';
    type = json_string_value(json_array_get(types, index));
    for (size_t i = 0; type && i < ARRAY_SIZE(letters); i++)
        if (strcmp(letters[i].word, type) == 0)
            return letters[i].letter;
    return type ? '?' : '\0';
}

/* All heads share one pair of keys and values, whatever else is said of their number. */
static bool is_multi_query(const json_t *config)
{
    return json_is_true(json_object_get(config, "multi_query")) &&
           !json_is_true(json_object_get(config, "new_decoder_architecture"));
}

static int at(const struct arch_facts *facts, const char *key, uint64_t index, uint64_t *out)
{
    const json_t *config = facts->source;
    char letter = layer_letter(config, index);

    if (strcmp(key, "attention.sliding_window_pattern") == 0 &&
        index < json_array_size(json_object_get(config, "sliding_window_layout"))) {
        *out = json_integer_value(
                   json_array_get(json_object_get(config, "sliding_window_layout"), index)) == 1;
        return 0;
    }
    if (strcmp(key, "attention.sliding_window_pattern") == 0 &&
        json_array_size(json_object_get(config, "layer_types"))) {
        *out = letter == 'W';
        return letter ? 0 : -ENOENT;
    }
    if (strcmp(key, "attention.head_count_kv") == 0 && letter && letter != '*' && letter != 'W') {
        *out = 0;
        return 0;
    }
    if (strcmp(key, "attention.head_count_kv") == 0 && is_multi_query(config)) {
        *out = 1;
        return 0;
    }
    if (strcmp(key, "feed_forward_length") == 0 && letter) {
        *out = letter != 'M' && letter != '*';
        return 0;
    }
    if (strcmp(key, "attention.head_count_kv") == 0 && translated(config, key, out) != 0)
        key = "attention.head_count"; /* as many, where it is not said */
    return translated(config, key, out);
}

/* Layers of these differ, and which is which their files say in ways of their own. */
static bool is_untold(const json_t *config, const char *type)
{
    static const char *const types[] = {"plamo2", "nemotron-nas", "kimi_linear"};

    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (strcmp(types[i], type) == 0)
            return layer_letter(config, 0) == '\0';
    return false;
}

/* The part of a model of text and pictures that reads text is called after it. */
static void read_as(struct arch_facts *facts, const char *type, struct arch *out)
{
    static const char part[] = "_text";
    size_t n = strlen(type);

    facts->name = type;
    facts->name_size = n;
    arch_read(facts, out);
    if (out->verdict != ARCH_UNKNOWN || n <= strlen(part) ||
        strcmp(type + n - strlen(part), part) != 0)
        return;
    facts->name_size = n - strlen(part);
    arch_read(facts, out);
}

void arch_read_config(const json_t *root, struct arch *out)
{
    const json_t *inner = json_object_get(root, "text_config");
    struct arch_facts facts = {.source = inner ? inner : root, .at = at};
    const char *type = json_string_value(json_object_get(facts.source, "model_type"));
    char untold[96];

    if (!type)
        type = json_string_value(json_object_get(root, "model_type"));
    if (!type || strlen(type) >= 64) {
        arch_read(&facts, out);
        return;
    }
    snprintf(untold, sizeof(untold), "%s, as its config.json has it", type);
    read_as(&facts, is_untold(facts.source, type) ? untold : type, out);
}
