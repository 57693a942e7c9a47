/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Driver calls that the library makes beside a program's work, each with what has to be there
 * before it and what has to be cleared away after it, so that it can be made at any moment.
 */

#include <cuda.h>
#include <stdbool.h>
#include <stddef.h>

struct call {
    const char *name;
    bool is_ours; /* the library makes it while a program captures, or while kernels run */
    void (*before)(void);
    CUresult (*call)(void);
    void (*after)(void);
};

extern const struct call calls[];
extern const size_t n_calls;

/* Once, after card_open(). */
void calls_init(void);
