/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdio.h>

#include "planner/trap.h"

/* One trap and what to do about it; without facts what the row says. With `whole` also where it is
 * known from and which check of the doctor answers. */
void warning_print(enum trap_id id, const struct trap_facts *facts, bool whole, FILE *out);

/* The traps that apply, each with what to do about it; with `explain` also those that may, and
 * where each is known from. Nothing when there are none. */
void warnings_print(const struct trap_facts *facts, bool explain, FILE *out);
