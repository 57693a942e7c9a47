/* SPDX-License-Identifier: MIT */
/*
 * What the driver knows about an address.
 */
#include <stdio.h>
#include <string.h>

#include "runtime/util.h"
#include "tests/sim/calls.h"
#include "tests/sim/vmm.h"

/* One of the first three is set for memory of that kind; only `reservation` for an empty one. */
struct owner {
    struct allocation *allocation;
    struct vmm_mapping *mapping;
    struct host_range *host;
    struct reservation *reservation;
};

static struct owner owner_of(uint64_t address)
{
    return (struct owner){
        .allocation = ranges_find(&allocations, address),
        .mapping = vmm_mapping_at(address),
        .host = host_range_find(address),
        .reservation = reservation_find(address),
    };
}

static const struct range *owner_range(const struct owner *owner)
{
    if (owner->allocation)
        return &owner->allocation->range;
    if (owner->mapping)
        return &owner->mapping->range;
    return owner->host ? &owner->host->range : NULL;
}

static bool on_host(const struct owner *owner)
{
    if (owner->host)
        return owner->host->kind != HOST_MANAGED;
    return owner->mapping && owner->mapping->physical->device == ON_HOST;
}

static struct context *owner_context(const struct owner *owner)
{
    if (owner->allocation)
        return owner->allocation->context;
    return owner->host ? owner->host->context : NULL;
}

static int owner_ordinal(const struct owner *owner)
{
    if (owner->allocation)
        return owner->allocation->device;
    if (owner->mapping)
        return owner->mapping->physical->device == ON_HOST ? CU_DEVICE_CPU
                                                           : owner->mapping->physical->device;
    return owner->host->device;
}

static uint64_t owner_id(const struct owner *owner)
{
    if (owner->allocation)
        return owner->allocation->id;
    return owner->mapping ? owner->mapping->id : owner->host->id;
}

static unsigned int owner_access(const struct owner *owner, uint64_t address)
{
    const struct context *context = context_current();
    const struct page *page;

    if (!owner->mapping || !context)
        return CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE;
    page = mmu_page(address);
    if (mmu_device_may(page, context->device, true))
        return CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE;
    return mmu_device_may(page, context->device, false) ? CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READ
                                                        : CU_POINTER_ATTRIBUTE_ACCESS_FLAG_NONE;
}

/* The attributes that also a reserved but empty address has. */
static CUresult range_attribute(const struct owner *owner, CUpointer_attribute attribute,
                                void *data)
{
    const struct range *range = owner_range(owner);

    if (owner->reservation)
        range = &owner->reservation->range;
    switch ((int)attribute) {
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
        *(void **)data = (void *)(uintptr_t)range->base;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
        *(size_t *)data = range->bytes;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MAPPED:
        *(bool *)data = owner_range(owner) != NULL;
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_NOT_SUPPORTED;
    }
}

static CUresult host_pointer(const struct owner *owner, uint64_t address, void *data)
{
    if (!owner->host && !(owner->mapping && owner->mapping->host_access))
        return CUDA_ERROR_INVALID_VALUE;
    *(void **)data = (void *)(uintptr_t)address;
    return CUDA_SUCCESS;
}

static CUresult mapped_attribute(const struct owner *owner, CUpointer_attribute attribute,
                                 uint64_t address, void *data)
{
    switch ((int)attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
        *(CUcontext *)data = (CUcontext)owner_context(owner);
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
        *(unsigned int *)data = on_host(owner) ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
        *(CUdeviceptr *)data = address;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
        return host_pointer(owner, address, data);
    case CU_POINTER_ATTRIBUTE_BUFFER_ID:
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
        *(unsigned long long *)data = owner_id(owner);
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
        *(int *)data = owner_ordinal(owner);
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
        *(unsigned int *)data = owner_access(owner, address);
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
        *(CUmemoryPool *)data = owner->allocation ? (CUmemoryPool)owner->allocation->pool : NULL;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
        *(size_t *)data = owner_range(owner)->bytes;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
        *(void **)data = (void *)(uintptr_t)owner_range(owner)->base;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
        *(unsigned long long *)data =
            owner->mapping ? owner->mapping->physical->prop.requestedHandleTypes : 0;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
    case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
        *(bool *)data = attribute == CU_POINTER_ATTRIBUTE_IS_MANAGED && owner->host &&
                        owner->host->kind == HOST_MANAGED;
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
    case CU_POINTER_ATTRIBUTE_MAPPED:
        return range_attribute(owner, attribute, data);
    default:
        core_say("pointer attribute %d is not simulated", (int)attribute);
        return CUDA_ERROR_NOT_SUPPORTED;
    }
}

