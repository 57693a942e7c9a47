/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Programs whose memory traffic is that of inference, on kernels that are charged for the bytes
 * they touch. Run in the process that measures them.
 */

#include <cuda.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "runtime/roll.h"

struct component;

struct program {
    const char *name;
    /* Says what there will be, without a driver. */
    void (*shape)(void);
    /* Allocates and uploads. */
    void (*start)(void);
    /* Before a pass, also one that was captured: what the host decides. NULL for nothing. */
    void (*decide)(void);
    /* One pass, up to the wait at its end. */
    void (*pass)(uint32_t number);
    uint32_t passes;
    uint32_t round;  /* of so many passes, each unlike the one before; they are repeated */
    uint32_t window; /* passes of which the mean is looked at: single ones differ by chance */
    const struct component *components; /* that a pass reads in this order; NULL: in no one order */
    uint32_t n_components;
};

extern const struct program programs[];
extern const uint32_t n_programs;

/* The program's stream, and what it has allocated. */
extern CUstream program_stream;
extern bool program_captured;    /* the pass is being captured: it waits for nothing */
extern uint64_t program_weights; /* bytes */
extern uint64_t program_written; /* of activations and caches, whole chunks */

/* How often as large all weights are. Before everything else. */
extern uint64_t program_scale;

/* Before it starts: all of the weights are uploaded, not only where they begin. */
extern bool program_fills;
/* Of the first words of what kernels have read. */
extern uint64_t program_sum;

/* A plan of the program, which has its shape, for so much device memory, of which so much is
 * written, and with these functions known. False when there can be none. */
bool program_plan(const struct program *program, uint64_t budget, uint64_t written,
                  const struct roll *known, FILE *out);

/* Makes the kernels known; a context is current. */
void programs_init(void);
