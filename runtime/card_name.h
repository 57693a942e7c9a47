/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>

/* Whether a card that its driver calls `driver_name` is the one that people call `name`: who made
 * it may be left out, and its form and memory; what makes another card of it (Ti, Laptop) may not.
 */
bool card_name_is(const char *driver_name, const char *name);
