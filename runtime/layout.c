/* SPDX-License-Identifier: MIT */
/*
 * The cache is an open-addressing table that readers walk without a lock. A slot's key is written
 * once and never removed; its value moves between a layout's address and odd numbers, which say
 * that no layout is known: NOT_ASKED, or when the search last failed. So forgetting is a store per
 * slot, and a reader sees the old answer or the new one, never a mixture. A full table is replaced
 * by one of twice the size and kept, since a reader may be inside; all the old ones together are
 * smaller than the current one. Keys thus pile up only as far as the driver gives out ever new
 * handles, and 16 bytes for each is little beside what the driver keeps.
 *
 * Layouts are interned by their parameters and never freed: a launch can use one that another
 * thread has just made stale, and there are few different ones.
 *
 * The driver is asked without holding the lock. An answer that crossed a forget is used by the
 * caller, whose handle was good when it called, and not kept.
 */

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/image.h"
#include "runtime/layout.h"
#include "runtime/log.h"
#include "runtime/table.h"

enum {
    END_SAID = 2, /* times: a launch with some of its parameters would run, and do something else */
    NOT_ASKED = 1,
    FIRST_SLOTS_LOG2 = 10,
    PARAM_BYTES_MAX = 32764, /* the most that any CUDA version lets a launch pass */
    EXTRA_PAIRS_MAX = 16,
};

/* Parameters being collected. */
struct param_list {
    struct kernel_param *params;
    size_t n, room;
};

struct interned {
    struct layout *layout;
    struct layout *watched; /* the same, for functions that are watched */
    UT_hash_handle hh;
};

static struct layout_slot first_slots[1 << FIRST_SLOTS_LOG2] = {
    [0 ...(1 << FIRST_SLOTS_LOG2) - 1] = {.value = NOT_ASKED},
};
static const struct layout_table first_table = {64 - FIRST_SLOTS_LOG2, first_slots, NULL};

_Atomic(const struct layout_table *) layout_current = &first_table;

/* Changes with every load, so that an answer of "unknown" from before it shows its age. */
static _Atomic(uintptr_t) loads = 1;
/* Changes with every forget. */
static _Atomic(uintptr_t) epoch;
/* Changes with every unload. */
static _Atomic(uintptr_t) unloads;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for all writes, and for what follows */
static struct interned *interned;
static bool watching;

/* What watched functions have whose parameters nobody knows, and those that have none. */
static const struct layout unknown_excused;
static const struct layout unknown_watched = {.excused = &unknown_excused};
static const struct layout none; /* uthash wants a key */
static const struct layout none_watched = {.excused = &none};
static size_t n_keys;

static uintptr_t unknown_value(uintptr_t at_load)
{
    return at_load << 1 | 1;
}

static size_t table_slots(const struct layout_table *table)
{
    return (size_t)1 << (64 - table->shift);
}

/*
 * The function's slot, or the empty one where it belongs. There always is one. The first slot stays
 * empty: a null handle, which the launch path may well be given, finds itself there, unknown.
 */
static struct layout_slot *table_slot(const struct layout_table *table, uintptr_t function)
{
    size_t mask = table_slots(table) - 1;

    for (size_t i = layout_hash(table, function);; i = (i + 1) & mask) {
        uintptr_t key = atomic_load_explicit(&table->slots[i].function, memory_order_relaxed);

        if (i && (key == function || !key))
            return &table->slots[i];
    }
}

/* NOT_ASKED as well for a function that has no slot: the empty one may just be filling up. */
static uintptr_t table_value(const struct layout_table *table, uintptr_t function)
{
    struct layout_slot *slot = table_slot(table, function);

    if (atomic_load_explicit(&slot->function, memory_order_relaxed) != function)
        return NOT_ASKED;
    return atomic_load_explicit(&slot->value, memory_order_acquire);
}

static int table_new(unsigned int shift, struct layout_table **out)
{
    struct layout_table *table = malloc(sizeof(*table));
    size_t n = (size_t)1 << (64 - shift);

    if (!table)
        return -ENOMEM;
    table->shift = shift;
    table->slots = malloc(n * sizeof(*table->slots));
    if (!table->slots) {
        free(table);
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        atomic_init(&table->slots[i].function, 0);
        atomic_init(&table->slots[i].value, NOT_ASKED);
    }
    *out = table;
    return 0;
}

