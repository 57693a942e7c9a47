/* SPDX-License-Identifier: MIT */
/*
 * What may be called while a stream is being captured: by the thread that captures, in each mode,
 * by one that has exchanged its mode for the relaxed one, and by another thread.
 */
#include <pthread.h>

#include "tests/gpu/calls.h"
#include "tests/gpu/card.h"
#include "tests/gpu/experiments.h"
#include "tests/gpu/report.h"

static const struct way {
    const char *name;
    CUstreamCaptureMode mode;
    bool exchanged, elsewhere;
} ways[] = {
    {"global", CU_STREAM_CAPTURE_MODE_GLOBAL, false, false},
    {"thread", CU_STREAM_CAPTURE_MODE_THREAD_LOCAL, false, false},
    {"relaxed", CU_STREAM_CAPTURE_MODE_RELAXED, false, false},
    {"exchanged", CU_STREAM_CAPTURE_MODE_GLOBAL, true, false},
    {"other thread", CU_STREAM_CAPTURE_MODE_GLOBAL, false, true},
    {"other, exchanged", CU_STREAM_CAPTURE_MODE_GLOBAL, true, true},
};

struct asked {
    const struct call *call;
    bool exchanged;
    CUresult result;
};

static void *ask(void *argument)
{
    struct asked *asked = argument;
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;

    MUST(cu.cuCtxSetCurrent(card.context));
    if (asked->exchanged)
        MUST(cu.cuThreadExchangeStreamCaptureMode(&mode));
    asked->result = asked->call->call();
    if (asked->exchanged)
        MUST(cu.cuThreadExchangeStreamCaptureMode(&mode));
    return NULL;
}

/* 0: may be called; 1: refused; 2: refused or not, the capture is broken. */
static int legality(CUstream stream, const struct way *way, const struct call *call)
{
    struct asked asked = {.call = call, .exchanged = way->exchanged};
    CUgraph graph = NULL;
    pthread_t thread;
    CUresult ended;

    call->before();
    MUST(cu.cuCtxSynchronize());
    MUST(cu.cuStreamBeginCapture_v2(stream, way->mode));
    if (!way->elsewhere)
        ask(&asked);
    else if (pthread_create(&thread, NULL, ask, &asked) || pthread_join(thread, NULL))
        report_die("no thread");
    ended = cu.cuStreamEndCapture(stream, &graph);
    if (graph)
        MUST(cu.cuGraphDestroy(graph));
    if (asked.result != CUDA_SUCCESS)
        MUST(
            call->call()); /* now that it may be, so that all is as after a call that was allowed */
    call->after();
    return ended != CUDA_SUCCESS ? 2 : asked.result != CUDA_SUCCESS;
}

void experiment_capture(void)
{
    unsigned int broken = 0, wanted = 0;
    CUstream stream;

    card_open();
    card_need_host_memory();
    calls_init();
    MUST(cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    for (size_t i = 0; i < n_calls; i++) {
        for (size_t k = 0; k < ARRAY_SIZE(ways); k++) {
            int found = legality(stream, &ways[k], &calls[i]);

            report_figure(found, "", "%s: %s", ways[k].name, calls[i].name);
            broken += found == 2;
            wanted += calls[i].is_ours && ways[k].exchanged && found;
        }
    }
    report_verdict(
        wanted ? VERDICT_REFUTED : VERDICT_CONFIRMED,
        "of %zu calls in %zu ways %u break the capture; of those the library makes with the "
        "mode exchanged, %u are refused",
        n_calls, ARRAY_SIZE(ways), broken, wanted);
}
