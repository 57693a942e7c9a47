/* SPDX-License-Identifier: MIT */
/*
 * The linker puts these between the interposer and the runtime (--wrap), so that the library itself
 * has nothing of it: what is looked at runs the library's own code, in its own order.
 *
 * A launch that all is resident for is not looked into by the library. Where that is wanted, all
 * functions are watched, as they are while a pass is learned, from the first paged allocation on. A
 * launch that was not replaced is replaced by itself, so that something follows it.
 */
#include "tests/gpu/look/look.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct redirect *__real_pager_fetch(const struct driver *drv, const struct launch *launch);
struct redirect *__wrap_pager_fetch(const struct driver *drv, const struct launch *launch);
void __real_pager_launched(const struct driver *drv, struct redirect *redirect);
void __wrap_pager_launched(const struct driver *drv, struct redirect *redirect);
void __real_range_publish(struct range *range);
void __wrap_range_publish(struct range *range);
void __real_driver_bind(struct driver *drv, enum stream_mode mode, driver_lookup_fn lookup,
                        void *context);
void __wrap_driver_bind(struct driver *drv, enum stream_mode mode, driver_lookup_fn lookup,
                        void *context);

static const struct look *const all[] = {&look_named, &look_touched, &look_escapes};
static const struct look *chosen;
static const char *path;
static pthread_mutex_t look_lock = PTHREAD_MUTEX_INITIALIZER;
static struct seen *functions;
static uint64_t launches;
static pid_t looked_by; /* a child of a fork has not seen what is counted */
static CUresult (*name_function)(const char **name, CUfunction function);

/* From before a launch until after it. */
static __thread struct launch pending;
static __thread struct seen *pending_seen;

__attribute__((constructor)) static void choose(void)
{
    const char *wanted = getenv("LOOK_FOR");

    path = getenv("LOOK_FILE");
    for (size_t i = 0; wanted && path && i < sizeof(all) / sizeof(*all); i++) {
        if (!strcmp(all[i]->name, wanted))
            chosen = all[i];
    }
}

static uint64_t count_guilty(void)
{
    uint64_t n = 0;

    for (struct seen *seen = functions; seen; seen = seen->hh.next)
        n += seen->guilty;
    return n;
}

void look_write(void)
{
    FILE *out = fopen(path, "ae");
    const char *comma = "";

    if (!out)
        return;
    fprintf(out, "{\"for\": \"%s\", \"launches\": %llu, \"functions\": %u, \"n_guilty\": %llu",
            chosen->name, (unsigned long long)launches, HASH_COUNT(functions),
            (unsigned long long)count_guilty());
    chosen->print(out);
    fprintf(out, ", \"guilty\": [");
    for (struct seen *seen = functions; seen; seen = seen->hh.next) {
        if (!seen->guilty)
            continue;
        fprintf(out, "%s\"%s\"", comma, seen->name);
        comma = ", ";
    }
    fprintf(out, "]}\n");
    fclose(out);
}

__attribute__((destructor)) static void finish(void)
{
    if (chosen && looked_by == getpid())
        look_write();
}

/* Whether an earlier run of the program has found it. */
static bool was_found(const char *name)
{
    char quoted[sizeof(((struct seen *)NULL)->name) + 2];
    FILE *in = fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    bool found = false;

    snprintf(quoted, sizeof(quoted), "\"%s\"", name);
    while (in && !found && getline(&line, &room, in) > 0) {
        const char *guilty = strstr(line, "\"guilty\": [");

        found = guilty && strstr(guilty, quoted);
    }
    free(line);
    if (in)
        fclose(in);
    return found;
}

static struct seen *see(CUfunction function)
{
    const char *name = NULL;
    struct seen *seen;

    HASH_FIND_PTR(functions, &function, seen);
    if (seen)
        return seen;
    seen = calloc(1, sizeof(*seen));
    if (!seen)
        return NULL;
    seen->function = function;
    if (name_function && name_function(&name, function) == CUDA_SUCCESS && name)
        snprintf(seen->name, sizeof(seen->name), "%s", name);
    else
        snprintf(seen->name, sizeof(seen->name), "function %u", HASH_COUNT(functions) + 1);
    seen->guilty = was_found(seen->name);
    HASH_ADD_PTR(functions, function, seen);
    return seen;
}

static void take_word(void *context, const struct layout_word *word, uint64_t value)
{
    struct look_words *words = context;

    if (residency_block(value) && words->n < LOOK_WORDS_MAX)
        words->at[words->n++] = value;
}

void look_words(const struct launch *launch, struct look_words *out)
{
    out->n = 0;
    layout_scan(launch->layout, launch->kernel_params, launch->extra, take_word, out);
}

/* Holds look_lock when `after` is to follow. */
static void look_before(const struct driver *drv, const struct launch *launch,
                        const struct redirect *redirect)
{
    struct seen *seen;

    pthread_mutex_lock(&look_lock);
    looked_by = getpid();
    seen = see(launch->function);
    if (seen) {
        launches++;
        seen->launches++;
        if (chosen->before(drv, launch, redirect, seen)) {
            pending = *launch;
            pending_seen = seen;
            return;
        }
    }
    pthread_mutex_unlock(&look_lock);
}

struct redirect *__wrap_pager_fetch(const struct driver *drv, const struct launch *launch)
{
    struct redirect *redirect = __real_pager_fetch(drv, launch);

    if (!chosen)
        return redirect;
    look_before(drv, launch, redirect);
    if (redirect || !pending_seen)
        return redirect;
    redirect = redirect_nowhere(launch);
    if (!redirect)
        abort();
    gate_enter();
    return redirect;
}

void __wrap_pager_launched(const struct driver *drv, struct redirect *redirect)
{
    __real_pager_launched(drv, redirect);
    if (!pending_seen)
        return;
    chosen->after(drv, &pending, pending_seen);
    pending_seen = NULL;
    pthread_mutex_unlock(&look_lock);
}

void __wrap_range_publish(struct range *range)
{
    static bool watched; /* the pager's lock is held */

    if (chosen && chosen->resident && !watched)
        layout_watch(true);
    watched = true;
    __real_range_publish(range);
}

void __wrap_driver_bind(struct driver *drv, enum stream_mode mode, driver_lookup_fn lookup,
                        void *context)
{
    __real_driver_bind(drv, mode, lookup, context);
    *(void **)&name_function = lookup(context, "cuFuncGetName");
}
