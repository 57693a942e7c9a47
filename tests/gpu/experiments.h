/* SPDX-License-Identifier: MIT */
#pragma once

/* One function per row of experiments.def; each runs in a process of its own, with no card open. */
#define EXPERIMENT(name, ids, seconds, kind, question) void experiment_##name(void);
#include "tests/gpu/experiments.def"
