/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/sim_test.h"

TestSuite(sim_module, .timeout = 30);

/* store(address, value): *address = value + offset; a third parameter that nothing reads. */
static const char text[] = ".version 6.3\n"
                           ".target sm_75\n"
                           ".address_size 64\n"
                           ".visible .global .align 4 .u32 offset = 100;\n"
                           ".visible .entry store(\n"
                           "    .param .u64 address,\n"
                           "    .param .u32 value,\n"
                           "    .param .align 8 .b8 unread[24]\n"
                           ")\n"
                           "{\n"
                           "    .reg .b32 %r<4>;\n"
                           "    .reg .b64 %rd<3>;\n"
                           "    ld.param.u64 %rd1, [address];\n"
                           "    ld.param.u32 %r1, [value];\n"
                           "    ld.global.u32 %r2, [offset];\n"
                           "    add.u32 %r3, %r1, %r2;\n"
                           "    cvta.to.global.u64 %rd2, %rd1;\n"
                           "    st.global.u32 [%rd2], %r3;\n"
                           "    ret;\n"
                           "}\n";

/* One PTX entry of a fatbin. */
struct fatbin {
    uint32_t magic;
    uint16_t version;
    uint16_t header_bytes;
    uint64_t bytes;
    struct {
        uint16_t kind;
        uint16_t version;
        uint32_t header_bytes;
        uint64_t payload_bytes;
        uint32_t compressed_bytes;
        uint32_t extra_offset;
        uint16_t minor;
        uint16_t major;
        uint32_t architecture;
        uint32_t name_offset;
        uint32_t name_length;
        uint64_t flags;
        uint64_t reserved;
        uint64_t uncompressed_bytes;
        uint64_t extra[2];
    } entry;
    char payload[1024];
};

struct wrapper {
    uint32_t magic;
    uint32_t version;
    const void *fatbin;
    const void *unused;
};

static struct fatbin fatbin_of_text(void)
{
    struct fatbin fatbin = {.magic = 0xba55ed50, .version = 1, .header_bytes = 16};

    fatbin.entry.kind = 1;
    fatbin.entry.version = 0x0101;
    fatbin.entry.header_bytes = sizeof(fatbin.entry);
    fatbin.entry.payload_bytes = sizeof(fatbin.payload);
    fatbin.entry.architecture = 75;
    fatbin.bytes = sizeof(fatbin.entry) + sizeof(fatbin.payload);
    cr_assert_lt(sizeof(text), sizeof(fatbin.payload));
    strcpy(fatbin.payload, text);
    return fatbin;
}

static CUdeviceptr target(void)
{
    CUdeviceptr address;

    ok(cuMemAlloc_v2(&address, 4096));
    ok(cuMemsetD32_v2(address, 0, 1024));
    return address;
}

static CUresult launch_store(CUfunction function, CUdeviceptr address, uint32_t value)
{
    uint8_t unread[24] = {0};
    void *params[] = {&address, &value, unread};

    return cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL);
}

Test(sim_module, runs_ptx_text)
{
    CUmodule module;
    CUfunction store;
    CUdeviceptr address;

    start();
    address = target();
    ok(cuModuleLoadData(&module, text));
    ok(cuModuleGetFunction(&store, module, "store"));
    ok(launch_store(store, address, 7));
    cr_assert_eq(read_word(address), 107);
    cr_assert_gt(stats_now().thread_instructions, 5);
    cr_assert_eq(stats_now().kernel_bytes_device, 8);
    fails(cuModuleGetFunction(&store, module, "no such kernel"), CUDA_ERROR_NOT_FOUND);
}

