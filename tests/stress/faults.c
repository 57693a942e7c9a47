/* SPDX-License-Identifier: MIT */
/*
 * Any driver call may fail at any time, and so may any request for memory. Each of those that are
 * made while a program runs under the shim is made to fail in turn, at its first call, its second
 * and so on, with each of several errors; the program must end with success or with the driver's
 * own error.
 *
 *   faults [--markdown] [--every N] [--from K] PROGRAM [CALL [N ERROR]]
 *
 * all, or every Nth from the Kth on (0 = the first); of one call only, "malloc" being one of them;
 * one case in this process, for a debugger. The program "calls" does a little of everything; others
 * are those of passes.h.
 *
 * One process per case. Every other case has streams that run on by themselves. Long rows of calls
 * are sampled, all of them are tried with FAULTS_ALL=1.
 */
#include "tests/stress/faults.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/sim/sim.h"
#include "tests/stress/memory_faults.h"

enum {
    SECONDS_MAX = 60,    /* of a case */
    FIRST_ALL = 2,       /* calls of a row that are all tried */
    SAMPLES = 2,         /* of the others */
    MEMORY_SAMPLES = 12, /* of requests for memory */
    PROGRAM_ERRORS = 1,  /* tried with calls that only the program makes */
    SPARE = 4 << 20,     /* bytes of the card beside half the weights and what is written */
};

static const char *const symbols[] = {
#define HOOK(symbol, since, twin, params, args) #symbol,
#define GATE                                    HOOK
#define REAL                                    HOOK
#include "runtime/driver_calls.def"
    "malloc",
};

#define SYMBOLS (sizeof(symbols) / sizeof(symbols[0]))
#define MALLOC  (SYMBOLS - 1)

static const struct error {
    CUresult result;
    const char *name;
} errors[] = {
    {CUDA_ERROR_OUT_OF_MEMORY, "OUT_OF_MEMORY"},
    {CUDA_ERROR_INVALID_VALUE, "INVALID_VALUE"},
    {CUDA_ERROR_NOT_READY, "NOT_READY"},
    {CUDA_ERROR_NOT_SUPPORTED, "NOT_SUPPORTED"},
    {CUDA_ERROR_UNKNOWN, "UNKNOWN"},
};

#define ERRORS (sizeof(errors) / sizeof(errors[0]))

static const char *const outcomes[OUTCOME_COUNT] = {
    "success", "driver's error", "OTHER ERROR", "WRONG DATA", "LEFT OVER", "CRASH", "HANG",
};

struct tally {
    unsigned int met;   /* cases there are, */
    unsigned int cases; /* and that were tried */
    unsigned int violations;
};

static bool is_violation(enum outcome outcome)
{
    return outcome != OUTCOME_SUCCESS && outcome != OUTCOME_DRIVER_ERROR;
}

static const char *program;
static bool is_pass; /* the program is one of passes.h */
static bool markdown;
static unsigned int every = 1; /* of the cases one, */
static unsigned int from;      /* from this one on */

/* Shared with the process of a case. */
static struct shared {
    struct report report;
    struct passes_result result;
    uint64_t calls[SYMBOLS];
} * shared;

/* What the program gives on an ample card. */
static struct passes_result ample;

static void run_case(const char *symbol, unsigned int nth, CUresult error)
{
    CUresult injected = symbol ? error : CUDA_SUCCESS;

    memory_fail(symbol == symbols[MALLOC] ? nth : 0);
    if (symbol && symbol != symbols[MALLOC])
        sim_fail(symbol, nth, error);
    if (is_pass)
        shared->result =
            faults_pass(program, injected, ample.weights ? &ample : NULL, &shared->report);
    else
        faults_work(injected, &shared->report);
}