static int grow_locked(void)
{
    const struct layout_table *old = atomic_load(&layout_current);
    struct layout_table *table;
    int r;

    r = table_new(old->shift - 1, &table);
    if (r)
        return r;
    for (size_t i = 0; i < table_slots(old); i++) {
        uintptr_t key = atomic_load(&old->slots[i].function);
        struct layout_slot *slot;

        if (!key)
            continue;
        slot = table_slot(table, key);
        atomic_init(&slot->function, key);
        atomic_init(&slot->value, atomic_load(&old->slots[i].value));
    }
    table->older = old;
    atomic_store_explicit(&layout_current, table, memory_order_release);
    return 0;
}

/* The table stays at most a quarter full: nearly every function is then found in the first slot. */
static int store_locked(uintptr_t function, uintptr_t value)
{
    struct layout_slot *slot = table_slot(atomic_load(&layout_current), function);
    int r;

    if (!atomic_load(&slot->function)) {
        if (n_keys >= table_slots(atomic_load(&layout_current)) / 4) {
            r = grow_locked();
            if (r)
                return r;
            slot = table_slot(atomic_load(&layout_current), function);
        }
        atomic_store_explicit(&slot->function, function, memory_order_relaxed);
        n_keys++;
    }
    atomic_store_explicit(&slot->value, value, memory_order_release);
    return 0;
}

static size_t param_words(const struct kernel_param *param, uint64_t *first)
{
    uint64_t end = align_down((uint64_t)param->offset + param->bytes, 8);

    *first = align_up(param->offset, 8);
    return *first < end ? (end - *first) / 8 : 0;
}

static void fill_words(struct layout *layout)
{
    struct layout_word *word = layout->words;

    for (uint32_t i = 0; i < layout->n_params; i++) {
        const struct kernel_param *param = &layout->params[i];
        uint64_t first;
        size_t n = param_words(param, &first);

        for (uint64_t at = first; n--; at += 8)
            *word++ = (struct layout_word){i, at - param->offset, at};
    }
}

/* One block: the layout, its words, then its parameters. */
static struct layout *layout_make(const struct param_list *list)
{
    size_t n_words = 0, words_bytes;
    struct layout *layout;
    struct kernel_param *params;
    uint64_t first;

    for (size_t i = 0; i < list->n; i++)
        n_words += param_words(&list->params[i], &first);
    words_bytes = n_words * sizeof(layout->words[0]);
    layout = malloc(sizeof(*layout) + words_bytes + list->n * sizeof(*params));
    if (!layout)
        return NULL;
    params = (struct kernel_param *)((char *)layout->words + words_bytes);
    if (list->n)
        memcpy(params, list->params, list->n * sizeof(*params));
    *layout = (struct layout){
        .n_params = list->n,
        .n_words = n_words,
        .bytes = list->n ? params[list->n - 1].offset + params[list->n - 1].bytes : 0,
        .params = params,
    };
    fill_words(layout);
    return layout;
}

static struct interned *intern_new(const struct param_list *list)
{
    unsigned int key_bytes = list->n * sizeof(*list->params);
    struct interned *entry = calloc(1, sizeof(*entry));

    if (!entry)
        return NULL;
    entry->layout = layout_make(list);
    entry->watched = layout_make(list);
    if (!entry->layout || !entry->watched)
        goto fail;
    entry->watched->excused = entry->layout;
    HASH_ADD_KEYPTR(hh, interned, entry->layout->params, key_bytes, entry);
    if (!entry->hh.tbl)
        goto fail;
    return entry;

fail:
    free(entry->watched);
    free(entry->layout);
    free(entry);
    return NULL;
}

static const struct layout *intern_locked(const struct param_list *list)
{
    unsigned int key_bytes = list->n * sizeof(*list->params);
    struct interned *entry;

    if (!list->n)
        return watching ? &none_watched : &none;
    HASH_FIND(hh, interned, list->params, key_bytes, entry);
    if (!entry)
        entry = intern_new(list);
    if (!entry)
        return NULL;
    return watching ? entry->watched : entry->layout;
}

static int list_append(struct param_list *list, size_t offset, size_t bytes)
{
    const struct kernel_param *last = list->n ? &list->params[list->n - 1] : NULL;

    if (!bytes || offset > PARAM_BYTES_MAX || bytes > PARAM_BYTES_MAX - offset ||
        (last && offset < (size_t)last->offset + last->bytes))
        return -ENOENT;
    if (list->n == list->room) {
        size_t room = list->room ? 2 * list->room : 32;
        void *grown = realloc(list->params, room * sizeof(*list->params));

        if (!grown)
            return -ENOMEM;
        list->params = grown;
        list->room = room;
    }
    list->params[list->n++] = (struct kernel_param){offset, bytes};
    return 0;
}

