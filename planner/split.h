/* SPDX-License-Identifier: MIT */
#pragma once

#include "planner/input.h"

/* The parts of a name such as "model-00001-of-00003.gguf": `stem` bytes of it are "model". */
struct split_name {
    size_t stem;
    uint64_t index, count; /* the first is 1 */
};

/* False: it is no such name, or does not end in `ending`. */
bool split_parse(const char *path, const char *ending, struct split_name *out);

/* A GGUF file, with its other parts if it is the first of several. As inputs_open(). */
int split_open(struct inputs *inputs, const char *path, struct message *message);
