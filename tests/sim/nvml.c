/* SPDX-License-Identifier: MIT */
/*
 * A simulated NVML: the few calls that programs use to ask for free memory before they touch CUDA.
 *
 * It tells the same cards as the simulated driver next to it. Memory in use is known only where
 * that driver is loaded in the same process; elsewhere the cards are empty. It declares what it
 * needs itself, since NVML's header comes with no toolkit that is required here.
 */
#include <dlfcn.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"
#include "tests/sim/core.h"
#include "tests/sim/profile.h"

enum nvml_result {
    NVML_SUCCESS = 0,
    NVML_ERROR_UNINITIALIZED = 1,
    NVML_ERROR_INVALID_ARGUMENT = 2,
    NVML_ERROR_INSUFFICIENT_SIZE = 7,
};

struct nvml_memory {
    unsigned long long total;
    unsigned long long free;
    unsigned long long used;
};

struct nvml_memory_v2 {
    unsigned int version; /* size of the struct, and 2 in the highest byte */
    unsigned long long total;
    unsigned long long reserved;
    unsigned long long free;
    unsigned long long used;
};
#define NVML_MEMORY_V2 (sizeof(struct nvml_memory_v2) | 2u << 24)

struct nvml_device {
    int ordinal;
};

static struct nvml_device devices[MAX_DEVICES];
static int n_initialised;

EXPORT enum nvml_result nvmlInit_v2(void);
EXPORT enum nvml_result nvmlShutdown(void);
EXPORT const char *nvmlErrorString(enum nvml_result result);
EXPORT enum nvml_result nvmlDeviceGetCount_v2(unsigned int *count);
EXPORT enum nvml_result nvmlDeviceGetHandleByIndex_v2(unsigned int index,
                                                      struct nvml_device **device);
EXPORT enum nvml_result nvmlDeviceGetUUID(struct nvml_device *device, char *uuid,
                                          unsigned int length);
EXPORT enum nvml_result nvmlDeviceGetMemoryInfo(struct nvml_device *device,
                                                struct nvml_memory *memory);
EXPORT enum nvml_result nvmlDeviceGetMemoryInfo_v2(struct nvml_device *device,
                                                   struct nvml_memory_v2 *memory);

enum nvml_result nvmlInit_v2(void)
{
    settings_read_once();
    for (int i = 0; i < MAX_DEVICES; i++)
        devices[i].ordinal = i;
    __atomic_add_fetch(&n_initialised, 1, __ATOMIC_RELAXED);
    return NVML_SUCCESS;
}

static bool is_initialised(void)
{
    return __atomic_load_n(&n_initialised, __ATOMIC_RELAXED) > 0;
}

enum nvml_result nvmlShutdown(void)
{
    if (!is_initialised())
        return NVML_ERROR_UNINITIALIZED;
    __atomic_sub_fetch(&n_initialised, 1, __ATOMIC_RELAXED);
    return NVML_SUCCESS;
}

const char *nvmlErrorString(enum nvml_result result)
{
    switch (result) {
    case NVML_SUCCESS:
        return "success";
    case NVML_ERROR_UNINITIALIZED:
        return "not initialised";
    case NVML_ERROR_INVALID_ARGUMENT:
        return "invalid argument";
    case NVML_ERROR_INSUFFICIENT_SIZE:
        return "insufficient size";
    default:
        return "unknown error";
    }
}

enum nvml_result nvmlDeviceGetCount_v2(unsigned int *count)
{
    if (!is_initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!count)
        return NVML_ERROR_INVALID_ARGUMENT;
    *count = (unsigned int)settings.devices;
    return NVML_SUCCESS;
}

enum nvml_result nvmlDeviceGetHandleByIndex_v2(unsigned int index, struct nvml_device **device)
{
    if (!is_initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!device || index >= (unsigned int)settings.devices)
        return NVML_ERROR_INVALID_ARGUMENT;
    *device = &devices[index];
    return NVML_SUCCESS;
}

static enum nvml_result check(const struct nvml_device *device, const void *out)
{
    if (!is_initialised())
        return NVML_ERROR_UNINITIALIZED;
    if (!out || !device || device < devices || device >= devices + settings.devices)
        return NVML_ERROR_INVALID_ARGUMENT;
    return NVML_SUCCESS;
}

enum nvml_result nvmlDeviceGetUUID(struct nvml_device *device, char *uuid, unsigned int length)
{
    enum nvml_result res = check(device, uuid);
    unsigned char bytes[16];
    char text[48] = "GPU-";

    if (res)
        return res;
    profile_uuid(device->ordinal, bytes);
    for (size_t i = 0; i < sizeof(bytes); i++)
        sprintf(text + strlen(text), i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x",
                bytes[i]);
    if (strlen(text) >= length)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(uuid, text);
    return NVML_SUCCESS;
}

/* The driver in this library's folder, if the process has loaded it. */
static uint64_t device_used(int ordinal)
{
    uint64_t (*used)(int) = NULL;
    uint64_t bytes = 0;
    char path[PATH_MAX];
    const char *slash;
    Dl_info self;
    void *driver;

    if (!dladdr((void *)nvmlInit_v2, &self))
        return 0;
    slash = strrchr(self.dli_fname, '/');
    snprintf(path, sizeof(path), "%.*slibcuda.so.1", slash ? (int)(slash + 1 - self.dli_fname) : 0,
             self.dli_fname);
    driver = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
    if (driver)
        *(void **)&used = dlsym(driver, "sim_device_used");
    if (used)
        bytes = used(ordinal);
    if (driver)
        dlclose(driver);
    return bytes;
}

enum nvml_result nvmlDeviceGetMemoryInfo(struct nvml_device *device, struct nvml_memory *memory)
{
    enum nvml_result res = check(device, memory);

    if (res)
        return res;
    memory->total = settings.vram;
    memory->used = device_used(device->ordinal);
    memory->free = memory->total - memory->used;
    return NVML_SUCCESS;
}

enum nvml_result nvmlDeviceGetMemoryInfo_v2(struct nvml_device *device,
                                            struct nvml_memory_v2 *memory)
{
    enum nvml_result res = check(device, memory);

    if (res)
        return res;
    if (memory->version != NVML_MEMORY_V2)
        return NVML_ERROR_INVALID_ARGUMENT;
    memory->total = settings.vram;
    memory->reserved = 0;
    memory->used = device_used(device->ordinal);
    memory->free = memory->total - memory->used;
    return NVML_SUCCESS;
}
