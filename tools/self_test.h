/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Tries what may break a context, or never come back, in a process of its own. Begun before this
 * process loads the driver, which does not survive a fork.
 */

#include <stdint.h>

enum self_outcome {
    SELF_SKIPPED, /* there is nothing to try it with */
    SELF_GOOD,
    SELF_BAD,
    SELF_DIED, /* or took too long */
};

struct self_result {
    enum self_outcome outcome;
    char says[200];
};

/* On card `ordinal`: does a kernel read host memory that is mapped right behind the card's own? */
void self_test_host_vmm(int ordinal, struct self_result *out);

/* Pins so much, in steps, and gives it back. */
void self_test_pin(int ordinal, uint64_t bytes, struct self_result *out);
