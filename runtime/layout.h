/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where the parameters of a kernel lie, and which of their bytes may be device addresses.
 *
 * A layout is looked up by handle, a CUfunction or a CUkernel alike (cast it), asked of the driver
 * or of the recorded image (runtime/image.h) once, and cached. Layouts are immutable, shared
 * between functions of equal parameters, and never freed while the process lives: a pointer to one
 * stays good across layout_forget_all(). Locking: none to the caller, any thread.
 */

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "runtime/driver.h"
#include "runtime/nvinfo.h"
#include "runtime/util.h"

/* Eight bytes, 8-aligned in the packed buffer and wholly inside one parameter. */
struct layout_word {
    uint16_t param;  /* index into kernel_params */
    uint16_t at;     /* bytes into that parameter */
    uint16_t offset; /* bytes into the packed buffer */
};

struct layout {
    uint32_t n_params;
    uint32_t n_words;
    uint32_t bytes; /* of the packed buffer: where its last parameter ends */
    /* What the function is found with once it is excused, when it is watched and this is not it. */
    const struct layout *excused;
    const struct kernel_param *params;
    struct layout_word words[]; /* in order of param, then of at */
};

/* A slot's key is written once. Its value is a layout's address, or odd: none is known. */
struct layout_slot {
    _Atomic(uintptr_t) function;
    _Atomic(uintptr_t) value;
};

struct layout_table {
    unsigned int shift; /* 64 - log2 of the number of slots */
    struct layout_slot *slots;
    const struct layout_table *older; /* outgrown; a reader may still be in it */
};

extern __attribute__((visibility("hidden"))) _Atomic(const struct layout_table *) layout_current;

static inline size_t layout_hash(const struct layout_table *table, uintptr_t function)
{
    return (uint64_t)function * 0x9e3779b97f4a7c15u >> table->shift;
}

const struct layout *layout_find_slowly(const struct driver *drv, CUfunction function);

/* The function's layout; NULL when nobody knows it. The first call for a handle may ask the driver.
 */
static inline const struct layout *layout_find(const struct driver *drv, CUfunction function)
{
    const struct layout_table *table = atomic_load_explicit(&layout_current, memory_order_acquire);
    struct layout_slot *slot = &table->slots[layout_hash(table, (uintptr_t)function)];
    uintptr_t key = atomic_load_explicit(&slot->function, memory_order_relaxed);
    uintptr_t value = atomic_load_explicit(&slot->value, memory_order_acquire);

    if (likely(key == (uintptr_t)function && !(value & 1)))
        return (const struct layout *)value;
    return layout_find_slowly(drv, function);
}

/*
 * Watching functions. While it is on, a function is found with a layout that says so, until it is
 * excused; one of unknown parameters, with a layout that has no words. Turning it on or off makes
 * every function be asked for again.
 */
void layout_watch(bool on);
void layout_excuse(CUfunction function);
/* The same layout, watched or not; NULL for that of a watched function of unknown parameters. */
const struct layout *layout_known(const struct layout *layout);
/* Changes whenever handles may have come to mean other functions. */
uintptr_t layout_unloads(void);

/* A module or library was loaded: what was unknown is asked again. */
void layout_retry_unknown(void);

/* A module or library was unloaded, its handles may be given out anew: everything is asked again.
 */
void layout_forget_all(void);

/*
 * The packed buffer that a launch's `extra` names. 0; -ENOENT when it names none; -EINVAL when it
 * cannot be understood.
 */
int layout_extra_buffer(void *const *extra, void **out_buffer, size_t *out_bytes);

typedef void (*layout_visit_fn)(void *context, const struct layout_word *word, uint64_t value);

int layout_scan_extra(const struct layout *layout, void *const *kernel_params, void *const *extra,
                      layout_visit_fn visit, void *context);

/*
 * Calls `visit` for each word of a launch's parameters, in order; `visit` is inlined where it is a
 * constant. Reads nothing outside the parameters. -EINVAL, and nothing visited, when the launch
 * gives its parameters not at all, or twice: the driver will refuse it.
 */
static inline __attribute__((always_inline)) int layout_scan(const struct layout *layout,
                                                             void *const *kernel_params,
                                                             void *const *extra,
                                                             layout_visit_fn visit, void *context)
{
    const struct layout_word *end = layout->words + layout->n_words;

    if (unlikely(extra || !kernel_params))
        return layout_scan_extra(layout, kernel_params, extra, visit, context);
    for (const struct layout_word *word = layout->words; word < end; word++) {
        uint64_t value;

        memcpy(&value, (const char *)kernel_params[word->param] + word->at, sizeof(value));
        visit(context, word, value);
    }
    return 0;
}
