/* SPDX-License-Identifier: MIT */
/*
 * Device code that is part of the program, as what nvcc and clang generate registers it.
 *
 * Registering only takes notes, and asks nothing of the driver: it happens before main(). An image
 * is loaded when the first of its kernels or variables is needed, and then for good, in whatever
 * device. Hosts know kernels and variables by the address of a stub or a shadow.
 */
#include "tests/cudart/calls.h"

#include <pthread.h>
#include <stdlib.h>
#include <uthash.h>

struct image {
    const void *fatbin;
    CUlibrary library; /* NULL until something of it is needed */
};

struct entity {
    const void *host; /* key */
    struct image *image;
    const char *name;
    CUkernel kernel;
    size_t bytes; /* of a variable */
    bool is_variable;
    bool is_managed;
    UT_hash_handle hh;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entity *entities;
static unsigned int n_images;

/* What generated code calls. */
EXPORT void **__cudaRegisterFatBinary(void *fatbin);
EXPORT void __cudaRegisterFatBinaryEnd(void **image);
EXPORT void __cudaUnregisterFatBinary(void **image);
EXPORT void __cudaRegisterFunction(void **image, const char *host, char *device, const char *name,
                                   int thread_limit, void *thread, void *block, void *block_dim,
                                   void *grid_dim, int *warp_size);
EXPORT void __cudaRegisterVar(void **image, char *host, char *device, const char *name, int ext,
                              size_t bytes, int constant, int global);
EXPORT void __cudaRegisterManagedVar(void **image, void **host, char *device, const char *name,
                                     int ext, size_t bytes, int constant, int global);
EXPORT char __cudaInitModule(void **image);

EXPORT void **__cudaRegisterFatBinary(void *fatbin)
{
    struct image *image = calloc(1, sizeof(*image));

    if (!image)
        abort();
    image->fatbin = fatbin;
    pthread_mutex_lock(&lock);
    n_images++;
    pthread_mutex_unlock(&lock);
    return (void **)image;
}

EXPORT void __cudaRegisterFatBinaryEnd(void **image)
{
    (void)image;
}

static void forget(const struct image *image)
{
    struct entity *entity;
    struct entity *next;

    HASH_ITER(hh, entities, entity, next)
    {
        if (entity->image != image)
            continue;
        HASH_DEL(entities, entity);
        free(entity);
    }
}

EXPORT void __cudaUnregisterFatBinary(void **handle)
{
    struct image *image = (struct image *)handle;
    bool last;

    if (!image)
        return;
    pthread_mutex_lock(&lock);
    forget(image);
    if (image->library)
        driver_of(STREAM_LEGACY)->cuLibraryUnload(image->library);
    free(image);
    last = --n_images == 0;
    pthread_mutex_unlock(&lock);
    if (last)
        context_release_all();
}

static struct entity *enter(void **image, const void *host, const char *name)
{
    struct entity *entity = calloc(1, sizeof(*entity));

