/* SPDX-License-Identifier: MIT */
/*
 * Start-up, errors, and what the simulated cards say about themselves: a mid-sized card of compute
 * capability 8.6 without the features that are not simulated.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"
#include "tests/sim/calls.h"
#include "tests/sim/context.h"
#include "tests/sim/device.h"
#include "tests/sim/memory.h"
#include "tests/sim/profile.h"

#define DRIVER_VERSION 13000

bool device_is_valid(CUdevice device)
{
    return device >= 0 && device < settings.devices;
}

CUresult sim_cuInit(unsigned int flags)
{
    CUresult res;

    if (flags)
        return CUDA_ERROR_INVALID_VALUE;
    if (core_initialised())
        return CUDA_SUCCESS;
    res = mmu_start();
    if (res) {
        core_say("no address space for the simulated devices; initialisation fails");
        return res;
    }
    core_set_initialised();
    return CUDA_SUCCESS;
}

CUresult sim_cuDriverGetVersion(int *driver_version)
{
    if (!driver_version)
        return CUDA_ERROR_INVALID_VALUE;
    *driver_version = DRIVER_VERSION;
    return CUDA_SUCCESS;
}

CUresult sim_cuGetExportTable(const void **pp_export_table, const CUuuid *p_export_table_id)
{
    /* Undocumented tables are refused, one and all; silent, as programs probe for them. */
    if (!pp_export_table || !p_export_table_id)
        return CUDA_ERROR_INVALID_VALUE;
    *pp_export_table = NULL;
    return CUDA_ERROR_NOT_FOUND;
}

CUresult sim_cuDeviceGet(CUdevice *device, int ordinal)
{
    if (!device)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device_is_valid(ordinal))
        return CUDA_ERROR_INVALID_DEVICE;
    *device = ordinal;
    return CUDA_SUCCESS;
}

CUresult sim_cuDeviceGetCount(int *count)
{
    if (!count)
        return CUDA_ERROR_INVALID_VALUE;
    *count = settings.devices;
    return CUDA_SUCCESS;
}

CUresult sim_cuDeviceGetName(char *name, int len, CUdevice device)
{
    if (!name || len <= 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    snprintf(name, (size_t)len, "%s", profile.name);
    return CUDA_SUCCESS;
}

CUresult sim_cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device)
{
    if (!uuid)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    profile_uuid(device, (unsigned char *)uuid->bytes);
    return CUDA_SUCCESS;
}

CUresult sim_cuDeviceGetUuid(CUuuid *uuid, CUdevice device)
{
    return sim_cuDeviceGetUuid_v2(uuid, device);
}

CUresult sim_cuDeviceTotalMem_v2(size_t *bytes, CUdevice device)
{
    if (!bytes)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    *bytes = settings.vram;
    return CUDA_SUCCESS;
}

CUresult sim_cuDeviceComputeCapability(int *major, int *minor, CUdevice device)
{
    if (!major || !minor)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    *major = (int)profile.compute_major;
    *minor = (int)profile.compute_minor;
    return CUDA_SUCCESS;
}

CUresult sim_cuDeviceGetProperties(CUdevprop *prop, CUdevice device)
{
    if (!prop)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    *prop = (CUdevprop){
        .maxThreadsPerBlock = DEVICE_MAX_THREADS,
        .maxThreadsDim = {DEVICE_MAX_BLOCK_X, DEVICE_MAX_BLOCK_Y, DEVICE_MAX_BLOCK_Z},
        .maxGridSize = {DEVICE_MAX_GRID_X, DEVICE_MAX_GRID_YZ, DEVICE_MAX_GRID_YZ},
        .sharedMemPerBlock = DEVICE_SHARED_BYTES,
        .SIMDWidth = 32,
    };
    sim_cuDeviceGetAttribute(&prop->totalConstantMemory, CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY,
                             device);
    sim_cuDeviceGetAttribute(&prop->memPitch, CU_DEVICE_ATTRIBUTE_MAX_PITCH, device);
    sim_cuDeviceGetAttribute(&prop->regsPerBlock, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK,
                             device);
    sim_cuDeviceGetAttribute(&prop->clockRate, CU_DEVICE_ATTRIBUTE_CLOCK_RATE, device);
    sim_cuDeviceGetAttribute(&prop->textureAlign, CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT, device);
    return CUDA_SUCCESS;
}

CUresult sim_cuDeviceGetByPCIBusId(CUdevice *device, const char *pci_bus_id)
{
    unsigned int domain;
    unsigned int bus;
    unsigned int slot;
    unsigned int function = 0;

    if (!device || !pci_bus_id)
        return CUDA_ERROR_INVALID_VALUE;
    if (sscanf(pci_bus_id, "%x:%x:%x.%x", &domain, &bus, &slot, &function) < 3) {
        domain = 0;
        if (sscanf(pci_bus_id, "%x:%x.%x", &bus, &slot, &function) < 2)
            return CUDA_ERROR_INVALID_VALUE;
    }
    if (domain || !bus || !device_is_valid((int)bus - 1) || slot || function)
        return CUDA_ERROR_INVALID_DEVICE;
    *device = (int)bus - 1;
    return CUDA_SUCCESS;
}

