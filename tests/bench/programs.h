/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Programs whose memory traffic is that of inference, on kernels that are charged for the bytes
 * they touch. Run in the process that measures them.
 */

#include <cuda.h>
#include <stdbool.h>
#include <stdint.h>

struct program {
    const char *name;
    /* Allocates and uploads. */
    void (*start)(void);
    /* One pass, up to the wait at its end. */
    void (*pass)(uint32_t number);
    uint32_t passes;
};

extern const struct program programs[];
extern const uint32_t n_programs;

/* The program's stream, and what it has allocated. */
extern CUstream program_stream;
extern bool program_captured;    /* the pass is being captured: it waits for nothing */
extern uint64_t program_weights; /* bytes */
extern uint64_t program_written; /* of activations and caches, whole chunks */

/* Makes the kernels known; a context is current. `scale`: how often as large weights are. */
void programs_init(uint32_t scale);
