/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Options of the module loaders and of the linker. Those that tune a compiler are accepted and
 * have no effect; those that ask to be told something are answered.
 */

#include "runtime/driver.h"

struct jit_options {
    unsigned int n;
    const CUjit_option *options;
    void **values;
};

/* INVALID_VALUE for options that are not any. */
CUresult jit_options_check(const struct jit_options *jit);
/*
 * Writes what was asked for: `error`, cut to fit, into the error log, nothing into the information
 * log, and to both sizes the bytes written, the terminating NUL included. "" when all went well.
 */
void jit_options_tell(const struct jit_options *jit, const char *error);
