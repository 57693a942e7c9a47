/* SPDX-License-Identifier: MIT */
/*
 * NVML's memory figures tell the same story as cuMemGetInfo().
 *
 * NVML and the driver number cards differently; the UUID is what they share. A card that nothing is
 * paged on, or that cannot be told apart, keeps NVML's own figures.
 */

#include "interpose/nvml.h"

#include <stdbool.h>
#include <string.h>
#include "interpose/route.h"
#include "runtime/pager.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "GPU-" and 32 digits with dashes between some of them. */
static bool parse_uuid(const char *text, unsigned char out[16])
{
    size_t digits = 0;

    if (strncmp(text, "GPU-", 4) != 0)
        return false;
    memset(out, 0, 16);
    for (text += 4; *text; text++) {
        int digit = hex_digit(*text);

        if (*text == '-')
            continue;
        if (digit < 0 || digits == 32)
            return false;
        out[digits / 2] = (unsigned char)(out[digits / 2] << 4 | digit);
        digits++;
    }
    return digits == 32;
}

/* False when the figures are to stay as NVML told them. */
static bool tell(const struct nvml *nvml, struct nvml_device *device, uint64_t *free_bytes,
                 uint64_t *total_bytes)
{
    char text[NVML_UUID_TEXT_BYTES];
    unsigned char uuid[16];

    if (!route_driver(STREAM_LEGACY) || !nvml->nvmlDeviceGetUUID)
        return false;
    if (nvml->nvmlDeviceGetUUID(device, text, sizeof(text)) != NVML_RESULT_SUCCESS)
        return false;
    return parse_uuid(text, uuid) && pager_story(uuid, free_bytes, total_bytes) == 0;
}

int hook_nvmlDeviceGetMemoryInfo(const struct nvml *nvml, struct nvml_device *device,
                                 struct nvml_memory *memory)
{
    int result = nvml->nvmlDeviceGetMemoryInfo(device, memory);
    uint64_t free_bytes;
    uint64_t total_bytes;

    if (result != NVML_RESULT_SUCCESS || !memory)
        return result;
    free_bytes = memory->free;
    total_bytes = memory->total;
    if (!tell(nvml, device, &free_bytes, &total_bytes))
        return result;
    memory->free = free_bytes;
    memory->total = total_bytes;
    memory->used = total_bytes - min_u64(free_bytes, total_bytes);
    return result;
}

int hook_nvmlDeviceGetMemoryInfo_v2(const struct nvml *nvml, struct nvml_device *device,
                                    struct nvml_memory_v2 *memory)
{
    int result = nvml->nvmlDeviceGetMemoryInfo_v2(device, memory);
    uint64_t free_bytes;
    uint64_t total_bytes;

    if (result != NVML_RESULT_SUCCESS || !memory)
        return result;
    free_bytes = memory->free;
    total_bytes = memory->total;
    if (!tell(nvml, device, &free_bytes, &total_bytes))
        return result;
    memory->free = free_bytes;
    memory->total = total_bytes;
    memory->used = total_bytes - min_u64(free_bytes + memory->reserved, total_bytes);
    return result;
}
