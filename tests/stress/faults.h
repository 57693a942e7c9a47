/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A small program that does a little of everything under pressure, and survives any one driver call
 * that fails: it notes the error, undoes what it cannot know, and goes on. What it can know it
 * compares with plain memory.
 */

#include <cuda.h>
#include <stdbool.h>
#include <stdint.h>
#include "tests/stress/passes.h"

enum outcome {
    OUTCOME_SUCCESS,      /* no call failed, all contents right, nothing left */
    OUTCOME_DRIVER_ERROR, /* some call gave the injected error, or that there is no memory */
    OUTCOME_OTHER_ERROR,  /* some call gave an error that nobody injected */
    OUTCOME_WRONG_DATA,
    OUTCOME_LEFT_OVER, /* right, but memory or a counter is not back at its start */
    OUTCOME_CRASH,     /* told by who watches */
    OUTCOME_HANG,
    OUTCOME_COUNT,
};

struct report {
    enum outcome outcome;
    char detail[160];
};

/* Runs it; `injected` is what may be seen instead of success, CUDA_SUCCESS for nothing. */
void faults_work(CUresult injected, struct report *report);

/*
 * The same for a program of passes.h; `ample`: what it gives on a large card, if that is known.
 * When a call fails it ends the process, with the report made.
 */
struct passes_result faults_pass(const char *program, CUresult injected,
                                 const struct passes_result *ample, struct report *report);
