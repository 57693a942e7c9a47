/* SPDX-License-Identifier: MIT */
#pragma once

/* One run of one program in this process, and what it shows. */

#include <stdbool.h>
#include <stdint.h>

#include "tests/bench/programs.h"

enum {
    PASSES_MAX = 128,
    RATIOS_MAX = 8,
};

struct measured {
    uint64_t weights; /* bytes */
    uint64_t written; /* bytes of activations and caches */
    double link;      /* bytes per second, copies to the device */
    uint32_t passes;
    uint32_t round, window; /* passes, as of the program */
    uint64_t pass_ns[PASSES_MAX];
    uint64_t pass_up[PASSES_MAX];   /* bytes over the link to the device, in place or copied */
    uint64_t pass_down[PASSES_MAX]; /* bytes copied to the host, */
    uint64_t pass_only[PASSES_MAX]; /* and those of them that had no copy there before */
    uint64_t device_most;           /* bytes of device memory in use, at the highest */
    uint64_t in_place;              /* of pass_up, reached by kernels, in the last pass */
    uint64_t least[RATIOS_MAX];     /* bytes to the device in a steady pass, at best, and */
    uint64_t by_age[RATIOS_MAX];    /* by LRU, with a card of weights / ratio */
};

/* The last passes, which are taken for steady. */
uint32_t steady_passes(const struct measured *measured);

struct measure_options {
    bool graph; /* the pass is captured once and launched again and again */
    /* Also follow the touches with as many cards. */
    const double *ratios;
    uint32_t n_ratios;
};

void measure(const struct program *program, const struct measure_options *options,
             struct measured *out);
