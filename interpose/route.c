/* SPDX-License-Identifier: MIT */
/*
 * Binding to the driver, and routing by address.
 *
 * cuGetProcAddress() chooses among versions and stream modes of a call by rules that need not be
 * restated here: whatever it answers is the address of an exported function. So each exported name
 * we stand in for is looked up once in the driver, and from then on "the driver's address" means
 * "our entry", for dlsym() and cuGetProcAddress() alike.
 *
 * The dynamic loader's lock is why nothing here locks: a thread inside dlopen() holds it while it
 * runs constructors, which may call us, and dlsym() takes it. Each thread that finds no binding
 * builds one of its own, and the first to publish wins. The losers' work is wasted once.
 *
 * Two names with one address mean one function; the earlier row has it.
 */

#include "interpose/route.h"

#include <dlfcn.h>
#include <stdlib.h>
#include "interpose/entry.h"
#include "interpose/life.h"
#include "interpose/resolve.h"
#include "runtime/log.h"

struct route {
    void *real; /* NULL where the driver lacks it */
    const struct entry *entry;
};

struct binding {
    struct driver tables[STREAM_MODE_COUNT];
    atomic_bool untouched;
    struct route routes[]; /* entry_count of them, by address, then in the order of the rows */
};

const struct driver *_Atomic route_tables[STREAM_MODE_COUNT];

static struct binding *_Atomic bound;
static const struct driver no_driver;

static int compare(const void *left, const void *right)
{
    const struct route *a = left;
    const struct route *b = right;

    if (a->real != b->real)
        return (uintptr_t)a->real < (uintptr_t)b->real ? -1 : 1;
    return a->entry < b->entry ? -1 : a->entry > b->entry;
}

static void *lookup(void *library, const char *symbol)
{
    return resolve_symbol(library, symbol);
}

static struct binding *build(void *library)
{
    struct binding *binding = calloc(1, sizeof(*binding) + entry_count * sizeof(struct route));

    if (!binding)
        return NULL;
    driver_bind(&binding->tables[STREAM_LEGACY], STREAM_LEGACY, lookup, library);
    driver_bind(&binding->tables[STREAM_PER_THREAD], STREAM_PER_THREAD, lookup, library);
    for (size_t i = 0; i < entry_count; i++)
        binding->routes[i] = (struct route){lookup(library, entry_list[i].symbol), &entry_list[i]};
    qsort(binding->routes, entry_count, sizeof(struct route), compare);
    return binding;
}

static void log_aliases(const struct route *routes)
{
    for (size_t i = 1; i < entry_count; i++)
        if (routes[i].real && routes[i].real == routes[i - 1].real)
            log_debug("the driver's %s and %s are one function; using the handler of the first",
                      routes[i - 1].entry->symbol, routes[i].entry->symbol);
}

static void publish(struct binding *binding)
{
    if (atomic_load(&binding->untouched))
        return;
    log_aliases(binding->routes);
    for (int mode = 0; mode < STREAM_MODE_COUNT; mode++)
        atomic_store_explicit(&route_tables[mode], &binding->tables[mode], memory_order_release);
}

static struct binding *bind_driver(void)
{
    struct binding *binding = atomic_load_explicit(&bound, memory_order_acquire);
    struct binding *other = NULL;
    void *library;

    if (binding)
        return binding;
    library = dlopen("libcuda.so.1", RTLD_NOLOAD | RTLD_NOW);
    binding = library ? build(library) : NULL;
    /* What was not found must not be what the program's own dlerror() tells next. */
    (void)dlerror();
    if (!binding)
        goto close;

    atomic_init(&binding->untouched, life_start()->disable);
    if (atomic_compare_exchange_strong(&bound, &other, binding)) {
        publish(binding);
        return binding;
    }
    free(binding);

close:
    if (library)
        dlclose(library);
    return other;
}

const struct driver *route_bind(enum stream_mode mode)
{
    struct binding *binding = bind_driver();

    return binding && !atomic_load(&binding->untouched) ? &binding->tables[mode] : NULL;
}

const struct driver *route_untouched(enum stream_mode mode)
{
    struct binding *binding = bind_driver();

    return binding ? &binding->tables[mode] : &no_driver;
}

CUresult route_missing(void)
{
    return atomic_load(&bound) ? CUDA_ERROR_NOT_FOUND : CUDA_ERROR_NOT_INITIALIZED;
}

static void *find_entry(const struct route *routes, void *real)
{
    size_t low = 0;
    size_t high = entry_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if ((uintptr_t)routes[middle].real < (uintptr_t)real)
            low = middle + 1;
        else
            high = middle;
    }
    return low < entry_count && routes[low].real == real ? routes[low].entry->address : real;
}

void *route_address(void *real, const char *symbol)
{
    struct binding *binding = real ? bind_driver() : NULL;
    void *address;

    if (!binding || atomic_load(&binding->untouched))
        return real;
    address = find_entry(binding->routes, real);
    /* `vramshim doctor` reads this line. */
    log_debug("the program asks for %s, which is %s", symbol,
              address != real ? "ours" : "the driver's");
    return address;
}

void route_retire(void)
{
    struct binding *binding = atomic_load(&bound);

    if (!binding)
        return;
    atomic_store(&binding->untouched, true);
    for (int mode = 0; mode < STREAM_MODE_COUNT; mode++)
        atomic_store(&route_tables[mode], NULL);
}
