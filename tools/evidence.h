/* SPDX-License-Identifier: MIT */
#pragma once

#include "planner/trap.h"

/* What is seen of traps before a program is run: in the environment, on its command line (empty:
 * none is named), in its script and in its file. */
void evidence_gather(char *const *command, struct trap_facts *out);
