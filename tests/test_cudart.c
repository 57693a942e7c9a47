/* SPDX-License-Identifier: MIT */
/*
 * The stand-in runtime library on the simulated driver: what a program sees of errors, contexts,
 * threads, device code and copies. Its kernels are registered by hand, as a compiler would.
 */
#include <criterion/criterion.h>
#include <cuda.h>
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include "runtime/util.h"
#include "tests/cudart/include/cuda_runtime_api.h"
#include "tests/sim/sim.h"

extern void **__cudaRegisterFatBinary(void *fatbin);
extern void __cudaUnregisterFatBinary(void **image);
extern void __cudaRegisterFunction(void **image, const char *host, char *device, const char *name,
                                   int thread_limit, void *thread, void *block, void *block_dim,
                                   void *grid_dim, int *warp_size);
extern void __cudaRegisterVar(void **image, char *host, char *device, const char *name, int ext,
                              size_t bytes, int constant, int global);

/* Writes the variable `step` to where the parameter points. */
static const char ptx[] = ".version 7.0\n"
                          ".target sm_75\n"
                          ".address_size 64\n"
                          ".visible .global .align 4 .u32 step = 7;\n"
                          ".visible .entry put(.param .u64 at)\n"
                          "{\n"
                          "    .reg .u32 %r1;\n"
                          "    .reg .u64 %rd1;\n"
                          "    ld.param.u64 %rd1, [at];\n"
                          "    ld.global.u32 %r1, [step];\n"
                          "    st.global.u32 [%rd1], %r1;\n"
                          "    ret;\n"
                          "}\n";

static char put; /* its address is the kernel's on the host */
static char step;
static char stranger;

static struct {
    struct {
        uint32_t magic;
        uint16_t version;
        uint16_t header_bytes;
        uint64_t bytes;
    } header;
    struct {
        uint16_t kind;
        uint16_t version;
        uint32_t header_bytes;
        uint64_t payload_bytes;
        uint64_t unused;
        uint16_t minor;
        uint16_t major;
        uint32_t architecture;
        uint64_t name;
        uint64_t flags;
        uint64_t more[2];
    } entry;
    char text[(sizeof(ptx) + 7) / 8 * 8];
} fatbin = {
    .header = {0xba55ed50, 1, 16, 64 + sizeof(fatbin.text)},
    .entry = {1, 0x101, 64, sizeof(fatbin.text), 0, 0, 7, 75, 0, 0x11, {0, 0}},
};
static struct {
    uint32_t magic;
    uint32_t version;
    const void *fatbin;
    void *unused;
} wrapper = {0x466243b1, 1, &fatbin, NULL};

static void register_image(void)
{
    void **image;

    memcpy(fatbin.text, ptx, sizeof(ptx));
    image = __cudaRegisterFatBinary(&wrapper);
    __cudaRegisterFunction(image, &put, NULL, "put", -1, NULL, NULL, NULL, NULL, NULL);
    __cudaRegisterVar(image, &step, NULL, "step", 0, 4, 0, 0);
}

TestSuite(cudart, .init = register_image);

static cudaError_t launch(const void *function, void *at, unsigned int threads)
{
    void *params[] = {&at};

    return cudaLaunchKernel(function, (dim3){1, 1, 1}, (dim3){threads, 1, 1}, params, 0, NULL);
}

Test(cudart, has_every_call_and_its_twin)
{
#define FOUND(name) cr_expect_not_null(dlsym(RTLD_DEFAULT, name), "%s", name);
#define FOUND_PLAIN(name)
#define FOUND_PTSZ(name)                      FOUND(name "_ptsz")
#define FOUND_PTDS(name)                      FOUND(name "_ptds")
#define CALL(name, twin, needs, params, args) FOUND(#name) FOUND_##twin(#name)
#define PARAMS(...)                           __VA_ARGS__
#define ARGS(...)                             __VA_ARGS__
#include "tests/cudart/include/cudart_calls.def"
}

Test(cudart, asks_nothing_of_the_driver_before_the_program_does)
{
    cr_expect_eq(sim_calls("cuInit"), 0);
    cr_expect_eq(cudaGetLastError(), cudaSuccess);
    cr_expect_eq(sim_calls("cuInit"), 0);
}

Test(cudart, makes_a_context_when_the_first_call_needs_one)
{
    int count = 0;

    cr_assert_eq(cudaGetDeviceCount(&count), cudaSuccess);
    cr_expect_eq(count, 2);
    cr_expect_eq(sim_calls("cuDevicePrimaryCtxRetain"), 0);
    cr_assert_eq(cudaFree(NULL), cudaSuccess);
    cr_assert_eq(cudaDeviceSynchronize(), cudaSuccess);
    cr_expect_eq(sim_calls("cuDevicePrimaryCtxRetain"), 1);
}