Test(sim_module, runs_ptx_out_of_a_fatbin_bare_or_wrapped)
{
    struct fatbin fatbin = fatbin_of_text();
    struct wrapper wrapper = {0x466243b1, 1, &fatbin, NULL};
    const void *images[] = {&fatbin, &wrapper};
    CUdeviceptr address;
    CUfunction store;
    CUmodule module;

    start();
    address = target();
    for (uint32_t i = 0; i < 2; i++) {
        ok(cuModuleLoadData(&module, images[i]));
        ok(cuModuleGetFunction(&store, module, "store"));
        ok(launch_store(store, address, i));
        cr_assert_eq(read_word(address), 100 + i);
        ok(cuModuleUnload(module));
        fails(cuModuleUnload(module), CUDA_ERROR_INVALID_HANDLE);
        ok(cuModuleLoadFatBinary(&module, images[i]));
        ok(cuModuleUnload(module));
    }
}

Test(sim_module, refuses_what_it_cannot_run)
{
    struct fatbin fatbin = fatbin_of_text();
    CUmodule module;

    start();
    fails(cuModuleLoadData(&module, NULL), CUDA_ERROR_INVALID_VALUE);
    fails(cuModuleLoadData(&module, "no ptx"), CUDA_ERROR_INVALID_PTX);
    fails(cuModuleLoadData(&module, ""), CUDA_ERROR_INVALID_PTX);
    fails(cuModuleLoadData(&module, "\x7f"
                                    "ELF\2\1\1"),
          CUDA_ERROR_NO_BINARY_FOR_GPU);
    fatbin.entry.flags = 0x8000;
    fails(cuModuleLoadData(&module, &fatbin), CUDA_ERROR_INVALID_IMAGE);
    fatbin.entry.flags = 0;
    fatbin.entry.architecture = 90;
    fails(cuModuleLoadData(&module, &fatbin), CUDA_ERROR_NO_BINARY_FOR_GPU);
    fatbin.entry.architecture = 75;
    fatbin.entry.kind = 2;
    fails(cuModuleLoadData(&module, &fatbin), CUDA_ERROR_NO_BINARY_FOR_GPU);
    fails(cuModuleLoad(&module, "/nowhere.ptx"), CUDA_ERROR_FILE_NOT_FOUND);
    cr_assert_eq(stats_now().allocations, 0);
}

Test(sim_module, loads_from_a_file)
{
    char path[] = "/tmp/sim-module-XXXXXX";
    int fd = mkstemp(path);
    CUmodule module;

    start();
    cr_assert(fd >= 0 && write(fd, text, sizeof(text) - 1) == sizeof(text) - 1);
    close(fd);
    ok(cuModuleLoad(&module, path));
    unlink(path);
}

Test(sim_module, a_kernel_of_a_library_is_launched_like_a_function)
{
    CUlibrary library;
    CUkernel kernel;
    CUfunction function;
    CUdeviceptr address;
    CUmodule module;
    int value;

    ok(cuInit(0));
    ok(cuLibraryLoadData(&library, text, NULL, NULL, 0, NULL, NULL, 0));
    ok(cuLibraryGetKernel(&kernel, library, "store"));
    fails(cuLibraryGetKernel(&kernel, library, "nothing"), CUDA_ERROR_NOT_FOUND);
    start();
    address = target();
    ok(launch_store((CUfunction)kernel, address, 1));
    cr_assert_eq(read_word(address), 101);
    ok(cuKernelGetFunction(&function, kernel));
    ok(launch_store(function, address, 2));
    cr_assert_eq(read_word(address), 102);
    ok(cuKernelGetAttribute(&value, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, kernel, 0));
    cr_assert_eq(value, 1024);
    ok(cuLibraryGetModule(&module, library));
    ok(cuLibraryUnload(library));
    fails(launch_store((CUfunction)kernel, address, 1), CUDA_ERROR_INVALID_HANDLE);
    fails(cuLibraryUnload(library), CUDA_ERROR_INVALID_HANDLE);
    cr_assert_eq(stats_now().allocations, 1);
}

