/* SPDX-License-Identifier: MIT */
/*
 * Random use of device memory, compared with plain host memory; see churn.h.
 *
 *   churn [--seed N] [--operations N] [--threads N] [--live MIB] [--big MIB] [--may-refuse]
 *         [--host-nodes] [--faults N] [--minutes N] [--contexts N]
 *
 * With --faults one of about N calls of every name fails, on the simulated driver: those that the
 * program makes as well as those that are made in its place. The program then must see either
 * nothing of it or, from the very call in which it happened, the very error; it makes that call
 * again, and contents are as if nothing had been.
 *
 * With --contexts threads and their buffers belong to several, on all cards in turn.
 *
 * With --minutes it does so again and again, with other seeds, and what the process has must not
 * grow.
 *
 * CHURN_OPERATIONS in the environment multiplies the number of operations, for longer runs. One
 * thread and one seed are one run, every time. On the simulated driver it also holds that nothing
 * is left of what was allocated and that no kernel met an illegal address.
 */
#include "tests/stress/churn.h"

#include <dlfcn.h>
#include <getopt.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/sim/sim.h"
#include "tests/stress/soak.h"

/* Not in the header in every version. */
CUresult CUDAAPI cuCtxCreate_v2(CUcontext *context, unsigned int flags, CUdevice device);

enum {
    WORLDS_MAX = 8,
    ATTEMPTS = 20, /* of a call in which something fails, */
    PATIENCE = 10, /* of which the last ones have peace: it may be made of hundreds */
};

static void (*sim_stats_now)(struct sim_stats *);
static void (*fail_often)(unsigned int, uint64_t);
static int (*was_given)(CUresult);
static uint64_t seed;
static struct world worlds[WORLDS_MAX];
static unsigned int n_worlds = 1;

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
    va_list args;

    fprintf(stderr, "churn: seed %llu: ", (unsigned long long)seed);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    _exit(1);
}

void churn_die(const struct worker *worker, const char *format, ...)
{
    char text[300];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    die("thread %u, operation %llu, %s: %s", worker->number, (unsigned long long)worker->operation,
        worker->doing, text);
}

static const char *error_name(CUresult result)
{
    const char *name = NULL;

    return cuGetErrorName(result, &name) == CUDA_SUCCESS && name ? name : "an unknown error";
}

void churn_check(const struct worker *worker, CUresult result, const char *call)
{
    if (result != CUDA_SUCCESS)
        churn_die(worker, "%s gives %s", call, error_name(result));
}

bool churn_was_injected(struct worker *worker, CUresult result)
{
    bool was = worker->world->options.faults && was_given(result);

    worker->faults += was;
    return was;
}

bool churn_again(struct worker *worker, CUresult result, const char *call)
{
    bool injected = churn_was_injected(worker, result);

    if (result == CUDA_SUCCESS) {
        if (worker->failed >= PATIENCE)
            fail_often(worker->world->options.faults, random_next(&worker->random));
        worker->failed = 0;
        return false;
    }
    if (!injected || ++worker->failed == ATTEMPTS)
        churn_check(worker, result, call);
    if (worker->failed == PATIENCE)
        fail_often(0, 0);
    return true;
}

static void setup(CUresult result, const char *what)
{
    if (result != CUDA_SUCCESS)
        die("%s gives %s", what, error_name(result));
}

#define SETUP(call, ...) setup(call(__VA_ARGS__), #call)

static void worker_open(struct worker *worker)
{
    worker->doing = "start";
    CHECK(worker, cuCtxSetCurrent, worker->world->context);
    worker->streams[STREAM_NAMED_LEGACY] = CU_STREAM_LEGACY;
    worker->streams[STREAM_NAMED_THREAD] = CU_STREAM_PER_THREAD;
    CHECK(worker, cuStreamCreate, &worker->streams[STREAM_BLOCKING], CU_STREAM_DEFAULT);
    CHECK(worker, cuStreamCreate, &worker->streams[STREAM_FREE], CU_STREAM_NON_BLOCKING);
    for (int i = 0; i < EVENTS_MAX; i++)
        CHECK(worker, cuEventCreate, &worker->events[i], CU_EVENT_DISABLE_TIMING);
    graphs_open(worker);
}

static void worker_close(struct worker *worker)
{
    worker->doing = "end";
    for (size_t i = 0; i < worker->n_buffers; i++)
        buffer_verify(worker, &worker->buffers[i], 0, worker->buffers[i].bytes);
    while (worker->n_buffers)
        buffer_free(worker, &worker->buffers[0]);
    wait_for_context(worker);
    downloads_settle_all(worker);
    graphs_close(worker);
    for (int i = 0; i < EVENTS_MAX; i++)
        CHECK(worker, cuEventDestroy, worker->events[i]);
    CHECK(worker, cuStreamDestroy, worker->streams[STREAM_BLOCKING]);
    CHECK(worker, cuStreamDestroy, worker->streams[STREAM_FREE]);
    if (worker->arena)
        CHECK(worker, cuMemFreeHost, worker->arena);
}

