/* SPDX-License-Identifier: MIT */
/*
 * Virtual memory management: reservations, physical handles, mappings, access.
 *
 * The rules are the harsh reading of the documentation: offset 0 only, nothing mapped over, whole
 * mappings unmapped, no access until it is set, and none of it ordered with streams: an unmap takes
 * effect at once, under work that is still queued.
 */
#include "tests/sim/clock.h"
#include "tests/sim/vmm.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "runtime/util.h"
#include "tests/sim/calls.h"
#include "tests/sim/capture.h"
#include "tests/sim/counters.h"
#include "tests/sim/pool.h"

struct ranges reservations;

static CUresult vmm_enter(void)
{
    CUresult res = context_check_sticky();

    return res ? res : capture_refuse_unsafe();
}

struct reservation *reservation_find(uint64_t address)
{
    return ranges_find(&reservations, address);
}

struct vmm_mapping *vmm_mapping_at(uint64_t address)
{
    return mmu_holds(address) ? mmu_page(address)->mapping : NULL;
}

/* A driver reserves addresses of the process, where they count for RLIMIT_AS. Those of the window
 * have been counted already, so as much again is taken elsewhere. */
static bool count_addresses(struct reservation *reservation)
{
    struct rlimit limit;
    void *at;

    if (getrlimit(RLIMIT_AS, &limit) || limit.rlim_cur == RLIM_INFINITY)
        return true;
    at = mmap(NULL, reservation->range.bytes, PROT_NONE,
              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return false;
    reservation->counted = at;
    return true;
}

static void reservation_free(struct reservation *reservation)
{
    if (reservation->counted)
        munmap(reservation->counted, reservation->range.bytes);
    free(reservation);
}

CUresult sim_cuMemAddressReserve(CUdeviceptr *ptr, size_t size, size_t alignment, CUdeviceptr addr,
                                 unsigned long long flags)
{
    struct reservation *reservation;
    CUresult res = vmm_enter();

    if (res)
        return res;
    if (!ptr || !size || flags || !is_aligned(size, 4096) || (alignment & (alignment - 1)))
        return CUDA_ERROR_INVALID_VALUE;
    if (size > (uint64_t)1 << 48)
        return CUDA_ERROR_OUT_OF_MEMORY;
    reservation = calloc(1, sizeof(*reservation));
    if (!reservation)
        return CUDA_ERROR_OUT_OF_MEMORY;
    reservation->range.bytes = size;
    if (count_addresses(reservation))
        reservation->range.base = mmu_take_region(size, alignment, addr);
    if (!reservation->range.base) {
        reservation_free(reservation);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (!ranges_insert(&reservations, &reservation->range))
        abort();
    counters.reservations++;
    clock_charge_priced(PRICE_RESERVE, size);
    *ptr = reservation->range.base;
    return CUDA_SUCCESS;
}

static bool anything_mapped(uint64_t base, uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes; at += SIM_PAGE_BYTES)
        if (mmu_page(base + at)->memory)
            return true;
    return false;
}

CUresult sim_cuMemAddressFree(CUdeviceptr ptr, size_t size)
{
    struct reservation *reservation = reservation_find(ptr);
    CUresult res = vmm_enter();

    if (res)
        return res;
    if (!reservation || reservation->range.base != ptr || reservation->range.bytes != size ||
        anything_mapped(ptr, size))
        return CUDA_ERROR_INVALID_VALUE;
    ranges_remove(&reservations, &reservation->range);
    mmu_give_region(ptr);
    reservation_free(reservation);
    counters.reservations--;
    return CUDA_SUCCESS;
}

/* Which memory a property asks for: an ordinal, or ON_HOST. */
static CUresult prop_device(const CUmemAllocationProp *prop, int *out)
{
    if (!prop || prop->type != CU_MEM_ALLOCATION_TYPE_PINNED)
        return CUDA_ERROR_INVALID_VALUE;
    /* Memory that can be exported: no attribute claims it. */
    if (prop->requestedHandleTypes && prop->location.type == CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_NOT_SUPPORTED;
    *out = ON_HOST;
    switch ((int)prop->location.type) {
    case CU_MEM_LOCATION_TYPE_DEVICE:
        *out = prop->location.id;
        return device_is_valid(prop->location.id) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
    case CU_MEM_LOCATION_TYPE_HOST:
        if (prop->requestedHandleTypes)
            return CUDA_ERROR_INVALID_VALUE;
        return settings.host_vmm & HOST_VMM_HOST ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    case CU_MEM_LOCATION_TYPE_HOST_NUMA:
        if (prop->location.id != 0)
            return CUDA_ERROR_INVALID_VALUE;
        return settings.host_vmm & HOST_VMM_NUMA ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

CUresult sim_cuMemGetAllocationGranularity(size_t *granularity, const CUmemAllocationProp *prop,
                                           CUmemAllocationGranularity_flags option)
{
    int device;
    CUresult res = prop_device(prop, &device);

    if (res)
        return res;
    if (!granularity || (option != CU_MEM_ALLOC_GRANULARITY_MINIMUM &&
                         option != CU_MEM_ALLOC_GRANULARITY_RECOMMENDED))
        return CUDA_ERROR_INVALID_VALUE;
    *granularity = SIM_PAGE_BYTES;
    return CUDA_SUCCESS;
}

static CUresult physical_new_or_drain(int device, uint64_t bytes, struct physical **out)
{
    CUresult res = physical_new(device, bytes, out);

    if (res != CUDA_ERROR_OUT_OF_MEMORY || device == ON_HOST)
        return res;
    pool_make_room(device);
    return physical_new(device, bytes, out);
}

CUresult sim_cuMemCreate(CUmemGenericAllocationHandle *handle, size_t size,
                         const CUmemAllocationProp *prop, unsigned long long flags)
{
    struct physical *physical;
    int device;
    CUresult res = vmm_enter();

    if (!res)
        res = prop_device(prop, &device);
    if (res)
        return res;
    if (!handle || !size || flags || !is_aligned(size, SIM_PAGE_BYTES))
        return CUDA_ERROR_INVALID_VALUE;
    res = physical_new_or_drain(device, size, &physical);
    if (res)
        return res;
    if (!handle_add(physical, HANDLE_PHYSICAL)) {
        physical_put(physical);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    physical->prop = *prop;
    physical->handle_refs = 1;
    counters.handles++;
    clock_charge_priced(device == ON_HOST ? PRICE_CREATE_HOST : PRICE_CREATE_DEVICE, size);
    *handle = (CUmemGenericAllocationHandle)(uintptr_t)physical;
    return CUDA_SUCCESS;
}

static struct physical *handle_physical(CUmemGenericAllocationHandle handle)
{
    struct physical *physical = (struct physical *)(uintptr_t)handle;

    return handle_is(physical, HANDLE_PHYSICAL) ? physical : NULL;
}

CUresult sim_cuMemRelease(CUmemGenericAllocationHandle handle)
{
    struct physical *physical = handle_physical(handle);
    CUresult res = vmm_enter();

    if (res)
        return res;
    if (!physical)
        return CUDA_ERROR_INVALID_VALUE;
    clock_charge_priced(PRICE_RELEASE, physical->bytes);
    if (!--physical->handle_refs) {
        handle_remove(physical);
        counters.handles--;
    }
    physical_put(physical);
    return CUDA_SUCCESS;
}

CUresult sim_cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp *prop,
                                                    CUmemGenericAllocationHandle handle)
{
    const struct physical *physical = handle_physical(handle);

    if (!prop || !physical)
        return CUDA_ERROR_INVALID_VALUE;
    *prop = physical->prop;
    return CUDA_SUCCESS;
}

CUresult sim_cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle, void *addr)
{
    struct vmm_mapping *mapping = vmm_mapping_at((uint64_t)(uintptr_t)addr);
    struct physical *physical;

    if (!handle || !mapping)
        return CUDA_ERROR_INVALID_VALUE;
    physical = mapping->physical;
    if (!physical->handle_refs) {
        if (!handle_add(physical, HANDLE_PHYSICAL))
            return CUDA_ERROR_OUT_OF_MEMORY;
        counters.handles++;
    }
    physical->handle_refs++;
    physical_get(physical);
    *handle = (CUmemGenericAllocationHandle)(uintptr_t)physical;
    return CUDA_SUCCESS;
}

CUresult sim_cuMemMap(CUdeviceptr ptr, size_t size, size_t offset,
                      CUmemGenericAllocationHandle handle, unsigned long long flags)
{
    struct physical *physical = handle_physical(handle);
    const struct reservation *reservation = reservation_find(ptr);
    struct vmm_mapping *mapping;
    CUresult res = vmm_enter();

    if (res)
        return res;
    if (!physical || !reservation || !size || offset || flags || !is_aligned(ptr, SIM_PAGE_BYTES) ||
        !is_aligned(size, SIM_PAGE_BYTES) || size > physical->bytes ||
        size > reservation->range.base + reservation->range.bytes - ptr ||
        anything_mapped(ptr, size))
        return CUDA_ERROR_INVALID_VALUE;
    mapping = calloc(1, sizeof(*mapping));
    if (!mapping)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *mapping = (struct vmm_mapping){
        .range = {ptr, size},
        .physical = physical,
        .id = memory_next_id(),
    };
    physical_get(physical);
    physical->mappings++;
    mmu_map(ptr, physical, size, mapping);
    counters.mappings++;
    clock_charge_priced(PRICE_MAP, size);
    return CUDA_SUCCESS;
}

/* Whether [base, base + bytes) is an exact row of whole mappings. */
static bool is_whole_mappings(uint64_t base, uint64_t bytes)
{
    uint64_t at = base;

    while (at - base < bytes) {
        const struct vmm_mapping *mapping = vmm_mapping_at(at);

        if (!mapping || mapping->range.base != at)
            return false;
        at += mapping->range.bytes;
    }
    return at - base == bytes;
}

static void close_to_host(const struct vmm_mapping *mapping)
{
    if (mapping->host_access)
        mmap((void *)(uintptr_t)mapping->range.base, mapping->range.bytes, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

CUresult sim_cuMemUnmap(CUdeviceptr ptr, size_t size)
{
    CUresult res = vmm_enter();

    if (res)
        return res;
    if (!size || !is_whole_mappings(ptr, size))
        return CUDA_ERROR_INVALID_VALUE;
    for (uint64_t at = ptr; at < ptr + size;) {
        struct vmm_mapping *mapping = vmm_mapping_at(at);

        at += mapping->range.bytes;
        clock_charge_priced(PRICE_UNMAP, mapping->range.bytes);
        close_to_host(mapping);
        mmu_unmap(mapping->range.base, mapping->range.bytes);
        mapping->physical->mappings--;
        physical_put(mapping->physical);
        free(mapping);
        counters.mappings--;
    }
    return CUDA_SUCCESS;
}

static bool is_host_location(const CUmemLocation *location)
{
    return location->type == CU_MEM_LOCATION_TYPE_HOST ||
           location->type == CU_MEM_LOCATION_TYPE_HOST_NUMA;
}

/* Another card's memory only where cards can be let in. */
static CUresult check_device_access(uint64_t base, uint64_t bytes, int device)
{
    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    for (uint64_t at = base; at < base + bytes; at += SIM_PAGE_BYTES) {
        int owner = mmu_page(at)->device;

        if (owner != ON_HOST && owner != device && !peer_is_possible(device, owner))
            return CUDA_ERROR_INVALID_DEVICE;
    }
    return CUDA_SUCCESS;
}

static CUresult check_access(uint64_t base, uint64_t bytes, const CUmemAccessDesc *desc)
{
    if (desc->flags != CU_MEM_ACCESS_FLAGS_PROT_NONE &&
        desc->flags != CU_MEM_ACCESS_FLAGS_PROT_READ &&
        desc->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
        return CUDA_ERROR_INVALID_VALUE;
    if (desc->location.type == CU_MEM_LOCATION_TYPE_DEVICE)
        return check_device_access(base, bytes, desc->location.id);
    if (!is_host_location(&desc->location))
        return CUDA_ERROR_INVALID_VALUE;
    for (uint64_t at = base; at < base + bytes; at += SIM_PAGE_BYTES)
        if (mmu_page(at)->device != ON_HOST)
            return CUDA_ERROR_NOT_SUPPORTED;
    return CUDA_SUCCESS;
}

/* Every mapping of the memory must look at its new, shared home. */
static void point_at_shared(struct physical *physical, uint8_t *old)
{
    for (size_t i = 0; i < reservations.n; i++) {
        const struct range *range = reservations.items[i];

        for (uint64_t at = range->base; at < range->base + range->bytes; at += SIM_PAGE_BYTES) {
            struct page *page = mmu_page(at);

            if (page->mapping && page->mapping->physical == physical)
                page->memory = physical->memory + (page->memory - old);
        }
    }
}

static CUresult open_to_host(struct vmm_mapping *mapping, unsigned int flags)
{
    int protection = flags == CU_MEM_ACCESS_FLAGS_PROT_NONE   ? PROT_NONE
                     : flags == CU_MEM_ACCESS_FLAGS_PROT_READ ? PROT_READ
                                                              : PROT_READ | PROT_WRITE;
    struct physical *physical = mapping->physical;
    uint8_t *old = physical->memory;
    CUresult res = physical_share(physical);

    if (res)
        return res;
    if (physical->memory != old)
        point_at_shared(physical, old);
    if (mmap((void *)(uintptr_t)mapping->range.base, mapping->range.bytes, protection,
             MAP_SHARED | MAP_FIXED, physical->shared_fd, 0) == MAP_FAILED)
        return CUDA_ERROR_OUT_OF_MEMORY;
    mapping->host_access = flags;
    return CUDA_SUCCESS;
}

static CUresult set_host_access(uint64_t base, uint64_t bytes, unsigned int flags)
{
    CUresult res = CUDA_SUCCESS;

    if (!is_whole_mappings(base, bytes)) {
        core_say("host access to part of a mapping is not simulated");
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    for (uint64_t at = base; at < base + bytes && !res;) {
        struct vmm_mapping *mapping = vmm_mapping_at(at);

        res = open_to_host(mapping, flags);
        at += mapping->range.bytes;
    }
    return res;
}

CUresult sim_cuMemSetAccess(CUdeviceptr ptr, size_t size, const CUmemAccessDesc *desc, size_t count)
{
    CUresult res = vmm_enter();

    if (res)
        return res;
    if (!desc || !count || !size || !mmu_holds(ptr) || !mmu_holds(ptr + size - 1) ||
        !is_aligned(ptr, SIM_PAGE_BYTES) || !is_aligned(size, SIM_PAGE_BYTES))
        return CUDA_ERROR_INVALID_VALUE;
    for (uint64_t at = ptr; at < ptr + size; at += SIM_PAGE_BYTES)
        if (!vmm_mapping_at(at))
            return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < count && !res; i++)
        res = check_access(ptr, size, &desc[i]);
    clock_charge_priced(PRICE_ACCESS, size);
    for (size_t i = 0; i < count && !res; i++) {
        if (is_host_location(&desc[i].location))
            res = set_host_access(ptr, size, desc[i].flags);
        else
            mmu_set_access(ptr, size, desc[i].location.id,
                           desc[i].flags & CU_MEM_ACCESS_FLAGS_PROT_READ,
                           desc[i].flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    }
    return res;
}

CUresult sim_cuMemGetAccess(unsigned long long *flags, const CUmemLocation *location,
                            CUdeviceptr ptr)
{
    const struct vmm_mapping *mapping = vmm_mapping_at(ptr);
    const struct page *page;

    if (!flags || !location || !mapping)
        return CUDA_ERROR_INVALID_VALUE;
    if (is_host_location(location)) {
        *flags = mapping->host_access;
        return CUDA_SUCCESS;
    }
    if (location->type != CU_MEM_LOCATION_TYPE_DEVICE || !device_is_valid(location->id))
        return CUDA_ERROR_INVALID_VALUE;
    page = mmu_page(ptr);
    *flags = CU_MEM_ACCESS_FLAGS_PROT_NONE;
    if (page->readable >> location->id & 1)
        *flags = CU_MEM_ACCESS_FLAGS_PROT_READ;
    if (page->writable >> location->id & 1)
        *flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    return CUDA_SUCCESS;
}
