/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdio.h>

#include "tools/command.h"

/* The hardware as text, as `vramshim detect` prints it; the number of cards that can be used. */
int detect_print(const struct options *options, FILE *out);
