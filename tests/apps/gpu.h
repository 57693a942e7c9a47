/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The few driver calls that the programs here make, ending the program with one clear line when one
 * fails. These programs are ordinary users of the driver: nothing here knows of vramshim.
 */

#include <cuda.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gpu {
    const char *program; /* for messages */
    CUdevice device;
    CUcontext context;
    CUmodule module;
    CUstream stream; /* of every launch and asynchronous copy; NULL is the default stream */
};

/* Writes "program: message" to standard error and ends the program with status 1. */
__attribute__((noreturn, format(printf, 2, 3))) void gpu_die(const struct gpu *gpu,
                                                             const char *format, ...);

/* Device 0, its primary context, and the kernels in `ptx`. */
void gpu_open(struct gpu *gpu, const char *program, const char *ptx, bool own_stream);
void gpu_close(struct gpu *gpu);

CUfunction gpu_function(const struct gpu *gpu, const char *name);

/* `what` names the allocation in the message when there is no memory. */
CUdeviceptr gpu_alloc(const struct gpu *gpu, size_t bytes, const char *what);
void gpu_free(const struct gpu *gpu, CUdeviceptr at);

/* Both wait until the bytes are there. */
void gpu_upload(const struct gpu *gpu, CUdeviceptr to, const void *from, size_t bytes);
void gpu_download(const struct gpu *gpu, void *to, CUdeviceptr from, size_t bytes);

struct gpu_shape {
    unsigned int grid_x, grid_y; /* blocks */
    unsigned int block;          /* threads */
    unsigned int shared_bytes;
};
void gpu_launch(const struct gpu *gpu, CUfunction function, struct gpu_shape shape, void **params);

static inline unsigned int gpu_blocks(uint64_t items, unsigned int per_block)
{
    return (unsigned int)((items + per_block - 1) / per_block);
}
