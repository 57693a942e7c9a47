/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The library's inside: what answers a call, and what calls share.
 *
 * For each row of cudart_calls.def there is an exported entry (entry.c), and for each CALL row a
 * function call_<name>() that does it. The first parameter is the driver as the caller's default
 * stream wants it; a twin for per-thread streams differs in nothing else.
 */

#include "runtime/driver.h"
#include "tests/cudart/include/cuda_runtime_api.h"

#define EXPORT __attribute__((visibility("default")))

/* Every driver call there is a row of. What the driver lacks answers CUDA_ERROR_NOT_SUPPORTED. */
struct driver_table {
#define HOOK(symbol, since, twin, params, args) CUresult (*symbol)(PROTO(params));
#define GATE                                    HOOK
#define REAL                                    HOOK
#define PASS                                    HOOK
#include "runtime/driver_calls.def"
};

/* Loads and initialises the driver, once. Locking: any thread. */
cudaError_t driver_start(void);
const struct driver_table *driver_of(enum stream_mode mode);

enum needs {
    NEEDS_NOTHING,
    NEEDS_DRIVER,
    NEEDS_CONTEXT,
};

/* What has to be before a call, and remembering how it ended. */
cudaError_t thread_enter(enum needs needs);
cudaError_t thread_leave(cudaError_t error);
int thread_device(void);
void thread_set_device(int device);

/* Makes the primary context of `device` current in this thread. */
cudaError_t context_use(int device);
/* The primary context of `device`, which is made when there is none. */
cudaError_t context_of_device(int device, CUcontext *out);
/* cudaSuccess with a context current, whoever made it so. */
cudaError_t context_require(void);
cudaError_t context_reset(int device);
/* Gives back what was retained, at the end of the program. */
void context_release_all(void);
/* Flags for primary contexts still to be created by this thread. */
cudaError_t context_set_flags(int device, unsigned int flags);

/* Names and numbers of errors are the driver's, but for those it does not have. */
cudaError_t error_of(CUresult result);
bool error_is_sticky(cudaError_t error);

/* A kernel or variable by the address it has on the host. Loads its image when needed. */
cudaError_t image_kernel(const void *function, CUkernel *out);
cudaError_t image_variable(const void *symbol, CUdeviceptr *address, size_t *bytes);
/* The host address of a kernel by either of its handles, NULL when it is not of a registered image.
 */
const void *image_host_function(CUkernel kernel);
const void *image_host_of_function(CUfunction function);

/* A copy of a box as the driver wants it. */
cudaError_t copy_box(const struct cudaMemcpy3DParms *copy, CUDA_MEMCPY3D *out);

#define CALL(name, twin, needs, params, args)                                                      \
    cudaError_t call_##name(const struct driver_table *drv AND(params));
#define FORWARD(name, twin, needs, params, args, call)
#include "tests/cudart/include/cudart_calls.def"
