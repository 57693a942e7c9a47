/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>

#include "planner/arch.h"

/*
 * The description in the text of a config.json, as transformers writes it; of several models in one
 * (text and images) the language model. Text that is no such thing is ARCH_UNNAMED.
 */
void arch_read_config(const char *text, size_t size, struct arch *out);
