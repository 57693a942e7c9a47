/* SPDX-License-Identifier: MIT */
/*
 * What a thread remembers: its device, its last error, and the shapes of launches between the two
 * halves of <<<>>>.
 *
 * Primary contexts are retained once for the process, by whoever needs one first, and made current
 * in each thread that has none. A reset takes them away from every thread: each notices by a
 * counter.
 */
#include "tests/cudart/calls.h"

#include <pthread.h>
#include <stdatomic.h>

#define MAX_DEVICES 64
#define MAX_SHAPES  16

struct launch_shape {
    dim3 grid;
    dim3 block;
    size_t shared_bytes;
    cudaStream_t stream;
};

static _Thread_local struct {
    int device;
    unsigned int resets; /* how many had been when the context was made current */
    cudaError_t last;
    unsigned int n_shapes;
    struct launch_shape shapes[MAX_SHAPES];
} self;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static CUcontext primaries[MAX_DEVICES]; /* under the lock */
static atomic_uint resets;

int thread_device(void)
{
    return self.device;
}

void thread_set_device(int device)
{
    self.device = device;
}

/* Locking: the lock. */
static CUresult retain(int device)
{
    if (primaries[device])
        return CUDA_SUCCESS;
    return driver_of(STREAM_LEGACY)->cuDevicePrimaryCtxRetain(&primaries[device], device);
}

cudaError_t context_of_device(int device, CUcontext *out)
{
    CUresult res;

    if (device < 0 || device >= MAX_DEVICES)
        return cudaErrorInvalidDevice;
    pthread_mutex_lock(&lock);
    res = retain(device);
    if (!res)
        *out = primaries[device];
    pthread_mutex_unlock(&lock);
    return error_of(res);
}

cudaError_t context_use(int device)
{
    CUresult res;

    if (device < 0 || device >= MAX_DEVICES)
        return cudaErrorInvalidDevice;
    pthread_mutex_lock(&lock);
    res = retain(device);
    if (!res)
        res = driver_of(STREAM_LEGACY)->cuCtxSetCurrent(primaries[device]);
    self.resets = atomic_load(&resets);
    pthread_mutex_unlock(&lock);
    return error_of(res);
}

cudaError_t context_require(void)
{
    CUcontext current = NULL;
    CUresult res = CUDA_SUCCESS;

    if (self.resets == atomic_load(&resets))
        res = driver_of(STREAM_LEGACY)->cuCtxGetCurrent(&current);
    if (res)
        return error_of(res);
    return current ? cudaSuccess : context_use(self.device);
}

cudaError_t context_reset(int device)
{
    const struct driver_table *drv = driver_of(STREAM_LEGACY);
    CUresult res = CUDA_SUCCESS;

    if (device < 0 || device >= MAX_DEVICES)
        return cudaErrorInvalidDevice;
    pthread_mutex_lock(&lock);
    if (primaries[device]) {
        res = drv->cuDevicePrimaryCtxReset(device);
        drv->cuDevicePrimaryCtxRelease(device);
        primaries[device] = NULL;
        drv->cuCtxSetCurrent(NULL);
        atomic_fetch_add(&resets, 1);
    }
    pthread_mutex_unlock(&lock);
    self.last = cudaSuccess;
    return error_of(res);
}

void context_release_all(void)
{
    const struct driver_table *drv = driver_of(STREAM_LEGACY);

    pthread_mutex_lock(&lock);
    for (int device = 0; device < MAX_DEVICES; device++) {
        if (primaries[device])
            drv->cuDevicePrimaryCtxRelease(device);
        primaries[device] = NULL;
    }
    pthread_mutex_unlock(&lock);
}

cudaError_t context_set_flags(int device, unsigned int flags)
{
    return error_of(driver_of(STREAM_LEGACY)->cuDevicePrimaryCtxSetFlags_v2(device, flags));
}

cudaError_t thread_enter(enum needs needs)
{
    cudaError_t error = needs == NEEDS_NOTHING ? cudaSuccess : driver_start();

    return error || needs != NEEDS_CONTEXT ? error : context_require();
}

cudaError_t thread_leave(cudaError_t error)
{
    if (error)
        self.last = error;
    return error;
}

EXPORT cudaError_t cudaPeekAtLastError(void)
{
    return self.last;
}

EXPORT cudaError_t cudaGetLastError(void)
{
    cudaError_t last = self.last;

    if (!error_is_sticky(last))
        self.last = cudaSuccess;
    return last;
}

/* What nvcc and clang make of <<<grid, block, bytes, stream>>>. */
EXPORT unsigned int __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared_bytes,
                                                struct CUstream_st *stream);
EXPORT cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared_bytes,
                                              void *stream);

EXPORT unsigned int __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared_bytes,
                                                struct CUstream_st *stream)
{
    if (self.n_shapes == MAX_SHAPES)
        return 1;
    self.shapes[self.n_shapes++] = (struct launch_shape){grid, block, shared_bytes, stream};
    return 0;
}

EXPORT cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared_bytes,
                                              void *stream)
{
    const struct launch_shape *shape;

    if (!self.n_shapes)
        return thread_leave(cudaErrorMissingConfiguration);
    shape = &self.shapes[--self.n_shapes];
    *grid = shape->grid;
    *block = shape->block;
    *shared_bytes = shape->shared_bytes;
    *(cudaStream_t *)stream = shape->stream;
    return cudaSuccess;
}