Test(cudart, uses_the_context_that_is_current)
{
    CUcontext own;
    CUcontext current;
    void *memory;

    cr_assert_eq(cuInit(0), CUDA_SUCCESS);
    cr_assert_eq(cuCtxCreate_v2(&own, 0, 1), CUDA_SUCCESS);
    cr_assert_eq(cudaMalloc(&memory, 4), cudaSuccess);
    cr_assert_eq(cuCtxGetCurrent(&current), CUDA_SUCCESS);
    cr_expect_eq(current, own);
    cr_expect_eq(sim_calls("cuDevicePrimaryCtxRetain"), 0);
}

Test(cudart, names_every_error)
{
#define PLAIN(number, name) cr_expect_str_eq(cudaGetErrorName(name), #name);
#define STICKY              PLAIN
#include "tests/cudart/include/cudart_errors.def"
    cr_expect_str_eq(cudaGetErrorName((cudaError_t)12345), "unrecognized error code");
    cr_expect_str_eq(cudaGetErrorString(cudaErrorMemoryAllocation), "memory allocation");
    cr_expect_str_eq(cudaGetErrorString(cudaSuccess), "success");
}

Test(cudart, remembers_an_error_until_asked)
{
    void *memory;

    cr_assert_eq(cudaMalloc(&memory, (size_t)1 << 40), cudaErrorMemoryAllocation);
    cr_assert_eq(cudaMalloc(&memory, 4), cudaSuccess);
    cr_expect_eq(cudaPeekAtLastError(), cudaErrorMemoryAllocation);
    cr_expect_eq(cudaGetLastError(), cudaErrorMemoryAllocation);
    cr_expect_eq(cudaGetLastError(), cudaSuccess);
}

static void *fail_in_thread(void *unused)
{
    (void)unused;
    cudaSetDevice(99);
    return cudaGetLastError() == cudaErrorInvalidDevice ? fail_in_thread : NULL;
}

Test(cudart, remembers_errors_and_devices_per_thread)
{
    pthread_t thread;
    void *right = NULL;
    int device = -1;

    cr_assert_eq(cudaSetDevice(1), cudaSuccess);
    cr_assert_eq(pthread_create(&thread, NULL, fail_in_thread, NULL), 0);
    cr_assert_eq(pthread_join(thread, &right), 0);
    cr_expect_not_null(right);
    cr_expect_eq(cudaGetLastError(), cudaSuccess);
    cr_assert_eq(cudaGetDevice(&device), cudaSuccess);
    cr_expect_eq(device, 1);
}

Test(cudart, launches_what_was_registered)
{
    unsigned int value = 0;
    void *memory;

    cr_assert_eq(cudaMalloc(&memory, sizeof(value)), cudaSuccess);
    cr_assert_eq(launch(&put, memory, 1), cudaSuccess);
    cr_assert_eq(cudaMemcpy(&value, memory, sizeof(value), cudaMemcpyDeviceToHost), cudaSuccess);
    cr_expect_eq(value, 7);
    cr_expect_eq(sim_calls("cuLibraryLoadData"), 1);
}

Test(cudart, refuses_what_was_not_registered)
{
    cr_expect_eq(launch(&stranger, NULL, 1), cudaErrorInvalidDeviceFunction);
    cr_expect_eq(launch(&step, NULL, 1), cudaErrorInvalidDeviceFunction);
}

Test(cudart, calls_a_launch_that_is_too_large_a_wrong_configuration)
{
    cr_expect_eq(launch(&put, NULL, 4096), cudaErrorInvalidConfiguration);
    cr_expect_eq(cudaGetLastError(), cudaErrorInvalidConfiguration);
}