/* Only a driver on Windows has them. */
CUresult sim_cuDeviceGetLuid(char *luid, unsigned int *device_node_mask, CUdevice device)
{
    return device_is_valid(device) ? CUDA_ERROR_NOT_SUPPORTED : CUDA_ERROR_INVALID_DEVICE;
}

CUresult sim_cuDeviceGetExecAffinitySupport(int *pi, CUexecAffinityType type, CUdevice device)
{
    if (!pi || (unsigned int)type >= CU_EXEC_AFFINITY_TYPE_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    *pi = 0;
    return CUDA_SUCCESS;
}

CUresult sim_cuDeviceGetPCIBusId(char *pci_bus_id, int len, CUdevice device)
{
    if (!pci_bus_id || len < 13)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    snprintf(pci_bus_id, (size_t)len, "0000:%02x:00.0", 1 + device);
    return CUDA_SUCCESS;
}

static const struct {
    int attribute;
    int value;
} fixed_attributes[] = {
    {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, DEVICE_MAX_THREADS},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, DEVICE_MAX_BLOCK_X},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, DEVICE_MAX_BLOCK_Y},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, DEVICE_MAX_BLOCK_Z},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, DEVICE_MAX_GRID_X},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, DEVICE_MAX_GRID_YZ},
    {CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, DEVICE_MAX_GRID_YZ},
    {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, DEVICE_SHARED_BYTES},
    {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, DEVICE_SHARED_OPTIN_BYTES},
    {CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, 102400},
    {CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK, 1024},
    {CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY, 65536},
    {CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
    {CU_DEVICE_ATTRIBUTE_MAX_PITCH, INT32_MAX},
    {CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK, 65536},
    {CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR, 65536},
    {CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1500000},
    {CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT, 512},
    {CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT, 32},
    {CU_DEVICE_ATTRIBUTE_GPU_OVERLAP, 1},
    {CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, DEVICE_MULTIPROCESSORS},
    {CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY, 1},
    {CU_DEVICE_ATTRIBUTE_COMPUTE_MODE, CU_COMPUTEMODE_DEFAULT},
    {CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS, 1},
    {CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID, 0},
    {CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID, 0},
    {CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, 7000000},
    {CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, 256},
    {CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, 4 << 20},
    {CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, DEVICE_MAX_RESIDENT_THREADS},
    {CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR, DEVICE_MAX_RESIDENT_BLOCKS},
    {CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT, 2},
    {CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1},
    {CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_GLOBAL_L1_CACHE_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_LOCAL_L1_CACHE_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY, 1},
    {CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, 1},
    {CU_DEVICE_ATTRIBUTE_COMPUTE_PREEMPTION_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM, 1},
    {CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED, 1},
    {CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO, 64},
    {CU_DEVICE_ATTRIBUTE_SURFACE_ALIGNMENT, 512},
    {CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS, 1},
    {CU_DEVICE_ATTRIBUTE_CAN_USE_STREAM_WAIT_VALUE_NOR, 1},
    {CU_DEVICE_ATTRIBUTE_MEM_SYNC_DOMAIN_COUNT, 1},
    {CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID, 0},
    {CU_DEVICE_ATTRIBUTE_NUMA_ID, -1},
};

/* Whether a driver with these calls hidden would claim the feature they make up. */
static int supported_unless_hidden(const char *symbol)
{
    return !call_is_hidden(call_find(symbol));
}

static bool derived_attribute(CUdevice_attribute attribute, CUdevice device, int *out)
{
    switch ((int)attribute) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
        *out = (int)profile.compute_major;
        return true;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
        *out = (int)profile.compute_minor;
        return true;
    case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID:
        *out = 1 + device;
        return true;
    case CU_DEVICE_ATTRIBUTE_MULTI_GPU_BOARD_GROUP_ID:
        *out = device;
        return true;
    case CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED:
        *out = supported_unless_hidden("cuMemCreate") && supported_unless_hidden("cuMemMap");
        return true;
    case CU_DEVICE_ATTRIBUTE_HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED:
        *out = !!(settings.host_vmm & HOST_VMM_NUMA);
        return true;
    case CU_DEVICE_ATTRIBUTE_HOST_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED:
        *out = !!(settings.host_vmm & HOST_VMM_HOST);
        return true;
    case CU_DEVICE_ATTRIBUTE_INTEGRATED:
        *out = settings.unified;
        return true;
    case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED:
        *out = supported_unless_hidden("cuMemAllocAsync");
        return true;
    case CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH:
        *out = supported_unless_hidden("cuLaunchCooperativeKernel");
        return true;
    default:
        return false;
    }
}

CUresult sim_cuDeviceGetAttribute(int *pi, CUdevice_attribute attrib, CUdevice device)
{
    if (!pi || (int)attrib <= 0 || attrib >= CU_DEVICE_ATTRIBUTE_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    if (derived_attribute(attrib, device, pi))
        return CUDA_SUCCESS;
    /* What is not listed is a feature or a limit this card does not have. */
    *pi = 0;
    for (size_t i = 0; i < ARRAY_SIZE(fixed_attributes); i++)
        if (fixed_attributes[i].attribute == (int)attrib)
            *pi = fixed_attributes[i].value;
    return CUDA_SUCCESS;
}
