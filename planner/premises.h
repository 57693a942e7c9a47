/* SPDX-License-Identifier: MIT */
#pragma once

#include "planner/answer.h"
#include "planner/trap.h"

/*
 * What traps are to be judged by: of the model, the way that is taken, the machine, and, where the
 * plan is for it, of this one, at which is looked here.
 */
void premises_gather(const struct answer *answer, struct trap_facts *out);
