/* SPDX-License-Identifier: MIT */
/*
 * Finding the driver: dlopen, one dlsym, and cuGetProcAddress for everything else, each name at the
 * version of its row. That is how NVIDIA's library does it, so what stands between is met the same
 * way.
 */
#include "tests/cudart/calls.h"

#include <ctype.h>
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#define OLDEST_DRIVER 13000

typedef CUresult (*lookup_fn)(const char *symbol, void **function, int version, uint64_t flags,
                              CUdriverProcAddressQueryResult *status);

static struct driver_table tables[STREAM_MODE_COUNT];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static cudaError_t start_error;

/* A call that the driver lacks, one function per row so that each has the right type. */
#define HOOK(symbol, since, twin, params, args)                                                    \
    static CUresult missing_##symbol(PROTO(params))                                                \
    {                                                                                              \
        return CUDA_ERROR_NOT_SUPPORTED;                                                           \
    }
#define GATE HOOK
#define REAL HOOK
#define PASS HOOK
#include "runtime/driver_calls.def"

/* The address of a row's call, by its name without the version. */
static void *lookup(lookup_fn get, const char *symbol, int since, enum stream_mode mode)
{
    char base[128];
    size_t length = strlen(symbol);
    void *function = NULL;

    while (length && isdigit((unsigned char)symbol[length - 1]))
        length--;
    if (length < 2 || strncmp(symbol + length - 2, "_v", 2) || !symbol[length])
        length = strlen(symbol) + 2;
    if (length - 2 >= sizeof(base))
        return NULL;
    memcpy(base, symbol, length - 2);
    base[length - 2] = '\0';
    if (get(base, &function, since,
            mode == STREAM_PER_THREAD ? CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM
                                      : CU_GET_PROC_ADDRESS_LEGACY_STREAM,
            NULL))
        return NULL;
    return function;
}

static void bind(lookup_fn get, enum stream_mode mode)
{
    struct driver_table *table = &tables[mode];
    void *function;

#define HOOK(symbol, since, twin, params, args)                                                    \
    function = lookup(get, #symbol, since, mode);                                                  \
    if (function)                                                                                  \
        *(void **)&table->symbol = function;                                                       \
    else                                                                                           \
        table->symbol = missing_##symbol;
#define GATE HOOK
#define REAL HOOK
#define PASS HOOK
#include "runtime/driver_calls.def"
}

static void start(void)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    lookup_fn get = NULL;
    int version = 0;

    if (library)
        *(void **)&get = dlsym(library, "cuGetProcAddress_v2");
    if (!get) {
        start_error = cudaErrorInsufficientDriver;
        return;
    }
    for (int mode = 0; mode < STREAM_MODE_COUNT; mode++)
        bind(get, (enum stream_mode)mode);
    if (tables[0].cuDriverGetVersion(&version) || version < OLDEST_DRIVER)
        start_error = cudaErrorInsufficientDriver;
    else
        start_error = error_of(tables[0].cuInit(0));
}

cudaError_t driver_start(void)
{
    pthread_once(&once, start);
    return start_error;
}

const struct driver_table *driver_of(enum stream_mode mode)
{
    return &tables[mode];
}