static void set_card(bool alone)
{
    char budget[32];

    setenv("SIM_VRAM", alone ? "8GiB" : is_pass ? "1GiB" : "12MiB", 1);
    setenv("VRAMSHIM_RAM", is_pass ? "1GiB" : "64MiB", 1);
    setenv("VRAMSHIM_DISABLE", alone ? "1" : "0", 1);
    if (!is_pass)
        return;
    snprintf(budget, sizeof(budget), "%llu",
             (unsigned long long)(ample.weights / 2 + ample.written + SPARE));
    setenv("VRAMSHIM_VRAM", budget, 1);
    setenv("VRAMSHIM_CHUNK", "2MiB", 1);
    setenv("VRAMSHIM_SMALL", "64KiB", 1);
}

static struct report watch(const char *symbol, unsigned int nth, CUresult error, bool alone)
{
    pid_t child;
    int status;

    memset(shared, 0, sizeof(*shared));
    shared->report.outcome = OUTCOME_CRASH;
    child = fork();
    if (child == 0) {
        alarm(SECONDS_MAX);
        setenv("SIM_ORDER", nth % 2 ? "lazy" : "restless", 0);
        set_card(alone);
        run_case(symbol, nth, error);
        for (size_t i = 0; i < MALLOC; i++)
            shared->calls[i] = sim_calls(symbols[i]);
        shared->calls[MALLOC] = memory_requests();
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) {
        perror("faults");
        exit(2);
    }
    if (WIFSIGNALED(status)) {
        shared->report.outcome = WTERMSIG(status) == SIGALRM ? OUTCOME_HANG : OUTCOME_CRASH;
        snprintf(shared->report.detail, sizeof(shared->report.detail), "%s",
                 strsignal(WTERMSIG(status)));
    } else if (WEXITSTATUS(status) != 0) {
        shared->report.outcome = OUTCOME_CRASH;
        snprintf(shared->report.detail, sizeof(shared->report.detail), "exit status %d",
                 WEXITSTATUS(status));
    }
    return shared->report;
}

/* The next call to try after the nth of `calls`; beyond them when there is none. */
static uint64_t next_of(uint64_t nth, uint64_t calls, bool memory)
{
    uint64_t step = (calls - FIRST_ALL) / (memory ? MEMORY_SAMPLES : SAMPLES);

    if (nth < FIRST_ALL || getenv("FAULTS_ALL") || calls <= FIRST_ALL || step <= 1)
        return nth + 1;
    return nth == calls ? calls + 1 : (nth + step > calls ? calls : nth + step);
}

static void print_row(const char *symbol, uint64_t calls, const struct error *error,
                      const unsigned int *seen)
{
    static const unsigned int nothing[OUTCOME_COUNT];
    const char *between = "";

    if (!memcmp(seen, nothing, sizeof(nothing)))
        return;
    printf(markdown ? "| %s | %llu | %s | " : "%-32s %6llu  %-14s  ", symbol,
           (unsigned long long)calls, error->name);
    for (int i = 0; i < OUTCOME_COUNT; i++) {
        if (!seen[i])
            continue;
        printf("%s%s x%u", between, outcomes[i], seen[i]);
        between = markdown ? ", " : "  ";
    }
    printf(markdown ? " |\n" : "\n");
    fflush(stdout);
}

static void try_row(const char *symbol, uint64_t calls, const struct error *error,
                    struct tally *tally)
{
    bool memory = symbol == symbols[MALLOC];
    unsigned int seen[OUTCOME_COUNT] = {0};

    for (uint64_t nth = 1; nth <= calls; nth = next_of(nth, calls, memory)) {
        struct report report;

        if (tally->met++ % every != from)
            continue;
        report = watch(symbol, (unsigned int)nth, error->result, false);
        tally->cases++;
        seen[report.outcome]++;
        if (!is_violation(report.outcome))
            continue;
        tally->violations++;
        fprintf(markdown ? stderr : stdout, "%s, call %llu, %s: %s: %s\n", symbol,
                (unsigned long long)nth, error->name, outcomes[report.outcome], report.detail);
    }
    print_row(symbol, calls, error, seen);
}

