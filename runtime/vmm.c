/* SPDX-License-Identifier: MIT */
#include "runtime/vmm.h"

#include "runtime/gate.h"
#include "runtime/log.h"

enum {
    ATTEMPTS = 4,
};

/* Evaluates `call` until it succeeds; `hopeless` is an error that repeating cannot mend. */
#define PERSIST(drv, result, call, hopeless)                                                       \
    do {                                                                                           \
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {                                     \
            (result) = (call);                                                                     \
            if ((result) == CUDA_SUCCESS || (result) == (hopeless) ||                              \
                (result) == CUDA_ERROR_ILLEGAL_ADDRESS)                                            \
                break;                                                                             \
            if (!gate_capture_is_open())                                                           \
                (void)(drv)->cuCtxSynchronize();                                                   \
        }                                                                                          \
    } while (0)

/* Taking may find no memory; giving back needs none, whatever the driver says. */
#define TAKE(drv, result, call) PERSIST(drv, result, call, CUDA_ERROR_OUT_OF_MEMORY)
#define GIVE(drv, result, call) PERSIST(drv, result, call, CUDA_ERROR_ILLEGAL_ADDRESS)

void vmm_access_add(struct vmm_access *access, CUdevice device)
{
    for (size_t i = 0; i < access->n; i++) {
        if (access->devices[i].location.id == device)
            return;
    }
    if (access->n == VMM_DEVICES_MAX)
        return;
    access->devices[access->n++] = (CUmemAccessDesc){
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device},
        .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
    };
}

int vmm_grant(const struct driver *drv, CUdeviceptr at, uint64_t bytes,
              const struct vmm_access *access)
{
    CUresult result;

    TAKE(drv, result, drv->cuMemSetAccess(at, bytes, access->devices, access->n));
    return driver_errno(result);
}

int vmm_place(const struct driver *drv, CUdeviceptr at, uint64_t bytes,
              CUmemGenericAllocationHandle handle)
{
    CUresult result;

    TAKE(drv, result, drv->cuMemMap(at, bytes, 0, handle, 0));
    return driver_errno(result);
}

int vmm_map(const struct driver *drv, CUdeviceptr at, uint64_t bytes,
            CUmemGenericAllocationHandle handle, const struct vmm_access *access)
{
    int r = vmm_place(drv, at, bytes, handle);

    if (r)
        return r;
    r = vmm_grant(drv, at, bytes, access);
    if (r)
        (void)vmm_unmap(drv, at, bytes);
    return r;
}

int vmm_restore(const struct driver *drv, CUdeviceptr at, uint64_t bytes,
                CUmemGenericAllocationHandle handle, const struct vmm_access *access)
{
    CUresult result;

    GIVE(drv, result, drv->cuMemMap(at, bytes, 0, handle, 0));
    if (result == CUDA_SUCCESS)
        GIVE(drv, result, drv->cuMemSetAccess(at, bytes, access->devices, access->n));
    return driver_errno(result);
}

int vmm_unmap(const struct driver *drv, CUdeviceptr at, uint64_t bytes)
{
    CUresult result;

    GIVE(drv, result, drv->cuMemUnmap(at, bytes));
    return driver_errno(result);
}

void vmm_release(const struct driver *drv, CUmemGenericAllocationHandle handle)
{
    CUresult result;

    GIVE(drv, result, drv->cuMemRelease(handle));
    if (result != CUDA_SUCCESS)
        log_warn("cannot release physical memory: %s; it stays in use until the program ends",
                 driver_error_name(drv, result));
}

void vmm_unreserve(const struct driver *drv, CUdeviceptr at, uint64_t bytes)
{
    CUresult result;

    GIVE(drv, result, drv->cuMemAddressFree(at, bytes));
    if (result != CUDA_SUCCESS)
        log_warn("cannot give back %llu bytes of address space: %s; they stay reserved",
                 (unsigned long long)bytes, driver_error_name(drv, result));
}
