/* SPDX-License-Identifier: MIT */
/*
 * A program that reads a model in passes, and ends at the first call that fails.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "runtime/util.h"
#include "tests/stress/faults.h"
#include "tests/stress/passes.h"

static const struct passes_program *const tables[] = {passes_programs, programs_with_experts};

static CUresult expected_error;
static struct report *report_of_error;

static void on_error(CUresult error, const char *call)
{
    bool memory = error == CUDA_ERROR_OUT_OF_MEMORY && !strncmp(call, "cuMemAlloc", 10);

    report_of_error->outcome =
        error == expected_error || memory ? OUTCOME_DRIVER_ERROR : OUTCOME_OTHER_ERROR;
    snprintf(report_of_error->detail, sizeof(report_of_error->detail), "%s gives error %d", call,
             (int)error);
    _exit(0);
}

static const struct passes_program *find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
        for (const struct passes_program *p = tables[i]; p->name; p++) {
            if (!strcmp(p->name, name))
                return p;
        }
    }
    abort();
}

struct passes_result faults_pass(const char *program, CUresult injected,
                                 const struct passes_result *ample, struct report *report)
{
    struct passes_result result;

    expected_error = injected;
    report_of_error = report;
    passes_on_error = on_error;
    result = passes_run(find(program), false);
    report->outcome = OUTCOME_SUCCESS;
    if (result.faults || (ample && result.sum != ample->sum)) {
        report->outcome = OUTCOME_WRONG_DATA;
        snprintf(report->detail, sizeof(report->detail), "%llu illegal addresses, sum %u",
                 (unsigned long long)result.faults, result.sum);
    } else if (result.left) {
        report->outcome = OUTCOME_LEFT_OVER;
    }
    return result;
}
