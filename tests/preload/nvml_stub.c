/* SPDX-License-Identifier: MIT */
/*
 * An NVML with one card, whose UUID and figures the test sets: tests/preload/libnvidia-ml.so.1.
 */

#include <stdio.h>
#include <string.h>
#include "runtime/nvml_abi.h"
#include "runtime/util.h"
#include "tests/preload/nvml_stub.h"

static struct nvml_stub stub;

EXPORT struct nvml_stub *nvml_stub(void)
{
    return &stub;
}

EXPORT int nvmlDeviceGetMemoryInfo(struct nvml_device *device, struct nvml_memory *memory)
{
    memory->total = stub.total;
    memory->free = stub.free;
    memory->used = stub.total - stub.free;
    return stub.result;
}

EXPORT int nvmlDeviceGetMemoryInfo_v2(struct nvml_device *device, struct nvml_memory_v2 *memory)
{
    memory->total = stub.total;
    memory->free = stub.free;
    memory->reserved = stub.reserved;
    memory->used = stub.total - stub.free - stub.reserved;
    return stub.result;
}

EXPORT int nvmlDeviceGetUUID(struct nvml_device *device, char *uuid, unsigned int length)
{
    snprintf(uuid, length, "%s", stub.uuid);
    return stub.result;
}
