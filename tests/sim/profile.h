/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Device profiles: what a simulated card is called, what it has, and what things cost on it. Shared
 * with the simulated NVML, which must tell the same story.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/profile.h"
#include "runtime/util.h"

/* What SIM_PROFILE names, over what the default says; read once by settings_read_once(). */
extern struct profile profile;

/* A built-in profile's name, or a file's. Ends the process, naming file and line, when it cannot
 * be understood. */
void profile_load(const char *name_or_file);

/* 16 bytes, different for each ordinal, and in every process that does not share its cards. */
static inline void profile_uuid(int ordinal, unsigned char out[16])
{
    static const unsigned char base[16] = {0x51, 0x3a, 0x75, 0x1a, 0x7e, 0xd6, 0x4c, 0x0d,
                                           0x80, 0xa5, 0x5e, 0xed, 0x0d, 0xe5, 0x1c, 0x00};

    uint32_t owner = getenv("SIM_SHARED") ? 0 : (uint32_t)getpid();

    for (size_t i = 0; i < 16; i++)
        out[i] = base[i];
    for (size_t i = 0; i < 4; i++)
        out[8 + i] ^= (unsigned char)(owner >> 8 * i);
    out[15] = (unsigned char)ordinal;
}
