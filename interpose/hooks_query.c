/* SPDX-License-Identifier: MIT */
/*
 * What the program may ask about memory. A paged allocation is device memory with one beginning and
 * one size, wherever its chunks are; everything else is the driver's answer.
 */
#include <string.h>
#include "interpose/hooks.h"
#include "runtime/pager.h"

CUresult hook_cuMemGetInfo_v2(const struct driver *drv, size_t *free, size_t *total)
{
    uint64_t told_free;
    uint64_t told_total;
    CUresult result;

    pager_reclaim(drv);
    result = drv->cuMemGetInfo_v2(free, total);
    if (result != CUDA_SUCCESS || !free || !total)
        return result;
    told_free = *free;
    told_total = *total;
    pager_memory_info(drv, &told_free, &told_total);
    *free = told_free;
    *total = told_total;
    return result;
}

CUresult hook_cuDeviceTotalMem_v2(const struct driver *drv, size_t *bytes, CUdevice device)
{
    CUresult result = drv->cuDeviceTotalMem_v2(bytes, device);

    if (result == CUDA_SUCCESS && bytes)
        *bytes = pager_total_memory(*bytes);
    return result;
}

CUresult hook_cuMemGetAddressRange_v2(const struct driver *drv, CUdeviceptr *pbase, size_t *psize,
                                      CUdeviceptr dptr)
{
    struct pager_allocation allocation;

    if (!pager_describe(dptr, &allocation))
        return drv->cuMemGetAddressRange_v2(pbase, psize, dptr);
    if (pbase)
        *pbase = allocation.base;
    if (psize)
        *psize = allocation.bytes;
    return CUDA_SUCCESS;
}

#define TELL(type, value)                                                                          \
    do {                                                                                           \
        *(type *)data = (value);                                                                   \
        return CUDA_SUCCESS;                                                                       \
    } while (0)

/* The attributes in which a paged allocation would show how it is made. Identifiers are set apart
 * from the driver's, which count up from a small number, by the top bit. */
static CUresult paged_attribute(const struct driver *drv, void *data, CUpointer_attribute attribute,
                                CUdeviceptr ptr, const struct pager_allocation *allocation)
{
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
        TELL(CUcontext, allocation->ctx);
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
        TELL(unsigned int, CU_MEMORYTYPE_DEVICE);
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
        TELL(CUdeviceptr, ptr);
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
        return CUDA_ERROR_INVALID_VALUE;
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
        TELL(unsigned long long, allocation->id | 1ull << 63);
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
        TELL(int, allocation->device);
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
        TELL(CUdeviceptr, allocation->base);
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
        TELL(size_t, allocation->bytes);
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
        TELL(unsigned long long, 0);
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
        TELL(CUmemoryPool, allocation->mempool);
    default:
        return drv->cuPointerGetAttribute(data, attribute, ptr);
    }
}

static __attribute__((noinline)) CUresult
ours_attribute(const struct driver *drv, void *data, CUpointer_attribute attribute, CUdeviceptr ptr)
{
    struct pager_allocation allocation;

    if (!data || !pager_describe(ptr, &allocation))
        return drv->cuPointerGetAttribute(data, attribute, ptr);
    return paged_attribute(drv, data, attribute, ptr, &allocation);
}

CUresult hook_cuPointerGetAttribute(const struct driver *drv, void *data,
                                    CUpointer_attribute attribute, CUdeviceptr ptr)
{
    return residency_block(ptr) ? ours_attribute(drv, data, attribute, ptr)
                                : drv->cuPointerGetAttribute(data, attribute, ptr);
}

/* The driver fills in all it can and empties what does not apply; then ours are corrected. */
CUresult hook_cuPointerGetAttributes(const struct driver *drv, unsigned int num_attributes,
                                     CUpointer_attribute *attributes, void **data, CUdeviceptr ptr)
{
    CUresult result = drv->cuPointerGetAttributes(num_attributes, attributes, data, ptr);
    struct pager_allocation allocation;

    if (result != CUDA_SUCCESS || !pager_describe(ptr, &allocation))
        return result;
    for (unsigned int i = 0; i < num_attributes; i++) {
        if (attributes[i] == CU_POINTER_ATTRIBUTE_HOST_POINTER)
            *(void **)data[i] = NULL;
        else
            (void)paged_attribute(drv, data[i], attributes[i], ptr, &allocation);
    }
    return result;
}
