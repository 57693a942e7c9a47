/* SPDX-License-Identifier: MIT */
/*
 * Native allocation calls, and the questions about memory as a whole.
 */
#include "runtime/util.h"
#include "tests/sim/clock.h"
#include "tests/sim/calls.h"
#include "tests/sim/capture.h"
#include "tests/sim/counters.h"
#include "tests/sim/graph_memory.h"
#include "tests/sim/others.h"
#include "tests/sim/pool.h"
#include "tests/sim/vmm.h"

#define PITCH_ALIGNMENT 512

CUresult allocation_new_or_drain(struct context *context, uint64_t bytes, struct allocation **out)
{
    CUresult res = allocation_new(context, bytes, out);

    if (res != CUDA_ERROR_OUT_OF_MEMORY)
        return res;
    pool_make_room(context->device);
    if (context->sticky)
        return context->sticky;
    return allocation_new(context, bytes, out);
}

static CUresult allocate(uint64_t bytes, CUdeviceptr *out)
{
    struct allocation *allocation;
    struct context *context;
    CUresult res = context_require(&context);

    if (!res)
        res = capture_refuse_unsafe();
    if (res)
        return res;
    if (!out || !bytes)
        return CUDA_ERROR_INVALID_VALUE;
    res = allocation_new_or_drain(context, bytes, &allocation);
    if (res)
        return res;
    clock_charge_priced(PRICE_ALLOCATE, bytes);
    *out = allocation->range.base;
    return CUDA_SUCCESS;
}

CUresult sim_cuMemAlloc_v2(CUdeviceptr *dptr, size_t bytes)
{
    return allocate(bytes, dptr);
}

CUresult sim_cuMemAllocPitch_v2(CUdeviceptr *dptr, size_t *p_pitch, size_t width_in_bytes,
                                size_t height, unsigned int element_size_bytes)
{
    uint64_t pitch = align_up(width_in_bytes, PITCH_ALIGNMENT);
    uint64_t bytes;
    CUresult res;

    if (!p_pitch ||
        (element_size_bytes != 4 && element_size_bytes != 8 && element_size_bytes != 16))
        return CUDA_ERROR_INVALID_VALUE;
    if (__builtin_mul_overflow(pitch, (uint64_t)height, &bytes))
        return CUDA_ERROR_INVALID_VALUE;
    res = allocate(bytes, dptr);
    if (!res)
        *p_pitch = pitch;
    return res;
}

CUresult sim_cuMemFree_v2(CUdeviceptr dptr)
{
    struct host_range *host = host_range_find(dptr);
    struct allocation *allocation;
    struct context *context;
    CUresult res = context_require(&context);

    if (!res)
        res = capture_refuse_unsafe();
    if (res || !dptr)
        return res;
    if (host && host->kind == HOST_MANAGED && host->range.base == dptr)
        return host_free_managed(host);
    allocation = ranges_find(&allocations, dptr);
    if (!allocation || allocation->range.base != dptr || allocation->freeing)
        return CUDA_ERROR_INVALID_VALUE;
    if (allocation->graph_memory)
        return graph_memory_free(allocation->graph_memory);
    context_drain_device(allocation->device);
    if (context->sticky)
        return context->sticky;
    /* Draining let other threads run; the pointer may be theirs to free by now. */
    allocation = ranges_find(&allocations, dptr);
    if (!allocation || allocation->range.base != dptr || allocation->freeing)
        return CUDA_ERROR_INVALID_VALUE;
    clock_charge_priced(PRICE_FREE, allocation->range.bytes);
    allocation_retire(allocation);
    return CUDA_SUCCESS;
}

CUresult sim_cuMemGetInfo_v2(size_t *free, size_t *total)
{
    struct context *context;
    CUresult res = context_require(&context);

    if (res)
        return res;
    if (!free || !total)
        return CUDA_ERROR_INVALID_VALUE;
    *free = settings.vram - min_u64(settings.vram, memory_device_used(context->device) +
                                                       others_used(context->device));
    *total = settings.vram;
    return CUDA_SUCCESS;
}
