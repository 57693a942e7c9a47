/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Memory of allocation nodes: an address that stays for as long as a node or a use of it does, with
 * physical memory behind it from an allocation to a free in the order of execution.
 */

#include "tests/sim/graph.h"

/* At a fresh address, not accessible yet. One reference. `peers`: devices that may use it too, one
 * bit for each. */
CUresult graph_memory_new(struct context *context, int device, uint64_t bytes, uint8_t peers,
                          struct graph_memory **out);
void graph_memory_get(struct graph_memory *memory);
void graph_memory_put(struct graph_memory *memory);
uint64_t graph_memory_address(const struct graph_memory *memory);
/* Its node's parameters, as the program is told them. */
void graph_memory_describe(const struct graph_memory *memory, CUDA_MEM_ALLOC_NODE_PARAMS *out);
/* That which begins at the address; NULL when there is none. */
struct graph_memory *graph_memory_at(uint64_t address);

/* Whether, by what was submitted so far, it is allocated and not freed. */
bool graph_memory_is_live(const struct graph_memory *memory);
void graph_memory_set_live(struct graph_memory *memory, bool live);
/* Finds physical memory for one more launch; OUT_OF_MEMORY even after all that is queued ran. */
CUresult graph_memory_reserve(struct graph_memory *memory);
/* Such a launch is over, or never was. */
void graph_memory_unreserve(struct graph_memory *memory);
/* What the two kinds of node do when they run. */
void graph_memory_map(struct graph_memory *memory);
void graph_memory_unmap(struct graph_memory *memory);

/* cuMemFree and cuMemFreeAsync of such an address; INVALID_VALUE when it is not allocated. */
CUresult graph_memory_free(struct graph_memory *memory);
CUresult graph_memory_free_async(struct graph_memory *memory, struct stream *stream);
/* cuMemAllocAsync and cuMemFreeAsync in a capturing stream. */
CUresult graph_memory_capture_alloc(struct stream *stream, int device, size_t bytes,
                                    CUdeviceptr *out);
CUresult graph_memory_capture_free(struct stream *stream, CUdeviceptr address);
/* Its context is gone, and what it held. */
void graph_memory_context_gone(const struct context *context);
