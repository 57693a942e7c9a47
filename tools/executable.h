/* SPDX-License-Identifier: MIT */
#pragma once

/* A program's file, as far as it decides whether a library is loaded with it. */

#include <stdbool.h>

struct executable {
    bool is_static;  /* no loader is asked for */
    bool musl;       /* it is musl's */
    bool privileged; /* it gains privileges as it starts */
};

/* As execvp(3) finds it. What cannot be looked at, or is no program of ELF, is none of these. */
void executable_look(const char *command, struct executable *out);