Test(sim_module, a_library_has_its_variables_in_each_context)
{
    CUlibrary library;
    CUkernel kernel;
    CUcontext second;
    CUdeviceptr first_offset;
    CUdeviceptr second_offset;
    CUdeviceptr first_address;
    CUdeviceptr second_address;
    size_t bytes;

    CUcontext first = start();

    ok(cuLibraryLoadData(&library, text, NULL, NULL, 0, NULL, NULL, 0));
    ok(cuLibraryGetKernel(&kernel, library, "store"));
    ok(cuLibraryGetGlobal(&first_offset, &bytes, library, "offset"));
    cr_assert_eq(bytes, 4);
    first_address = target();
    ok(cuMemsetD32_v2(first_offset, 1000, 1));
    ok(cuCtxCreate_v2(&second, 0, 0));
    ok(cuLibraryGetGlobal(&second_offset, &bytes, library, "offset"));
    cr_assert_neq(first_offset, second_offset);
    second_address = target();
    ok(launch_store((CUfunction)kernel, second_address, 1));
    cr_assert_eq(read_word(second_address), 101);
    ok(cuCtxSetCurrent(first));
    ok(launch_store((CUfunction)kernel, first_address, 1));
    cr_assert_eq(read_word(first_address), 1001);
    fails(cuMemFree_v2(first_offset), CUDA_ERROR_INVALID_VALUE);
}

Test(sim_module, tells_the_parameters_of_a_kernel)
{
    static const size_t offsets[] = {0, 8, 16};
    static const size_t sizes[] = {8, 4, 24};
    CUlibrary library;
    CUkernel kernel;
    CUfunction function;
    const char *name;
    size_t offset;
    size_t bytes;

    start();
    ok(cuLibraryLoadData(&library, text, NULL, NULL, 0, NULL, NULL, 0));
    ok(cuLibraryGetKernel(&kernel, library, "store"));
    ok(cuKernelGetFunction(&function, kernel));
    for (size_t i = 0; i < 3; i++) {
        ok(cuKernelGetParamInfo(kernel, i, &offset, &bytes));
        cr_assert_eq(offset, offsets[i]);
        cr_assert_eq(bytes, sizes[i]);
        ok(cuFuncGetParamInfo(function, i, &offset, NULL));
        ok(cuFuncGetParamInfo((CUfunction)kernel, i, &offset, NULL));
    }
    fails(cuFuncGetParamInfo(function, 3, &offset, &bytes), CUDA_ERROR_INVALID_VALUE);
    fails(cuFuncGetParamInfo((CUfunction)library, 0, &offset, &bytes), CUDA_ERROR_INVALID_HANDLE);
    ok(cuFuncGetName(&name, function));
    cr_assert_str_eq(name, "store");
}

