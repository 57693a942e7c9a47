/* SPDX-License-Identifier: MIT */
#pragma once

/* What the second preload library saw. */

#include "runtime/util.h"

struct second_seen {
    int memory_info; /* calls of cuMemGetInfo that came by it */
    int count;       /* of cuDeviceGetCount */
    int getppid;
    void *next_memory_info; /* what RTLD_NEXT gave it */
    void *next_count;
    void *next_getppid;
};

const struct second_seen *second_seen(void);
