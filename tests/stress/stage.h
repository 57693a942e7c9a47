/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What most programs of the passes share: a model in one allocation, some memory beside it, and
 * kernels that read and write in the ways that one can.
 *
 * What they compute does not depend on addresses, nor on the order in which streams run.
 */

#include <cuda.h>
#include <stdbool.h>
#include <stdint.h>
#include "tests/sim/sim.h"
#include "tests/stress/passes.h"

enum {
    STAGE_PAGE = 2 << 20, /* bytes: what homes are moved by here */
    TENSORS = 16,
    TENSOR = 2 * STAGE_PAGE,
    MODEL = TENSORS * TENSOR,
    SUMS = 4, /* that a program may keep, for streams of its own */
};

/* Functions, in the order of stage_kernels.c. */
enum kernel {
    READ,        /* (sum, at, bytes) */
    READ_BACK,   /* (sum, end, bytes) */
    READ_AT,     /* (sum, base, offset, bytes) */
    READ_TO,     /* (sum, begin, end) */
    READ_VIA,    /* (sum, table, index, bytes): through an address in device memory */
    STORE,       /* (table, index, at): puts it there */
    ADVANCE,     /* (table, index, offset): adds it to the address there */
    WRITE,       /* (at, bytes, seed) */
    WRITE_AT,    /* (base, offset, bytes, seed) */
    WRITE_VIA,   /* (table, index, bytes, seed) */
    WRITE_LATER, /* (sum, at, bytes, counter): reads, and now and then writes */
    WRITE_ONE,   /* (of many addresses, one; seed) */
    LOOK_UP,     /* (sum, stack, numbers, bytes of a part and, 32 bits higher, where to look for
                  * numbers): reads the parts that these name */
    KERNELS,
};

enum {
    MANY = 200, /* addresses that WRITE_ONE is given */
    MANY_AT = 190,
    LOOK_UPS = 3, /* numbers of LOOK_UP, */
    LOOK_UP_PARTS = 12,
};

struct stage {
    CUcontext context;
    CUmodule module;
    CUfunction functions[KERNELS];
    CUdeviceptr sum;     /* SUMS of them */
    CUdeviceptr weights; /* the model */
    CUdeviceptr table;   /* of device addresses: of all tensors, then of as many others */
    CUdeviceptr counter;
    CUdeviceptr own[TENSORS]; /* tensors that are allocated one by one */
    uint8_t *pinned;          /* a tensor's bytes of host memory */
};
extern struct stage stage;

#define MUST(call) passes_must(call, #call)

/* Loads the kernels and makes the rest of the stage but for weights; a context is current. */
void stage_open(void);
/* All that was computed. */
uint32_t stage_close(void);

CUdeviceptr stage_alloc(uint64_t bytes);
void stage_fill(CUdeviceptr at, uint64_t bytes, uint64_t seed);
/* The model, in a table or not. */
void stage_load_weights(void);
void stage_load_model(void);
/* The same on an opened stage, as the start and the end of a program. */
void stage_start(void);
uint32_t stage_stop(void);

/* The same of a program with no more than tensors of its own. */
void stage_start_own(void);
uint32_t stage_stop_own(void);

static inline CUdeviceptr tensor_at(uint32_t tensor)
{
    return stage.weights + (uint64_t)tensor % TENSORS * TENSOR;
}

/* Parameters of 8 bytes. */
void launch_in(CUstream stream, enum kernel kernel, const uint64_t *params);
#define LAUNCH_IN(stream_, kernel_, ...)                                                           \
    launch_in(stream_, kernel_, (const uint64_t[]){__VA_ARGS__})
#define LAUNCH(kernel_, ...) LAUNCH_IN(passes_stream, kernel_, __VA_ARGS__)

/* Adds what is in a tensor to the first sum. */
void read_tensor(uint32_t tensor);
void read_tensors(void);
void read_own(uint32_t tensor);

/* Makes the kernels known to the simulated driver; their names, in order. */
void stage_kernels_init(void);
extern const char *const stage_kernel_names[KERNELS];
