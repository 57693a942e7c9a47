/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where a person wants parts of a model to be: --pin NAME=host|device. A name is that of a
 * component or phase as the answer prints it, of a folder or file that was given, of a kind of
 * tensors (experts, embeddings), of layers (blk.0-3), or a pattern of tensors' names with *.
 */

#include <stddef.h>

#include "planner/subject.h"

/*
 * Pins the pieces that a list of them names, with commas between; of two that name the same piece
 * the later counts. `list` must outlive the subject. 0, -ENOMEM, or -EINVAL and one line in
 * `error`: what is named is not there, and what is.
 */
int pin_take(struct subject *subject, char *list, char *error, size_t size);

const char *pin_place_name(enum place_pin where);
