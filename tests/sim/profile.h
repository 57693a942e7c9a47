/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Device profiles: what a simulated card is called, what it has, and what things cost on it. Shared
 * with the simulated NVML, which must tell the same story.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/util.h"

struct price {
    uint64_t ns;
    uint64_t ns_per_mib;
};

struct profile {
#define TEXT(key, size, fallback)              char key[size];
#define BYTES(key, fallback)                   uint64_t key;
#define NUMBER                                 BYTES
#define TIME                                   BYTES
#define RATE                                   BYTES
#define SHARE                                  BYTES
#define PRICE(key, fallback, fallback_per_mib) struct price key;
#include "tests/sim/profile.def"
};

/* What SIM_PROFILE names, read once by settings_read_once(). */
extern struct profile profile;

/* A built-in profile's name, or a file's. Ends the process, naming file and line, when it cannot
 * be understood. */
void profile_load(const char *name_or_file);

/* 16 bytes, different for each ordinal. */
static inline void profile_uuid(int ordinal, unsigned char out[16])
{
    static const unsigned char base[16] = {0x51, 0x3a, 0x75, 0x1a, 0x7e, 0xd6, 0x4c, 0x0d,
                                           0x80, 0xa5, 0x5e, 0xed, 0x0d, 0xe5, 0x1c, 0x00};

    for (size_t i = 0; i < 16; i++)
        out[i] = base[i];
    out[15] = (unsigned char)ordinal;
}
