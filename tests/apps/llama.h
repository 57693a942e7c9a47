/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A llama decoder's weights, found in a GGUF file and held against its own description of itself.
 */

#include "tests/apps/model.h"

/* Types of weights that the kernels exist for. */
struct llama_kind {
    uint32_t type_id;
    const char *name;        /* as the kernels have it */
    unsigned int multiple;   /* a row's length must be one of this */
    unsigned int per_thread; /* numbers that one thread of the embed kernel writes */
};
enum { LLAMA_N_KINDS = 4 };
extern const struct llama_kind llama_kinds[LLAMA_N_KINDS];

struct llama_matrix {
    const struct tensor *tensor;
    size_t kind; /* index of llama_kinds */
    unsigned int n_in, n_out;
};

struct llama_layer {
    const struct tensor *attention_norm, *ffn_norm;
    struct llama_matrix q, k, v, out, gate, up, down;
};

struct llama {
    struct model model;
    unsigned int n_layers, width, hidden, n_heads, n_kv_heads, head_size, vocabulary;
    unsigned int kv_width; /* numbers in one position's keys, or values */
    unsigned int n_pairs;  /* of a head that rotate */
    double rope_base, rope_scale;
    float epsilon;
    struct llama_matrix embedding, output;
    const struct tensor *output_norm, *rope_factors;
    struct llama_layer *layers;
};

/* Opens the file; ends the program on failure. Weights are on the device after model_upload(). */
void llama_open(struct llama *llama, const struct gpu *gpu, const char *path);
void llama_close(struct llama *llama);
