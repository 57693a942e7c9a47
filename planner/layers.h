/* SPDX-License-Identifier: MIT */
#pragma once

/* A map of what of which layer stays where. */

#include <stdio.h>

#include "planner/subject.h"

/* Of pieces as stay_choose() has placed them by that strategy: a line and a character per layer for
 * each stack. */
void layers_print(const struct subject *subject, const char *strategy, FILE *out);
