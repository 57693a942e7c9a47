/* SPDX-License-Identifier: MIT */
#pragma once

/* Between the two halves of the recorder. */

#include <cuda.h>
#include <stdbool.h>

void recorder_note_init(void);
/* What cuCtxGetCurrent answers now. */
CUresult recorder_state(void);
/* Address of the newest version of `base` not newer than `version`; NULL. */
void *recorder_find(const char *base, int version, bool per_thread);
