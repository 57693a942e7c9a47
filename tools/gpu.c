/* SPDX-License-Identifier: MIT */
#include "tools/gpu.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "runtime/util.h"

static void *lookup(void *context, const char *symbol)
{
    return dlsym(context, symbol);
}

static void bind_calls(struct gpu *gpu, void *library)
{
#define HOOK(symbol, since, twin, params, args)                                                    \
    gpu->cu.symbol = (CUresult(*)(PROTO(params)))dlsym(library, #symbol);
#define GATE HOOK
#define REAL HOOK
#define PASS HOOK
#include "runtime/driver_calls.def"
    driver_bind(&gpu->drv, STREAM_LEGACY, lookup, library);
}

int gpu_attribute(const struct gpu *gpu, CUdevice_attribute what)
{
    int value = 0;

    if (!gpu->cu.cuDeviceGetAttribute ||
        gpu->cu.cuDeviceGetAttribute(&value, what, gpu->device) != CUDA_SUCCESS)
        return 0;
    return value;
}

static int refuse(const struct gpu *gpu, CUresult result, const char *what, char *why, size_t size)
{
    snprintf(why, size, "%s: %s", what, driver_error_name(&gpu->drv, result));
    return -ENODEV;
}

static CUresult ask_memory(struct gpu *gpu)
{
    CUmemAllocationProp prop = gpu_device_memory(gpu);
    size_t available = 0, total = 0, granularity = 0;
    CUresult result = gpu->cu.cuMemGetInfo_v2(&available, &total);

    gpu->free = available;
    gpu->total = total;
    if (gpu->vmm && gpu->cu.cuMemGetAllocationGranularity &&
        gpu->cu.cuMemGetAllocationGranularity(&granularity, &prop,
                                              CU_MEM_ALLOC_GRANULARITY_RECOMMENDED) == CUDA_SUCCESS)
        gpu->granularity = granularity;
    return result;
}

static void describe(struct gpu *gpu)
{
    if (gpu->cu.cuDeviceGetName)
        (void)gpu->cu.cuDeviceGetName(gpu->name, sizeof(gpu->name), gpu->device);
    if (gpu->cu.cuDeviceGetPCIBusId)
        (void)gpu->cu.cuDeviceGetPCIBusId(gpu->bus_id, sizeof(gpu->bus_id), gpu->device);
    gpu->major = gpu_attribute(gpu, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
    gpu->minor = gpu_attribute(gpu, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
    gpu->processors = gpu_attribute(gpu, CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    gpu->unified = gpu_attribute(gpu, CU_DEVICE_ATTRIBUTE_INTEGRATED) != 0;
    gpu->vmm = gpu_attribute(gpu, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED) != 0;
    gpu->host_node = gpu_attribute(gpu, CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID);
}

static bool is_complete(const struct gpu *gpu)
{
    return gpu->cu.cuInit && gpu->cu.cuDeviceGet && gpu->cu.cuDeviceGetCount &&
           gpu->cu.cuDevicePrimaryCtxRetain && gpu->cu.cuCtxPushCurrent_v2 &&
           gpu->cu.cuMemGetInfo_v2;
}

static int find_card(struct gpu *gpu, int ordinal, char *why, size_t size)
{
    CUresult result;

    if (!is_complete(gpu)) {
        snprintf(why, size, "libcuda.so.1 is no driver that can be used: calls are missing");
        return -ENODEV;
    }
    if (gpu->cu.cuDriverGetVersion)
        (void)gpu->cu.cuDriverGetVersion(&gpu->version);
    result = gpu->cu.cuInit(0);
    if (result == CUDA_SUCCESS)
        result = gpu->cu.cuDeviceGetCount(&gpu->count);
    if (result != CUDA_SUCCESS)
        return refuse(gpu, result, "the driver finds no card it can use", why, size);
    if (ordinal >= gpu->count) {
        snprintf(why, size, "there is no card %d: the driver finds %d", ordinal, gpu->count);
        return -ENODEV;
    }
    result = gpu->cu.cuDeviceGet(&gpu->device, ordinal);
    return result ? refuse(gpu, result, "the card cannot be used", why, size) : 0;
}

int gpu_open(struct gpu *gpu, int ordinal, char *why, size_t size)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    CUresult result;
    int r;

    memset(gpu, 0, sizeof(*gpu));
    if (!library) {
        snprintf(why, size, "no NVIDIA driver here (libcuda.so.1 is not found)");
        return -ENODEV;
    }
    bind_calls(gpu, library);
    r = find_card(gpu, ordinal, why, size);
    if (r)
        return r;
    describe(gpu);
    result = gpu->cu.cuDevicePrimaryCtxRetain(&gpu->context, gpu->device);
    if (result != CUDA_SUCCESS) {
        gpu->context = NULL;
        return refuse(gpu, result, "no context can be made on the card", why, size);
    }
    result = gpu->cu.cuCtxPushCurrent_v2(gpu->context);
    if (result == CUDA_SUCCESS)
        result = ask_memory(gpu);
    if (result == CUDA_SUCCESS)
        return 0;
    gpu_close(gpu);
    return refuse(gpu, result, "the card does not say what memory it has", why, size);
}

void gpu_close(struct gpu *gpu)
{
    if (!gpu->context)
        return;
    driver_pop_context(&gpu->drv);
    (void)gpu->cu.cuDevicePrimaryCtxRelease_v2(gpu->device);
    gpu->context = NULL;
}

static CUmemAllocationProp prop_at(CUmemLocationType type, int id)
{
    return (CUmemAllocationProp){
        .type = CU_MEM_ALLOCATION_TYPE_PINNED,
        .location = {.type = type, .id = id},
    };
}

CUmemAllocationProp gpu_device_memory(const struct gpu *gpu)
{
    return prop_at(CU_MEM_LOCATION_TYPE_DEVICE, gpu->device);
}

bool gpu_host_memory(const struct gpu *gpu, CUmemAllocationProp *out)
{
    CUmemAllocationProp props[] = {
        prop_at(CU_MEM_LOCATION_TYPE_HOST_NUMA, gpu->host_node < 0 ? 0 : gpu->host_node),
        prop_at(CU_MEM_LOCATION_TYPE_HOST, 0),
    };
    struct gpu_range range;

    for (size_t i = 0; gpu->granularity && i < ARRAY_SIZE(props); i++) {
        if (gpu_map(gpu, &props[i], gpu->granularity, &range))
            continue;
        gpu_unmap(gpu, &range);
        *out = props[i];
        return true;
    }
    return false;
}

int gpu_map(const struct gpu *gpu, const CUmemAllocationProp *prop, uint64_t bytes,
            struct gpu_range *out)
{
    CUmemAccessDesc access = {
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = gpu->device},
        .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
    };
    struct gpu_range range = {.bytes = align_up(bytes, gpu->granularity)};
    CUresult result = gpu->cu.cuMemAddressReserve(&range.at, range.bytes, gpu->granularity, 0, 0);

    if (result != CUDA_SUCCESS)
        return driver_errno(result);
    result = gpu->cu.cuMemCreate(&range.handle, range.bytes, prop, 0);
    range.created = result == CUDA_SUCCESS;
    if (result == CUDA_SUCCESS) {
        result = gpu->cu.cuMemMap(range.at, range.bytes, 0, range.handle, 0);
        range.mapped = result == CUDA_SUCCESS;
    }
    if (result == CUDA_SUCCESS)
        result = gpu->cu.cuMemSetAccess(range.at, range.bytes, &access, 1);
    if (result != CUDA_SUCCESS) {
        gpu_unmap(gpu, &range);
        return driver_errno(result);
    }
    *out = range;
    return 0;
}

void gpu_unmap(const struct gpu *gpu, struct gpu_range *range)
{
    if (range->mapped)
        (void)gpu->cu.cuMemUnmap(range->at, range->bytes);
    if (range->created)
        (void)gpu->cu.cuMemRelease(range->handle);
    if (range->at)
        (void)gpu->cu.cuMemAddressFree(range->at, range->bytes);
    memset(range, 0, sizeof(*range));
}
