/* SPDX-License-Identifier: MIT */
/*
 * The exported names of the simulated driver, and what every call has in common.
 *
 * An entry takes the one lock, counts the call under its row (a twin counts as its plain call),
 * refuses what must be refused whoever is called (not initialised, forked, inside a host function,
 * hidden, told to fail) and then runs the simulation with the caller's default-stream mode noted in
 * the thread's state.
 */
#include "tests/sim/calls.h"
#include "tests/sim/clock.h"
#include "tests/sim/context.h"
#include "tests/sim/errors.h"
#include "tests/sim/graph.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"

#define MAX_FAILURES 64

struct failure {
    enum call_id id;
    unsigned int countdown;
    CUresult error;
};

static uint64_t counts[CALL_COUNT];
static bool hidden[CALL_COUNT];
static struct failure failures[MAX_FAILURES];
static size_t n_failures;

/* See sim_fail_often(). */
static const CUresult often_errors[] = {
    CUDA_ERROR_OUT_OF_MEMORY, CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_NOT_READY,
    CUDA_ERROR_NOT_SUPPORTED, CUDA_ERROR_UNKNOWN,
};
static struct {
    unsigned int mean; /* 0: never */
    uint64_t state;
    unsigned int countdowns[CALL_COUNT];
} often;

/* Calls that work before cuInit and in a forked child: they touch no device. */
static bool call_needs_no_init(enum call_id id)
{
    switch (id) {
    case CALL_cuGetProcAddress:
    case CALL_cuGetProcAddress_v2:
    case CALL_cuGetExportTable:
    case CALL_cuDriverGetVersion:
    case CALL_cuGetErrorName:
    case CALL_cuGetErrorString:
        return true;
    default:
        return false;
    }
}

static CUresult injected_failure(enum call_id id)
{
    CUresult error = CUDA_SUCCESS;

    for (size_t i = 0; i < n_failures;) {
        struct failure *failure = &failures[i];

        if (failure->id != id || --failure->countdown) {
            i++;
            continue;
        }
        if (!error)
            error = failure->error;
        *failure = failures[--n_failures];
    }
    return error;
}

static uint64_t often_random(void)
{
    uint64_t z = often.state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    return z ^ (z >> 31);
}

static unsigned int often_distance(void)
{
    return often.mean / 2 + 1 + (unsigned int)(often_random() % often.mean);
}

/* A call that failed goes well for a while, so that trying again helps. */
static CUresult frequent_failure(enum call_id id)
{
    size_t pick;

    if (!often.mean || call_needs_no_init(id) || --often.countdowns[id])
        return CUDA_SUCCESS;
    often.countdowns[id] = often_distance();
    pick = often_random() % ARRAY_SIZE(often_errors);
    core_thread()->given |= 1u << pick;
    return often_errors[pick];
}

static CUresult entry_refusal(enum call_id id)
{
    const struct thread *thread = core_thread();
    CUresult error = injected_failure(id);

    if (!error)
        error = frequent_failure(id);

    if (error)
        return error;
    if (hidden[id])
        return CUDA_ERROR_NOT_SUPPORTED;
    if (thread->in_host_function)
        return CUDA_ERROR_NOT_PERMITTED;
    if (call_needs_no_init(id))
        return CUDA_SUCCESS;
    if (core_forked())
        return CUDA_ERROR_NOT_INITIALIZED;
    if (id != CALL_cuInit && !core_initialised())
        return CUDA_ERROR_NOT_INITIALIZED;
    return CUDA_SUCCESS;
}

static void take_hidden(char *word)
{
    enum call_id id = call_find(word);

    if (id == CALL_COUNT)
        settings_refuse("SIM_HIDE", word, "the names of driver calls");
    hidden[id] = true;
}

static void take_failure(char *word)
{
    char symbol[128];
    char name[128];
    unsigned int nth;
    CUresult error;
    char *end;

    if (sscanf(word, "%127[^:]:%u:%127s", symbol, &nth, name) != 3 || !nth ||
        call_find(symbol) == CALL_COUNT)
        settings_refuse("SIM_FAIL", word, "name:nth:error with the name of a driver call");
    if (!error_find(name, &error)) {
        error = (CUresult)strtoul(name, &end, 10);
        if (*end || !error)
            settings_refuse("SIM_FAIL", word, "name:nth:error with an error's name or number");
    }
    call_fail_at(call_find(symbol), nth, error);
}

