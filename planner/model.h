/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a model file holds, added up: the facts that decide where its weights can live.
 */

#include <stddef.h>
#include <stdint.h>

#include "planner/input.h"

/* What a tensor is for, judged by its name. */
enum role {
    ROLE_EMBEDDING,    /* looked up by token or position, few rows at a time */
    ROLE_ATTENTION,    /* attention and what takes its place (state space, recurrent) */
    ROLE_FEED_FORWARD, /* dense feed-forward, shared experts included */
    ROLE_EXPERTS,      /* experts of which a few are used per token */
    ROLE_NORM,
    ROLE_OUTPUT, /* from the last layer to the answer */
    ROLE_OTHER,
    ROLE_COUNT,
};

struct share {
    const char *name; /* static */
    size_t n_tensors;
    uint64_t bytes;
};

enum {
    MODEL_MAX_TYPES = 96,
};

struct model {
    const struct input *input;           /* borrowed */
    uint64_t bytes;                      /* of all tensors, without padding */
    struct share types[MODEL_MAX_TYPES]; /* most bytes first */
    size_t n_types;
    struct share roles[ROLE_COUNT]; /* by enum role */
    const struct tensor *largest;   /* NULL when there is none */
};

/* Adds up; cannot fail. `input` must outlive it. */
void model_init(struct model *model, const struct input *input);

/* Numbers that a tensor stands for: those of packed types are more than its elements, scales beside
 * them are none. */
uint64_t model_parameters(const struct tensor *tensor);

const char *role_name(enum role role);
enum role role_of(struct text name);
