/* SPDX-License-Identifier: MIT */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "planner/arch.h"

/*
 * The description in a config.json, as transformers writes it; of several models in one (text and
 * images) the language model. What is no such thing, NULL too, is ARCH_UNNAMED.
 */
void arch_read_config(const json_t *config, struct arch *out);