Test(cudart, keeps_an_error_that_broke_the_context_until_a_reset)
{
    void *memory;

    cr_assert_eq(cudaMalloc(&memory, 4), cudaSuccess);
    cr_assert_eq(launch(&put, (void *)0x10, 1), cudaSuccess);
    cr_expect_eq(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
    cr_expect_eq(cudaGetLastError(), cudaErrorIllegalAddress);
    cr_expect_eq(cudaGetLastError(), cudaErrorIllegalAddress);
    cr_expect_eq(cudaMalloc(&memory, 4), cudaErrorIllegalAddress);
    cr_assert_eq(cudaDeviceReset(), cudaSuccess);
    cr_expect_eq(cudaGetLastError(), cudaSuccess);
    cr_expect_eq(cudaMalloc(&memory, 4), cudaSuccess);
    cr_expect_eq(launch(&put, memory, 1), cudaSuccess);
    cr_expect_eq(cudaDeviceSynchronize(), cudaSuccess);
}

Test(cudart, reaches_variables_by_their_shadow)
{
    unsigned int value = 0;
    size_t bytes = 0;

    cr_assert_eq(cudaMemcpyFromSymbol(&value, &step, 4, 0, cudaMemcpyDeviceToHost), cudaSuccess);
    cr_expect_eq(value, 7);
    value = 8;
    cr_assert_eq(cudaMemcpyToSymbol(&step, &value, 4, 0, cudaMemcpyHostToDevice), cudaSuccess);
    value = 0;
    cr_assert_eq(cudaMemcpyFromSymbol(&value, &step, 4, 0, cudaMemcpyDefault), cudaSuccess);
    cr_expect_eq(value, 8);
    cr_assert_eq(cudaGetSymbolSize(&bytes, &step), cudaSuccess);
    cr_expect_eq(bytes, 4);
}

Test(cudart, checks_copies_to_variables)
{
    int value = 0;

    cr_expect_eq(cudaMemcpyToSymbol(&step, &value, 4, 1, cudaMemcpyHostToDevice),
                 cudaErrorInvalidValue);
    cr_expect_eq(cudaMemcpyToSymbol(&step, &value, 4, 0, cudaMemcpyDeviceToHost),
                 cudaErrorInvalidMemcpyDirection);
    cr_expect_eq(cudaMemcpyToSymbol(&put, &value, 4, 0, cudaMemcpyHostToDevice),
                 cudaErrorInvalidSymbol);
}

Test(cudart, copies_boxes)
{
    char from[2][3][4];
    char to[2][3][4] = {0};
    struct cudaExtent extent = {4, 3, 2};
    struct cudaPitchedPtr box;
    struct cudaMemcpy3DParms copy = {.extent = extent, .kind = cudaMemcpyHostToDevice};

    memset(from, 5, sizeof(from));
    cr_assert_eq(cudaMalloc3D(&box, extent), cudaSuccess);
    copy.srcPtr = (struct cudaPitchedPtr){from, 4, 4, 3};
    copy.dstPtr = box;
    cr_assert_eq(cudaMemcpy3D(&copy), cudaSuccess);
    copy.srcPtr = box;
    copy.dstPtr = (struct cudaPitchedPtr){to, 4, 4, 3};
    copy.kind = cudaMemcpyDeviceToHost;
    cr_assert_eq(cudaMemcpy3D(&copy), cudaSuccess);
    cr_expect_arr_eq(to, from, sizeof(to));
    cr_assert_eq(cudaMemset3D(box, 9, extent), cudaSuccess);
    cr_assert_eq(cudaMemcpy3D(&copy), cudaSuccess);
    memset(from, 9, sizeof(from));
    cr_expect_arr_eq(to, from, sizeof(to));
}

Test(cudart, refuses_a_copy_of_no_kind)
{
    int value = 0;

    cr_expect_eq(cudaMemcpy(&value, &value, 4, (enum cudaMemcpyKind)9),
                 cudaErrorInvalidMemcpyDirection);
    cr_expect_eq(cudaMemcpy2D(&value, 2, &value, 4, 4, 1, cudaMemcpyDefault),
                 cudaErrorInvalidPitchValue);
}

Test(cudart, tells_what_a_pointer_is)
{
    struct cudaPointerAttributes attributes;
    void *device;
    void *host;

    cr_assert_eq(cudaMalloc(&device, 4), cudaSuccess);
    cr_assert_eq(cudaMallocHost(&host, 4), cudaSuccess);
    cr_assert_eq(cudaPointerGetAttributes(&attributes, device), cudaSuccess);
    cr_expect_eq(attributes.type, cudaMemoryTypeDevice);
    cr_expect_eq(attributes.devicePointer, device);
    cr_assert_eq(cudaPointerGetAttributes(&attributes, host), cudaSuccess);
    cr_expect_eq(attributes.type, cudaMemoryTypeHost);
    cr_expect_eq(attributes.hostPointer, host);
    cr_assert_eq(cudaPointerGetAttributes(&attributes, &attributes), cudaSuccess);
    cr_expect_eq(attributes.type, cudaMemoryTypeUnregistered);
}

static void remember_status(cudaStream_t stream, cudaError_t status, void *data)
{
    (void)stream;
    *(cudaError_t *)data = status;
}

Test(cudart, calls_back_in_stream_order)
{
    cudaError_t status = cudaErrorUnknown;
    cudaStream_t stream;

    cr_assert_eq(cudaStreamCreate(&stream), cudaSuccess);
    cr_assert_eq(cudaStreamAddCallback(stream, remember_status, &status, 0), cudaSuccess);
    cr_assert_eq(cudaStreamSynchronize(stream), cudaSuccess);
    cr_expect_eq(status, cudaSuccess);
}

Test(cudart, fills_in_the_properties_of_a_device)
{
    struct cudaDeviceProp properties;
    int value = 0;

    cr_assert_eq(cudaGetDeviceProperties(&properties, 1), cudaSuccess);
    cr_expect_eq(properties.warpSize, 32);
    cr_expect_eq(properties.totalGlobalMem, 22 << 20);
    cr_assert_eq(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, 1), cudaSuccess);
    cr_expect_eq(properties.multiProcessorCount, value);
    cr_expect_eq(cudaGetDeviceProperties(&properties, 2), cudaErrorInvalidDevice);
}
