/* SPDX-License-Identifier: MIT */
#pragma once

/* Puts the library before what LD_PRELOAD names already. 0, or a negative errno: -EINVAL for a name
 * that the loader would take apart. */
int preload_set(const char *library);
