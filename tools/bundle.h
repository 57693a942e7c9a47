/* SPDX-License-Identifier: MIT */
#pragma once

/* Reports of this machine in one file, for a bug report. */

#include <stdbool.h>
#include <stdio.h>

#include "tools/command.h"

/*
 * Writes options->bundle, a tar.gz, and prints what is in it, on standard error with options->json.
 * `doctor` writes what the doctor found, as text or as JSON. Names of the user, of the machine and
 * of the home folder are replaced. STATUS_OK, or STATUS_ENVIRONMENT after a message.
 */
int bundle_write(const struct options *options,
                 void (*doctor)(FILE *out, bool json, const void *context), const void *context);
