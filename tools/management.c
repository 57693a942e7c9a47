/* SPDX-License-Identifier: MIT */
#include "tools/management.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "runtime/nvml_abi.h"
#include "runtime/util.h"

enum {
    NVML_INSUFFICIENT_SIZE = 7,
    NVML_ERROR_UNCORRECTED = 1,
    NVML_SINCE_START = 0,
};

/* One call; what the library lacks is FUNCTION_NOT_FOUND. */
#define ASK(name, parameters, ...)                                                                 \
    ({                                                                                             \
        int(*call_) parameters = (int(*) parameters)dlsym(library, name);                          \
        call_ ? call_(__VA_ARGS__) : NVML_RESULT_FUNCTION_NOT_FOUND;                               \
    })
#define CARD struct nvml_device *

static void format_uuid(const CUuuid *uuid, char *out, size_t size)
{
    const unsigned char *b = (const unsigned char *)uuid->bytes;

    snprintf(out, size, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
             b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
             b[14], b[15]);
}

/* By its identity: the library counts cards in another order than the driver. */
static struct nvml_device *find_card(void *library, const struct gpu *gpu)
{
    char wanted[64], text[NVML_UUID_TEXT_BYTES];
    struct nvml_device *device;
    unsigned int count = 0;
    CUuuid uuid;

    if (!gpu->cu.cuDeviceGetUuid || gpu->cu.cuDeviceGetUuid(&uuid, gpu->device) != CUDA_SUCCESS ||
        ASK("nvmlDeviceGetCount_v2", (unsigned int *), &count) != NVML_RESULT_SUCCESS)
        return NULL;
    format_uuid(&uuid, wanted, sizeof(wanted));
    for (unsigned int i = 0; i < count; i++)
        if (ASK("nvmlDeviceGetHandleByIndex_v2", (unsigned int, CARD *), i, &device) ==
                NVML_RESULT_SUCCESS &&
            ASK("nvmlDeviceGetUUID", (CARD, char *, unsigned int), device, text,
                (unsigned int)sizeof(text)) == NVML_RESULT_SUCCESS &&
            strcmp(text, wanted) == 0)
            return device;
    return NULL;
}

static void ask_card(void *library, struct nvml_device *device, struct management *out)
{
    unsigned int value = 0, pending = 0;
    unsigned long long failures = 0;
    int r;

    if (ASK("nvmlDeviceGetPersistenceMode", (CARD, unsigned int *), device, &value) ==
        NVML_RESULT_SUCCESS)
        out->persistence = value == 1;
    if (ASK("nvmlDeviceGetMigMode", (CARD, unsigned int *, unsigned int *), device, &value,
            &pending) == NVML_RESULT_SUCCESS)
        out->divided = value == 1;
    value = 0;
    r = ASK("nvmlDeviceGetComputeRunningProcesses_v3", (CARD, unsigned int *, void *), device,
            &value, NULL);
    if (r == NVML_RESULT_SUCCESS || r == NVML_INSUFFICIENT_SIZE)
        out->programs = (int)value;
    if (ASK("nvmlDeviceGetTotalEccErrors", (CARD, int, int, unsigned long long *), device,
            NVML_ERROR_UNCORRECTED, NVML_SINCE_START, &failures) == NVML_RESULT_SUCCESS)
        out->failures = (long long)failures;
}

void management_ask(const struct gpu *gpu, struct management *out)
{
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    struct nvml_device *device;

    *out = (struct management){
        .persistence = MANAGEMENT_UNKNOWN,
        .divided = MANAGEMENT_UNKNOWN,
        .programs = MANAGEMENT_UNKNOWN,
        .failures = MANAGEMENT_UNKNOWN,
    };
    if (!library || ASK("nvmlInit_v2", (void)) != NVML_RESULT_SUCCESS) {
        snprintf(out->why_not, sizeof(out->why_not), "libnvidia-ml.so.1 %s",
                 library ? "does not start" : "is not found");
        return;
    }
    device = find_card(library, gpu);
    out->found = device != NULL;
    if (device)
        ask_card(library, device, out);
    else
        snprintf(out->why_not, sizeof(out->why_not), "libnvidia-ml.so.1 does not know this card");
    (void)ASK("nvmlShutdown", (void));
}
