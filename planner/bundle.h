/* SPDX-License-Identifier: MIT */
#pragma once

#include "planner/input.h"

/*
 * Appends an input that has its tensors and, where there is a config.json beside it, no more: what
 * it is gets looked for there and in the names of its tensors. A file that has all components of an
 * image model in it becomes several inputs. The input is taken, also on failure.
 */
int bundle_append(struct inputs *inputs, struct input *input, struct message *message);