/* How often the program makes each call when no fault is injected. */
static bool count_calls(bool alone, uint64_t *out_calls)
{
    struct report report = watch(NULL, 0, CUDA_SUCCESS, alone);

    memcpy(out_calls, shared->calls, sizeof(shared->calls));
    if (alone)
        ample = shared->result;
    if (report.outcome == OUTCOME_SUCCESS)
        return true;
    printf("without any fault: %s: %s\n", outcomes[report.outcome], report.detail);
    return false;
}

/* Errors with which call `i` is tried: a pass makes many calls, and takes its time. */
static bool is_tried(size_t i, size_t error, bool by_shim)
{
    if (i == MALLOC)
        return error == 0;
    if (is_pass && !getenv("FAULTS_ALL"))
        return by_shim && error == i % ERRORS;
    return error < (by_shim ? ERRORS : PROGRAM_ERRORS);
}

static int try_all(const char *only)
{
    uint64_t alone[SYMBOLS], calls[SYMBOLS];
    struct tally tally = {0};

    if (!count_calls(true, alone) || !count_calls(false, calls))
        return 1;
    if (markdown)
        printf("| call | times | error | outcomes |\n|---|---|---|---|\n");
    else
        printf("%-32s %6s  %-14s  outcomes\n", "call", "times", "error");
    for (size_t i = 0; i < SYMBOLS; i++) {
        for (size_t j = 0; j < ERRORS && calls[i] && (!only || !strcmp(only, symbols[i])); j++) {
            if (is_tried(i, j, calls[i] != alone[i]))
                try_row(symbols[i], calls[i], &errors[j], &tally);
        }
    }
    printf("\n%u cases, %u violations\n", tally.cases, tally.violations);
    return tally.violations != 0;
}

static const char *symbol_called(const char *name)
{
    for (size_t i = 0; i < SYMBOLS; i++) {
        if (!strcmp(symbols[i], name))
            return symbols[i];
    }
    return NULL;
}

static int try_one(const char *called, const char *nth, const char *name)
{
    const char *symbol = symbol_called(called);

    if (!symbol) {
        fprintf(stderr, "faults: no call is called %s\n", called);
        return 2;
    }
    if (is_pass && watch(NULL, 0, CUDA_SUCCESS, true).outcome == OUTCOME_SUCCESS)
        ample = shared->result;
    set_card(false);
    setenv("SIM_ORDER", strtoul(nth, NULL, 10) % 2 ? "lazy" : "restless", 0);
    for (size_t j = 0; j < ERRORS; j++) {
        if (strcmp(errors[j].name, name) != 0)
            continue;
        run_case(symbol, (unsigned int)strtoul(nth, NULL, 10), errors[j].result);
        printf("%s: %s\n", outcomes[shared->report.outcome], shared->report.detail);
        return is_violation(shared->report.outcome);
    }
    fprintf(stderr, "faults: no error is called %s here\n", name);
    return 2;
}

static int usage(void)
{
    fprintf(stderr, "usage: faults [--markdown] [--every N] [--from K] PROGRAM [CALL [N ERROR]]\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"markdown", no_argument, NULL, 'm'},
        {"every", required_argument, NULL, 'e'},
        {"from", required_argument, NULL, 'k'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
        if (option == 'm')
            markdown = true;
        else if (option == 'e')
            every = (unsigned int)atoi(optarg);
        else if (option == 'k')
            from = (unsigned int)atoi(optarg);
        else
            return usage();
    }
    argv += optind;
    argc -= optind;
    if (argc < 1 || !every)
        return usage();
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        perror("faults");
        return 2;
    }
    program = argv[0];
    is_pass = strcmp(program, "calls") != 0;
    if (argc == 4)
        return try_one(argv[1], argv[2], argv[3]);
    return try_all(argc == 2 ? argv[1] : NULL);
}