Test(sim_module, a_fault_in_ptx_breaks_the_context)
{
    CUmodule module;
    CUfunction store;
    CUdeviceptr address;

    start();
    ok(cuModuleLoadData(&module, text));
    ok(cuModuleGetFunction(&store, module, "store"));
    ok(cuMemAddressReserve(&address, PAGE, 0, 0, 0));
    ok(launch_store(store, address + 64, 1));
    fails(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
    cr_assert_eq(stats_now().illegal_addresses, 1);
}

Test(sim_module, a_misaligned_access_breaks_the_context)
{
    CUmodule module;
    CUfunction store;

    start();
    ok(cuModuleLoadData(&module, text));
    ok(cuModuleGetFunction(&store, module, "store"));
    ok(launch_store(store, target() + 2, 1));
    fails(cuCtxSynchronize(), CUDA_ERROR_MISALIGNED_ADDRESS);
}

/* What the error log says after loading `image`, and the size that is handed back. */
static size_t load_with_log(const void *image, CUresult expected, char *log, size_t room)
{
    CUjit_option options[] = {
        CU_JIT_ERROR_LOG_BUFFER,           CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
        CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, CU_JIT_INFO_LOG_BUFFER,
        CU_JIT_OPTIMIZATION_LEVEL,
    };
    char info[8] = "unset";
    void *values[] = {log, (void *)room, (void *)sizeof(info), info, (void *)4};
    CUmodule module;

    memset(log, 'x', room);
    fails(cuModuleLoadDataEx(&module, image, ARRAY_SIZE(options), options, values), expected);
    cr_assert_str_eq(info, "");
    cr_assert_eq((uintptr_t)values[2], 1);
    return (uintptr_t)values[1];
}

Test(sim_module, tells_in_the_error_log_what_is_not_understood)
{
    static const char bad[] = ".version 6.3\n.target sm_75\n.address_size 64\n"
                              ".visible .entry odd()\n{\n    .reg .b32 %r<2>;\n"
                              "    wobble.u32 %r1, %r1;\n    ret;\n}\n";
    char log[512];
    char tiny[8];
    size_t bytes;

    start();
    bytes = load_with_log(bad, CUDA_ERROR_INVALID_PTX, log, sizeof(log));
    cr_assert_eq(bytes, strlen(log) + 1);
    cr_expect(strstr(log, "wobble"), "%s", log);
    cr_expect(strstr(log, "odd"), "%s", log);
    cr_expect(strstr(log, "7"), "%s", log);
    cr_assert_eq(load_with_log(bad, CUDA_ERROR_INVALID_PTX, tiny, sizeof(tiny)), sizeof(tiny));
    cr_assert_eq(strlen(tiny), sizeof(tiny) - 1);
    cr_assert_eq(load_with_log(text, CUDA_SUCCESS, log, sizeof(log)), 1);
    cr_assert_str_eq(log, "");
}

Test(sim_module, refuses_options_that_are_not_any)
{
    CUjit_option option = CU_JIT_NUM_OPTIONS;
    CUlibraryOption library_option = CU_LIBRARY_NUM_OPTIONS;
    void *value = NULL;
    CUlibrary library;
    CUmodule module;

    start();
    fails(cuModuleLoadDataEx(&module, text, 1, &option, &value), CUDA_ERROR_INVALID_VALUE);
    fails(cuModuleLoadDataEx(&module, text, 1, NULL, &value), CUDA_ERROR_INVALID_VALUE);
    fails(cuModuleLoadDataEx(&module, text, 1, &option, NULL), CUDA_ERROR_INVALID_VALUE);
    fails(cuLibraryLoadData(&library, text, &option, &value, 1, NULL, NULL, 0),
          CUDA_ERROR_INVALID_VALUE);
    fails(cuLibraryLoadData(&library, text, NULL, NULL, 0, &library_option, &value, 1),
          CUDA_ERROR_INVALID_VALUE);
}

Test(sim_module, a_file_cut_short_is_refused)
{
    struct fatbin fatbin = fatbin_of_text();
    char path[] = "/tmp/sim-module-XXXXXX";
    int fd = mkstemp(path);
    CUlibrary library;
    CUmodule module;

    start();
    cr_assert(fd >= 0 && write(fd, &fatbin, sizeof(fatbin)) == sizeof(fatbin));
    ok(cuModuleLoad(&module, path));
    ok(cuLibraryLoadFromFile(&library, path, NULL, NULL, 0, NULL, NULL, 0));
    for (off_t bytes = sizeof(fatbin) - 1; bytes > 16; bytes -= 37) {
        cr_assert_eq(ftruncate(fd, bytes), 0);
        fails(cuModuleLoad(&module, path), CUDA_ERROR_INVALID_IMAGE);
        fails(cuLibraryLoadFromFile(&library, path, NULL, NULL, 0, NULL, NULL, 0),
              CUDA_ERROR_INVALID_IMAGE);
    }
    close(fd);
    unlink(path);
    fails(cuLibraryLoadFromFile(&library, path, NULL, NULL, 0, NULL, NULL, 0),
          CUDA_ERROR_FILE_NOT_FOUND);
}

/* Two texts: a kernel that calls a function of the other. */
static char caller[] = ".version 6.3\n.target sm_75\n.address_size 64\n"
                       ".extern .func (.param .b32 out) twice(.param .b32 in);\n"
                       ".visible .entry doubled(.param .u64 address)\n{\n"
                       "    .reg .b32 %r<3>;\n    .reg .b64 %rd<2>;\n"
                       "    ld.param.u64 %rd1, [address];\n    ld.global.u32 %r1, [%rd1];\n"
                       "    {\n    .param .b32 in;\n    .param .b32 out;\n"
                       "    st.param.b32 [in], %r1;\n    call (out), twice, (in);\n"
                       "    ld.param.b32 %r2, [out];\n    }\n"
                       "    st.global.u32 [%rd1], %r2;\n    ret;\n}\n";
static char callee[] = ".version 6.3\n.target sm_75\n.address_size 64\n"
                       ".visible .func (.param .b32 out) twice(.param .b32 in)\n{\n"
                       "    .reg .b32 %r<3>;\n    ld.param.b32 %r1, [in];\n"
                       "    add.u32 %r2, %r1, %r1;\n    st.param.b32 [out], %r2;\n    ret;\n}\n";

Test(sim_module, links_texts_that_call_each_other)
{
    struct fatbin fatbin = fatbin_of_text();
    CUlinkState link;
    CUfunction doubled;
    CUfunction store;
    CUmodule module;
    CUdeviceptr address;
    void *params[] = {&address};
    void *linked;
    size_t bytes;

    start();
    address = target();
    ok(cuMemsetD32_v2(address, 21, 1));
    ok(cuLinkCreate_v2(0, NULL, NULL, &link));
    ok(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, caller, sizeof(caller), "caller", 0, NULL, NULL));
    ok(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, callee, sizeof(callee) - 1, NULL, 0, NULL, NULL));
    ok(cuLinkAddData_v2(link, CU_JIT_INPUT_FATBINARY, &fatbin, sizeof(fatbin), NULL, 0, NULL,
                        NULL));
    ok(cuLinkComplete(link, &linked, &bytes));
    cr_assert_gt(bytes, sizeof(caller) + sizeof(callee));
    ok(cuModuleLoadData(&module, linked));
    ok(cuLinkDestroy(link));
    fails(cuLinkDestroy(link), CUDA_ERROR_INVALID_HANDLE);
    ok(cuModuleGetFunction(&doubled, module, "doubled"));
    ok(cuModuleGetFunction(&store, module, "store"));
    ok(cuLaunchKernel(doubled, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL));
    cr_assert_eq(read_word(address), 42);
}

