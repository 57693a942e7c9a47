/* SPDX-License-Identifier: MIT */
/*
 * A stand-in for NVML that answers what `vramshim doctor` asks of it, as the environment says:
 * MANAGED_PERSISTENCE, MANAGED_DIVIDED, MANAGED_PROGRAMS, MANAGED_FAILURES. What is not set is not
 * supported by the card. MANAGED_CARD=other has it know another card only; MANAGED_START=no does
 * not let it start. Its one card is the driver's first, which it asks for the identity.
 */
#include <cuda.h>
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7, UNKNOWN = 999 };

EXPORT int nvmlInit_v2(void);
EXPORT int nvmlShutdown(void);
EXPORT int nvmlDeviceGetCount_v2(unsigned int *count);
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device);
EXPORT int nvmlDeviceGetUUID(void *device, char *uuid, unsigned int length);
EXPORT int nvmlDeviceGetPersistenceMode(void *device, unsigned int *mode);
EXPORT int nvmlDeviceGetMigMode(void *device, unsigned int *now, unsigned int *pending);
EXPORT int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned int *count, void *infos);
EXPORT int nvmlDeviceGetTotalEccErrors(void *device, int type, int counter,
                                       unsigned long long *count);

static int card;

static bool is(const char *name, const char *value)
{
    return getenv(name) && strcmp(getenv(name), value) == 0;
}

int nvmlInit_v2(void)
{
    return is("MANAGED_START", "no") ? UNKNOWN : SUCCESS;
}

int nvmlShutdown(void)
{
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned int *count)
{
    *count = 1;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device)
{
    *device = &card;
    return index ? INVALID_ARGUMENT : SUCCESS;
}

int nvmlDeviceGetUUID(void *device, char *uuid, unsigned int length)
{
    void *driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    CUresult (*identity)(CUuuid *, CUdevice) =
        driver ? (CUresult(*)(CUuuid *, CUdevice))dlsym(driver, "cuDeviceGetUuid") : NULL;
    CUuuid bytes;
    int n;

    if (!identity || identity(&bytes, 0) != CUDA_SUCCESS)
        return UNKNOWN;
    if (is("MANAGED_CARD", "other"))
        bytes.bytes[0] ^= 1;
    n = snprintf(uuid, length, "GPU-");
    for (int i = 0; i < 16; i++)
        n += snprintf(uuid + n, length - (unsigned int)n, "%s%02x",
                      i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
                      (unsigned int)(unsigned char)bytes.bytes[i]);
    return SUCCESS;
}

static int answer(const char *name, unsigned int *out)
{
    if (!getenv(name))
        return NOT_SUPPORTED;
    *out = (unsigned int)atoi(getenv(name));
    return SUCCESS;
}

int nvmlDeviceGetPersistenceMode(void *device, unsigned int *mode)
{
    return answer("MANAGED_PERSISTENCE", mode);
}

int nvmlDeviceGetMigMode(void *device, unsigned int *now, unsigned int *pending)
{
    *pending = 0;
    return answer("MANAGED_DIVIDED", now);
}

/* As the real one: told of no room, it says how much it needs. */
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned int *count, void *infos)
{
    unsigned int room = *count;
    int r = answer("MANAGED_PROGRAMS", count);

    return r == SUCCESS && *count > room ? INSUFFICIENT_SIZE : r;
}

int nvmlDeviceGetTotalEccErrors(void *device, int type, int counter, unsigned long long *count)
{
    unsigned int failures = 0;
    int r = answer("MANAGED_FAILURES", &failures);

    /* Uncorrected ones, since the driver started. */
    *count = type == 1 && counter == 0 ? failures : 0;
    return r;
}
