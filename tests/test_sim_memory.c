/* SPDX-License-Identifier: MIT */
#include "tests/sim_test.h"

TestSuite(sim_memory, .timeout = 30);

Test(sim_memory, a_card_is_full_at_exactly_its_size)
{
    CUdeviceptr whole;
    CUdeviceptr more;

    start();
    fails(cuMemAlloc_v2(&whole, 22 * MIB + 1), CUDA_ERROR_OUT_OF_MEMORY);
    ok(cuMemAlloc_v2(&whole, 22 * MIB));
    fails(cuMemAlloc_v2(&more, 1), CUDA_ERROR_OUT_OF_MEMORY);
    ok(cuMemFree_v2(whole));
    ok(cuMemAlloc_v2(&more, 1));
}

Test(sim_memory, small_allocations_share_pages_and_give_them_back)
{
    enum { N = 5000 };
    static CUdeviceptr addresses[N];

    start();
    for (size_t i = 0; i < N; i++)
        ok(cuMemAlloc_v2(&addresses[i], 700));
    cr_assert_eq(stats_now().device_used, 3 * PAGE, "5000 of 1024 bytes need three pages");
    for (size_t i = 0; i < N; i++) {
        cr_assert(is_aligned(addresses[i], 512));
        ok(cuMemsetD8_v2(addresses[i], (unsigned char)i, 700));
    }
    for (size_t i = 0; i < N; i++) {
        unsigned char last;

        ok(cuMemcpyDtoH_v2(&last, addresses[i] + 699, 1));
        cr_assert_eq(last, (unsigned char)i);
    }
    for (size_t i = 0; i < N; i++)
        ok(cuMemFree_v2(addresses[i]));
    cr_assert_eq(stats_now().device_used, 0);
    cr_assert_eq(stats_now().allocations, 0);
}

Test(sim_memory, random_allocation_leaks_nothing)
{
    enum { SLOTS = 32 };
    CUdeviceptr held[SLOTS] = {0};
    uint64_t random = 88172645463325252;

    start();
    for (int i = 0; i < 5000; i++) {
        CUdeviceptr *slot;

        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        slot = &held[random % SLOTS];
        if (*slot) {
            ok(cuMemFree_v2(*slot));
            *slot = 0;
        } else {
            CUresult res = cuMemAlloc_v2(slot, 1 + (random >> 20) % (3 * MIB));

            cr_assert(res == CUDA_SUCCESS || res == CUDA_ERROR_OUT_OF_MEMORY);
            *slot = res ? 0 : *slot;
        }
    }
    for (size_t i = 0; i < SLOTS; i++)
        ok(cuMemFree_v2(held[i]));
    cr_assert_eq(stats_now().device_used, 0);
}

Test(sim_memory, frees_only_what_was_allocated)
{
    CUmemAllocationProp prop = device_prop();
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address;
    void *pinned;

    start();
    ok(cuMemAlloc_v2(&address, 4096));
    ok(cuMemHostAlloc(&pinned, 4096, 0));
    ok(cuMemFree_v2(0));
    fails(cuMemFree_v2(address + 512), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemFree_v2(12345), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemFree_v2((uintptr_t)pinned), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemFree_v2(map_new(&prop, PAGE, &handle)), CUDA_ERROR_INVALID_VALUE);
    ok(cuMemFree_v2(address));
    fails(cuMemFree_v2(address), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemAlloc_v2(&address, 0), CUDA_ERROR_INVALID_VALUE);
}

Test(sim_memory, new_memory_shows_a_pattern_and_no_zero)
{
    static uint8_t bytes[3 * PAGE];
    CUdeviceptr address;

    start();
    for (size_t size = 1000; size <= sizeof(bytes); size *= 8) {
        ok(cuMemAlloc_v2(&address, size));
        ok(cuMemcpyDtoH_v2(bytes, address, size));
        cr_assert(!memchr(bytes, 0, size));
        ok(cuMemsetD8_v2(address, 0, size));
        ok(cuMemFree_v2(address));
    }
}