Test(sim_module, says_what_does_not_link)
{
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    char log[256] = "";
    void *values[] = {log, (void *)sizeof(log)};
    char nothing[] = "nothing";
    CUlinkState link;
    void *linked;

    start();
    ok(cuLinkCreate_v2(2, options, values, &link));
    fails(cuLinkComplete(link, &linked, NULL), CUDA_ERROR_INVALID_VALUE);
    fails(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, nothing, 7, "a", 0, NULL, NULL),
          CUDA_ERROR_INVALID_PTX);
    fails(cuLinkAddData_v2(link, CU_JIT_INPUT_CUBIN, nothing, 7, "b", 0, NULL, NULL),
          CUDA_ERROR_NO_BINARY_FOR_GPU);
    cr_expect_eq(strncmp(log, "b: ", 3), 0, "%s", log);
    fails(cuLinkAddData_v2(link, CU_JIT_INPUT_FATBINARY, nothing, 7, "c", 0, NULL, NULL),
          CUDA_ERROR_INVALID_IMAGE);
    fails(cuLinkAddFile_v2(link, CU_JIT_INPUT_PTX, "/nowhere.ptx", 0, NULL, NULL),
          CUDA_ERROR_FILE_NOT_FOUND);
    values[1] = (void *)sizeof(log);
    ok(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, caller, sizeof(caller), NULL, 0, NULL, NULL));
    fails(cuLinkComplete(link, &linked, NULL), CUDA_ERROR_INVALID_PTX);
    cr_expect(strstr(log, "twice"), "%s", log);
    ok(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, callee, sizeof(callee), NULL, 0, NULL, NULL));
    ok(cuLinkAddData_v2(link, CU_JIT_INPUT_PTX, caller, sizeof(caller), NULL, 0, NULL, NULL));
    values[1] = (void *)sizeof(log);
    fails(cuLinkComplete(link, &linked, NULL), CUDA_ERROR_INVALID_PTX);
    cr_expect(strstr(log, "doubled"), "%s", log);
    ok(cuLinkDestroy(link));
}

