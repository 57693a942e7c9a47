/* SPDX-License-Identifier: MIT */
#pragma once

#include "planner/input.h"

/* A folder as transformers or diffusers writes it, or one with a GGUF model. As inputs_open(). */
int folder_open(struct inputs *inputs, const char *path, struct message *message);

/* The same for a config.json or model_index.json in it. */
int folder_open_file(struct inputs *inputs, const char *path, struct message *message);

/* Reads the config.json beside the input's file, if there is one. */
int folder_describe(struct input *input, struct message *message);
