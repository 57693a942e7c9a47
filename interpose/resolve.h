/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The C library's dlsym(), which our own exported one stands in front of.
 *
 * Library code must not call dlsym() by its name.
 */

/* Address of `symbol` in the library that `handle` names, as the program would have got it without
 * us; NULL when there is none, and when it is this library itself that has it. */
void *resolve_symbol(void *handle, const char *symbol);
