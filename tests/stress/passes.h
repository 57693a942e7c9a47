/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Programs that read a model in passes, and do to streaming whatever a program may do. Each keeps a
 * sum over all that its kernels read, in device memory, which must come out the same whatever the
 * memory it ran on.
 */

#include <cuda.h>
#include <stdbool.h>
#include <stdint.h>

/* A pass as launches, or captured, and launched as a graph that is updated from pass to pass. */
struct passes_program {
    const char *name;
    uint32_t passes;
    void (*start)(void);
    void (*pass)(uint32_t number);    /* only what may be captured, in passes_stream */
    void (*between)(uint32_t number); /* after it has ended; NULL for nothing */
    bool never_captured;
    uint32_t (*stop)(void); /* NULL, or frees what there is and tells what it has computed */
    bool streams;           /* as launches, at W/B 2, something is read through the ring, */
    bool surprises;         /* and then something that was not foreseen, in place */
    bool swaps;   /* and what is read sparsely comes to the device where it is read most */
    bool by_hand; /* others like it do for every day */
};

/* Tables that end with a row without a name. */
extern const struct passes_program passes_programs[], programs_that_read[], programs_that_write[],
    programs_that_change[], programs_with_streams[], programs_with_experts[],
    programs_with_phases[];

extern CUstream passes_stream;

/* Ends the process when a call fails; before that, what somebody else wants to do about it. */
void passes_must(CUresult error, const char *call);
extern void (*passes_on_error)(CUresult error, const char *call);

enum {
    PASSES_TENSORS_MAX = 96,
};

struct passes_result {
    uint32_t sum;
    uint32_t n_tensors;                   /* of which one can say in a plan how large they are, */
    uint64_t tensors[PASSES_TENSORS_MAX]; /* in bytes, in the order in which they are loaded */
    uint64_t weights;                     /* bytes */
    uint64_t written;                     /* bytes of allocations that are written all the time */
    uint64_t faults;                      /* illegal addresses */
    uint64_t redirected;
    uint64_t in_place;  /* launches that read something at home in host memory */
    uint64_t surprises; /* the same by the log of touches, once some had been redirected */
    uint64_t swapped;   /* chunks that came to the device for being read much */
    bool refused;       /* some call was, as out of memory, and it went no further */
    bool left;          /* something, by the gauges, when all had been freed */
};

/* What a program that says so itself reads, in bytes. */
void passes_are_about(uint64_t weights);
/* And writes all the time. */
void passes_also_write(uint64_t bytes);
/* A tensor of its model was loaded. Under a plan it is uploaded as a whole once more, from where a
 * program usually has it: host memory. */
void passes_have_loaded(CUdeviceptr at, uint64_t bytes);

uint64_t passes_faults(void);

/* Runs it in this process, which ends after that. */
struct passes_result passes_run(const struct passes_program *program, bool graph);
