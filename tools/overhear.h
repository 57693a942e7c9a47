/* SPDX-License-Identifier: MIT */
#pragma once

#include <sys/types.h>

#include "planner/sign.h"

/*
 * Passes what comes through the pipe on to standard error, and looks for signs in it, until the
 * child has ended; what children of it say later is nobody's. Returns the child's status as
 * wait(2) has it. The pipe stays the caller's.
 */
int overhear(int pipe, pid_t child, struct signs *signs);
