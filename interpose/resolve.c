/* SPDX-License-Identifier: MIT */
/*
 * The C half of the exported dlsym().
 *
 * The assembler half (dlsym_*.S) takes every call. What cannot concern us, it passes to the next
 * dlsym() by a jump, so that the C library still sees its caller's return address: that is how
 * RTLD_NEXT and RTLD_DEFAULT know where "next" is. It comes here to find that next dlsym(), and
 * with look-ups of cu* and nvml* names in a given handle.
 *
 * Look-ups may come before any constructor has run. Nothing here relies on one: the pointer starts
 * out NULL and whoever finds it NULL looks. Two threads find the same. No lock is held: the
 * loader's is taken inside.
 *
 * Newest version first: an older one may be kept for old programs only.
 */

#include "interpose/resolve.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>
#include "interpose/nvml.h"
#include "interpose/route.h"
#include "runtime/util.h"

typedef void *(*dlsym_fn)(void *handle, const char *symbol);

/* Read by the assembler half. */
extern dlsym_fn _Atomic resolve_next;
dlsym_fn _Atomic resolve_next;

/* Called by the assembler half. */
dlsym_fn resolve_find_next(void);
void *resolve_in_handle(void *handle, const char *symbol);

/* The linker's: where this library begins and ends. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));

static void *find_nothing(void *handle, const char *symbol)
{
    return NULL;
}

/* A resolver of indirect functions in another library may look something up before our own
 * relocations are done, when we cannot call the C library yet. */
static int is_relocated(void)
{
    static const volatile void *const volatile self = &self;

    return self == &self;
}

static int is_ours(const void *address)
{
    return (const char *)address >= __ehdr_start && (const char *)address < _end;
}

/* A versioned look-up passes over preload libraries, which have no versions. If one behind us
 * wraps dlsym() too, it gets its turn. */
static dlsym_fn behind_us(dlsym_fn libc_dlsym)
{
    dlsym_fn next = (dlsym_fn)libc_dlsym(RTLD_NEXT, "dlsym");

    return next && !is_ours((const void *)next) ? next : libc_dlsym;
}

/* AddressSanitizer, where the library is built with it, looks functions up before there is a shadow
 * to check against. */
__attribute__((no_sanitize("address", "undefined"))) dlsym_fn resolve_find_next(void)
{
    static const char *const versions[] = {"GLIBC_2.34", "GLIBC_2.17", "GLIBC_2.2.5"};
    dlsym_fn next = atomic_load_explicit(&resolve_next, memory_order_acquire);

    if (next)
        return next;
    if (!is_relocated())
        return find_nothing;
    for (size_t i = 0; i < ARRAY_SIZE(versions) && !next; i++)
        next = (dlsym_fn)dlvsym(RTLD_NEXT, "dlsym", versions[i]);
    next = next ? behind_us(next) : find_nothing;
    atomic_store_explicit(&resolve_next, next, memory_order_release);
    return next;
}

void *resolve_symbol(void *handle, const char *symbol)
{
    void *address = resolve_find_next()(handle, symbol);

    return is_ours(address) ? NULL : address;
}

void *resolve_in_handle(void *handle, const char *symbol)
{
    void *address = resolve_find_next()(handle, symbol);

    return symbol[0] == 'c' ? route_address(address, symbol) : nvml_address(address);
}