static void read_lists(void)
{
    settings_read_once();
    core_lock();
    settings_each_word("SIM_HIDE", take_hidden);
    settings_each_word("SIM_FAIL", take_failure);
    core_unlock();
}

static CUresult entry_begin(enum call_id id, enum stream_mode mode)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, read_lists);
    core_lock();
    counts[id]++;
    core_thread()->mode = mode;
    clock_charge_call(call_rows[id].symbol);
    if (settings.restless && core_initialised() && !core_forked() &&
        !core_thread()->in_host_function)
        context_stir();
    return entry_refusal(id);
}

static CUresult entry_end(CUresult result)
{
    user_objects_settle();
    core_unlock();
    return result;
}

/* The SDK's header does not declare every twin. */
#define HOOK(symbol, since, twin, params, args)                                                    \
    EXPORT CUresult symbol(PROTO(params));                                                         \
    IF_TWIN_##twin(EXPORT CUresult TWIN_##twin(symbol)(PROTO(params));)
#define GATE HOOK
#define REAL HOOK
#define PASS HOOK
#include "runtime/driver_calls.def"

#define ENTRY(name, id, stream_mode, simulation)                                                   \
    {                                                                                              \
        CUresult entry_result = entry_begin(id, stream_mode);                                      \
                                                                                                   \
        return entry_end(entry_result ? entry_result : simulation);                                \
    }
#define HOOK(symbol, since, twin, params, args)                                                    \
    EXPORT CUresult symbol(PROTO(params))                                                          \
        ENTRY(symbol, CALL_##symbol, STREAM_LEGACY, sim_##symbol(args))                            \
            IF_TWIN_##twin(EXPORT CUresult TWIN_##twin(symbol)(PROTO(params)) ENTRY(               \
                TWIN_##twin(symbol), CALL_##symbol, STREAM_PER_THREAD, sim_##symbol(args)))
#define GATE HOOK
#define REAL HOOK
#define PASS HOOK
#include "runtime/driver_calls.def"

/* The twin's address as an initialiser: present only where the row has a twin. */
#define TWIN_ENTRY_PLAIN(symbol) NULL
#define TWIN_ENTRY_PTSZ(symbol)  symbol##_ptsz
#define TWIN_ENTRY_PTDS(symbol)  symbol##_ptds

const struct call_row call_rows[CALL_COUNT] = {
#define HOOK(symbol, since, twin, params, args) {#symbol, since, symbol, TWIN_ENTRY_##twin(symbol)},
#define GATE                                    HOOK
#define REAL                                    HOOK
#define PASS                                    HOOK
#include "runtime/driver_calls.def"
};

enum call_id call_find(const char *symbol)
{
    size_t length = strlen(symbol);
    enum call_id found = CALL_COUNT;

    for (int id = 0; id < CALL_COUNT; id++) {
        const char *name = call_rows[id].symbol;

        if (!strcmp(name, symbol))
            return id;
        if (!strncmp(name, symbol, length) && !strncmp(name + length, "_v", 2))
            found = found == CALL_COUNT ? (enum call_id)id : CALL_COUNT;
    }
    return found;
}

bool call_is_hidden(enum call_id id)
{
    return id < CALL_COUNT && hidden[id];
}

void call_fail_at(enum call_id id, unsigned int nth, CUresult error)
{
    if (n_failures == MAX_FAILURES || !nth) {
        core_say("cannot inject failure %u of %s; aborting", nth, call_rows[id].symbol);
        abort();
    }
    failures[n_failures++] = (struct failure){id, nth, error};
}

void call_fail_clear(void)
{
    n_failures = 0;
}

void call_fail_often(unsigned int mean, uint64_t seed)
{
    often.mean = mean;
    often.state = seed;
    for (int id = 0; mean && id < CALL_COUNT; id++)
        often.countdowns[id] = often_distance();
}

bool call_was_given(CUresult error)
{
    struct thread *thread = core_thread();
    bool was = false;

    for (size_t i = 0; i < ARRAY_SIZE(often_errors); i++)
        was |= often_errors[i] == error && thread->given & 1u << i;
    thread->given = 0;
    return was;
}

uint64_t call_count(enum call_id id)
{
    return counts[id];
}
