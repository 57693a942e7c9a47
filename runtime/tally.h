/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Looking, now and then, how device memory is shared, and writing the worst of it down at exit,
 * beside what the plan had predicted.
 */

#include "runtime/card.h"

/* Asks how much of the card is free. Nothing without a plan, or when no report was asked for.
 * Locking: the pager's; a context of the card is current. */
void tally_look(const struct pager *pager, const struct driver *drv);

/* To a file of that name, if this process ever looked; a failure is one warning. Locking: none. */
void tally_write(const char *path);
