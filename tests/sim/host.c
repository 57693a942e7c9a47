/* SPDX-License-Identifier: MIT */
/*
 * Host memory the device can reach: pinned by allocation or by registration, and managed memory.
 *
 * Under unified addressing its device address is its host address. Managed memory is simply memory
 * that both sides may touch at any time; no page of it ever moves to a card.
 */
#include "tests/sim/bulk.h"
#include "tests/sim/clock.h"
#include "tests/sim/memory.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/util.h"
#include "tests/sim/calls.h"
#include "tests/sim/capture.h"
#include "tests/sim/context.h"

struct ranges host_ranges;

struct host_range *host_range_find(uint64_t address)
{
    return ranges_find(&host_ranges, address);
}

static CUresult host_range_new(struct context *context, uint64_t base, uint64_t bytes,
                               enum host_kind kind, unsigned int flags, struct host_range **out)
{
    struct host_range *host = calloc(1, sizeof(*host));

    if (!host)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *host = (struct host_range){
        .range = {base, bytes},
        .kind = kind,
        .flags = flags,
        .context = context,
        .device = context->device,
        .id = memory_next_id(),
    };
    if (!ranges_insert(&host_ranges, &host->range)) {
        free(host);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *out = host;
    return CUDA_SUCCESS;
}

static void host_range_free(struct host_range *host)
{
    ranges_remove(&host_ranges, &host->range);
    memory_give_host(host->mapped_bytes ? host->mapped_bytes : host->range.bytes);
    if (host->mapped_bytes)
        munmap((void *)(uintptr_t)host->range.base, host->mapped_bytes);
    free(host);
}

void host_free_of_context(const struct context *context)
{
    for (size_t i = host_ranges.n; i-- > 0;) {
        struct host_range *host = (struct host_range *)host_ranges.items[i];

        if (host->context == context)
            host_range_free(host);
    }
}

static CUresult host_allocate(enum host_kind kind, size_t bytes, unsigned int flags, void **out)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    struct context *context;
    struct host_range *host;
    CUresult res = context_require(&context);
    uint64_t mapped;
    void *at;

    if (!res)
        res = capture_refuse_unsafe();
    if (res)
        return res;
    if (!out || !bytes)
        return CUDA_ERROR_INVALID_VALUE;
    if (bytes > (uint64_t)1 << 48)
        return CUDA_ERROR_OUT_OF_MEMORY;
    mapped = align_up(bytes, page);
    res = memory_take_host(mapped);
    if (res)
        return res;
    at = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        goto give;
    bulk_fill(at, MEMORY_PATTERN, bytes);
    res = host_range_new(context, (uint64_t)(uintptr_t)at, bytes, kind, flags, &host);
    if (res)
        goto unmap;
    host->mapped_bytes = mapped;
    if (kind != HOST_MANAGED)
        clock_charge_priced(PRICE_PIN, mapped);
    *out = at;
    return CUDA_SUCCESS;

unmap:
    munmap(at, mapped);
give:
    memory_give_host(mapped);
    return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult sim_cuMemHostAlloc(void **pp, size_t bytes, unsigned int flags)
{
    if (flags & ~(unsigned int)(CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP |
                                CU_MEMHOSTALLOC_WRITECOMBINED))
        return CUDA_ERROR_INVALID_VALUE;
    return host_allocate(HOST_ALLOCATED, bytes, flags, pp);
}

CUresult sim_cuMemAllocHost_v2(void **pp, size_t bytes)
{
    return host_allocate(HOST_ALLOCATED, bytes, 0, pp);
}

CUresult sim_cuMemAllocManaged(CUdeviceptr *dptr, size_t bytes, unsigned int flags)
{
    void *at;
    CUresult res;

    if (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST)
        return CUDA_ERROR_INVALID_VALUE;
    res = host_allocate(HOST_MANAGED, bytes, flags, dptr ? &at : NULL);
    if (!res)
        *dptr = (CUdeviceptr)(uintptr_t)at;
    return res;
}

CUresult host_free_managed(struct host_range *host)
{
    context_drain_device(host->device);
    host_range_free(host);
    return CUDA_SUCCESS;
}

CUresult sim_cuMemFreeHost(void *p)
{
    struct context *context;
    struct host_range *host = host_range_find((uint64_t)(uintptr_t)p);
    CUresult res = context_require(&context);

    if (!res)
        res = capture_refuse_unsafe();
    if (res || !p)
        return res;
    if (!host || host->kind != HOST_ALLOCATED || host->range.base != (uint64_t)(uintptr_t)p)
        return CUDA_ERROR_INVALID_VALUE;
    context_drain_device(host->device);
    clock_charge_priced(PRICE_UNPIN, host->range.bytes);
    host_range_free(host);
    return CUDA_SUCCESS;
}

CUresult sim_cuMemHostRegister_v2(void *p, size_t bytes, unsigned int flags)
{
    uint64_t base = (uint64_t)(uintptr_t)p;
    struct context *context;
    struct host_range *host;
    CUresult res = context_require(&context);

    if (!res)
        res = capture_refuse_unsafe();
    if (res)
        return res;
    if (!p || !bytes || bytes > UINT64_MAX - base || mmu_holds(base) ||
        flags & ~(unsigned int)(CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP |
                                CU_MEMHOSTREGISTER_READ_ONLY))
        return CUDA_ERROR_INVALID_VALUE;
    if (ranges_overlap(&host_ranges, base, bytes))
        return CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
    res = memory_take_host(bytes);
    if (res)
        return res;
    res = host_range_new(context, base, bytes, HOST_REGISTERED, flags, &host);
    if (res) {
        memory_give_host(bytes);
        return res;
    }
    clock_charge_priced(PRICE_PIN, bytes);
    return CUDA_SUCCESS;
}

CUresult sim_cuMemHostUnregister(void *p)
{
    struct host_range *host = host_range_find((uint64_t)(uintptr_t)p);
    struct context *context;
    CUresult res = context_require(&context);

    if (!res)
        res = capture_refuse_unsafe();
    if (res)
        return res;
    if (!host || host->kind != HOST_REGISTERED || host->range.base != (uint64_t)(uintptr_t)p)
        return CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED;
    context_drain_device(host->device);
    clock_charge_priced(PRICE_UNPIN, host->range.bytes);
    host_range_free(host);
    return CUDA_SUCCESS;
}

CUresult sim_cuMemHostGetDevicePointer_v2(CUdeviceptr *pdptr, void *p, unsigned int flags)
{
    struct context *context;
    CUresult res = context_require(&context);

    if (res)
        return res;
    if (!pdptr || flags || !host_range_find((uint64_t)(uintptr_t)p))
        return CUDA_ERROR_INVALID_VALUE;
    *pdptr = (CUdeviceptr)(uintptr_t)p;
    return CUDA_SUCCESS;
}

CUresult sim_cuMemHostGetFlags(unsigned int *p_flags, void *p)
{
    const struct host_range *host = host_range_find((uint64_t)(uintptr_t)p);
    struct context *context;
    CUresult res = context_require(&context);

    if (res)
        return res;
    if (!p_flags || !host || host->kind == HOST_MANAGED)
        return CUDA_ERROR_INVALID_VALUE;
    *p_flags = host->flags | CU_MEMHOSTALLOC_DEVICEMAP;
    return CUDA_SUCCESS;
}
