/* SPDX-License-Identifier: MIT */
#pragma once

/* What things cost on a card, as `vramshim bench` has measured it here. */

#include "runtime/config.h"
#include "runtime/driver.h"
#include "runtime/profile.h"

/* What the profile of the setting says; nothing (told 0) when there is none, when it is of another
 * card, or, with a warning, when it is not to be believed. Reads a file. */
void costs_look(const struct driver *drv, CUdevice device, const config_FILE *setting,
                struct profile *out);
