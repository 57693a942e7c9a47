/* SPDX-License-Identifier: MIT */
/*
 * Whether a process that goes on for long stays as it is: after each round, in which everything was
 * allocated, used and freed, what it has is looked at. The first quarter of the time is for tables
 * to find their size, and for what is made once.
 */
#include "tests/stress/soak.h"

#include <dirent.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include "runtime/util.h"

enum {
    SECONDS_BETWEEN_LINES = 60,
    WARM_SHARE = 4,    /* of the time */
    GROWTH_SHARE = 10, /* of resident memory beyond the heap that may come and go, */
    GROWTH = 4 << 20,  /* and bytes of it */
    KEPT = 128 << 10, /* bytes that malloc() may keep for later, of each thread's; it would adapt */
    HEAP = 24 << 20,  /* bytes in use: what is learned, until it is given up and begun anew */
    TABLE = 2 << 20,  /* of device memory, which the first plan makes for all that follow */
};

struct sample {
    uint64_t resident; /* bytes */
    uint64_t heap;     /* bytes that malloc() has given out */
    uint64_t beyond_heap;
    uint64_t descriptors;
    struct sim_stats sim;
};

static struct {
    uint64_t began;
    uint64_t seconds;
    uint64_t next_line;
    uint64_t rounds;
    struct sample warmed;
} soak;

static uint64_t now(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec;
}

static uint64_t count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    uint64_t n = 0;

    while (folder && readdir(folder))
        n++;
    if (folder)
        closedir(folder);
    return n;
}

static uint64_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

static uint64_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    uint64_t pages = 0;

    if (file && fscanf(file, "%*u %" SCNu64, &pages) != 1)
        pages = 0;
    if (file)
        fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void print(const struct sample *at, uint64_t seconds)
{
    printf("| %" PRIu64 " | %" PRIu64 " | %.1f | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64
           " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " |\n",
           seconds / 60, soak.rounds, (double)at->resident / (1 << 20), at->heap / 1024,
           at->descriptors, at->sim.device_used, at->sim.host_used, at->sim.mappings,
           at->sim.handles, at->sim.streams, at->sim.events);
    fflush(stdout);
}

void soak_begin(uint64_t minutes)
{
    (void)mallopt(M_MMAP_THRESHOLD, KEPT);
    (void)mallopt(M_TRIM_THRESHOLD, KEPT);
    soak.began = now();
    soak.seconds = minutes * 60;
    printf("| minute | rounds | resident MiB | heap KiB | descriptors | device bytes | pinned "
           "bytes | mappings | handles | streams | events |\n"
           "|---|---|---|---|---|---|---|---|---|---|---|\n");
}

/* What there was of each while it warmed up: the most. */
static void warm(const struct sample *at)
{
    struct sample *most = &soak.warmed;

    most->beyond_heap = max_u64(most->beyond_heap, at->beyond_heap);
    most->heap = max_u64(most->heap, at->heap);
    most->descriptors = max_u64(most->descriptors, at->descriptors);
    most->sim.device_used = max_u64(most->sim.device_used, at->sim.device_used);
    most->sim.host_used = max_u64(most->sim.host_used, at->sim.host_used);
    most->sim.mappings = max_u64(most->sim.mappings, at->sim.mappings);
    most->sim.handles = max_u64(most->sim.handles, at->sim.handles);
    most->sim.streams = max_u64(most->sim.streams, at->sim.streams);
    most->sim.events = max_u64(most->sim.events, at->sim.events);
}

static const char *what_has_grown(const struct sample *at)
{
    const struct sample *most = &soak.warmed;

    if (at->heap > most->heap + HEAP)
        return "the heap";
    if (at->beyond_heap > most->beyond_heap + most->beyond_heap / GROWTH_SHARE + GROWTH)
        return "resident memory";
    if (at->descriptors > most->descriptors)
        return "the number of descriptors";
    if (at->sim.device_used > max_u64(most->sim.device_used, TABLE))
        return "device memory";
    if (at->sim.host_used > most->sim.host_used)
        return "pinned memory";
    if (at->sim.mappings > most->sim.mappings || at->sim.handles > most->sim.handles)
        return "what is mapped";
    if (at->sim.streams > most->sim.streams || at->sim.events > most->sim.events)
        return at->sim.streams > most->sim.streams ? "the number of streams"
                                                   : "the number of events";
    return NULL;
}

bool soak_goes_on(void (*stats_now)(struct sim_stats *), const char **out_grown)
{
    uint64_t seconds = now() - soak.began;
    struct sample at = {.heap = heap_bytes(), .descriptors = count_descriptors()};

    malloc_trim(0);
    at.resident = resident_bytes();
    at.beyond_heap = at.resident - min_u64(at.resident, at.heap);
    stats_now(&at.sim);
    soak.rounds++;
    if (seconds < soak.seconds / WARM_SHARE || soak.rounds == 1)
        warm(&at);
    *out_grown = what_has_grown(&at);
    if (seconds >= soak.next_line || seconds >= soak.seconds || *out_grown) {
        print(&at, seconds);
        soak.next_line = seconds + SECONDS_BETWEEN_LINES;
    }
    return seconds < soak.seconds && !*out_grown;
}
