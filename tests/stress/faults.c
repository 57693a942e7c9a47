/* SPDX-License-Identifier: MIT */
/*
 * Any driver call may fail at any time. Each of those that are made while a small program runs
 * under the shim is made to fail in turn, at its first call, its second and so on, with each of
 * several errors; the program must end with success or with the driver's own error.
 *
 *   faults [CALL [N ERROR]]     all; of one call only; one case in this process, for a debugger
 *
 * One process per case. Every other case has streams that run on by themselves. Long rows of calls
 * are sampled, all of them are tried with FAULTS_ALL=1.
 */
#include "tests/stress/faults.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/sim/sim.h"

enum {
    SECONDS_MAX = 20,   /* of a case */
    FIRST_ALL = 2,      /* calls of a row that are all tried */
    SAMPLES = 2,        /* of the others */
    PROGRAM_ERRORS = 1, /* tried with calls that only the program makes */
};

static const char *const symbols[] = {
#define HOOK(symbol, since, twin, params, args) #symbol,
#define GATE                                    HOOK
#define REAL                                    HOOK
#include "runtime/driver_calls.def"
};

#define SYMBOLS (sizeof(symbols) / sizeof(symbols[0]))

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

static bool is_violation(enum outcome outcome)
{
    return outcome != OUTCOME_SUCCESS && outcome != OUTCOME_DRIVER_ERROR;
}

/* Shared with the process of a case. */
static struct shared {
    struct report report;
    uint64_t calls[SYMBOLS];
} * shared;

static void run_case(const char *symbol, unsigned int nth, CUresult error)
{
    if (symbol)
        sim_fail(symbol, nth, error);
    faults_work(symbol ? error : CUDA_SUCCESS, &shared->report);
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
        if (alone) {
            setenv("SIM_VRAM", "8GiB", 1);
            setenv("VRAMSHIM_DISABLE", "1", 1);
        }
        run_case(symbol, nth, error);
        for (size_t i = 0; i < SYMBOLS; i++)
            shared->calls[i] = sim_calls(symbols[i]);
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
static uint64_t next_of(uint64_t nth, uint64_t calls)
{
    uint64_t step = (calls - FIRST_ALL) / SAMPLES;

    if (nth < FIRST_ALL || getenv("FAULTS_ALL") || calls <= FIRST_ALL || step <= 1)
        return nth + 1;
    return nth == calls ? calls + 1 : (nth + step > calls ? calls : nth + step);
}

static unsigned int try_row(const char *symbol, uint64_t calls, const struct error *error)
{
    unsigned int seen[OUTCOME_COUNT] = {0};
    unsigned int violations = 0;

    for (uint64_t nth = 1; nth <= calls; nth = next_of(nth, calls)) {
        struct report report = watch(symbol, (unsigned int)nth, error->result, false);

        seen[report.outcome]++;
        if (!is_violation(report.outcome))
            continue;
        violations++;
        printf("%s, call %llu, %s: %s: %s\n", symbol, (unsigned long long)nth, error->name,
               outcomes[report.outcome], report.detail);
    }
    printf("%-32s %6llu  %-14s", symbol, (unsigned long long)calls, error->name);
    for (int i = 0; i < OUTCOME_COUNT; i++)
        if (seen[i])
            printf("  %s x%u", outcomes[i], seen[i]);
    printf("\n");
    fflush(stdout);
    return violations;
}

/* How often the program makes each call when no fault is injected. */
static bool count_calls(bool alone, uint64_t *out_calls)
{
    struct report report = watch(NULL, 0, CUDA_SUCCESS, alone);

    memcpy(out_calls, shared->calls, sizeof(shared->calls));
    if (report.outcome == OUTCOME_SUCCESS)
        return true;
    printf("without any fault: %s: %s\n", outcomes[report.outcome], report.detail);
    return false;
}

static int try_all(const char *only)
{
    uint64_t alone[SYMBOLS], calls[SYMBOLS];
    unsigned int violations = 0;

    if (!count_calls(true, alone) || !count_calls(false, calls))
        return 1;
    printf("%-32s %6s  %-14s  outcomes\n", "call", "calls", "error");
    for (size_t i = 0; i < SYMBOLS; i++) {
        size_t n = calls[i] == alone[i] ? PROGRAM_ERRORS : ERRORS;

        for (size_t j = 0; j < n && calls[i] && (!only || strcmp(only, symbols[i]) == 0); j++)
            violations += try_row(symbols[i], calls[i], &errors[j]);
    }
    if (violations)
        printf("%u violations\n", violations);
    return violations != 0;
}

static int try_one(const char *symbol, const char *nth, const char *name)
{
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

int main(int argc, char **argv)
{
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        perror("faults");
        return 2;
    }
    setenv("SIM_VRAM", "12MiB", 0);
    setenv("VRAMSHIM_RAM", "64MiB", 0);
    if (argc == 4)
        return try_one(argv[1], argv[2], argv[3]);
    return try_all(argc == 2 ? argv[1] : NULL);
}
