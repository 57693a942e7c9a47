/* SPDX-License-Identifier: MIT */
/*
 * What a BERT encoder must have, by the names that GGUF files give it.
 */
#include "tests/apps/bert.h"

#include <stdio.h>
#include <stdlib.h>

static struct bert_norm find_norm(struct bert *bert, const char *name, unsigned int layer)
{
    char prefix[64];

    if (layer == UINT32_MAX)
        snprintf(prefix, sizeof(prefix), "%s", name);
    else
        snprintf(prefix, sizeof(prefix), "blk.%u.%s", layer, name);
    return (struct bert_norm){
        .weight = model_tensor(&bert->model, bert->width, 0, "%s.weight", prefix),
        .bias = model_tensor(&bert->model, bert->width, 0, "%s.bias", prefix),
    };
}

static struct bert_dense find_dense(struct bert *bert, const char *name, unsigned int layer,
                                    unsigned int n_in, unsigned int n_out)
{
    return (struct bert_dense){
        .weight = model_tensor(&bert->model, n_in, n_out, "blk.%u.%s.weight", layer, name),
        .bias = model_tensor(&bert->model, n_out, 0, "blk.%u.%s.bias", layer, name),
        .n_in = n_in,
        .n_out = n_out,
    };
}

static void find_layer(struct bert *bert, unsigned int i)
{
    bert->layers[i] = (struct bert_layer){
        .q = find_dense(bert, "attn_q", i, bert->width, bert->width),
        .k = find_dense(bert, "attn_k", i, bert->width, bert->width),
        .v = find_dense(bert, "attn_v", i, bert->width, bert->width),
        .out = find_dense(bert, "attn_output", i, bert->width, bert->width),
        .out_norm = find_norm(bert, "attn_output_norm", i),
        .up = find_dense(bert, "ffn_up", i, bert->width, bert->hidden),
        .down = find_dense(bert, "ffn_down", i, bert->hidden, bert->width),
        .down_norm = find_norm(bert, "layer_output_norm", i),
    };
}

static void check_types(const struct bert *bert)
{
    const struct gguf *gguf = bert->model.gguf;

    for (size_t i = 0; i < gguf->n_tensors; i++) {
        if (gguf->tensors[i].type_id != GGUF_TYPE_F32) {
            gpu_die(bert->model.gpu, "%s: weights must be F32; tensor %zu is of type %s",
                    bert->model.path, i,
                    gguf->tensors[i].type ? gguf->tensors[i].type->name : "unknown");
        }
    }
}

static uint64_t count_tokens(const struct bert *bert)
{
    const struct gguf_entry *tokens = gguf_entry_find(bert->model.gguf, "tokenizer.ggml.tokens");

    if (!tokens || tokens->value.kind != GGUF_ARRAY)
        gpu_die(bert->model.gpu, "%s: there is no tokenizer.ggml.tokens", bert->model.path);
    return tokens->value.array.n_items;
}

void bert_open(struct bert *bert, const struct gpu *gpu, const char *path)
{
    struct model *model = &bert->model;

    model_open(model, gpu, path, "bert");
    bert->n_layers = (unsigned int)model_u64(model, "block_count", 1000);
    bert->width = (unsigned int)model_u64(model, "embedding_length", 65536);
    bert->hidden = (unsigned int)model_u64(model, "feed_forward_length", 1 << 20);
    bert->n_heads = (unsigned int)model_u64(model, "attention.head_count", 1024);
    bert->max_tokens = (unsigned int)model_u64(model, "context_length", 8192);
    bert->epsilon = (float)model_f64(model, "attention.layer_norm_epsilon");
    if (bert->width % bert->n_heads || bert->width / bert->n_heads % 4 || bert->hidden % 4)
        gpu_die(gpu, "%s: heads and rows must be multiples of 4 wide", path);

    bert->vocabulary = count_tokens(bert);
    bert->layers = calloc(bert->n_layers, sizeof(*bert->layers));
    if (!bert->layers)
        gpu_die(gpu, "out of memory");
    bert->token_table = model_tensor(model, bert->width, bert->vocabulary, "token_embd.weight");
    bert->position_table =
        model_tensor(model, bert->width, bert->max_tokens, "position_embd.weight");
    bert->type_table = model_tensor(model, bert->width, 2, "token_types.weight");
    bert->embed_norm = find_norm(bert, "token_embd_norm", UINT32_MAX);
    for (unsigned int i = 0; i < bert->n_layers; i++)
        find_layer(bert, i);
    check_types(bert);
    model_check_all_used(model);
}

void bert_close(struct bert *bert)
{
    free(bert->layers);
    model_close(&bert->model);
}
