/* SPDX-License-Identifier: MIT */
#pragma once

/* Runs a program with the library preloaded, and listens to what the library logs about it. */

#include <stdbool.h>

#include "planner/sign.h"

enum {
    LISTEN_NAMES = 512, /* bytes for names that are listed */
};

struct heard {
    bool ran;                 /* a program was named */
    int status;               /* as of wait(2) */
    char error[160];          /* it could not be run; else empty */
    unsigned int processes;   /* that asked for the driver's calls */
    unsigned int ours;        /* calls it asked for that the library stands in for */
    unsigned int known;       /* others that this project knows */
    unsigned int unknown;     /* and those that it does not */
    char names[LISTEN_NAMES]; /* of the latter, as many as fit */
    bool paged;               /* a card of it was */
    char complaint[256];      /* the first warning or error; empty: none */
};

/* Before this process loads the driver. The program's standard output goes to standard error, and
 * signs that are in either to `signs`. */
void listen_to_program(const char *library, char **command, struct signs *signs, struct heard *out);