Test(sim_module, lists_the_kernels_of_modules_and_libraries)
{
    CUfunction functions[4] = {NULL};
    CUkernel kernels[4] = {NULL};
    CUlibrary library;
    CUlibrary of;
    CUmodule module;
    CUmodule holder;
    CUfunction store;
    CUfunctionLoadingState state;
    const char *name;
    unsigned int n;

    start();
    ok(cuModuleLoadData(&module, text));
    ok(cuModuleGetFunctionCount(&n, module));
    cr_assert_eq(n, 1);
    ok(cuModuleEnumerateFunctions(functions, 4, module));
    ok(cuModuleGetFunction(&store, module, "store"));
    cr_assert_eq(functions[0], store);
    cr_assert_null(functions[1]);
    ok(cuFuncGetModule(&holder, store));
    cr_assert_eq(holder, module);
    ok(cuFuncIsLoaded(&state, store));
    cr_assert_eq(state, CU_FUNCTION_LOADING_STATE_LOADED);
    ok(cuLibraryLoadData(&library, text, NULL, NULL, 0, NULL, NULL, 0));
    ok(cuLibraryGetKernelCount(&n, library));
    cr_assert_eq(n, 1);
    ok(cuLibraryEnumerateKernels(kernels, 4, library));
    ok(cuKernelGetName(&name, kernels[0]));
    cr_assert_str_eq(name, "store");
    ok(cuKernelGetLibrary(&of, kernels[0]));
    cr_assert_eq(of, library);
    fails(cuLibraryGetManaged(NULL, NULL, library, "offset"), CUDA_ERROR_NOT_FOUND);
    fails(cuModuleEnumerateFunctions(functions, 0, module), CUDA_ERROR_INVALID_VALUE);
    fails(cuKernelGetName(&name, (CUkernel)store), CUDA_ERROR_INVALID_HANDLE);
}

static size_t CUDA_CB eighty_bytes_per_thread(int block_size)
{
    return 80 * (size_t)block_size;
}

Test(sim_module, tells_how_much_of_a_kernel_fits)
{
    CUfunction store;
    CUmodule module;
    size_t bytes;
    int blocks;
    int block;
    int grid;

    start();
    ok(cuModuleLoadData(&module, text));
    ok(cuModuleGetFunction(&store, module, "store"));
    ok(cuOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, store, 256, 0));
    cr_assert_eq(blocks, 6);
    ok(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(&blocks, store, 33, 32768, 1));
    cr_assert_eq(blocks, 3);
    ok(cuOccupancyMaxPotentialBlockSize(&grid, &block, store, NULL, 0, 0));
    cr_assert_eq(block, 768, "two of them fill 1536 threads");
    cr_assert_eq(grid, 2 * 28);
    ok(cuOccupancyMaxPotentialBlockSize(&grid, &block, store, NULL, 0, 100));
    cr_assert_eq(block, 96, "16 blocks of 96 are 1536 threads");
    ok(cuOccupancyMaxPotentialBlockSize(&grid, &block, store, eighty_bytes_per_thread, 0, 0));
    cr_assert_eq(block, 416, "3 of 33280 bytes each; no other size keeps more than 1248 threads");
    ok(cuOccupancyAvailableDynamicSMemPerBlock(&bytes, store, 2, 128));
    cr_assert_eq(bytes, 50688);
    fails(cuOccupancyAvailableDynamicSMemPerBlock(&bytes, store, 13, 128),
          CUDA_ERROR_INVALID_VALUE);
}