/* -ENOENT for a refusal that stands until other modules are loaded, -EAGAIN for one that may not.
 */
static int refusal(CUresult result)
{
    switch (result) {
    case CUDA_ERROR_INVALID_VALUE:
    case CUDA_ERROR_INVALID_HANDLE:
    case CUDA_ERROR_NOT_FOUND:
    case CUDA_ERROR_NOT_SUPPORTED:
        return -ENOENT;
    default:
        return -EAGAIN;
    }
}

/* The number of parameters, or as refusal() says. */
static int ask_driver(const struct driver *drv, CUfunction function, enum image_handle kind,
                      struct param_list *list)
{
    CUresult result;
    size_t offset, bytes;
    int r;

    list->n = 0;
    if (kind == IMAGE_HANDLE_KERNEL ? !drv->cuKernelGetParamInfo : !drv->cuFuncGetParamInfo)
        return -ENOENT;
    for (int refused = 0; refused < END_SAID;) {
        result = kind == IMAGE_HANDLE_KERNEL
                     ? drv->cuKernelGetParamInfo((CUkernel)function, list->n, &offset, &bytes)
                     : drv->cuFuncGetParamInfo(function, list->n, &offset, &bytes);
        if (result == CUDA_ERROR_INVALID_VALUE) {
            refused++;
            continue;
        }
        if (result != CUDA_SUCCESS)
            break;
        refused = 0;
        r = list_append(list, offset, bytes);
        if (r)
            return r;
    }
    return result == CUDA_ERROR_INVALID_VALUE ? (int)list->n : refusal(result);
}

/*
 * Past the last parameter the driver says INVALID_VALUE, which it may also say of a handle of the
 * other sort. Of a handle whose origin was not seen, "no parameters" is therefore believed only
 * when the other call finds none either. A true CUfunction never reaches the call for kernels.
 */
static int ask_of_kind(const struct driver *drv, CUfunction function, struct param_list *list)
{
    enum image_handle kind = image_handle_kind(function);
    enum image_handle first = kind ? kind : IMAGE_HANDLE_FUNCTION;
    int r = ask_driver(drv, function, first, list), second;

    if (r > 0 || (r < 0 && r != -ENOENT) || kind == IMAGE_HANDLE_FUNCTION ||
        (r == 0 && kind == IMAGE_HANDLE_KERNEL))
        return r;
    second = ask_driver(drv, function,
                        first == IMAGE_HANDLE_KERNEL ? IMAGE_HANDLE_FUNCTION : IMAGE_HANDLE_KERNEL,
                        list);
    return second == -ENOENT ? r : second;
}

static int ask_image(CUfunction function, struct param_list *list)
{
    struct kernel_param one;
    int n = image_params(function, &one, 0);
    void *grown;

    if (n <= 0)
        return n;
    grown = realloc(list->params, n * sizeof(*list->params));
    if (!grown)
        return -ENOMEM;
    list->params = grown;
    list->room = n;
    if (image_params(function, list->params, n) != n)
        return -EAGAIN; /* unloaded meanwhile */
    return n;
}

/* Asks everyone. 0; -ENOENT: nobody knows; anything else: ask again at the next launch. */
static int ask(const struct driver *drv, CUfunction function, struct param_list *list)
{
    int r = ask_of_kind(drv, function, list);

    if (r < 0) {
        int image = ask_image(function, list);

        if (image >= 0 || r == -ENOENT)
            r = image;
    }
    if (r < 0)
        return r;
    list->n = r;
    return 0;
}

/* Keeps the answer if nothing was forgotten since it was asked for. */
static const struct layout *keep(CUfunction function, int r, const struct param_list *list,
                                 uintptr_t at_load, uintptr_t at_epoch)
{
    const struct layout *layout = NULL;
    uintptr_t value = unknown_value(at_load);

    pthread_mutex_lock(&lock);
    if (!r)
        layout = intern_locked(list);
    else if (r == -ENOENT && watching)
        layout = &unknown_watched;
    if (layout)
        value = (uintptr_t)layout;
    if ((layout || r == -ENOENT) && atomic_load(&epoch) == at_epoch)
        (void)store_locked((uintptr_t)function, value); /* without it, asked again next time */
    pthread_mutex_unlock(&lock);
    return layout;
}

