/* SPDX-License-Identifier: MIT */
#pragma once

/* What programs do when memory is short, and how to stop them: the rows of engines.def. */

#include <stddef.h>

enum engine_offload {
    ENGINE_OFFLOAD_NONE,
    ENGINE_OFFLOAD_CPU,      /* part of the layers is computed by the CPU */
    ENGINE_OFFLOAD_COPY,     /* layers are copied when needed, from memory that is not pinned */
    ENGINE_OFFLOAD_IN_PLACE, /* weights are read in pinned memory in place */
    ENGINE_OFFLOAD_GROUP,    /* all layers are copied ahead of use, from a second, pinned copy */
};

struct engine_row {
    const char *name;
    enum engine_offload offload;
    const char *offload_flags;
    const char *story;
    const char *flags;
};

/* NULL behind the last one. */
const struct engine_row *engine_row_at(size_t index);
const struct engine_row *engine_row_find(const char *name);
