/* SPDX-License-Identifier: MIT */
#pragma once

/* The slot a card is in, as the kernel tells it: no driver has a call for this. */

#include <stddef.h>
#include <stdint.h>

struct slot {
    unsigned int gen, max_gen;     /* of PCI Express; 0: not known. At rest a slot runs slower. */
    unsigned int lanes, max_lanes; /* 0: not known */
    int node;                      /* of host memory; -1: one for all, or not known */
    char cpus[128];                /* near it, as a list such as 0-15,32; empty: not known */
    uint64_t window;               /* bytes of the card's memory that the processor can reach */
};

/* `root` is put before /sys: "" for this machine. 0, or -ENOENT when the kernel knows no such
 * device. */
int slot_read(const char *root, const char *bus_id, struct slot *out);

/* Adds to why no card can be used whose card there is, if any. */
void slot_explain(const char *root, char *why, size_t size);

/* The generation that makes so many billion transfers a second; 0 when there is none. */
unsigned int slot_generation(double transfers);
