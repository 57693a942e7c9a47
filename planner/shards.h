/* SPDX-License-Identifier: MIT */
#pragma once

#include "planner/input.h"

/* A safetensors file, and the index of several. As inputs_open(). */
int shards_open_file(struct inputs *inputs, const char *path, struct message *message);
int shards_open_index(struct inputs *inputs, const char *path, struct message *message);

/* The same into an input that is there already, whose path stays what it is. */
int shards_fill_file(struct input *input, const char *path, struct message *message);
int shards_fill_index(struct input *input, const char *path, struct message *message);