const struct layout *layout_find_slowly(const struct driver *drv, CUfunction function)
{
    const struct layout_table *table = atomic_load_explicit(&layout_current, memory_order_acquire);
    uintptr_t value = table_value(table, (uintptr_t)function);
    uintptr_t at_load = atomic_load(&loads), at_epoch = atomic_load(&epoch);
    struct param_list list = {0};
    const struct layout *layout;
    int r;

    if (!function || value == unknown_value(at_load))
        return NULL;
    if (!(value & 1))
        return (const struct layout *)value;
    r = ask(drv, function, &list);
    layout = keep(function, r, &list, at_load, at_epoch);
    free(list.params);
    if (r == -ENOENT)
        log_debug("function %p: parameters unknown; its launches are not looked into",
                  (void *)function);
    return layout;
}

void layout_retry_unknown(void)
{
    atomic_fetch_add(&loads, 1);
}

static void forget_locked(void)
{
    const struct layout_table *table = atomic_load(&layout_current);

    atomic_fetch_add(&epoch, 1);
    for (size_t i = 0; i < table_slots(table); i++)
        atomic_store_explicit(&table->slots[i].value, NOT_ASKED, memory_order_release);
}

void layout_forget_all(void)
{
    pthread_mutex_lock(&lock);
    atomic_fetch_add(&unloads, 1);
    forget_locked();
    pthread_mutex_unlock(&lock);
}

const struct layout *layout_known(const struct layout *layout)
{
    if (!layout || !layout->excused)
        return layout;
    return layout->excused == &unknown_excused ? NULL : layout->excused;
}

uintptr_t layout_unloads(void)
{
    return atomic_load(&unloads);
}

void layout_watch(bool on)
{
    pthread_mutex_lock(&lock);
    if (on != watching) {
        watching = on;
        forget_locked();
    }
    pthread_mutex_unlock(&lock);
}

void layout_excuse(CUfunction function)
{
    const struct layout *layout;
    struct layout_slot *slot;
    uintptr_t value;

    pthread_mutex_lock(&lock);
    slot = table_slot(atomic_load(&layout_current), (uintptr_t)function);
    value = atomic_load(&slot->value);
    if (atomic_load(&slot->function) == (uintptr_t)function && !(value & 1)) {
        layout = (const struct layout *)value;
        if (layout->excused)
            atomic_store_explicit(&slot->value,
                                  layout->excused == &unknown_excused
                                      ? unknown_value(atomic_load(&loads))
                                      : (uintptr_t)layout->excused,
                                  memory_order_release);
    }
    pthread_mutex_unlock(&lock);
}

int layout_extra_buffer(void *const *extra, void **out_buffer, size_t *out_bytes)
{
    void *buffer = NULL;
    const size_t *bytes = NULL;

    for (int i = 0; i < EXTRA_PAIRS_MAX; i++, extra += 2) {
        if (extra[0] == CU_LAUNCH_PARAM_END) {
            if (!buffer && !bytes)
                return -ENOENT;
            if (!buffer || !bytes)
                return -EINVAL;
            *out_buffer = buffer;
            *out_bytes = *bytes;
            return 0;
        }
        if (extra[0] == CU_LAUNCH_PARAM_BUFFER_POINTER)
            buffer = extra[1];
        else if (extra[0] == CU_LAUNCH_PARAM_BUFFER_SIZE)
            bytes = extra[1];
        else
            return -EINVAL;
    }
    return -EINVAL;
}

int layout_scan_extra(const struct layout *layout, void *const *kernel_params, void *const *extra,
                      layout_visit_fn visit, void *context)
{
    void *buffer;
    size_t bytes;
    int r = extra ? layout_extra_buffer(extra, &buffer, &bytes) : -ENOENT;

    if (r == -ENOENT && kernel_params)
        return layout_scan(layout, kernel_params, NULL, visit, context);
    if (r == -ENOENT && !layout->n_params)
        return 0;
    if (r || kernel_params)
        return -EINVAL;
    for (uint32_t i = 0; i < layout->n_words; i++) {
        const struct layout_word *word = &layout->words[i];
        uint64_t value;

        if (word->offset + sizeof(value) > bytes)
            break;
        memcpy(&value, (const char *)buffer + word->offset, sizeof(value));
        visit(context, word, value);
    }
    return 0;
}
