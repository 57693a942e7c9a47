/* SPDX-License-Identifier: MIT */
/*
 * Who waits for whom: calls for kernels of other streams, launches for calls of other threads, and
 * launches for copies.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tests/gpu/calls.h"
#include "tests/gpu/card.h"
#include "tests/gpu/experiments.h"
#include "tests/gpu/report.h"

static double timed_call(const struct call *call)
{
    uint64_t from = clock_ns();
    CUresult result = call->call();
    double us = (double)(clock_ns() - from) / 1e3;

    if (result != CUDA_SUCCESS && result != CUDA_ERROR_NOT_READY)
        report_die("%s: %s", call->name, error_name(result));
    return us;
}

/* Microseconds of the call while a stream is busy for `ms`. */
static double beside_work(CUstream stream, const struct call *call, double ms)
{
    double us;

    call->before();
    MUST(cu.cuCtxSynchronize());
    kernel_busy(stream, ms);
    us = timed_call(call);
    MUST(cu.cuStreamSynchronize(stream));
    call->after();
    MUST(cu.cuCtxSynchronize());
    return us;
}

void experiment_stall(void)
{
    double ms;
    unsigned int stalled = 0;
    CUstream stream;

    card_open();
    card_need_host_memory();
    calls_init();
    ms = card.simulated ? 2 : 60;
    MUST(cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    kernel_busy(stream, ms);
    MUST(cu.cuCtxSynchronize());
    for (size_t i = 0; i < n_calls; i++) {
        double alone, beside;
        bool waited;

        calls[i].before();
        alone = timed_call(&calls[i]);
        calls[i].after();
        beside = beside_work(stream, &calls[i], ms);
        waited = beside > alone + 500 * ms;
        report_figure(alone, "us", "alone: %s", calls[i].name);
        report_figure(beside, "us", "beside a kernel: %s", calls[i].name);
        report_figure(waited, "", "waits for it: %s", calls[i].name);
        stalled += calls[i].is_ours && waited;
    }
    report_verdict(stalled ? VERDICT_REFUTED : VERDICT_CONFIRMED,
                   "of the calls the library makes beside kernels %u wait for them; cuMemFree %s",
                   stalled,
                   report_value(0, "waits for it: cuMemFree") > 0 ? "waits" : "does not wait");
}

/* What another thread does meanwhile. */
enum meanwhile { NOTHING, MAPPING, PINNING, MEANWHILES };
static const char *const meanwhile_names[MEANWHILES] = {"alone", "beside mapping",
                                                        "beside pinning"};

static struct worker {
    enum meanwhile what;
    atomic_bool stop;
    CUdeviceptr at;
    uint64_t bytes;
    atomic_ullong done;
    CUmemGenericAllocationHandle handle;
} worker;

static void *work(void *argument)
{
    void *pinned;

    (void)argument;
    MUST(cu.cuCtxSetCurrent(card.context));
    while (!atomic_load(&worker.stop)) {
        if (worker.what == MAPPING) {
            range_map(worker.at, worker.bytes, worker.handle);
            MUST(cu.cuMemUnmap(worker.at, worker.bytes));
        } else {
            MUST(cu.cuMemHostAlloc(&pinned, worker.bytes, 0));
            MUST(cu.cuMemFreeHost(pinned));
        }
        atomic_fetch_add(&worker.done, 1);
    }
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

enum { LAUNCHES = 20000, LAUNCHES_LEAST = 100 };

/* As many as there is time for: each may wait for all that the other thread is doing. */
static void ask_launches(CUstream stream, enum meanwhile what)
{
    static double us[LAUNCHES];
    size_t n, most = scaled(LAUNCHES, 300);
    uint64_t begin = clock_ns(), until = begin + scaled(6, 1) * 1000000000;

    for (n = 0; n < most && (n < LAUNCHES_LEAST || clock_ns() < until); n++) {
        uint64_t from = clock_ns();

        kernel_launch(KERNEL_NOTHING, 1, stream, 0, 0, 0, 0);
        us[n] = (double)(clock_ns() - from) / 1e3;
        if (n % 64 == 63)
            MUST(cu.cuStreamSynchronize(stream));
    }
    report_figure((double)(clock_ns() - begin) / 1e3 / (double)n, "us", "launch, mean, %s",
                  meanwhile_names[what]);
    report_figure((double)n, "", "launches, %s", meanwhile_names[what]);
    qsort(us, n, sizeof(*us), by_value);
    report_figure(us[n / 2], "us", "launch, median, %s", meanwhile_names[what]);
    report_figure(us[n - 1 - n / 100], "us", "launch, p99, %s", meanwhile_names[what]);
    report_figure(us[n - 1], "us", "launch, longest, %s", meanwhile_names[what]);
}

void experiment_launch_under(void)
{
    CUstream stream;
    double p99;

    card_open();
    MUST(cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    worker.bytes = 16 * MIB;
    worker.at = range_new(worker.bytes);
    worker.handle = physical_new(&card.on_device, worker.bytes);
    ask_launches(stream, NOTHING);
    for (int what = MAPPING; what < MEANWHILES; what++) {
        pthread_t thread;

        worker.what = (enum meanwhile)what;
        atomic_store(&worker.done, 0);
        atomic_store(&worker.stop, false);
        if (pthread_create(&thread, NULL, work, NULL))
            report_die("no thread");
        while (!atomic_load(&worker.done))
            sched_yield();
        ask_launches(stream, worker.what);
        atomic_store(&worker.stop, true);
        pthread_join(thread, NULL);
        report_figure((double)atomic_load(&worker.done), "", "rounds, %s", meanwhile_names[what]);
    }
    p99 = report_value(0, "launch, p99, beside mapping") - report_value(0, "launch, p99, alone");
    report_verdict(
        VERDICT_MEASURED,
        "mapping beside launches adds %.1f us to the p99 of a launch; above 10 it is out "
        "while a program runs",
        p99);
}

/* Ways of making a launch wait for what another stream does; all of it is over by then. */
enum wait { NO_WAIT, BY_EVENT, BY_VALUE, BY_QUERY, WAITS };
static const char *const wait_names[WAITS] = {"none", "cuStreamWaitEvent", "cuStreamWaitValue64",
                                              "cuEventQuery"};

static bool ask_wait(CUstream stream, CUstream copying, enum wait wait)
{
    size_t n = scaled(2000, 100);
    struct stopwatch watch = {.from = NULL};
    CUevent event;
    uint64_t from;

    if (wait == BY_VALUE && !cu.cuStreamWaitValue64_v2)
        return false;
    MUST(cu.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    MUST(cu.cuEventRecord(event, copying));
    MUST(cu.cuCtxSynchronize());
    stopwatch_start(&watch, stream);
    from = clock_ns();
    for (size_t i = 0; i < n; i++) {
        if (wait == BY_EVENT)
            MUST(cu.cuStreamWaitEvent(stream, event, 0));
        else if (wait == BY_QUERY)
            MUST(cu.cuEventQuery(event));
        else if (wait == BY_VALUE &&
                 cu.cuStreamWaitValue64_v2(stream, card.sum + 16, 0, CU_STREAM_WAIT_VALUE_GEQ))
            return false;
        kernel_launch(KERNEL_NOTHING, 1, stream, 0, 0, 0, 0);
    }
    report_figure((double)(clock_ns() - from) / 1e3 / (double)n, "us", "host, a launch, %s",
                  wait_names[wait]);
    report_figure(stopwatch_ms(&watch) * 1e3 / (double)n, "us", "device, a launch, %s",
                  wait_names[wait]);
    return true;
}

void experiment_gate(void)
{
    CUstream stream, copying;

    card_open();
    MUST(cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    MUST(cu.cuStreamCreate(&copying, CU_STREAM_NON_BLOCKING));
    for (int wait = 0; wait < WAITS; wait++) {
        if (!ask_wait(stream, copying, (enum wait)wait))
            report_figure(-1, "us", "host, a launch, %s", wait_names[wait]);
    }
    report_verdict(VERDICT_MEASURED,
                   "waiting for an event before each launch adds %.2f us to the host's part of it",
                   report_value(0, "host, a launch, cuStreamWaitEvent") -
                       report_value(0, "host, a launch, none"));
}
