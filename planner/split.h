/* SPDX-License-Identifier: MIT */
#pragma once

#include "planner/input.h"

/* A GGUF file, with its other parts if it is the first of several. As inputs_open(). */
int split_open(struct inputs *inputs, const char *path, struct message *message);
