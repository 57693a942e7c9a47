/* SPDX-License-Identifier: MIT */
#pragma once

#include <cuda.h>
#include <stdbool.h>

/* The error called `name` ("CUDA_ERROR_OUT_OF_MEMORY"); false when there is none. */
bool error_find(const char *name, CUresult *out);