Test(sim_memory, pitched_memory_copies_as_a_box)
{
    uint32_t picture[3][5];
    uint32_t back[3][5] = {0};
    CUDA_MEMCPY2D copy = {0};
    CUdeviceptr address;
    size_t pitch;

    start();
    for (size_t i = 0; i < 15; i++)
        picture[i / 5][i % 5] = (uint32_t)i;
    ok(cuMemAllocPitch_v2(&address, &pitch, sizeof(picture[0]), 3, 4));
    cr_assert_eq(pitch, 512);
    copy.srcMemoryType = CU_MEMORYTYPE_HOST;
    copy.srcHost = picture;
    copy.srcPitch = sizeof(picture[0]);
    copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
    copy.dstDevice = address;
    copy.dstPitch = pitch;
    copy.WidthInBytes = sizeof(picture[0]);
    copy.Height = 3;
    ok(cuMemcpy2D_v2(&copy));
    cr_assert_eq(read_word(address + 2 * pitch + 4), 11);
    copy = (CUDA_MEMCPY2D){
        .srcMemoryType = CU_MEMORYTYPE_DEVICE,
        .srcDevice = address,
        .srcPitch = pitch,
        .srcXInBytes = 4,
        .srcY = 1,
        .dstMemoryType = CU_MEMORYTYPE_HOST,
        .dstHost = back,
        .dstPitch = sizeof(back[0]),
        .WidthInBytes = 8,
        .Height = 2,
    };
    ok(cuMemcpy2D_v2(&copy));
    cr_assert_eq(back[0][0], 6);
    cr_assert_eq(back[1][1], 12);
    cr_assert_eq(back[1][2], 0);
    copy.srcMemoryType = CU_MEMORYTYPE_ARRAY;
    fails(cuMemcpy2D_v2(&copy), CUDA_ERROR_NOT_SUPPORTED);
}

Test(sim_memory, boxes_of_three_dimensions_copy)
{
    uint16_t cube[4][3][2];
    uint16_t back[4][3][2] = {0};
    CUDA_MEMCPY3D copy = {0};
    CUdeviceptr address;

    start();
    for (size_t i = 0; i < 24; i++)
        (&cube[0][0][0])[i] = (uint16_t)i;
    ok(cuMemAlloc_v2(&address, 8192));
    copy.srcMemoryType = CU_MEMORYTYPE_HOST;
    copy.srcHost = cube;
    copy.srcPitch = 4;
    copy.srcHeight = 3;
    copy.dstMemoryType = CU_MEMORYTYPE_DEVICE;
    copy.dstDevice = address;
    copy.dstPitch = 64;
    copy.dstHeight = 8;
    copy.WidthInBytes = 4;
    copy.Height = 3;
    copy.Depth = 4;
    ok(cuMemcpy3D_v2(&copy));
    copy.srcMemoryType = CU_MEMORYTYPE_DEVICE;
    copy.srcDevice = address;
    copy.srcPitch = 64;
    copy.srcHeight = 8;
    copy.srcZ = 2;
    copy.dstMemoryType = CU_MEMORYTYPE_HOST;
    copy.dstHost = back;
    copy.dstPitch = 4;
    copy.dstHeight = 3;
    copy.Depth = 2;
    ok(cuMemcpy3D_v2(&copy));
    cr_assert_eq(back[1][2][1], 23);
    cr_assert_eq(back[0][0][0], 12);
    cr_assert_eq(back[2][0][0], 0);
}

