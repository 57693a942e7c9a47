/* SPDX-License-Identifier: MIT */
#pragma once

/* The first card of this machine, asked through the driver. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct probe {
    char name[96];
    unsigned int n_cards;              /* of which this is the first */
    uint64_t total, free;              /* bytes; free as a context of our own sees it */
    bool unified;                      /* its memory is the host's */
    unsigned int capability;           /* 86 is 8.6; 0: not known */
    unsigned int link_gen, link_lanes; /* as the slot is now; 0: not known */
};

/* 0; -ENODEV, and why in `why`. Loads the driver and makes a context; both stay until exit. */
int probe_card(struct probe *out, char *why, size_t why_size);
