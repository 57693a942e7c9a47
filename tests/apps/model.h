/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A GGUF model on the device. Every failure ends the program with one line (see gpu_die).
 *
 * Order of use: model_open(), model_u64() and model_tensor() for everything the program wants,
 * model_check_all_used(), model_upload(), then model_at() for addresses.
 */

#include <stdbool.h>
#include <stdint.h>
#include "planner/gguf.h"
#include "tests/apps/gpu.h"

struct model {
    const struct gpu *gpu;
    const char *path;
    const char *architecture;
    struct gguf *gguf;
    const uint8_t *bytes;   /* of the file, mapped */
    bool *used;             /* by tensor */
    CUdeviceptr *addresses; /* by tensor */
    CUdeviceptr slab;       /* the one allocation, when there is only one */
};

/* How weights are allocated: as frameworks do (each tensor by itself), or as ggml does. */
enum model_layout {
    MODEL_PER_TENSOR,
    MODEL_SLAB,
};

/* Refuses a file of any other architecture. */
void model_open(struct model *model, const struct gpu *gpu, const char *path,
                const char *architecture);
void model_close(struct model *model);

/* The number under "<architecture>.<name>", which must be there and in [1, limit]. */
uint64_t model_u64(const struct model *model, const char *name, uint64_t limit);
/* The same, but `fallback` where the file has none. */
uint64_t model_u64_or(const struct model *model, const char *name, uint64_t limit,
                      uint64_t fallback);
double model_f64_or(const struct model *model, const char *name, double fallback);
/* Without a fallback. */
double model_f64(const struct model *model, const char *name);

/* The tensor of that name, which must be of the shape [rows][columns]; rows 0: one dimension. */
const struct tensor *model_tensor(struct model *model, uint64_t columns, uint64_t rows,
                                  const char *format, ...) __attribute__((format(printf, 4, 5)));
/* The same, but NULL when there is none. */
const struct tensor *model_tensor_or_null(struct model *model, uint64_t columns, uint64_t rows,
                                          const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A tensor that the program did not ask for means that it would compute something else. */
void model_check_all_used(const struct model *model);

void model_upload(struct model *model, enum model_layout layout);
const void *model_data(const struct model *model, const struct tensor *tensor);
CUdeviceptr model_at(const struct model *model, const struct tensor *tensor);
