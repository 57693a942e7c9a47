/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * NVML as the handlers see it, bound as the driver is (route.h): once, when the program has loaded
 * libnvidia-ml.so.1, without a lock, never by loading it ourselves.
 */

#include "runtime/driver.h"
#include "runtime/nvml_abi.h"

struct nvml {
#define NVML_HOOK(symbol, params, args) int (*symbol)(params);
#define NVML_REAL                       NVML_HOOK
#include "runtime/nvml_calls.def"
};

/* Handlers; the field of `nvml` for this very call is not NULL. */
#define NVML_HOOK(symbol, params, args) int hook_##symbol(const struct nvml *nvml, params);
#include "runtime/nvml_calls.def"

/* Our entry for a function of NVML; any other address, and NULL, come back as they are. */
void *nvml_address(void *real);
