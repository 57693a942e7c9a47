/* SPDX-License-Identifier: MIT */
#pragma once

/* The stand-in for NVML, and what its one card is to say. */

#include "runtime/nvml_abi.h"

struct nvml_stub {
    char uuid[NVML_UUID_TEXT_BYTES];
    unsigned long long total;
    unsigned long long free;
    unsigned long long reserved;
    int result; /* of every call */
};

struct nvml_stub *nvml_stub(void);

int nvmlDeviceGetMemoryInfo(struct nvml_device *device, struct nvml_memory *memory);
int nvmlDeviceGetMemoryInfo_v2(struct nvml_device *device, struct nvml_memory_v2 *memory);
int nvmlDeviceGetUUID(struct nvml_device *device, char *uuid, unsigned int length);
