/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim_test.h"

TestSuite(sim_vmm, .timeout = 30);

/* One reservation of eight pages, its third page mapped to a handle of two. */
struct scene {
    CUdeviceptr base;
    CUmemGenericAllocationHandle handle;
};

static struct scene scene_new(void)
{
    CUmemAllocationProp prop = device_prop();
    struct scene scene;

    start();
    ok(cuMemAddressReserve(&scene.base, 8 * PAGE, 0, 0, 0));
    ok(cuMemCreate(&scene.handle, 2 * PAGE, &prop, 0));
    ok(cuMemMap(scene.base + 2 * PAGE, 2 * PAGE, 0, scene.handle, 0));
    return scene;
}

Test(sim_vmm, refuses_every_mapping_the_documentation_forbids)
{
    struct scene s = scene_new();
    const struct {
        const char *what;
        CUdeviceptr at;
        size_t bytes;
        size_t offset;
        CUmemGenericAllocationHandle handle;
        unsigned long long flags;
        CUresult expected;
    } rows[] = {
        {"a second address for one handle", s.base, 2 * PAGE, 0, s.handle, 0, CUDA_SUCCESS},
        {"mapped over a mapping", s.base + 2 * PAGE, PAGE, 0, s.handle, 0,
         CUDA_ERROR_INVALID_VALUE},
        {"over the end of a mapping", s.base + 3 * PAGE, 2 * PAGE, 0, s.handle, 0,
         CUDA_ERROR_INVALID_VALUE},
        {"an offset", s.base + 5 * PAGE, PAGE, PAGE, s.handle, 0, CUDA_ERROR_INVALID_VALUE},
        {"half a page", s.base + 5 * PAGE, PAGE / 2, 0, s.handle, 0, CUDA_ERROR_INVALID_VALUE},
        {"between pages", s.base + 5 * PAGE + 4096, PAGE, 0, s.handle, 0, CUDA_ERROR_INVALID_VALUE},
        {"larger than the handle", s.base + 4 * PAGE, 4 * PAGE, 0, s.handle, 0,
         CUDA_ERROR_INVALID_VALUE},
        {"over the end of the reservation", s.base + 7 * PAGE, 2 * PAGE, 0, s.handle, 0,
         CUDA_ERROR_INVALID_VALUE},
        {"outside any reservation", s.base + 64 * PAGE, PAGE, 0, s.handle, 0,
         CUDA_ERROR_INVALID_VALUE},
        {"no handle", s.base + 5 * PAGE, PAGE, 0, 12345, 0, CUDA_ERROR_INVALID_VALUE},
        {"flags", s.base + 5 * PAGE, PAGE, 0, s.handle, 1, CUDA_ERROR_INVALID_VALUE},
        {"nothing", s.base + 5 * PAGE, 0, 0, s.handle, 0, CUDA_ERROR_INVALID_VALUE},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        cr_expect_eq(
            cuMemMap(rows[i].at, rows[i].bytes, rows[i].offset, rows[i].handle, rows[i].flags),
            rows[i].expected, "%s", rows[i].what);
}

Test(sim_vmm, unmaps_whole_mappings_only)
{
    struct scene s = scene_new();

    fails(cuMemUnmap(s.base + 2 * PAGE, PAGE), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemUnmap(s.base + 3 * PAGE, PAGE), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemUnmap(s.base + PAGE, 3 * PAGE), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemUnmap(s.base + 2 * PAGE, 3 * PAGE), CUDA_ERROR_INVALID_VALUE);
    ok(cuMemMap(s.base + 4 * PAGE, PAGE, 0, s.handle, 0));
    ok(cuMemUnmap(s.base + 2 * PAGE, 3 * PAGE));
    cr_assert_eq(stats_now().mappings, 0);
    fails(cuMemUnmap(s.base + 2 * PAGE, 2 * PAGE), CUDA_ERROR_INVALID_VALUE);
}

Test(sim_vmm, refuses_what_cannot_be_created)
{
    CUmemAllocationProp prop = device_prop();
    CUmemGenericAllocationHandle handle;

    start();
    fails(cuMemCreate(&handle, PAGE + 4096, &prop, 0), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemCreate(&handle, 0, &prop, 0), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemCreate(&handle, PAGE, &prop, 1), CUDA_ERROR_INVALID_VALUE);
    prop.location.id = 7;
    fails(cuMemCreate(&handle, PAGE, &prop, 0), CUDA_ERROR_INVALID_DEVICE);
    prop.location.type = CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT;
    fails(cuMemCreate(&handle, PAGE, &prop, 0), CUDA_ERROR_INVALID_VALUE);
    prop = device_prop();
    prop.type = CU_MEM_ALLOCATION_TYPE_INVALID;
    fails(cuMemCreate(&handle, PAGE, &prop, 0), CUDA_ERROR_INVALID_VALUE);
    prop = host_prop();
    prop.location.type = CU_MEM_LOCATION_TYPE_HOST;
    prop.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
    fails(cuMemCreate(&handle, PAGE, &prop, 0), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(stats_now().handles, 0);
}

Test(sim_vmm, tells_a_granularity_of_two_mebibytes_for_every_location)
{
    CUmemAllocationProp props[] = {device_prop(), host_prop(), host_prop()};
    size_t granularity;

    start();
    props[2].location.type = CU_MEM_LOCATION_TYPE_HOST;
    for (size_t i = 0; i < ARRAY_SIZE(props); i++) {
        granularity = 0;
        ok(cuMemGetAllocationGranularity(&granularity, &props[i],
                                         CU_MEM_ALLOC_GRANULARITY_MINIMUM));
        cr_expect_eq(granularity, PAGE);
    }
}

Test(sim_vmm, new_memory_shows_a_pattern_and_no_zero)
{
    CUmemAllocationProp prop = device_prop();
    CUmemGenericAllocationHandle handle;
    static uint8_t bytes[PAGE];
    CUdeviceptr base;

    start();
    base = map_new(&prop, PAGE, &handle);
    ok(cuMemcpyDtoH_v2(bytes, base, PAGE));
    cr_assert(!memchr(bytes, 0, PAGE));
}

Test(sim_vmm, one_handle_at_two_addresses_is_one_memory)
{
    CUmemAllocationProp prop = host_prop();
    CUmemGenericAllocationHandle handle;
    CUdeviceptr base;
    CUdeviceptr alias;
    struct device_code code;

    start();
    code = load_code();
    base = map_new(&prop, 2 * PAGE, &handle);
    ok(cuMemAddressReserve(&alias, 2 * PAGE, 0, 0, 0));
    ok(cuMemMap(alias, 2 * PAGE, 0, handle, 0));
    ok(allow_device(alias, 2 * PAGE));
    ok(launch_fill(&code, base + PAGE, 4, 77, NULL));
    cr_assert_eq(read_word(alias + PAGE + 12), 77);
}

Test(sim_vmm, memory_lives_until_the_last_mapping_and_handle_are_gone)
{
    CUmemAllocationProp prop = device_prop();
    CUmemGenericAllocationHandle handle;
    CUmemGenericAllocationHandle again;
    CUdeviceptr base;

    start();
    base = map_new(&prop, PAGE, &handle);
    ok(cuMemsetD32_v2(base, 9, 1));
    ok(cuMemRelease(handle));
    fails(cuMemRelease(handle), CUDA_ERROR_INVALID_VALUE);
    cr_assert_eq(read_word(base), 9);
    cr_assert_eq(stats_now().device_used, PAGE);
    ok(cuMemRetainAllocationHandle(&again, (void *)(uintptr_t)base));
    ok(cuMemUnmap(base, PAGE));
    cr_assert_eq(stats_now().device_used, PAGE);
    ok(cuMemMap(base, PAGE, 0, again, 0));
    ok(allow_device(base, PAGE));
    cr_assert_eq(read_word(base), 9, "memory survives unmap and map");
    ok(cuMemUnmap(base, PAGE));
    ok(cuMemRelease(again));
    ok(cuMemAddressFree(base, PAGE));
    cr_assert_eq(stats_now().device_used, 0);
    cr_assert_eq(stats_now().handles, 0);
    cr_assert_eq(stats_now().reservations, 0);
}

Test(sim_vmm, a_reservation_is_freed_whole_and_empty)
{
    struct scene s = scene_new();

    fails(cuMemAddressFree(s.base, 8 * PAGE), CUDA_ERROR_INVALID_VALUE);
    ok(cuMemUnmap(s.base + 2 * PAGE, 2 * PAGE));
    fails(cuMemAddressFree(s.base, 4 * PAGE), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemAddressFree(s.base + PAGE, 7 * PAGE), CUDA_ERROR_INVALID_VALUE);
    ok(cuMemAddressFree(s.base, 8 * PAGE));
    fails(cuMemAddressFree(s.base, 8 * PAGE), CUDA_ERROR_INVALID_VALUE);
}

Test(sim_vmm, a_reservation_takes_its_hint_when_that_is_free)
{
    CUdeviceptr first;
    CUdeviceptr second;
    CUdeviceptr third;

    start();
    ok(cuMemAddressReserve(&first, 4 * PAGE, 0, 0, 0));
    ok(cuMemAddressReserve(&second, PAGE, 0, first + 64 * PAGE, 0));
    cr_assert_eq(second, first + 64 * PAGE);
    ok(cuMemAddressReserve(&third, PAGE, 0, first, 0));
    cr_assert_neq(third, first);
    ok(cuMemAddressFree(third, PAGE));
    ok(cuMemAddressReserve(&third, PAGE, 64 * PAGE, 0, 0));
    cr_assert(is_aligned(third, 64 * PAGE));
}

Test(sim_vmm, access_needs_every_page_mapped)
{
    struct scene s = scene_new();

    fails(allow_device(s.base, 8 * PAGE), CUDA_ERROR_INVALID_VALUE);
    fails(allow_device(s.base + PAGE, 2 * PAGE), CUDA_ERROR_INVALID_VALUE);
    ok(allow_device(s.base + 2 * PAGE, 2 * PAGE));
    ok(allow_device(s.base + 3 * PAGE, PAGE));
}

Test(sim_vmm, tells_the_access_of_each_page)
{
    struct scene s = scene_new();
    CUmemLocation location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0};
    unsigned long long flags = 99;

    ok(cuMemGetAccess(&flags, &location, s.base + 2 * PAGE));
    cr_assert_eq(flags, CU_MEM_ACCESS_FLAGS_PROT_NONE);
    ok(allow_device(s.base + 2 * PAGE, PAGE));
    ok(cuMemGetAccess(&flags, &location, s.base + 2 * PAGE));
    cr_assert_eq(flags, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
    fails(cuMemGetAccess(&flags, &location, s.base), CUDA_ERROR_INVALID_VALUE);
}

Test(sim_vmm, host_access_to_device_memory_is_refused)
{
    struct scene s = scene_new();
    CUmemAccessDesc access = {
        .location = {.type = CU_MEM_LOCATION_TYPE_HOST_NUMA, .id = 0},
        .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
    };

    fails(cuMemSetAccess(s.base + 2 * PAGE, 2 * PAGE, &access, 1), CUDA_ERROR_NOT_SUPPORTED);
}

Test(sim_vmm, the_host_reads_host_memory_it_was_given_access_to)
{
    CUmemAllocationProp prop = host_prop();
    CUmemGenericAllocationHandle handle;
    CUmemAccessDesc access = {
        .location = {.type = CU_MEM_LOCATION_TYPE_HOST, .id = 0},
        .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
    };
    CUdeviceptr base;
    volatile uint32_t *words;

    start();
    base = map_new(&prop, PAGE, &handle);
    ok(cuMemsetD32_v2(base, 5, 16));
    ok(cuCtxSynchronize());
    ok(cuMemSetAccess(base, PAGE, &access, 1));
    words = (volatile uint32_t *)(uintptr_t)base;
    cr_assert_eq(words[15], 5);
    words[3] = 6;
    cr_assert_eq(read_word(base + 12), 6);
}

Test(sim_vmm, the_host_faults_on_a_device_address)
{
    CUmemAllocationProp prop = device_prop();
    CUmemGenericAllocationHandle handle;
    volatile uint32_t *word;
    pid_t child;
    int status;

    start();
    word = (volatile uint32_t *)(uintptr_t)map_new(&prop, PAGE, &handle);
    child = fork();
    if (!child) {
        signal(SIGSEGV, SIG_DFL);
        *word = 1;
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

Test(sim_vmm, memory_is_full_at_exactly_its_size)
{
    CUmemAllocationProp prop = device_prop();
    CUmemGenericAllocationHandle handles[12];
    size_t free_bytes;
    size_t total;

    start();
    ok(cuMemGetInfo_v2(&free_bytes, &total));
    cr_assert_eq(total, 22 * MIB, "the suite runs on a card of 22 MiB");
    for (size_t i = 0; i < 11; i++)
        ok(cuMemCreate(&handles[i], PAGE, &prop, 0));
    fails(cuMemCreate(&handles[11], PAGE, &prop, 0), CUDA_ERROR_OUT_OF_MEMORY);
    ok(cuMemGetInfo_v2(&free_bytes, &total));
    cr_assert_eq(free_bytes, 0);
    ok(cuMemRelease(handles[4]));
    ok(cuMemCreate(&handles[4], PAGE, &prop, 0));
    for (size_t i = 0; i < 11; i++)
        ok(cuMemRelease(handles[i]));
    cr_assert_eq(stats_now().device_used, 0);
}

Test(sim_vmm, host_memory_is_full_at_exactly_its_size)
{
    CUmemAllocationProp prop = host_prop();
    CUmemGenericAllocationHandle handle;
    void *pinned;

    start();
    ok(cuMemCreate(&handle, 60 * PAGE, &prop, 0));
    ok(cuMemHostAlloc(&pinned, 4 * PAGE, 0));
    fails(cuMemCreate(&handle, PAGE, &prop, 0), CUDA_ERROR_OUT_OF_MEMORY);
    fails(cuMemHostAlloc(&pinned, 4096, 0), CUDA_ERROR_OUT_OF_MEMORY);
    cr_assert_eq(stats_now().host_used, 64 * PAGE);
    ok(cuMemFreeHost(pinned));
    ok(cuMemHostAlloc(&pinned, 4096, 0));
}
