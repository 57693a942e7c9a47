/* SPDX-License-Identifier: MIT */
#pragma once

/* What a run took, beside what was predicted, for a person. */

#include <stdio.h>

#include "runtime/account.h"

void outcome_print(const struct account *account, const char *path, FILE *out);
