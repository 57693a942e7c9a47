/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A BERT encoder's weights, found in a GGUF file and held against its own description of itself.
 */

#include "tests/apps/model.h"

/* y = weight x + bias */
struct bert_dense {
    const struct tensor *weight, *bias;
    unsigned int n_in, n_out;
};

struct bert_norm {
    const struct tensor *weight, *bias;
};

struct bert_layer {
    struct bert_dense q, k, v, out, up, down;
    struct bert_norm out_norm, down_norm;
};

struct bert {
    struct model model;
    unsigned int n_layers, width, hidden, n_heads, max_tokens;
    float epsilon;
    const struct tensor *token_table, *position_table, *type_table;
    struct bert_norm embed_norm;
    struct bert_layer *layers;
    uint64_t vocabulary;
};

/* Opens the file; ends the program on failure. Weights are on the device after model_upload(). */
void bert_open(struct bert *bert, const struct gpu *gpu, const char *path);
void bert_close(struct bert *bert);
