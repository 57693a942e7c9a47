/* SPDX-License-Identifier: MIT */
/*
 * NVML's entries and their binding: route.c and entry.c over again for a handful of rows without
 * stream modes or versions.
 */

#include "interpose/nvml.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include "interpose/life.h"
#include "interpose/resolve.h"
#include "runtime/util.h"

static const struct nvml *_Atomic bound;
static const struct nvml no_nvml;

static struct nvml *build(void *library)
{
    struct nvml *nvml = calloc(1, sizeof(*nvml));

    if (!nvml)
        return NULL;
#define NVML_HOOK(symbol, params, args)                                                            \
    nvml->symbol = (int (*)(params))resolve_symbol(library, #symbol);
#define NVML_REAL NVML_HOOK
#include "runtime/nvml_calls.def"
    return nvml;
}

static const struct nvml *bind_nvml(void)
{
    const struct nvml *other = atomic_load_explicit(&bound, memory_order_acquire);
    struct nvml *nvml;
    void *library;

    if (other)
        return other;
    library = dlopen("libnvidia-ml.so.1", RTLD_NOLOAD | RTLD_NOW);
    nvml = library ? build(library) : NULL;
    /* What was not found must not be what the program's own dlerror() tells next. */
    (void)dlerror();
    if (!nvml)
        goto close;

    if (atomic_compare_exchange_strong(&bound, &other, nvml))
        return nvml;
    free(nvml);

close:
    if (library)
        dlclose(library);
    return other ? other : &no_nvml;
}

#define NVML_HOOK(symbol, params, args)                                                            \
    EXPORT int symbol(params);                                                                     \
    int symbol(params)                                                                             \
    {                                                                                              \
        const struct nvml *nvml = bind_nvml();                                                     \
                                                                                                   \
        if (!nvml->symbol)                                                                         \
            return nvml == &no_nvml ? NVML_RESULT_UNINITIALIZED : NVML_RESULT_FUNCTION_NOT_FOUND;  \
        return life_start()->disable ? nvml->symbol(args) : hook_##symbol(nvml, args);             \
    }
#include "runtime/nvml_calls.def"

void *nvml_address(void *real)
{
    const struct nvml *nvml = real ? bind_nvml() : &no_nvml;

    if (nvml == &no_nvml || life_start()->disable)
        return real;
#define NVML_HOOK(symbol, params, args)                                                            \
    if (real == (void *)nvml->symbol)                                                              \
        return (void *)(symbol);
#include "runtime/nvml_calls.def"
    return real;
}