Test(sim_memory, every_memset_writes_its_width)
{
    uint8_t bytes[64];
    CUdeviceptr at;

    start();
    ok(cuMemAlloc_v2(&at, 4096));
    ok(cuMemsetD8_v2(at, 1, 64));
    ok(cuMemsetD16_v2(at + 8, 0x0203, 2));
    ok(cuMemsetD32_v2(at + 16, 0x04050607, 2));
    ok(cuMemsetD2D8_v2(at + 32, 8, 9, 3, 4));
    ok(cuMemcpyDtoH_v2(bytes, at, 64));
    cr_assert_eq(bytes[8], 3);
    cr_assert_eq(bytes[11], 2);
    cr_assert_eq(bytes[12], 1);
    cr_assert_eq(bytes[23], 4);
    cr_assert_eq(bytes[24], 1);
    cr_assert_eq(bytes[32 + 26], 9);
    cr_assert_eq(bytes[32 + 27], 1);
    fails(cuMemsetD16_v2(at + 1, 0, 1), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemsetD32_v2(at + 2, 0, 1), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemsetD2D8_v2(at, 2, 0, 3, 2), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemsetD8_v2(at, 0, 4097), CUDA_ERROR_INVALID_VALUE);
}

Test(sim_memory, counts_copies_by_direction)
{
    CUmemAllocationProp prop = host_prop();
    CUmemGenericAllocationHandle handle;
    uint8_t bytes[1000] = {0};
    struct sim_stats before;
    struct sim_stats after;
    CUdeviceptr device;
    CUdeviceptr host;

    start();
    ok(cuMemAlloc_v2(&device, 4096));
    host = map_new(&prop, PAGE, &handle);
    before = stats_now();
    ok(cuMemcpyHtoD_v2(device, bytes, 1000));
    ok(cuMemcpyDtoD_v2(device, host, 200));
    ok(cuMemcpyDtoD_v2(host, device, 30));
    ok(cuMemcpyDtoD_v2(device + 1024, device, 4));
    ok(cuMemcpyDtoD_v2(host + 1024, host, 5));
    ok(cuCtxSynchronize());
    after = stats_now();
    cr_assert_eq(after.bytes_to_device - before.bytes_to_device, 1200);
    cr_assert_eq(after.bytes_to_host - before.bytes_to_host, 30);
    cr_assert_eq(after.bytes_on_device - before.bytes_on_device, 4);
    cr_assert_eq(after.bytes_on_host - before.bytes_on_host, 5);
}

Test(sim_memory, a_copy_must_lie_in_memory_of_the_kind_it_names)
{
    CUdeviceptr address;
    uint8_t pageable[64] = {0};
    uintptr_t host = (uintptr_t)pageable;

    start();
    ok(cuMemAlloc_v2(&address, 64));
    fails(cuMemcpyHtoD_v2(address, pageable, 65), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemcpyHtoD_v2(host, pageable, 4), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemcpyDtoD_v2(address, host, 4), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemcpyDtoH_v2((void *)(uintptr_t)address, address, 4), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemcpyDtoH_v2(NULL, address, 4), CUDA_ERROR_INVALID_VALUE);
    ok(cuMemcpyHtoD_v2(address, pageable, 0));
    ok(cuMemcpy(address, host, 64));
    ok(cuMemcpy(host, address, 64));
}

Test(sim_memory, one_copy_does_not_cross_from_device_to_host_memory)
{
    CUmemAllocationProp props[] = {device_prop(), host_prop()};
    CUmemGenericAllocationHandle handle;
    static uint8_t bytes[PAGE];
    CUdeviceptr base;

    start();
    ok(cuMemAddressReserve(&base, 2 * PAGE, 0, 0, 0));
    for (size_t i = 0; i < 2; i++) {
        ok(cuMemCreate(&handle, PAGE, &props[i], 0));
        ok(cuMemMap(base + i * PAGE, PAGE, 0, handle, 0));
    }
    ok(allow_device(base, 2 * PAGE));
    fails(cuMemcpyHtoD_v2(base + PAGE / 2, bytes, PAGE), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemsetD8_v2(base, 0, 2 * PAGE), CUDA_ERROR_INVALID_VALUE);
    ok(cuMemcpyHtoD_v2(base + PAGE / 2, bytes, PAGE / 2));
    ok(cuMemcpyHtoD_v2(base + PAGE, bytes, PAGE));
    cr_assert_eq(stats_now().illegal_addresses, 0);
}

