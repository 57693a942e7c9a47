/* SPDX-License-Identifier: MIT */
#pragma once

/* What programs do when memory is short, and how to stop them: the rows of engines.def. */

#include <stddef.h>

enum engine_offload {
    ENGINE_OFFLOAD_NONE,
    ENGINE_OFFLOAD_EXPERTS,  /* the CPU computes with experts, then with whole layers */
    ENGINE_OFFLOAD_LAYERS,   /* the CPU computes whole layers */
    ENGINE_OFFLOAD_COPY,     /* what has no room is copied when needed, from pageable memory */
    ENGINE_OFFLOAD_STREAM,   /* so too, and everything has a home in host memory */
    ENGINE_OFFLOAD_SEGMENTS, /* if it does not all have room, all of it is copied so */
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
