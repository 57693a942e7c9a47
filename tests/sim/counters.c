/* SPDX-License-Identifier: MIT */
/*
 * What tests ask of the simulator besides driver calls: counters, injected failures, touched pages.
 */
#include "tests/sim/counters.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/util.h"
#include "tests/sim/calls.h"
#include "tests/sim/clock.h"

struct sim_stats counters;

static struct {
    pthread_mutex_t lock; /* of the records, among the threads that run a kernel */
    bool on;
    struct sim_touch *records;
    size_t n;
    size_t capacity;
} touches = {.lock = PTHREAD_MUTEX_INITIALIZER};

static enum call_id find_or_abort(const char *symbol)
{
    enum call_id id = call_find(symbol);

    if (id == CALL_COUNT) {
        core_say("a test names %s, which is no driver call here; aborting", symbol);
        abort();
    }
    return id;
}

EXPORT void sim_fail(const char *symbol, unsigned int nth, CUresult error)
{
    core_lock();
    call_fail_at(find_or_abort(symbol), nth, error);
    core_unlock();
}

EXPORT void sim_fail_clear(void)
{
    core_lock();
    call_fail_clear();
    core_unlock();
}

EXPORT void sim_fail_often(unsigned int mean, uint64_t seed)
{
    core_lock();
    call_fail_often(mean, seed);
    core_unlock();
}

EXPORT int sim_was_given(CUresult error)
{
    int was;

    core_lock();
    was = call_was_given(error);
    core_unlock();
    return was;
}

EXPORT uint64_t sim_calls(const char *symbol)
{
    enum call_id id = call_find(symbol);
    uint64_t n;

    core_lock();
    n = id == CALL_COUNT ? 0 : call_count(id);
    core_unlock();
    return n;
}

static void stats_fill(struct sim_stats *out)
{
    *out = counters;
    out->kernel_bytes_device = __atomic_load_n(&counters.kernel_bytes_device, __ATOMIC_RELAXED);
    out->kernel_bytes_host = __atomic_load_n(&counters.kernel_bytes_host, __ATOMIC_RELAXED);
    for (int device = 0; device < MAX_DEVICES; device++)
        out->device_used += memory_device_used(device);
    out->device_most = memory_device_most();
    out->host_used = memory_host_used();
    out->clock_ns = clock_host();
    out->allocations = allocations.n;
}

EXPORT void sim_get_stats(struct sim_stats *out)
{
    core_lock();
    stats_fill(out);
    core_unlock();
}

EXPORT uint64_t sim_device_used(int device)
{
    uint64_t used;

    core_lock();
    used = device >= 0 && device < MAX_DEVICES ? memory_device_used(device) : 0;
    core_unlock();
    return used;
}

static void touches_grow(void)
{
    size_t capacity = touches.capacity ? 2 * touches.capacity : 1024;
    struct sim_touch *records = realloc(touches.records, capacity * sizeof(*records));

    if (!records) {
        core_say("no memory for the log of touched pages; aborting");
        abort();
    }
    touches.records = records;
    touches.capacity = capacity;
}

/* The record of this page in this launch, so far; NULL when there is none. */
static struct sim_touch *touch_find(uint64_t launch, uint64_t page_base, const struct page *page)
{
    if (page)
        return page->touch_launch == launch + 1 && page->touch_index < touches.n
                   ? &touches.records[page->touch_index]
                   : NULL;
    for (size_t i = touches.n; i-- > 0 && touches.records[i].launch == launch;)
        if (touches.records[i].page == page_base)
            return &touches.records[i];
    return NULL;
}

void touch_note(uint64_t launch, uint64_t page_base, bool write, bool on_host, struct page *page)
{
    struct sim_touch *touch;

    if (!touches.on)
        return;
    pthread_mutex_lock(&touches.lock);
    touch = touch_find(launch, page_base, page);
    if (!touch) {
        if (touches.n == touches.capacity)
            touches_grow();
        touch = &touches.records[touches.n++];
        *touch = (struct sim_touch){.launch = launch, .page = page_base, .on_host = on_host};
        if (page) {
            page->touch_launch = launch + 1;
            page->touch_index = touches.n - 1;
        }
    }
    touch->written |= write;
    touch->read |= !write;
    pthread_mutex_unlock(&touches.lock);
}

static int by_page(const void *a, const void *b)
{
    const struct sim_touch *x = a;
    const struct sim_touch *y = b;

    return x->page < y->page ? -1 : x->page > y->page;
}

void touch_sort(uint64_t launch)
{
    size_t first = touches.n;

    while (first && touches.records[first - 1].launch == launch)
        first--;
    if (touches.n - first > 1)
        qsort(&touches.records[first], touches.n - first, sizeof(*touches.records), by_page);
}

EXPORT void sim_touch_log(int on)
{
    core_lock();
    touches.on = on;
    if (on)
        touches.n = 0;
    core_unlock();
}

EXPORT size_t sim_touches(struct sim_touch *out, size_t capacity)
{
    size_t n;

    core_lock();
    n = touches.n;
    if (out)
        memcpy(out, touches.records, min_u64(n, capacity) * sizeof(*out));
    core_unlock();
    return n;
}

static void write_stats(FILE *file)
{
    struct sim_stats stats;

    sim_get_stats(&stats);
#define FIELD(name) fprintf(file, #name " %llu\n", (unsigned long long)stats.name)
    FIELD(device_used);
    FIELD(device_most);
    FIELD(host_used);
    FIELD(mappings);
    FIELD(handles);
    FIELD(reservations);
    FIELD(streams);
    FIELD(events);
    FIELD(allocations);
    FIELD(bytes_to_device);
    FIELD(bytes_to_host);
    FIELD(bytes_on_device);
    FIELD(bytes_on_host);
    FIELD(kernel_bytes_device);
    FIELD(kernel_bytes_host);
    FIELD(launches);
    FIELD(thread_instructions);
    FIELD(illegal_addresses);
    FIELD(clock_ns);
#undef FIELD
    for (int id = 0; id < CALL_COUNT; id++)
        if (call_count(id))
            fprintf(file, "calls.%s %llu\n", call_rows[id].symbol,
                    (unsigned long long)call_count(id));
}

/* At exit, SIM_STATS. A forked child leaves its parent's file alone. */
__attribute__((destructor)) static void counters_stop(void)
{
    FILE *file;

    if (!settings.stats_path || core_forked())
        return;
    file = fopen(settings.stats_path, "w");
    if (!file) {
        core_say("cannot write %s; the counters are lost", settings.stats_path);
        return;
    }
    write_stats(file);
    fclose(file);
}