struct attribute_row {
    CUdeviceptr at;
    CUresult result;
    unsigned int type;
    int ordinal;
    bool managed;
};

Test(sim_memory, tells_what_a_pointer_is)
{
    CUmemAllocationProp prop = device_prop();
    CUmemAllocationProp on_host = host_prop();
    CUmemGenericAllocationHandle handle;
    CUdeviceptr native;
    CUdeviceptr managed;
    CUdeviceptr empty;
    void *pinned;
    int local = 0;

    start();
    ok(cuMemAlloc_v2(&native, 4096));
    ok(cuMemAllocManaged(&managed, 4096, CU_MEM_ATTACH_GLOBAL));
    ok(cuMemHostAlloc(&pinned, 4096, 0));
    ok(cuMemAddressReserve(&empty, PAGE, 0, 0, 0));
    struct attribute_row rows[] = {
        {native + 7, CUDA_SUCCESS, CU_MEMORYTYPE_DEVICE, 0, false},
        {map_new(&prop, PAGE, &handle), CUDA_SUCCESS, CU_MEMORYTYPE_DEVICE, 0, false},
        {map_new(&on_host, PAGE, &handle), CUDA_SUCCESS, CU_MEMORYTYPE_HOST, CU_DEVICE_CPU, false},
        {(uintptr_t)pinned, CUDA_SUCCESS, CU_MEMORYTYPE_HOST, 0, false},
        {managed, CUDA_SUCCESS, CU_MEMORYTYPE_DEVICE, 0, true},
        {empty, CUDA_ERROR_INVALID_VALUE, 0, CU_DEVICE_INVALID, false},
        {(uintptr_t)&local, CUDA_ERROR_INVALID_VALUE, 0, CU_DEVICE_INVALID, false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CUpointer_attribute attributes[] = {CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                            CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
                                            CU_POINTER_ATTRIBUTE_IS_MANAGED};
        unsigned int type = 99;
        int ordinal = 99;
        bool is_managed = true;
        void *data[] = {&type, &ordinal, &is_managed};

        cr_expect_eq(cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, rows[i].at),
                     rows[i].result, "row %zu", i);
        ok(cuPointerGetAttributes(3, attributes, data, rows[i].at));
        cr_expect_eq(type, rows[i].type, "row %zu: type %u", i, type);
        cr_expect_eq(ordinal, rows[i].ordinal, "row %zu: ordinal %d", i, ordinal);
        cr_expect_eq(is_managed, rows[i].managed, "row %zu", i);
    }
}

Test(sim_memory, tells_ranges_by_allocation_and_by_mapping)
{
    CUmemAllocationProp prop = device_prop();
    CUmemGenericAllocationHandle handle;
    CUdeviceptr address;
    CUdeviceptr base;
    CUdeviceptr reserved;
    size_t bytes;

    start();
    ok(cuMemAlloc_v2(&address, 5000));
    ok(cuMemGetAddressRange_v2(&base, &bytes, address + 4999));
    cr_assert_eq(base, address);
    cr_assert_eq(bytes, 5000);
    fails(cuMemGetAddressRange_v2(&base, &bytes, address + 5000), CUDA_ERROR_NOT_FOUND);
    ok(cuMemAddressReserve(&reserved, 4 * PAGE, 0, 0, 0));
    for (size_t i = 0; i < 2; i++) {
        ok(cuMemCreate(&handle, PAGE, &prop, 0));
        ok(cuMemMap(reserved + i * PAGE, PAGE, 0, handle, 0));
    }
    ok(cuMemGetAddressRange_v2(&base, &bytes, reserved + PAGE + 9));
    cr_assert_eq(base, reserved + PAGE);
    cr_assert_eq(bytes, PAGE);
    fails(cuMemGetAddressRange_v2(&base, &bytes, reserved + 3 * PAGE), CUDA_ERROR_NOT_FOUND);
}

