/* SPDX-License-Identifier: MIT */
#pragma once

#include "planner/arch.h"
#include "planner/gguf.h"

/* The description in a GGUF file's own metadata. Never fails, see arch_read(). */
void arch_read_gguf(const struct gguf *gguf, struct arch *out);