static const struct {
    unsigned int weight;
    void (*run)(struct worker *worker);
} operations[] = {
    {40, copy_some},         {15, copy_some_box}, {15, fill_some},
    {25, launch_some},       {5, wait_some},      {5, ask_some},
    {4, buffer_verify_some}, {1, stream_replace}, {8, graph_some},
};

static void operate(struct worker *worker)
{
    uint64_t live = worker->world->options.live_bytes;
    unsigned int all = 0, pick;
    size_t i = 0;

    if (!worker->n_buffers || random_chance(&worker->random, worker->live_bytes < live ? 8 : 1)) {
        buffer_new(worker);
        return;
    }
    if (random_chance(&worker->random, worker->live_bytes < live ? 2 : 10)) {
        buffer_free(worker, buffer_any(worker));
        return;
    }
    for (size_t j = 0; j < sizeof(operations) / sizeof(operations[0]); j++)
        all += operations[j].weight;
    pick = (unsigned int)random_below(&worker->random, all);
    while (pick >= operations[i].weight)
        pick -= operations[i++].weight;
    operations[i].run(worker);
}

static void *work(void *argument)
{
    struct worker *worker = argument;
    const struct options *options = &worker->world->options;
    uint64_t share = options->operations / options->threads;

    worker->random.state = options->seed + worker->number * 0x51ed2701u;
    worker_open(worker);
    for (worker->operation = 0; worker->operation < share; worker->operation++)
        operate(worker);
    worker_close(worker);
    return NULL;
}

static void run(const struct options *options)
{
    unsigned int n = options->threads;
    struct worker *workers = calloc(n, sizeof(*workers));
    pthread_t *threads = calloc(n, sizeof(*threads));
    uint64_t refused = 0, host_calls = 0, faults = 0;

    if (!workers || !threads)
        die("no host memory");
    for (unsigned int i = 0; i < n; i++) {
        workers[i].world = &worlds[i % n_worlds];
        workers[i].number = i;
    }
    /* A run of one thread is the program's only one: nothing then depends on the scheduler. */
    for (unsigned int i = 1; i < n; i++)
        if (pthread_create(&threads[i], NULL, work, &workers[i]))
            die("cannot start a thread");
    work(&workers[0]);
    for (unsigned int i = 1; i < n; i++)
        pthread_join(threads[i], NULL);
    for (unsigned int i = 0; i < n; i++) {
        refused += workers[i].refused;
        host_calls += workers[i].host_calls;
        faults += workers[i].faults;
    }
    if (host_calls != graphs_host_calls())
        die("graphs have called %llu host functions instead of %llu",
            (unsigned long long)graphs_host_calls(), (unsigned long long)host_calls);
    free(workers);
    free(threads);
    if (options->minutes)
        return;
    printf("churn: seed %llu: %llu operations by %u thread%s, %llu allocations refused, %llu calls "
           "failed\n",
           (unsigned long long)options->seed, (unsigned long long)options->operations, n,
           n == 1 ? "" : "s", (unsigned long long)refused, (unsigned long long)faults);
}

/* The first of a card has its primary context. */
static void world_open(struct world *world, const struct options *options, bool primary)
{
    CUmemPoolProps props = {
        .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
        .location.type = CU_MEM_LOCATION_TYPE_DEVICE,
    };
    const char *why = NULL;
    CUresult result;

    world->options = *options;
    world->primary = primary;
    if (primary)
        SETUP(cuDevicePrimaryCtxRetain, &world->context, world->device);
    else
        SETUP(cuCtxCreate_v2, &world->context, 0, world->device);
    SETUP(cuCtxSetCurrent, world->context);
    props.location.id = world->device;
    SETUP(cuMemPoolCreate, &world->pool, &props);
    pthread_rwlock_init(&world->captures, NULL);
    result = kernels_open(&world->kernels, &why);
    if (result != CUDA_SUCCESS)
        die("no kernels: %s: %s", why, error_name(result));
}

/* A card that cannot be looked at is not paged, so the library looks at it before anything fails.
 */
static void look_at_card(const struct options *options)
{
    CUdeviceptr at;

    SETUP(cuMemAlloc, &at, options->big_bytes);
    SETUP(cuMemFree, at);
}

static void worlds_open(const struct options *options)
{
    int n_devices;

    SETUP(cuDeviceGetCount, &n_devices);
    for (unsigned int i = 0; i < n_worlds; i++) {
        SETUP(cuDeviceGet, &worlds[i].device, (int)i % n_devices);
        world_open(&worlds[i], options, i < (unsigned int)n_devices);
        if (options->faults)
            look_at_card(options);
    }
}

static void run_for_long(struct options *options)
{
    size_t free_bytes, total_bytes;
    const char *grown;

    if (!sim_stats_now)
        die("only the simulated driver tells what there is of everything");
    soak_begin(options->minutes);
    do {
        run(options);
        seed = ++options->seed;
        for (unsigned int i = 0; i < n_worlds; i++)
            worlds[i].options.seed = seed;
        /* What was freed in stream order is gone when somebody asks, that of graphs when trimmed.
         */
        for (unsigned int i = 0; i < n_worlds; i++) {
            SETUP(cuCtxSetCurrent, worlds[i].context);
            SETUP(cuCtxSynchronize);
            SETUP(cuDeviceGraphMemTrim, worlds[i].device);
            SETUP(cuMemGetInfo, &free_bytes, &total_bytes);
        }
    } while (soak_goes_on(sim_stats_now, &grown));
    if (grown)
        die("%s has grown", grown);
}