static CUresult pointer_attribute(void *data, CUpointer_attribute attribute, CUdeviceptr ptr)
{
    struct owner owner = owner_of(ptr);

    if (owner_range(&owner))
        return mapped_attribute(&owner, attribute, ptr, data);
    if (owner.reservation &&
        (attribute == CU_POINTER_ATTRIBUTE_RANGE_START_ADDR ||
         attribute == CU_POINTER_ATTRIBUTE_RANGE_SIZE || attribute == CU_POINTER_ATTRIBUTE_MAPPED))
        return range_attribute(&owner, attribute, data);
    return CUDA_ERROR_INVALID_VALUE;
}

CUresult sim_cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr ptr)
{
    struct context *context;
    CUresult res = context_require(&context);

    if (res)
        return res;
    if (!data || !ptr)
        return CUDA_ERROR_INVALID_VALUE;
    return pointer_attribute(data, attribute, ptr);
}

/* How much of `data` an attribute fills, for the value that stands for "cannot be told". */
static size_t attribute_bytes(CUpointer_attribute attribute)
{
    switch ((int)attribute) {
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
        return sizeof(int);
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
    case CU_POINTER_ATTRIBUTE_IS_MANAGED:
    case CU_POINTER_ATTRIBUTE_MAPPED:
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
    case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
        return sizeof(bool);
    default:
        return sizeof(uint64_t);
    }
}

CUresult sim_cuPointerGetAttributes(unsigned int num_attributes, CUpointer_attribute *attributes,
                                    void **data, CUdeviceptr ptr)
{
    struct context *context;
    CUresult res = context_require(&context);

    if (res)
        return res;
    if (!num_attributes || !attributes || !data)
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned int i = 0; i < num_attributes; i++) {
        res = pointer_attribute(data[i], attributes[i], ptr);
        if (res == CUDA_ERROR_NOT_SUPPORTED)
            return res;
        if (res && attributes[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL)
            *(int *)data[i] = CU_DEVICE_INVALID;
        else if (res)
            memset(data[i], 0, attribute_bytes(attributes[i]));
    }
    return CUDA_SUCCESS;
}

CUresult sim_cuMemGetAddressRange_v2(CUdeviceptr *pbase, size_t *psize, CUdeviceptr dptr)
{
    struct owner owner = owner_of(dptr);
    struct context *context;
    const struct range *range = owner_range(&owner);
    CUresult res = context_require(&context);

    if (res)
        return res;
    if (!range)
        return CUDA_ERROR_NOT_FOUND;
    if (pbase)
        *pbase = range->base;
    if (psize)
        *psize = range->bytes;
    return CUDA_SUCCESS;
}

CUresult sim_cuPointerSetAttribute(const void *value, CUpointer_attribute attribute,
                                   CUdeviceptr ptr)
{
    struct owner owner = owner_of(ptr);
    struct context *context;
    CUresult res = context_require(&context);

    if (res)
        return res;
    if (!value || attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS || !owner_range(&owner))
        return CUDA_ERROR_INVALID_VALUE;
    if (*(const unsigned int *)value) {
        core_say("synchronous memory operations by pointer attribute are not simulated");
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    return CUDA_SUCCESS;
}

void memory_describe(uint64_t address, char *out, size_t size)
{
    const struct range *allocation = ranges_nearest(&allocations, address);
    const struct range *reservation = ranges_nearest(&reservations, address);
    const struct range *range = allocation;
    uint64_t to_allocation = allocation ? address - allocation->base : 0;
    const char *what = "allocation";

    /* A reservation that holds the address says more than an allocation nearby. */
    if (reservation && (!allocation || address - reservation->base < reservation->bytes ||
                        to_allocation >= allocation->bytes)) {
        range = reservation;
        what = "reservation";
    }
    if (!range) {
        snprintf(out, size, "nothing is allocated");
        return;
    }
    snprintf(out, size, "nearest is the %s [0x%llx, 0x%llx)", what, (unsigned long long)range->base,
             (unsigned long long)(range->base + range->bytes));
}
