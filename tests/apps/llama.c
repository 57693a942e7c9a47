/* SPDX-License-Identifier: MIT */
/*
 * What a llama decoder must have, by the names that GGUF files give it.
 */
#include "tests/apps/llama.h"

#include <stdio.h>
#include <stdlib.h>
#include "runtime/util.h"

const struct llama_kind llama_kinds[LLAMA_N_KINDS] = {
    {GGUF_TYPE_F32, "f32", 4, 1},
    {GGUF_TYPE_F16, "f16", 8, 1},
    {GGUF_TYPE_Q8_0, "q8_0", 32, 16},
    {GGUF_TYPE_Q4_0, "q4_0", 32, 16},
};

static size_t kind_of(const struct llama *llama, const struct tensor *tensor)
{
    for (size_t i = 0; i < LLAMA_N_KINDS; i++) {
        if (llama_kinds[i].type_id != tensor->type_id)
            continue;
        if (tensor->dims[0] % llama_kinds[i].multiple) {
            gpu_die(llama->model.gpu, "%s: rows of %ju numbers are no multiple of %u",
                    llama->model.path, (uintmax_t)tensor->dims[0], llama_kinds[i].multiple);
        }
        return i;
    }
    gpu_die(llama->model.gpu, "%s: weights of type %s; this program runs F32, F16, Q8_0 and Q4_0",
            llama->model.path, tensor->type ? tensor->type->name : "unknown");
}

static struct llama_matrix matrix_of(const struct llama *llama, const struct tensor *tensor)
{
    return (struct llama_matrix){
        .tensor = tensor,
        .kind = kind_of(llama, tensor),
        .n_in = (unsigned int)tensor->dims[0],
        .n_out = (unsigned int)tensor->dims[1],
    };
}

static struct llama_matrix find_matrix(struct llama *llama, unsigned int layer, const char *name,
                                       unsigned int n_in, unsigned int n_out)
{
    return matrix_of(llama,
                     model_tensor(&llama->model, n_in, n_out, "blk.%u.%s.weight", layer, name));
}

static const struct tensor *find_vector(struct llama *llama, const char *name, unsigned int size)
{
    const struct tensor *tensor = model_tensor(&llama->model, size, 0, "%s", name);

    if (tensor->type_id != GGUF_TYPE_F32)
        gpu_die(llama->model.gpu, "%s: tensor %s is not F32", llama->model.path, name);
    return tensor;
}

static const struct tensor *find_norm(struct llama *llama, unsigned int layer, const char *name)
{
    char full[64];

    snprintf(full, sizeof(full), "blk.%u.%s.weight", layer, name);
    return find_vector(llama, full, llama->width);
}

static void find_layer(struct llama *llama, unsigned int i)
{
    unsigned int q_width = llama->n_heads * llama->head_size;

    llama->layers[i] = (struct llama_layer){
        .attention_norm = find_norm(llama, i, "attn_norm"),
        .q = find_matrix(llama, i, "attn_q", llama->width, q_width),
        .k = find_matrix(llama, i, "attn_k", llama->width, llama->kv_width),
        .v = find_matrix(llama, i, "attn_v", llama->width, llama->kv_width),
        .out = find_matrix(llama, i, "attn_output", q_width, llama->width),
        .ffn_norm = find_norm(llama, i, "ffn_norm"),
        .gate = find_matrix(llama, i, "ffn_gate", llama->width, llama->hidden),
        .up = find_matrix(llama, i, "ffn_up", llama->width, llama->hidden),
        .down = find_matrix(llama, i, "ffn_down", llama->hidden, llama->width),
    };
}

static void read_rope(struct llama *llama)
{
    struct model *model = &llama->model;
    struct text scaling = {.data = "none", .size = 4};
    uint64_t dims = model_u64_or(model, "rope.dimension_count", llama->head_size, llama->head_size);

    llama->n_pairs = (unsigned int)dims / 2;
    llama->rope_base = model_f64_or(model, "rope.freq_base", 10000.0);
    llama->rope_scale = 1.0;
    (void)gguf_get_string(model->gguf, "llama.rope.scaling.type", &scaling);
    if (text_equal(scaling, "linear"))
        llama->rope_scale = 1.0 / model_f64(model, "rope.scaling.factor");
    else if (!text_equal(scaling, "none"))
        gpu_die(model->gpu, "%s: this rope.scaling.type is not supported", model->path);
    if (gguf_tensor_find(model->gguf, "rope_freqs.weight"))
        llama->rope_factors = find_vector(llama, "rope_freqs.weight", llama->n_pairs);
}

static void read_shape(struct llama *llama)
{
    struct model *model = &llama->model;
    uint64_t heads, value_size;

    llama->n_layers = (unsigned int)model_u64(model, "block_count", 10000);
    llama->width = (unsigned int)model_u64(model, "embedding_length", 1 << 20);
    llama->hidden = (unsigned int)model_u64(model, "feed_forward_length", 1 << 22);
    heads = model_u64(model, "attention.head_count", 4096);
    llama->n_heads = (unsigned int)heads;
    llama->n_kv_heads = (unsigned int)model_u64_or(model, "attention.head_count_kv", heads, heads);
    llama->head_size = (unsigned int)model_u64_or(model, "attention.key_length", 65536,
                                                  max_u64(llama->width / heads, 1));
    value_size = model_u64_or(model, "attention.value_length", 65536, llama->head_size);
    llama->epsilon = (float)model_f64(model, "attention.layer_norm_rms_epsilon");
    llama->kv_width = llama->n_kv_heads * llama->head_size;
    if (llama->n_heads % llama->n_kv_heads || value_size != llama->head_size ||
        llama->head_size % 4) {
        gpu_die(model->gpu, "%s: %u heads of %u keys and %ju values in %u groups cannot be run",
                model->path, llama->n_heads, llama->head_size, (uintmax_t)value_size,
                llama->n_kv_heads);
    }
}

void llama_open(struct llama *llama, const struct gpu *gpu, const char *path)
{
    struct model *model = &llama->model;
    const struct tensor *embedding, *output;

    model_open(model, gpu, path, "llama");
    read_shape(llama);
    embedding = gguf_tensor_find(model->gguf, "token_embd.weight");
    if (!embedding || embedding->dims[1] > INT32_MAX)
        gpu_die(gpu, "%s: there is no tensor token_embd.weight", path);
    llama->vocabulary = (unsigned int)embedding->dims[1];
    llama->embedding =
        matrix_of(llama, model_tensor(model, llama->width, llama->vocabulary, "token_embd.weight"));
    output = model_tensor_or_null(model, llama->width, llama->vocabulary, "output.weight");
    llama->output = output ? matrix_of(llama, output) : llama->embedding;
    llama->output_norm = find_vector(llama, "output_norm.weight", llama->width);
    read_rope(llama);
    llama->layers = calloc(llama->n_layers, sizeof(*llama->layers));
    if (!llama->layers)
        gpu_die(gpu, "out of memory");
    for (unsigned int i = 0; i < llama->n_layers; i++)
        find_layer(llama, i);
    model_check_all_used(model);
}

void llama_close(struct llama *llama)
{
    free(llama->layers);
    model_close(&llama->model);
}
