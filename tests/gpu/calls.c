/* SPDX-License-Identifier: MIT */
#include "tests/gpu/calls.h"

#include "tests/gpu/card.h"

enum { CHUNK = 16 << 20 };

static CUdeviceptr range, reserved, allocated;
static CUmemGenericAllocationHandle device_chunk, host_chunk, made;
static CUstream other, copying;
static CUevent event;
static void *pinned, *taken;

void calls_init(void)
{
    range = range_new(CHUNK);
    device_chunk = physical_new(&card.on_device, CHUNK);
    host_chunk = physical_new(&card.on_host, CHUNK);
    MUST(cu.cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    MUST(cu.cuStreamCreate(&copying, CU_STREAM_NON_BLOCKING));
    MUST(cu.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    MUST(cu.cuEventRecord(event, other));
    MUST(cu.cuMemHostAlloc(&pinned, 4096, 0));
    MUST(cu.cuCtxSynchronize());
}

static void nothing(void)
{
}
static CUresult reserve(void)
{
    return cu.cuMemAddressReserve(&reserved, CHUNK, 0, 0, 0);
}
static void before_unreserve(void)
{
    MUST(reserve());
}
static CUresult unreserve(void)
{
    return cu.cuMemAddressFree(reserved, CHUNK);
}
static void after_reserve(void)
{
    (void)unreserve();
}
static CUresult create_device(void)
{
    return cu.cuMemCreate(&made, CHUNK, &card.on_device, 0);
}
static CUresult create_host(void)
{
    return cu.cuMemCreate(&made, CHUNK, &card.on_host, 0);
}
static CUresult release(void)
{
    return cu.cuMemRelease(made);
}
static void after_create(void)
{
    (void)release();
}
static void before_release_device(void)
{
    MUST(create_device());
}
static void before_release_host(void)
{
    MUST(create_host());
}
static CUresult map_device(void)
{
    return cu.cuMemMap(range, CHUNK, 0, device_chunk, 0);
}
static CUresult map_host(void)
{
    return cu.cuMemMap(range, CHUNK, 0, host_chunk, 0);
}
static CUresult unmap(void)
{
    return cu.cuMemUnmap(range, CHUNK);
}
static void after_map(void)
{
    (void)unmap();
}
static void before_access_device(void)
{
    MUST(map_device());
}
static void before_access_host(void)
{
    MUST(map_host());
}
static CUresult set_access(void)
{
    return cu.cuMemSetAccess(range, CHUNK, &card.access, 1);
}
static void before_unmap_device(void)
{
    MUST(map_device());
    MUST(set_access());
}
static void before_unmap_host(void)
{
    MUST(map_host());
    MUST(set_access());
}
static CUresult allocate(void)
{
    return cu.cuMemAlloc_v2(&allocated, CHUNK);
}
static CUresult deallocate(void)
{
    return cu.cuMemFree_v2(allocated);
}
static void after_allocate(void)
{
    (void)deallocate();
}
static void before_deallocate(void)
{
    MUST(allocate());
}
static CUresult pin(void)
{
    return cu.cuMemHostAlloc(&taken, CHUNK, 0);
}
static CUresult unpin(void)
{
    return cu.cuMemFreeHost(taken);
}
static void before_unpin(void)
{
    MUST(pin());
}
static void after_pin(void)
{
    (void)unpin();
}
static CUresult launch_elsewhere(void)
{
    uint64_t none = 0;
    void *params[] = {&none, &none, &none, &none};

    return cu.cuLaunchKernel(card.kernels[KERNEL_NOTHING], 1, 1, 1, 1, 1, 1, 0, other, params,
                             NULL);
}
static CUresult copy_elsewhere(void)
{
    return cu.cuMemcpyHtoDAsync_v2(card.sum + 8, pinned, 8, copying);
}
static CUresult query_event(void)
{
    return cu.cuEventQuery(event);
}
static CUresult record_elsewhere(void)
{
    return cu.cuEventRecord(event, copying);
}
static CUresult wait_elsewhere(void)
{
    return cu.cuStreamWaitEvent(copying, event, 0);
}
static CUresult query_stream(void)
{
    return cu.cuStreamQuery(copying);
}
static CUresult wait_stream(void)
{
    return cu.cuStreamSynchronize(copying);
}
static CUresult wait_context(void)
{
    return cu.cuCtxSynchronize();
}
static CUresult ask_memory(void)
{
    size_t available, total;

    return cu.cuMemGetInfo_v2(&available, &total);
}
static CUresult ask_layout(void)
{
    size_t offset, size;

    return cu.cuFuncGetParamInfo
               ? cu.cuFuncGetParamInfo(card.kernels[KERNEL_MANY], 0, &offset, &size)
               : CUDA_ERROR_NOT_SUPPORTED;
}
static CUresult allocate_in_order(void)
{
    return cu.cuMemAllocAsync(&allocated, CHUNK, other);
}
static void after_allocate_in_order(void)
{
    (void)cu.cuMemFreeAsync(allocated, other);
}

const struct call calls[] = {
    {"cuMemAddressReserve", true, nothing, reserve, after_reserve},
    {"cuMemAddressFree", true, before_unreserve, unreserve, nothing},
    {"cuMemCreate, device", true, nothing, create_device, after_create},
    {"cuMemCreate, host", true, nothing, create_host, after_create},
    {"cuMemMap, device", true, nothing, map_device, after_map},
    {"cuMemMap, host", true, nothing, map_host, after_map},
    {"cuMemSetAccess, device", true, before_access_device, set_access, after_map},
    {"cuMemSetAccess, host", true, before_access_host, set_access, after_map},
    {"cuMemUnmap, device", true, before_unmap_device, unmap, nothing},
    {"cuMemUnmap, host", true, before_unmap_host, unmap, nothing},
    {"cuMemRelease, device", true, before_release_device, release, nothing},
    {"cuMemRelease, host", true, before_release_host, release, nothing},
    {"cuMemGetInfo", true, nothing, ask_memory, nothing},
    {"cuFuncGetParamInfo", true, nothing, ask_layout, nothing},
    {"cuEventQuery", true, nothing, query_event, nothing},
    {"cuMemAlloc", false, nothing, allocate, after_allocate},
    {"cuMemFree", false, before_deallocate, deallocate, nothing},
    {"cuMemAllocAsync, other stream", false, nothing, allocate_in_order, after_allocate_in_order},
    {"cuMemHostAlloc", false, nothing, pin, after_pin},
    {"cuMemFreeHost", false, before_unpin, unpin, nothing},
    {"cuLaunchKernel, other stream", false, nothing, launch_elsewhere, nothing},
    {"cuMemcpyHtoDAsync, other stream", false, nothing, copy_elsewhere, nothing},
    {"cuEventRecord, other stream", false, nothing, record_elsewhere, nothing},
    {"cuStreamWaitEvent, other stream", false, nothing, wait_elsewhere, nothing},
    {"cuStreamQuery, other stream", false, nothing, query_stream, nothing},
    {"cuStreamSynchronize, other stream", false, nothing, wait_stream, nothing},
    {"cuCtxSynchronize", false, nothing, wait_context, nothing},
};
const size_t n_calls = ARRAY_SIZE(calls);
