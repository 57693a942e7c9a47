/* SPDX-License-Identifier: MIT */
#pragma once

/* What the driver's management library (NVML) tells of a card, by dlopen(). */

#include <stdbool.h>
#include <stddef.h>

#include "tools/gpu.h"

enum { MANAGEMENT_UNKNOWN = -1 };

struct management {
    bool found;       /* it is there and knows the card */
    char why_not[96]; /* else */
    /* Each MANAGEMENT_UNKNOWN where it does not say. */
    int persistence;    /* 1: on */
    int divided;        /* 1: into instances */
    int programs;       /* that compute on the card */
    long long failures; /* of its memory that could not be corrected, since the driver started */
};

void management_ask(const struct gpu *gpu, struct management *out);
