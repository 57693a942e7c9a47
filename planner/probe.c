/* SPDX-License-Identifier: MIT */
/*
 * A context is made, because free memory is told only inside one; it is given back at once. The
 * link is what the kernel says of the slot: the driver has no call for it.
 */
#include "planner/probe.h"

#include <cuda.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "planner/slot.h"
#include "runtime/driver.h"
#include "runtime/util.h"

static void *lookup(void *context, const char *symbol)
{
    return dlsym(context, symbol);
}

/* The greatest speed: at rest a slot runs slower. The width does not change. */
static void read_link(const char *bus_id, struct probe *out)
{
    struct slot slot;

    if (slot_read("", bus_id, &slot) != 0)
        return;
    out->link_gen = slot.max_gen;
    out->link_lanes = slot.lanes;
}

static CUresult ask(const struct driver *drv, CUdevice device, struct probe *out)
{
    CUcontext context;
    size_t total = 0, available = 0;
    CUresult result = drv->cuDevicePrimaryCtxRetain(&context, device);

    if (result != CUDA_SUCCESS)
        return result;
    result = drv->cuCtxPushCurrent_v2(context);
    if (result == CUDA_SUCCESS) {
        result = drv->cuMemGetInfo_v2(&available, &total);
        driver_pop_context(drv);
    }
    (void)drv->cuDevicePrimaryCtxRelease_v2(device);
    out->total = total;
    out->free = available;
    return result;
}

static unsigned int count_cards(void *library)
{
    CUresult (*count)(int *) = (CUresult(*)(int *))dlsym(library, "cuDeviceGetCount");
    int n = 0;

    return count && count(&n) == CUDA_SUCCESS && n > 0 ? (unsigned int)n : 0;
}

static CUresult describe(const struct driver *drv, void *library, struct probe *out)
{
    CUresult (*name_of)(char *, int, CUdevice) =
        (CUresult(*)(char *, int, CUdevice))dlsym(library, "cuDeviceGetName");
    CUresult (*bus_of)(char *, int, CUdevice) =
        (CUresult(*)(char *, int, CUdevice))dlsym(library, "cuDeviceGetPCIBusId");
    char bus_id[32] = "";
    CUresult (*get)(CUdevice *, int) = (CUresult(*)(CUdevice *, int))dlsym(library, "cuDeviceGet");
    CUresult result = CUDA_ERROR_NOT_INITIALIZED;
    CUdevice device;
    int integrated = 0, major = 0, minor = 0;

    if (get)
        result = get(&device, 0);
    if (result != CUDA_SUCCESS)
        return result;
    out->n_cards = count_cards(library);
    if (name_of)
        (void)name_of(out->name, sizeof(out->name), device);
    if (bus_of && bus_of(bus_id, sizeof(bus_id), device) == CUDA_SUCCESS)
        read_link(bus_id, out);
    if (drv->cuDeviceGetAttribute(&integrated, CU_DEVICE_ATTRIBUTE_INTEGRATED, device) ==
        CUDA_SUCCESS)
        out->unified = integrated != 0;
    if (drv->cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device) ==
            CUDA_SUCCESS &&
        drv->cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device) ==
            CUDA_SUCCESS)
        out->capability = (unsigned int)(major * 10 + minor);
    return ask(drv, device, out);
}

int probe_card(struct probe *out, char *why, size_t why_size)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    struct driver drv;
    CUresult result;

    memset(out, 0, sizeof(*out));
    if (!library) {
        snprintf(why, why_size, "no NVIDIA driver here (libcuda.so.1 is not found)");
        slot_explain("", why, why_size);
        return -ENODEV;
    }
    driver_bind(&drv, STREAM_LEGACY, lookup, library);
    result = drv.cuInit ? drv.cuInit(0) : CUDA_ERROR_NOT_INITIALIZED;
    if (result == CUDA_SUCCESS)
        result = describe(&drv, library, out);
    if (result == CUDA_SUCCESS)
        return 0;
    snprintf(why, why_size, "the driver finds no card it can use: %s",
             driver_error_name(&drv, result));
    return -ENODEV;
}
