/* SPDX-License-Identifier: MIT */
/* Two cards, and what is shared with nobody. */
#include <stdlib.h>

#include "tests/sim_test.h"

TestSuite(sim_peers, .timeout = 30);

struct pair {
    CUcontext contexts[2];
    struct device_code code[2];
};

/* The second card's context is current. */
static struct pair pair_new(void)
{
    struct pair p;

    ok(cuInit(0));
    for (int i = 0; i < 2; i++) {
        ok(cuDevicePrimaryCtxRetain(&p.contexts[i], i));
        ok(cuCtxSetCurrent(p.contexts[i]));
        p.code[i] = load_code();
    }
    return p;
}

/* Four words of 7 on the first card. */
static CUdeviceptr words_on_first(const struct pair *p)
{
    CUdeviceptr address;

    ok(cuCtxSetCurrent(p->contexts[0]));
    ok(cuMemAlloc_v2(&address, 4096));
    ok(cuMemsetD32_v2(address, 7, 4));
    ok(cuCtxSynchronize());
    ok(cuCtxSetCurrent(p->contexts[1]));
    return address;
}

Test(sim_peers, access_is_enabled_and_disabled_once)
{
    struct pair p = pair_new();
    CUcontext sibling;

    fails(cuCtxEnablePeerAccess(p.contexts[0], 1), CUDA_ERROR_INVALID_VALUE);
    fails(cuCtxEnablePeerAccess(p.contexts[1], 0), CUDA_ERROR_INVALID_CONTEXT);
    fails(cuCtxEnablePeerAccess(NULL, 0), CUDA_ERROR_INVALID_CONTEXT);
    fails(cuCtxDisablePeerAccess(p.contexts[0]), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
    ok(cuCtxEnablePeerAccess(p.contexts[0], 0));
    fails(cuCtxEnablePeerAccess(p.contexts[0], 0), CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
    ok(cuCtxDisablePeerAccess(p.contexts[0]));
    fails(cuCtxDisablePeerAccess(p.contexts[0]), CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
    ok(cuCtxCreate_v2(&sibling, 0, 1));
    fails(cuCtxEnablePeerAccess(p.contexts[1], 0), CUDA_ERROR_PEER_ACCESS_UNSUPPORTED);
}

Test(sim_peers, kernels_need_access_that_lasts)
{
    struct pair p = pair_new();
    CUdeviceptr there = words_on_first(&p);
    CUdeviceptr here;

    ok(cuMemAlloc_v2(&here, 4096));
    ok(cuCtxEnablePeerAccess(p.contexts[0], 0));
    ok(launch_copy(&p.code[1], here, there, 4, NULL));
    cr_assert_eq(read_word(here + 12), 7);
    ok(cuCtxDisablePeerAccess(p.contexts[0]));
    ok(launch_copy(&p.code[1], here, there, 4, NULL));
    fails(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}

Test(sim_peers, access_ends_with_the_context_that_has_it)
{
    struct pair p = pair_new();
    CUdeviceptr there = words_on_first(&p);
    CUcontext created;
    CUdeviceptr here;

    ok(cuCtxCreate_v2(&created, 0, 1));
    ok(cuCtxEnablePeerAccess(p.contexts[0], 0));
    ok(cuCtxDestroy_v2(created));
    ok(cuCtxSetCurrent(p.contexts[1]));
    ok(cuMemAlloc_v2(&here, 4096));
    ok(launch_copy(&p.code[1], here, there, 4, NULL));
    fails(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}

Test(sim_peers, copies_need_none)
{
    struct pair p = pair_new();
    CUdeviceptr there = words_on_first(&p);
    CUdeviceptr here;

    ok(cuMemAlloc_v2(&here, 4096));
    ok(cuMemcpyPeer(here, p.contexts[1], there, p.contexts[0], 16));
    cr_assert_eq(read_word(here + 12), 7);
    ok(cuMemsetD32_v2(here, 8, 4));
    ok(cuMemcpyPeerAsync(there, p.contexts[0], here, p.contexts[1], 8, NULL));
    cr_assert_eq(read_word(there + 4), 8);
    cr_assert_eq(read_word(there + 8), 7);
    fails(cuMemcpyPeer(here, p.contexts[1], there, NULL, 16), CUDA_ERROR_INVALID_CONTEXT);
}

Test(sim_peers, mapped_memory_opens_to_each_card_by_itself)
{
    CUmemAccessDesc second = {
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 1},
        .flags = CU_MEM_ACCESS_FLAGS_PROT_READ,
    };
    struct pair p = pair_new();
    CUmemAllocationProp prop = device_prop();
    CUmemGenericAllocationHandle handle;
    CUdeviceptr there = map_new(&prop, PAGE, &handle);
    CUdeviceptr here;

    ok(cuMemAlloc_v2(&here, 4096));
    ok(cuMemSetAccess(there, PAGE, &second, 1));
    ok(launch_copy(&p.code[1], here, there, 4, NULL));
    ok(cuCtxSynchronize());
    ok(launch_fill(&p.code[1], there, 4, 1, NULL));
    fails(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}

Test(sim_peers, each_card_has_a_pool_of_its_own)
{
    struct pair p = pair_new();
    CUmemoryPool pools[2];
    CUdeviceptr address;

    for (int i = 0; i < 2; i++)
        ok(cuDeviceGetDefaultMemPool(&pools[i], i));
    cr_assert_neq(pools[0], pools[1]);
    ok(cuMemAllocAsync(&address, 4 * MIB, NULL));
    cr_assert_eq(sim_device_used(1), 4 * MIB);
    cr_assert_eq(sim_device_used(0), 0);
    fails(cuDeviceSetMemPool(1, pools[0]), CUDA_ERROR_INVALID_VALUE);
    /* Memory of the first card, begun by a stream of the second. */
    ok(cuMemAllocFromPoolAsync(&address, 4 * MIB, pools[0], NULL));
    ok(cuStreamSynchronize(NULL));
    cr_assert_eq(sim_device_used(0), 4 * MIB);
    ok(cuCtxSetCurrent(p.contexts[0]));
    ok(launch_fill(&p.code[0], address, 4, 1, NULL));
    ok(cuCtxSynchronize());
}

Test(sim_peers, tells_what_cards_can_do_with_each_other)
{
    static const struct {
        CUdevice_P2PAttribute attribute;
        int value;
    } cases[] = {
        {CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK, 0},
        {CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, 1},
        {CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED, 0},
        {CU_DEVICE_P2P_ATTRIBUTE_CUDA_ARRAY_ACCESS_SUPPORTED, 0},
    };
    int value;

    ok(cuInit(0));
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        ok(cuDeviceGetP2PAttribute(&value, cases[i].attribute, 0, 1));
        cr_expect_eq(value, cases[i].value, "attribute %d", cases[i].attribute);
    }
    fails(cuDeviceGetP2PAttribute(&value, (CUdevice_P2PAttribute)99, 0, 1),
          CUDA_ERROR_INVALID_VALUE);
    fails(cuDeviceGetP2PAttribute(&value, cases[0].attribute, 1, 1), CUDA_ERROR_INVALID_DEVICE);
    fails(cuDeviceGetP2PAttribute(&value, cases[0].attribute, 0, 2), CUDA_ERROR_INVALID_DEVICE);
    ok(cuDeviceCanAccessPeer(&value, 0, 1));
    cr_assert_eq(value, 1);
    ok(cuDeviceCanAccessPeer(&value, 1, 1));
    cr_assert_eq(value, 0);
}

static void without_peers(void)
{
    setenv("SIM_PEERS", "none", 1);
}

Test(sim_peers, cards_that_cannot_reach_each_other_still_copy, .init = without_peers)
{
    CUmemAccessDesc second = {
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 1},
        .flags = CU_MEM_ACCESS_FLAGS_PROT_READ,
    };
    struct pair p = pair_new();
    CUdeviceptr there = words_on_first(&p);
    CUmemAllocationProp prop = device_prop();
    CUmemGenericAllocationHandle handle;
    CUmemoryPool pool;
    CUdeviceptr here;
    int value;

    ok(cuDeviceCanAccessPeer(&value, 0, 1));
    cr_assert_eq(value, 0);
    ok(cuDeviceGetP2PAttribute(&value, CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, 0, 1));
    cr_assert_eq(value, 0);
    fails(cuCtxEnablePeerAccess(p.contexts[0], 0), CUDA_ERROR_PEER_ACCESS_UNSUPPORTED);
    fails(cuMemSetAccess(map_new(&prop, PAGE, &handle), PAGE, &second, 1),
          CUDA_ERROR_INVALID_DEVICE);
    ok(cuDeviceGetDefaultMemPool(&pool, 0));
    fails(cuMemPoolSetAccess(pool, &second, 1), CUDA_ERROR_INVALID_DEVICE);
    ok(cuMemAlloc_v2(&here, 4096));
    ok(cuMemcpyPeer(here, p.contexts[1], there, p.contexts[0], 16));
    cr_assert_eq(read_word(here + 12), 7);
}

Test(sim_peers, nothing_is_shared_with_other_processes)
{
    static const CUdevice_attribute attributes[] = {
        CU_DEVICE_ATTRIBUTE_IPC_EVENT_SUPPORTED,
        CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED,
        CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_FABRIC_SUPPORTED,
        CU_DEVICE_ATTRIBUTE_MEMPOOL_SUPPORTED_HANDLE_TYPES,
        CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED,
        CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_SUPPORTED,
        CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED,
    };
    CUmemAllocationProp prop = device_prop();
    CUmemGenericAllocationHandle handle;
    CUmemGenericAllocationHandle imported;
    CUmemPoolPtrExportData data;
    CUipcEventHandle event_handle;
    CUipcMemHandle ipc = {{0}};
    CUmemoryPool pool;
    CUdeviceptr address;
    CUevent event;
    int fd = -1;
    int value;

    start();
    for (size_t i = 0; i < ARRAY_SIZE(attributes); i++) {
        ok(cuDeviceGetAttribute(&value, attributes[i], 0));
        cr_expect_eq(value, 0, "attribute %d", attributes[i]);
    }
    ok(cuMemAlloc_v2(&address, 4096));
    ok(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    fails(cuIpcGetMemHandle(&ipc, address), CUDA_ERROR_NOT_SUPPORTED);
    fails(cuIpcGetMemHandle(NULL, address), CUDA_ERROR_INVALID_VALUE);
    fails(cuIpcOpenMemHandle_v2(&address, ipc, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS),
          CUDA_ERROR_NOT_SUPPORTED);
    fails(cuIpcGetEventHandle(&event_handle, event), CUDA_ERROR_NOT_SUPPORTED);
    fails(cuMemGetHandleForAddressRange(&fd, address, 4096, CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD, 0),
          CUDA_ERROR_NOT_SUPPORTED);
    ok(cuMemCreate(&handle, PAGE, &prop, 0));
    fails(cuMemExportToShareableHandle(&fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
          CUDA_ERROR_INVALID_VALUE);
    prop.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
    fails(cuMemCreate(&handle, PAGE, &prop, 0), CUDA_ERROR_NOT_SUPPORTED);
    fails(cuMemImportFromShareableHandle(&imported, &fd, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
          CUDA_ERROR_NOT_SUPPORTED);
    ok(cuDeviceGetDefaultMemPool(&pool, 0));
    fails(cuMemPoolExportToShareableHandle(&fd, pool, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
          CUDA_ERROR_INVALID_VALUE);
    fails(cuMemPoolExportPointer(&data, address), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(fd, -1);
}