static void world_close(struct world *world)
{
    SETUP(cuCtxSetCurrent, world->context);
    kernels_close(&world->kernels);
    SETUP(cuMemPoolDestroy, world->pool);
    SETUP(cuDeviceGraphMemTrim, world->device);
    pthread_rwlock_destroy(&world->captures);
    if (world->primary)
        SETUP(cuDevicePrimaryCtxRelease, world->device);
    else
        SETUP(cuCtxDestroy, world->context);
}

static void must_equal(const char *what, uint64_t before, uint64_t after)
{
    if (before != after)
        die("%llu %s are left, there were %llu before", (unsigned long long)after, what,
            (unsigned long long)before);
}

/* One reservation may stay for good: the address space of all later allocations. */
static void nothing_is_left(const struct sim_stats *before)
{
    struct sim_stats after;

    sim_stats_now(&after);
    if (after.illegal_addresses)
        die("%llu accesses to illegal addresses", (unsigned long long)after.illegal_addresses);
    must_equal("bytes of device memory", before->device_used, after.device_used);
    must_equal("bytes of pinned host memory", before->host_used, after.host_used);
    must_equal("mappings", before->mappings, after.mappings);
    must_equal("handles", before->handles, after.handles);
    must_equal("allocations", before->allocations, after.allocations);
    must_equal("streams", before->streams, after.streams);
    must_equal("events", before->events, after.events);
    if (after.reservations > before->reservations + 1)
        die("%llu reservations are left, there were %llu before",
            (unsigned long long)after.reservations, (unsigned long long)before->reservations);
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);

    if (end == text || *end)
        die("\"%s\" is not a number", text);
    return value;
}

static void read_options(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"seed", required_argument, NULL, 's'},
        {"operations", required_argument, NULL, 'o'},
        {"threads", required_argument, NULL, 't'},
        {"live", required_argument, NULL, 'l'},
        {"big", required_argument, NULL, 'b'},
        {"may-refuse", no_argument, NULL, 'r'},
        {"host-nodes", no_argument, NULL, 'h'},
        {"faults", required_argument, NULL, 'f'},
        {"minutes", required_argument, NULL, 'm'},
        {"contexts", required_argument, NULL, 'c'},
        {NULL, 0, NULL, 0},
    };
    const char *times = getenv("CHURN_OPERATIONS");
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 's':
            options->seed = number(optarg);
            break;
        case 'o':
            options->operations = number(optarg);
            break;
        case 't':
            options->threads = (unsigned int)number(optarg);
            break;
        case 'l':
            options->live_bytes = number(optarg) << 20;
            break;
        case 'b':
            options->big_bytes = number(optarg) << 20;
            break;
        case 'r':
            options->may_refuse = true;
            break;
        case 'h':
            options->host_nodes = true;
            break;
        case 'c':
            n_worlds = (unsigned int)number(optarg);
            break;
        case 'm':
            options->minutes = number(optarg);
            break;
        case 'f':
            options->faults = (unsigned int)number(optarg);
            break;
        default:
            exit(2);
        }
    }
    if (times)
        options->operations *= number(times);
    if (!n_worlds || n_worlds > WORLDS_MAX)
        die("from 1 to %d contexts", WORLDS_MAX);
    if (options->faults && options->host_nodes)
        die("nobody knows which host functions a graph calls whose launch fails");
    options->may_refuse |= options->faults != 0;
    seed = options->seed;
}

int main(int argc, char **argv)
{
    struct options options = {
        .seed = 1,
        .operations = 2000,
        .threads = 1,
        .live_bytes = 32 << 20,
        .big_bytes = 16 << 20,
    };
    struct sim_stats before;

    read_options(argc, argv, &options);
    SETUP(cuInit, 0);
    sim_stats_now = (void (*)(struct sim_stats *))dlsym(RTLD_DEFAULT, "sim_get_stats");
    fail_often = (void (*)(unsigned int, uint64_t))dlsym(RTLD_DEFAULT, "sim_fail_often");
    was_given = (int (*)(CUresult))dlsym(RTLD_DEFAULT, "sim_was_given");
    if (sim_stats_now)
        sim_stats_now(&before);
    if (options.faults && (!fail_often || !was_given))
        die("only on the simulated driver can calls be made to fail");
    worlds_open(&options);
    if (options.faults)
        fail_often(options.faults, options.seed);
    if (options.minutes)
        run_for_long(&options);
    else
        run(&options);
    if (options.faults)
        fail_often(0, 0);
    for (unsigned int i = 0; i < n_worlds; i++)
        world_close(&worlds[i]);
    if (sim_stats_now)
        nothing_is_left(&before);
    return 0;
}
