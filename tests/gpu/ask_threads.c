/* SPDX-License-Identifier: MIT */
/*
 * Mapping from several threads at once, each a range of its own: what a remap costs each of them.
 */
#include <pthread.h>

#include "tests/gpu/card.h"
#include "tests/gpu/experiments.h"
#include "tests/gpu/report.h"

enum { THREADS_MOST = 4, CHUNK = 16 << 20 };

struct mapper {
    pthread_t thread;
    pthread_barrier_t *begin;
    CUdeviceptr at;
    CUmemGenericAllocationHandle handle;
    uint64_t rounds;
    double us; /* of a round */
};

static void *map_and_unmap(void *argument)
{
    struct mapper *mapper = argument;
    uint64_t from;

    MUST(cu.cuCtxSetCurrent(card.context));
    pthread_barrier_wait(mapper->begin);
    from = clock_ns();
    for (uint64_t i = 0; i < mapper->rounds; i++) {
        range_map(mapper->at, CHUNK, mapper->handle);
        MUST(cu.cuMemUnmap(mapper->at, CHUNK));
    }
    mapper->us = (double)(clock_ns() - from) / 1e3 / (double)mapper->rounds;
    return NULL;
}

static double ask(unsigned int n)
{
    struct mapper mappers[THREADS_MOST];
    pthread_barrier_t begin;
    double us = 0;

    pthread_barrier_init(&begin, NULL, n);
    for (unsigned int i = 0; i < n; i++) {
        mappers[i] = (struct mapper){
            .begin = &begin,
            .at = range_new(CHUNK),
            .handle = physical_new(i % 2 ? &card.on_host : &card.on_device, CHUNK),
            .rounds = scaled(2000, 50),
        };
        if (pthread_create(&mappers[i].thread, NULL, map_and_unmap, &mappers[i]))
            report_die("no thread");
    }
    for (unsigned int i = 0; i < n; i++) {
        pthread_join(mappers[i].thread, NULL);
        us += mappers[i].us / n;
    }
    pthread_barrier_destroy(&begin);
    report_figure(us, "us", "a remap of 16 MiB, %u threads", n);
    return us;
}

void experiment_threads(void)
{
    double alone, together;

    card_open();
    card_need_host_memory();
    alone = ask(1);
    (void)ask(2);
    together = ask(THREADS_MOST);
    report_verdict(VERDICT_MEASURED, "in %d threads a remap takes %.2f of what it takes in one",
                   THREADS_MOST, together / alone);
}
