/* SPDX-License-Identifier: MIT */
#include "tests/sim_test.h"

TestSuite(sim_fault, .timeout = 30);

static CUdeviceptr reserve(size_t bytes)
{
    CUdeviceptr base;

    ok(cuMemAddressReserve(&base, bytes, 0, 0, 0));
    return base;
}

Test(sim_fault, touching_an_unmapped_page_breaks_the_context_for_good)
{
    CUcontext context = start();
    struct device_code code = load_code();
    CUdeviceptr bad = reserve(PAGE);
    CUdeviceptr address;
    CUstream stream;

    ok(cuMemAlloc_v2(&address, 4096));
    ok(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    ok(launch_fill(&code, bad + 16, 1, 1, stream));
    ok(launch_fill(&code, address, 1, 1, stream));
    fails(cuStreamSynchronize(stream), CUDA_ERROR_ILLEGAL_ADDRESS);
    fails(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
    fails(cuMemAlloc_v2(&address, 4096), CUDA_ERROR_ILLEGAL_ADDRESS);
    fails(launch_fill(&code, address, 1, 1, NULL), CUDA_ERROR_ILLEGAL_ADDRESS);
    fails(cuMemFree_v2(address), CUDA_ERROR_ILLEGAL_ADDRESS);
    fails(cuMemUnmap(bad, PAGE), CUDA_ERROR_ILLEGAL_ADDRESS);
    cr_assert_eq(stats_now().illegal_addresses, 1);
    cr_assert_eq(stats_now().launches, 1, "what is queued behind a fault does not run");
    ok(cuDevicePrimaryCtxReset_v2(0));
    fails(cuCtxSynchronize(), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    ok(cuDevicePrimaryCtxRetain(&context, 0));
    ok(cuCtxSynchronize());
    ok(cuMemAlloc_v2(&address, 4096));
}

Test(sim_fault, another_context_goes_on)
{
    CUcontext other;
    CUdeviceptr address;

    start();
    struct device_code code = load_code();

    ok(launch_fill(&code, reserve(PAGE), 1, 1, NULL));
    fails(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
    ok(cuCtxCreate_v2(&other, 0, 0));
    ok(cuMemAlloc_v2(&address, 4096));
    ok(cuCtxSynchronize());
}

Test(sim_fault, mapped_memory_without_access_faults)
{
    CUmemAllocationProp prop = device_prop();
    CUmemGenericAllocationHandle handle;
    struct device_code code;
    CUdeviceptr base;

    start();
    code = load_code();
    base = reserve(PAGE);
    ok(cuMemCreate(&handle, PAGE, &prop, 0));
    ok(cuMemMap(base, PAGE, 0, handle, 0));
    ok(launch_fill(&code, base, 1, 1, NULL));
    fails(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}

Test(sim_fault, read_only_memory_can_be_read_and_not_written)
{
    CUmemAllocationProp prop = device_prop();
    CUmemGenericAllocationHandle handle;
    CUmemAccessDesc access = {
        .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
        .flags = CU_MEM_ACCESS_FLAGS_PROT_READ,
    };
    struct device_code code;
    CUdeviceptr base;
    CUdeviceptr address;

    start();
    code = load_code();
    base = map_new(&prop, PAGE, &handle);
    ok(cuMemAlloc_v2(&address, 4096));
    ok(cuMemSetAccess(base, PAGE, &access, 1));
    ok(launch_copy(&code, address, base, 1, NULL));
    ok(cuCtxSynchronize());
    ok(launch_copy(&code, base, address, 1, NULL));
    fails(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}

Test(sim_fault, unmapping_under_queued_work_breaks_the_context)
{
    CUmemAllocationProp prop = device_prop();
    CUmemGenericAllocationHandle handle;
    struct device_code code;
    CUdeviceptr base;

    start();
    code = load_code();
    base = map_new(&prop, PAGE, &handle);
    ok(launch_fill(&code, base, 1, 1, NULL));
    ok(cuMemUnmap(base, PAGE));
    fails(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
}

Test(sim_fault, a_copy_of_unmapped_memory_is_refused_but_one_unmapped_later_breaks_the_context)
{
    CUmemAllocationProp prop = device_prop();
    CUmemGenericAllocationHandle handle;
    uint32_t word = 0;
    CUdeviceptr base;
    CUstream stream;

    start();
    base = reserve(PAGE);
    fails(cuMemcpyHtoD_v2(base, &word, 4), CUDA_ERROR_INVALID_VALUE);
    fails(cuMemsetD8_v2(base, 0, 4), CUDA_ERROR_INVALID_VALUE);
    ok(cuCtxSynchronize());
    base = map_new(&prop, PAGE, &handle);
    ok(cuStreamCreate(&stream, 0));
    ok(cuMemcpyHtoDAsync_v2(base, &word, 4, stream));
    ok(cuMemUnmap(base, PAGE));
    fails(cuStreamSynchronize(stream), CUDA_ERROR_ILLEGAL_ADDRESS);
}

Test(sim_fault, logs_every_page_a_kernel_touches)
{
    CUmemAllocationProp prop = host_prop();
    CUmemGenericAllocationHandle handle;
    struct sim_touch touches[8];
    struct device_code code;
    CUdeviceptr device;
    CUdeviceptr host;

    start();
    code = load_code();
    ok(cuMemAlloc_v2(&device, 4 * MIB));
    host = map_new(&prop, PAGE, &handle);
    sim_touch_log(1);
    ok(launch_copy(&code, device + PAGE - 8, host, 4, NULL));
    ok(launch_fill(&code, host, 2, 1, NULL));
    ok(cuCtxSynchronize());
    sim_touch_log(0);
    ok(launch_fill(&code, host, 2, 1, NULL));
    ok(cuCtxSynchronize());
    cr_assert_eq(sim_touches(touches, 8), 4);
    cr_assert(touches[0].page == host && touches[0].read && !touches[0].written &&
              touches[0].on_host);
    cr_assert(touches[1].page == device && !touches[1].read && touches[1].written &&
              !touches[1].on_host);
    cr_assert_eq(touches[2].page, device + PAGE);
    cr_assert_eq(touches[2].launch, touches[0].launch);
    cr_assert_eq(touches[3].launch, touches[0].launch + 1);
    cr_assert(touches[3].page == host && touches[3].written);
    sim_touch_log(1);
    cr_assert_eq(sim_touches(NULL, 0), 0);
}

Test(sim_fault, a_launch_beyond_the_limits_is_refused)
{
    static const unsigned int shapes[][7] = {
        /* grid, block, shared */
        {0, 1, 1, 1, 1, 1, 0},     {1, 65536, 1, 1, 1, 1, 0}, {1, 1, 65536, 1, 1, 1, 0},
        {1, 1, 1, 1025, 1, 1, 0},  {1, 1, 1, 1, 1, 65, 0},    {1, 1, 1, 512, 4, 1, 0},
        {1, 1, 1, 1, 1, 1, 49153}, {1, 1, 1, 0, 1, 1, 0},
    };
    CUdeviceptr address;
    uint64_t n = 1;
    uint32_t value = 1;
    struct device_code code;

    start();
    code = load_code();
    ok(cuMemAlloc_v2(&address, 4096));
    void *params[] = {&address, &n, &value};
    for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
        const unsigned int *s = shapes[i];

        cr_expect_eq(
            cuLaunchKernel(code.fill, s[0], s[1], s[2], s[3], s[4], s[5], s[6], NULL, params, NULL),
            CUDA_ERROR_INVALID_VALUE, "shape %zu", i);
    }
    ok(cuFuncSetAttribute(code.fill, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 60000));
    ok(cuLaunchKernel(code.fill, 1, 1, 1, 1, 1, 1, 49153, NULL, params, NULL));
    fails(cuLaunchKernel(code.fill, 1, 1, 1, 1, 1, 1, 60001, NULL, params, NULL),
          CUDA_ERROR_INVALID_VALUE);
    params[1] = NULL;
    fails(cuLaunchKernel(code.fill, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL),
          CUDA_ERROR_INVALID_VALUE);
}

Test(sim_fault, parameters_come_as_one_buffer_too)
{
    struct fill_params params = {.n = 3, .value = 12};
    size_t bytes = sizeof(params);
    void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &params, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes,
                     CU_LAUNCH_PARAM_END};
    void *pointers[] = {&params};
    struct device_code code;
    CUdeviceptr address;

    start();
    code = load_code();
    ok(cuMemAlloc_v2(&address, 4096));
    params.address = address;
    CUlaunchConfig config = {1, 1, 1, 1, 1, 1, 0, NULL, NULL, 0};

    ok(cuLaunchKernelEx(&config, code.fill, NULL, extra));
    cr_assert_eq(read_word(params.address + 8), 12);
    fails(cuLaunchKernelEx(&config, code.fill, pointers, extra), CUDA_ERROR_INVALID_VALUE);
    bytes = 8;
    fails(cuLaunchKernelEx(&config, code.fill, NULL, extra), CUDA_ERROR_INVALID_VALUE);
}
