/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How much memory a model asks for beside its weights, term by term, each with the error that such
 * a figure has when nothing was measured.
 *
 * Figures are those of llama.cpp for language models; other engines differ in padding. Images are
 * judged by ComfyUI's factors.
 */

#include <stdbool.h>
#include <stdint.h>

#include "planner/arch.h"

struct kv_type {
    const char *name;
    uint32_t numbers; /* of a block, */
    uint32_t bytes;   /* and what it takes */
};
/* The first is the usual one. NULL when there is none of that name. */
const struct kv_type *kv_type_find(const char *name);
/* NULL behind the last one. */
const struct kv_type *kv_type_at(size_t index);

/* What the model is to be used for. */
struct workload {
    uint64_t context; /* tokens, of all sequences together; 0: as the model was trained, at most
                         WORKLOAD_CONTEXT */
    uint32_t batch;   /* sequences decoded, or images made, at once; at least 1 */
    uint32_t micro;   /* tokens of a prompt that are computed together */
    bool split;       /* every sequence has its own part of the cache */
    const struct kv_type *keys;
    const struct kv_type *values;
    uint32_t width, height; /* of images, in pixels */
    uint32_t steps;         /* of denoising an image */
};
#define WORKLOAD_CONTEXT 8192
#define WORKLOAD_DEFAULT                                                                           \
    {                                                                                              \
        .batch = 1, .micro = 512, .keys = kv_type_find("f16"), .values = kv_type_find("f16"),      \
        .width = 1024, .height = 1024, .steps = 20                                                 \
    }

/* Bytes, give or take. */
struct term {
    uint64_t bytes;
    uint64_t error;
};

struct demand {
    bool cache_known;    /* else cache and state are 0 and mean nothing */
    uint64_t context;    /* tokens counted with */
    struct term cache;   /* keys and values */
    struct term state;   /* of recurrent layers */
    struct term compute; /* buffers of the computation */
    struct term driver;  /* the context, and what libraries load and allocate */
};

/* The tokens that `work` means for this model. */
uint64_t demand_context(const struct arch *arch, const struct workload *work);

/* Saturates instead of overflowing. */
void demand_judge(const struct arch *arch, const struct workload *work, struct demand *out);

/* Activations of an image model while it denoises, `factor` as in families.def, and of its decoder.
 */
struct term demand_denoise(const struct workload *work, double factor);
struct term demand_decode(const struct workload *work);
/* Of its encoder, when images are made from images: always less than the decoder's. */
struct term demand_encode(const struct workload *work);

/* Bytes that one more token takes in the cache, sliding layers not counted. */
uint64_t demand_token_bytes(const struct arch *arch, const struct workload *work);
/* Everything but the weights; `error`, if not NULL, the errors' sum. */
uint64_t demand_sum(const struct demand *demand, uint64_t *error);