Test(sim_memory, kernels_read_pinned_and_registered_memory_in_place)
{
    uint32_t *pinned;
    uint32_t plain[16];
    CUdeviceptr device;
    struct device_code code;
    struct sim_stats stats;

    start();
    code = load_code();
    ok(cuMemHostAlloc((void **)&pinned, 4096, CU_MEMHOSTALLOC_DEVICEMAP));
    ok(cuMemHostRegister_v2(plain, sizeof(plain), 0));
    fails(cuMemHostRegister_v2(plain, 4, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    ok(cuMemHostGetDevicePointer_v2(&device, pinned, 0));
    ok(launch_fill(&code, device, 16, 42, NULL));
    ok(launch_copy(&code, (uintptr_t)plain, device, 16, NULL));
    ok(cuCtxSynchronize());
    cr_assert_eq(plain[15], 42);
    stats = stats_now();
    cr_assert_eq(stats.kernel_bytes_host, 3 * 64);
    cr_assert_eq(stats.kernel_bytes_device, 0);
    ok(cuMemHostUnregister(plain));
    fails(cuMemHostUnregister(plain), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
    ok(cuMemFreeHost(pinned));
    cr_assert_eq(stats_now().host_used, 0);
}

Test(sim_memory, both_sides_use_managed_memory)
{
    struct device_code code;
    CUdeviceptr managed;
    uint32_t *words;

    start();
    code = load_code();
    ok(cuMemAllocManaged(&managed, 4096, CU_MEM_ATTACH_GLOBAL));
    words = (uint32_t *)(uintptr_t)managed;
    ok(launch_fill(&code, managed, 4, 3, NULL));
    ok(cuCtxSynchronize());
    words[3] += 1;
    ok(launch_copy(&code, managed, managed + 12, 1, NULL));
    ok(cuCtxSynchronize());
    cr_assert_eq(words[0], 4);
    ok(cuMemFree_v2(managed));
}

Test(sim_memory, destroying_a_context_frees_what_it_holds)
{
    CUcontext context;
    CUdeviceptr address;
    CUstream stream;
    CUevent event;
    void *pinned;

    ok(cuInit(0));
    ok(cuCtxCreate_v2(&context, 0, 0));
    load_code();
    ok(cuMemAlloc_v2(&address, 4 * MIB));
    ok(cuMemAlloc_v2(&address, 40));
    ok(cuMemAllocAsync(&address, 4 * MIB, NULL));
    ok(cuMemHostAlloc(&pinned, 4096, 0));
    ok(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    ok(cuEventCreate(&event, 0));
    ok(cuCtxDestroy_v2(context));
    cr_assert_eq(stats_now().device_used, 0);
    cr_assert_eq(stats_now().host_used, 0);
    cr_assert_eq(stats_now().streams, 0);
    cr_assert_eq(stats_now().events, 0);
    cr_assert_eq(stats_now().allocations, 0);
    fails(cuMemAlloc_v2(&address, 40), CUDA_ERROR_INVALID_CONTEXT);
}

Test(sim_memory, cards_have_their_own_memory_and_tell_their_own_figures)
{
    CUcontext second;
    CUdeviceptr first_address;
    CUdeviceptr second_address;
    size_t free_bytes;
    size_t total;

    CUcontext first = start();

    ok(cuMemAlloc_v2(&first_address, 20 * MIB));
    ok(cuDevicePrimaryCtxRetain(&second, 1));
    ok(cuCtxPushCurrent_v2(second));
    ok(cuMemGetInfo_v2(&free_bytes, &total));
    cr_assert_eq(free_bytes, 22 * MIB);
    ok(cuMemAlloc_v2(&second_address, 20 * MIB));
    ok(cuMemsetD32_v2(second_address, 31, 1));
    ok(cuMemcpyPeer(first_address, first, second_address, second, 4));
    ok(cuCtxSynchronize());
    cr_assert_eq(read_word(first_address), 31);
    cr_assert_eq(sim_device_used(1), 20 * MIB);
}
