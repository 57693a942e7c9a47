/* SPDX-License-Identifier: MIT */
#pragma once

/* The command line of vramshim-plan: the rows of options.def. */

#include <stdbool.h>
#include <stddef.h>

#include "planner/machine.h"
#include "planner/subject.h"

enum {
    TEXTS_MAX = 16,
};

/* Of an option that is given several times. */
struct texts {
    const char *list[TEXTS_MAX];
    size_t n;
};

struct options {
    const char *paths[INPUTS_MAX]; /* the model, and what goes with it */
    size_t n_paths;
    struct machine_request machine;
    const char *ctx, *batch, *ubatch, *kv, *image, *steps, *program;
    const char *cache, *buffers, *pass;
    const char *max, *bits, *encoder, *decoder, *output, *report, *strategy, *headroom;
    const char *moe[4];
    struct texts pins;
    bool split, compare, explain, json, check, no_quantize, apart, help, version;
};

/* Texts point into the arguments. 0, or -EINVAL and one line in `error`. */
int options_parse(char **arguments, struct options *out, char *error, size_t size);

/* The values among them. */
int options_workload(const struct options *options, struct workload *out, char *error, size_t size);
int options_measured(const struct options *options, struct measured *out, char *error, size_t size);
int options_moe(const struct options *options, struct subject_moe *out, char *error, size_t size);

/* A size in place of a model: 40GB of weights, 120Bparams@q8_0. As above; a text that begins with a
 * digit and is no such thing is explained. */
int options_size(const char *text, struct subject_moe *out, char *error, size_t size);

void options_print_help(void);
