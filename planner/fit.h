/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Whether so many bytes of weights go into the two tiers, and where they would lie. Nothing but the
 * weights is counted: what a program allocates beside them is not known from a model file.
 */

#include <stdbool.h>
#include <stdint.h>

struct budget {
    bool has_vram;
    uint64_t vram; /* bytes of device memory */
    uint64_t ram;  /* bytes of pinned host memory */
};

enum verdict {
    FIT_UNKNOWN,    /* no device budget was given */
    FIT_DEVICE,     /* all of it goes into device memory */
    FIT_BOTH_TIERS, /* part of it would live in host memory */
    FIT_NOT,        /* there is more than both hold */
};

struct fit {
    enum verdict verdict;
    uint64_t device_bytes;
    uint64_t host_bytes;
    uint64_t short_bytes; /* what is too much */
};

struct fit fit_judge(uint64_t weights, const struct budget *budget);
