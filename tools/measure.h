/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What this machine's card, link, memory and disk are worth: the profile that `vramshim bench`
 * writes.
 *
 * Times on the card are those of events; so are the times of calls, by events in a stream that is
 * idle, which are therefore virtual where the driver's clock is. Only host memory and disk go by
 * the machine's own clock.
 *
 * Locking: none; one thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "runtime/profile.h"
#include "tools/gpu.h"

/* One figure. */
struct point {
    const char *group; /* link, card, launch, price, host, disk */
    char what[64];
    double value;
    const char *unit; /* "B/s" or "ns" */
};

struct measure_options {
    uint64_t bytes;       /* most that are copied and read at once; 0: what suits the card */
    const char *disk;     /* a directory that is written to; NULL: none */
    unsigned int seconds; /* after which no part is begun */
    /* Told what is measured next, or why a part has been left out. May be NULL. */
    void (*tell)(const char *text);
};

struct measured {
    struct profile profile;
    struct point points[256]; /* all that went into it, in the order of measuring */
    unsigned int n;
    unsigned int left_out; /* parts that could not be measured */
};

/* The card, its link and its calls; then memory and disk. A part that fails is left out: its keys
 * are not told. `gpu` may be NULL: memory and disk alone. */
void measure_machine(const struct gpu *gpu, const struct measure_options *options,
                     struct measured *out);

/* PTX: `vramshim_read`, described in measure_reads.c. */
extern const char measure_kernel_text[];