    if (!entity)
        abort();
    entity->host = host;
    entity->image = (struct image *)image;
    entity->name = name;
    pthread_mutex_lock(&lock);
    HASH_ADD_PTR(entities, host, entity);
    pthread_mutex_unlock(&lock);
    return entity;
}

EXPORT void __cudaRegisterFunction(void **image, const char *host, char *device, const char *name,
                                   int thread_limit, void *thread, void *block, void *block_dim,
                                   void *grid_dim, int *warp_size)
{
    enter(image, host, name);
}

EXPORT void __cudaRegisterVar(void **image, char *host, char *device, const char *name, int ext,
                              size_t bytes, int constant, int global)
{
    struct entity *entity = enter(image, host, name);

    entity->bytes = bytes;
    entity->is_variable = true;
}

/* The host reads a managed variable through the pointer at `host`. */
EXPORT void __cudaRegisterManagedVar(void **image, void **host, char *device, const char *name,
                                     int ext, size_t bytes, int constant, int global)
{
    struct entity *entity = enter(image, host, name);

    entity->bytes = bytes;
    entity->is_variable = true;
    entity->is_managed = true;
}

/* Locking: the lock, for these. */
static cudaError_t load(struct image *image)
{
    if (image->library)
        return cudaSuccess;
    return error_of(
        driver_of(STREAM_LEGACY)
            ->cuLibraryLoadData(&image->library, image->fatbin, NULL, NULL, 0, NULL, NULL, 0));
}

static cudaError_t find(const void *host, bool is_variable, struct entity **out)
{
    struct entity *entity;
    cudaError_t error;

    HASH_FIND_PTR(entities, &host, entity);
    if (!entity || entity->is_variable != is_variable)
        return is_variable ? cudaErrorInvalidSymbol : cudaErrorInvalidDeviceFunction;
    error = load(entity->image);
    if (!error)
        *out = entity;
    return error;
}

static cudaError_t find_kernel(const void *function, CUkernel *out)
{
    struct entity *entity = NULL;
    cudaError_t error = find(function, false, &entity);

    if (!error && !entity->kernel &&
        driver_of(STREAM_LEGACY)
            ->cuLibraryGetKernel(&entity->kernel, entity->image->library, entity->name))
        error = cudaErrorInvalidDeviceFunction;
    if (!error)
        *out = entity->kernel;
    return error;
}

cudaError_t image_kernel(const void *function, CUkernel *out)
{
    cudaError_t error;

    pthread_mutex_lock(&lock);
    error = find_kernel(function, out);
    pthread_mutex_unlock(&lock);
    return error;
}

const void *image_host_function(CUkernel kernel)
{
    const struct entity *found = NULL;

    pthread_mutex_lock(&lock);
    for (const struct entity *entity = entities; entity; entity = entity->hh.next)
        if (!entity->is_variable && entity->kernel == kernel)
            found = entity;
    pthread_mutex_unlock(&lock);
    return found ? found->host : NULL;
}

const void *image_host_of_function(CUfunction function)
{
    const struct entity *found = NULL;
    CUfunction candidate;

    pthread_mutex_lock(&lock);
    for (const struct entity *entity = entities; entity && !found; entity = entity->hh.next)
        if (entity->kernel &&
            !driver_of(STREAM_LEGACY)->cuKernelGetFunction(&candidate, entity->kernel) &&
            candidate == function)
            found = entity;
    pthread_mutex_unlock(&lock);
    return found ? found->host : NULL;
}

cudaError_t image_variable(const void *symbol, CUdeviceptr *address, size_t *bytes)
{
    const struct driver_table *drv = driver_of(STREAM_LEGACY);
    CUresult (*get)(CUdeviceptr *, size_t *, CUlibrary, const char *);
    struct entity *entity = NULL;
    cudaError_t error;

    pthread_mutex_lock(&lock);
    error = find(symbol, true, &entity);
    get = entity && entity->is_managed ? drv->cuLibraryGetManaged : drv->cuLibraryGetGlobal;
    if (!error && get(address, bytes, entity->image->library, entity->name))
        error = cudaErrorInvalidSymbol;
    pthread_mutex_unlock(&lock);
    return error;
}

/* Points the host's view of every managed variable of an image to it. */
EXPORT char __cudaInitModule(void **image)
{
    const struct driver_table *drv = driver_of(STREAM_LEGACY);
    cudaError_t error = thread_enter(NEEDS_CONTEXT);

    pthread_mutex_lock(&lock);
    for (struct entity *entity = entities; !error && entity; entity = entity->hh.next) {
        CUdeviceptr address;
        size_t bytes;

        if (!entity->is_managed || entity->image != (struct image *)image)
            continue;
        error = load(entity->image);
        if (!error)
            error = error_of(
                drv->cuLibraryGetGlobal(&address, &bytes, entity->image->library, entity->name));
        if (!error)
            *(CUdeviceptr *)entity->host = address;
    }
    pthread_mutex_unlock(&lock);
    return thread_leave(error) == cudaSuccess;
}
