/* SPDX-License-Identifier: MIT */
/*
 * Versions, devices, what they say of themselves, and peers.
 *
 * The runtime's numbers of device attributes are the driver's.
 */
#include "tests/cudart/calls.h"

#include <limits.h>
#include <string.h>

#include "runtime/util.h"

cudaError_t call_cudaRuntimeGetVersion(const struct driver_table *drv, int *version)
{
    if (!version)
        return cudaErrorInvalidValue;
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t call_cudaDriverGetVersion(const struct driver_table *drv, int *version)
{
    if (!version)
        return cudaErrorInvalidValue;
    *version = 0; /* no driver: no error either */
    return driver_start() ? cudaSuccess : error_of(drv->cuDriverGetVersion(version));
}

cudaError_t call_cudaGetDeviceCount(const struct driver_table *drv, int *count)
{
    cudaError_t error = driver_start();

    if (!count)
        return cudaErrorInvalidValue;
    *count = 0;
    return error ? error : error_of(drv->cuDeviceGetCount(count));
}

static cudaError_t device_check(const struct driver_table *drv, int device)
{
    int count = 0;
    cudaError_t error = error_of(drv->cuDeviceGetCount(&count));

    if (!error && (device < 0 || device >= count))
        error = cudaErrorInvalidDevice;
    return error;
}

cudaError_t call_cudaGetDevice(const struct driver_table *drv, int *device)
{
    CUcontext current = NULL;
    CUresult res = device ? drv->cuCtxGetCurrent(&current) : CUDA_ERROR_INVALID_VALUE;

    if (res)
        return error_of(res);
    if (current)
        return error_of(drv->cuCtxGetDevice(device));
    *device = thread_device();
    return cudaSuccess;
}

cudaError_t call_cudaSetDevice(const struct driver_table *drv, int device)
{
    cudaError_t error = device_check(drv, device);

    if (error)
        return error;
    thread_set_device(device);
    return context_use(device);
}

cudaError_t call_cudaInitDevice(const struct driver_table *drv, int device,
                                unsigned int device_flags, unsigned int flags)
{
    cudaError_t error = device_check(drv, device);
    int before = thread_device();
    CUcontext current = NULL;

    if (!error && flags & cudaInitDeviceFlagsAreValid)
        error = context_set_flags(device, device_flags);
    if (!error)
        error = error_of(drv->cuCtxGetCurrent(&current));
    if (!error)
        error = context_use(device);
    thread_set_device(before);
    return error ? error : error_of(drv->cuCtxSetCurrent(current));
}

cudaError_t call_cudaSetDeviceFlags(const struct driver_table *drv, unsigned int flags)
{
    return context_set_flags(thread_device(), flags & ~(unsigned int)cudaDeviceMapHost);
}

cudaError_t call_cudaGetDeviceFlags(const struct driver_table *drv, unsigned int *flags)
{
    int active;
    CUresult res = flags ? drv->cuDevicePrimaryCtxGetState(thread_device(), flags, &active)
                         : CUDA_ERROR_INVALID_VALUE;

    if (!res)
        *flags |= cudaDeviceMapHost;
    return error_of(res);
}

/* The first device with enough memory and a capability at least as new. */
cudaError_t call_cudaChooseDevice(const struct driver_table *drv, int *device,
                                  const struct cudaDeviceProp *wanted)
{
    struct cudaDeviceProp has;
    int count = 0;
    cudaError_t error =
        device && wanted ? error_of(drv->cuDeviceGetCount(&count)) : cudaErrorInvalidValue;

    if (!error)
        *device = 0;
    for (int i = 0; !error && i < count; i++) {
        error = call_cudaGetDeviceProperties(drv, &has, i);
        if (error || has.totalGlobalMem < wanted->totalGlobalMem ||
            10 * has.major + has.minor < 10 * wanted->major + wanted->minor)
            continue;
        *device = i;
        break;
    }
    return error;
}

cudaError_t call_cudaDeviceGetByPCIBusId(const struct driver_table *drv, int *device,
                                         const char *text)
{
    char other[32];
    int count = 0;
    CUresult res = device && text ? drv->cuDeviceGetCount(&count) : CUDA_ERROR_INVALID_VALUE;

    for (int i = 0; !res && i < count; i++) {
        res = drv->cuDeviceGetPCIBusId(other, sizeof(other), i);
        if (res || strcasecmp(other, text))
            continue;
        *device = i;
        return cudaSuccess;
    }
    return res ? error_of(res) : cudaErrorInvalidDevice;
}

cudaError_t call_cudaDeviceReset(const struct driver_table *drv)
{
    return context_reset(thread_device());
}

cudaError_t call_cudaDeviceSetCacheConfig(const struct driver_table *drv, enum cudaFuncCache config)
{
    return config <= cudaFuncCachePreferEqual ? cudaSuccess : cudaErrorInvalidValue; /* a hint */
}

cudaError_t call_cudaDeviceGetCacheConfig(const struct driver_table *drv,
                                          enum cudaFuncCache *config)
{
    if (!config)
        return cudaErrorInvalidValue;
    *config = cudaFuncCachePreferNone;
    return cudaSuccess;
}

#define MEMBER(name, attribute)                                                                    \
    {                                                                                              \
        offsetof(struct cudaDeviceProp, name), sizeof(((struct cudaDeviceProp *)0)->name),         \
            attribute                                                                              \
    }

/* The members that are attributes, as int or size_t. Those for textures and surfaces stay 0. */
static const struct {
    size_t offset;
    size_t bytes;
    enum cudaDeviceAttr attribute;
} members[] = {
    MEMBER(sharedMemPerBlock, cudaDevAttrMaxSharedMemoryPerBlock),
    MEMBER(regsPerBlock, cudaDevAttrMaxRegistersPerBlock),
    MEMBER(warpSize, cudaDevAttrWarpSize),
    MEMBER(memPitch, cudaDevAttrMaxPitch),
    MEMBER(maxThreadsPerBlock, cudaDevAttrMaxThreadsPerBlock),
    MEMBER(maxThreadsDim[0], cudaDevAttrMaxBlockDimX),
    MEMBER(maxThreadsDim[1], cudaDevAttrMaxBlockDimY),
    MEMBER(maxThreadsDim[2], cudaDevAttrMaxBlockDimZ),
    MEMBER(maxGridSize[0], cudaDevAttrMaxGridDimX),
    MEMBER(maxGridSize[1], cudaDevAttrMaxGridDimY),
    MEMBER(maxGridSize[2], cudaDevAttrMaxGridDimZ),
    MEMBER(totalConstMem, cudaDevAttrTotalConstantMemory),
    MEMBER(major, cudaDevAttrComputeCapabilityMajor),
    MEMBER(minor, cudaDevAttrComputeCapabilityMinor),
    MEMBER(textureAlignment, cudaDevAttrTextureAlignment),
    MEMBER(texturePitchAlignment, cudaDevAttrTexturePitchAlignment),
    MEMBER(multiProcessorCount, cudaDevAttrMultiProcessorCount),
    MEMBER(integrated, cudaDevAttrIntegrated),
    MEMBER(canMapHostMemory, cudaDevAttrCanMapHostMemory),
    MEMBER(concurrentKernels, cudaDevAttrConcurrentKernels),
    MEMBER(ECCEnabled, cudaDevAttrEccEnabled),
    MEMBER(pciBusID, cudaDevAttrPciBusId),
    MEMBER(pciDeviceID, cudaDevAttrPciDeviceId),
    MEMBER(pciDomainID, cudaDevAttrPciDomainId),
    MEMBER(tccDriver, cudaDevAttrTccDriver),
    MEMBER(asyncEngineCount, cudaDevAttrAsyncEngineCount),
    MEMBER(unifiedAddressing, cudaDevAttrUnifiedAddressing),
    MEMBER(memoryBusWidth, cudaDevAttrGlobalMemoryBusWidth),
    MEMBER(l2CacheSize, cudaDevAttrL2CacheSize),
    MEMBER(persistingL2CacheMaxSize, cudaDevAttrMaxPersistingL2CacheSize),
    MEMBER(maxThreadsPerMultiProcessor, cudaDevAttrMaxThreadsPerMultiProcessor),
    MEMBER(streamPrioritiesSupported, cudaDevAttrStreamPrioritiesSupported),
    MEMBER(globalL1CacheSupported, cudaDevAttrGlobalL1CacheSupported),
    MEMBER(localL1CacheSupported, cudaDevAttrLocalL1CacheSupported),
    MEMBER(sharedMemPerMultiprocessor, cudaDevAttrMaxSharedMemoryPerMultiprocessor),
    MEMBER(regsPerMultiprocessor, cudaDevAttrMaxRegistersPerMultiprocessor),
    MEMBER(managedMemory, cudaDevAttrManagedMemory),
    MEMBER(isMultiGpuBoard, cudaDevAttrIsMultiGpuBoard),
    MEMBER(multiGpuBoardGroupID, cudaDevAttrMultiGpuBoardGroupID),
    MEMBER(hostNativeAtomicSupported, cudaDevAttrHostNativeAtomicSupported),
    MEMBER(pageableMemoryAccess, cudaDevAttrPageableMemoryAccess),
    MEMBER(concurrentManagedAccess, cudaDevAttrConcurrentManagedAccess),
    MEMBER(computePreemptionSupported, cudaDevAttrComputePreemptionSupported),
    MEMBER(canUseHostPointerForRegisteredMem, cudaDevAttrCanUseHostPointerForRegisteredMem),
    MEMBER(cooperativeLaunch, cudaDevAttrCooperativeLaunch),
    MEMBER(sharedMemPerBlockOptin, cudaDevAttrMaxSharedMemoryPerBlockOptin),
    MEMBER(pageableMemoryAccessUsesHostPageTables,
           cudaDevAttrPageableMemoryAccessUsesHostPageTables),
    MEMBER(directManagedMemAccessFromHost, cudaDevAttrDirectManagedMemAccessFromHost),
    MEMBER(maxBlocksPerMultiProcessor, cudaDevAttrMaxBlocksPerMultiprocessor),
    MEMBER(accessPolicyMaxWindowSize, cudaDevAttrMaxAccessPolicyWindowSize),
    MEMBER(reservedSharedMemPerBlock, cudaDevAttrReservedSharedMemoryPerBlock),
    MEMBER(hostRegisterSupported, cudaDevAttrHostRegisterSupported),
    MEMBER(sparseCudaArraySupported, cudaDevAttrSparseCudaArraySupported),
    MEMBER(hostRegisterReadOnlySupported, cudaDevAttrHostRegisterReadOnlySupported),
    MEMBER(timelineSemaphoreInteropSupported, cudaDevAttrTimelineSemaphoreInteropSupported),
    MEMBER(memoryPoolsSupported, cudaDevAttrMemoryPoolsSupported),
    MEMBER(gpuDirectRDMASupported, cudaDevAttrGPUDirectRDMASupported),
    MEMBER(memoryPoolSupportedHandleTypes, cudaDevAttrMemoryPoolSupportedHandleTypes),
    MEMBER(ipcEventSupported, cudaDevAttrIpcEventSupport),
    MEMBER(clusterLaunch, cudaDevAttrClusterLaunch),
    MEMBER(deviceNumaConfig, cudaDevAttrNumaConfig),
    MEMBER(deviceNumaId, cudaDevAttrNumaId),
    MEMBER(mpsEnabled, cudaDevAttrMpsEnabled),
    MEMBER(hostNumaId, cudaDevAttrHostNumaId),
};

static CUresult fill_members(const struct driver_table *drv, struct cudaDeviceProp *properties,
                             int device)
{
    CUresult res = CUDA_SUCCESS;

    for (size_t i = 0; !res && i < ARRAY_SIZE(members); i++) {
        int value = 0;
        size_t wide;

        res = drv->cuDeviceGetAttribute(&value, (CUdevice_attribute)members[i].attribute, device);
        wide = (size_t)value;
        memcpy((char *)properties + members[i].offset,
               members[i].bytes == sizeof(wide) ? (void *)&wide : (void *)&value, members[i].bytes);
    }
    return res;
}

cudaError_t call_cudaGetDeviceProperties(const struct driver_table *drv,
                                         struct cudaDeviceProp *properties, int device)
{
    struct cudaDeviceProp filled = {0};
    CUuuid uuid;
    cudaError_t error = properties ? device_check(drv, device) : cudaErrorInvalidValue;
    CUresult res;

    if (error)
        return error;
    res = drv->cuDeviceGetName(filled.name, sizeof(filled.name), device);
    if (!res)
        res = drv->cuDeviceGetUuid_v2(&uuid, device);
    if (!res)
        res = drv->cuDeviceTotalMem_v2(&filled.totalGlobalMem, device);
    if (!res)
        res = fill_members(drv, &filled, device);
    if (!res) {
        memcpy(&filled.uuid, &uuid, sizeof(uuid));
        *properties = filled;
    }
    return error_of(res);
}

/* Peers are named by device; the driver wants their primary contexts, which exist from here on. */
cudaError_t call_cudaDeviceEnablePeerAccess(const struct driver_table *drv, int peer,
                                            unsigned int flags)
{
    CUcontext context = NULL;
    cudaError_t error = flags ? cudaErrorInvalidValue : context_of_device(peer, &context);

    return error ? error : error_of(drv->cuCtxEnablePeerAccess(context, 0));
}

cudaError_t call_cudaDeviceDisablePeerAccess(const struct driver_table *drv, int peer)
{
    CUcontext context = NULL;
    cudaError_t error = context_of_device(peer, &context);

    return error ? error : error_of(drv->cuCtxDisablePeerAccess(context));
}

/* Addresses of driver calls */
cudaError_t call_cudaGetDriverEntryPointByVersion(const struct driver_table *drv,
                                                  const char *symbol, void **function,
                                                  unsigned int version, unsigned long long flags,
                                                  enum cudaDriverEntryPointQueryResult *status)
{
    CUdriverProcAddressQueryResult found = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    CUresult res;

    if (!symbol || !function || version > INT_MAX)
        return cudaErrorInvalidValue;
    if (!flags && drv == driver_of(STREAM_PER_THREAD))
        flags = CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM;
    res = drv->cuGetProcAddress_v2(symbol, function, (int)version, flags, &found);
    if (status)
        *status = (enum cudaDriverEntryPointQueryResult)found;
    /* With somewhere to say so, not finding is no error. */
    if (res == CUDA_ERROR_NOT_FOUND && status)
        res = CUDA_SUCCESS;
    return error_of(res);
}

cudaError_t call_cudaGetDriverEntryPoint(const struct driver_table *drv, const char *symbol,
                                         void **function, unsigned long long flags,
                                         enum cudaDriverEntryPointQueryResult *status)
{
    return call_cudaGetDriverEntryPointByVersion(drv, symbol, function, CUDART_VERSION, flags,
                                                 status);
}
