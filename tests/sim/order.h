/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What already precedes what.
 */

#include "tests/sim/stream.h"

/* Whether work that is submitted to `stream` next cannot run before `marker` is done. */
bool order_follows(const struct stream *stream, const struct marker *marker);
