/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/driver.h"
#include "tests/sim_test.h"

TestSuite(sim_calls, .timeout = 30);

struct row {
    const char *symbol;
    int since;
    const char *twin; /* equal to the symbol where there is none */
};

#define STRING(x) #x
#define NAME(x)   STRING(x)
static const struct row rows[] = {
#define HOOK(symbol, since, twin, params, args) {#symbol, since, NAME(TWIN_##twin(symbol))},
#define GATE                                    HOOK
#define REAL                                    HOOK
#define PASS                                    HOOK
#include "runtime/driver_calls.def"
};

static void base_name(const char *symbol, char *out)
{
    char *end;

    strcpy(out, symbol);
    end = out + strlen(out);
    while (isdigit((unsigned char)end[-1]))
        end--;
    if (*end && end[-1] == 'v' && end[-2] == '_')
        end[-2] = '\0';
}

/* The row that a base name means at a version: the newest that is old enough. */
static const struct row *row_at(const char *base, int version)
{
    const struct row *best = NULL;
    char name[128];

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        base_name(rows[i].symbol, name);
        if (!strcmp(name, base) && rows[i].since <= version &&
            (!best || strcmp(rows[i].symbol, best->symbol) > 0))
            best = &rows[i];
    }
    return best;
}

static void *library(void)
{
    static void *handle;
    Dl_info info;

    if (!handle) {
        cr_assert(dladdr((void *)sim_calls, &info));
        handle = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
        cr_assert(handle);
    }
    return handle;
}

Test(sim_calls, exports_every_row_and_its_twin)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        cr_expect(dlsym(library(), rows[i].symbol), "%s", rows[i].symbol);
        cr_expect(dlsym(library(), rows[i].twin), "%s", rows[i].twin);
    }
}

Test(sim_calls, finds_every_row_by_base_name_version_and_mode)
{
    char base[128];

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct row *row;
        CUdriverProcAddressQueryResult status = 99;
        void *found = NULL;

        base_name(rows[i].symbol, base);
        row = row_at(base, rows[i].since);
        ok(cuGetProcAddress_v2(base, &found, rows[i].since, 0, &status));
        cr_expect_eq(status, CU_GET_PROC_ADDRESS_SUCCESS);
        cr_expect_eq(found, dlsym(library(), row->symbol), "%s at %d", base, rows[i].since);
        ok(cuGetProcAddress(base, &found, rows[i].since, CU_GET_PROC_ADDRESS_LEGACY_STREAM));
        cr_expect_eq(found, dlsym(library(), row->symbol), "%s at %d", base, rows[i].since);
        ok(cuGetProcAddress_v2(base, &found, rows[i].since,
                               CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM, NULL));
        cr_expect_eq(found, dlsym(library(), row->twin), "%s per thread", base);
        row = row_at(base, rows[i].since - 1);
        if (row)
            continue;
        fails(cuGetProcAddress_v2(base, &found, rows[i].since - 1, 0, &status),
              CUDA_ERROR_NOT_FOUND);
        cr_expect_eq(status, CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT, "%s", base);
        cr_expect_null(found);
    }
}

Test(sim_calls, takes_the_newest_version_that_is_old_enough)
{
    void *found;

    ok(cuGetProcAddress("cuCtxSynchronize", &found, 12090, 0));
    cr_assert_eq(found, dlsym(library(), "cuCtxSynchronize"));
    ok(cuGetProcAddress("cuCtxSynchronize", &found, 13000, 0));
    cr_assert_eq(found, dlsym(library(), "cuCtxSynchronize_v2"));
    ok(cuGetProcAddress("cuGetProcAddress", &found, 11030, 0));
    cr_assert_eq(found, dlsym(library(), "cuGetProcAddress"));
    ok(cuGetProcAddress("cuGetProcAddress", &found, 12000, 0));
    cr_assert_eq(found, dlsym(library(), "cuGetProcAddress_v2"));
}

Test(sim_calls, does_not_find_what_is_not_there)
{
    CUdriverProcAddressQueryResult status;
    void *found = &found;

    fails(cuGetProcAddress_v2("", &found, 0, 0, &status), CUDA_ERROR_NOT_FOUND);
    cr_assert_eq(status, CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
    cr_assert_null(found);
    fails(cuGetProcAddress_v2("cuMemAlloc_v2", &found, 13000, 0, &status), CUDA_ERROR_NOT_FOUND);
    fails(cuGetProcAddress_v2("cuMemAlloc", &found, 13000, 8, &status), CUDA_ERROR_INVALID_VALUE);
    fails(cuGetProcAddress_v2("cuMemAlloc", NULL, 13000, 0, &status), CUDA_ERROR_INVALID_VALUE);
}

Test(sim_calls, needs_initialisation_first)
{
    CUdevice device;
    CUcontext context;
    const char *name;
    int version;

    fails(cuDeviceGet(&device, 0), CUDA_ERROR_NOT_INITIALIZED);
    fails(cuCtxGetCurrent(&context), CUDA_ERROR_NOT_INITIALIZED);
    fails(cuMemAlloc_v2(NULL, 1), CUDA_ERROR_NOT_INITIALIZED);
    ok(cuDriverGetVersion(&version));
    cr_assert_geq(version, 13000);
    ok(cuGetErrorName(CUDA_ERROR_OUT_OF_MEMORY, &name));
    cr_assert_str_eq(name, "CUDA_ERROR_OUT_OF_MEMORY");
    fails(cuGetErrorName((CUresult)12345, &name), CUDA_ERROR_INVALID_VALUE);
    fails(cuInit(1), CUDA_ERROR_INVALID_VALUE);
    ok(cuInit(0));
    ok(cuCtxGetCurrent(&context));
    cr_assert_null(context);
}

Test(sim_calls, needs_a_current_context_where_the_driver_does)
{
    CUdeviceptr address;
    CUstream stream;
    CUevent event;
    size_t bytes;

    ok(cuInit(0));
    fails(cuMemAlloc_v2(&address, 4096), CUDA_ERROR_INVALID_CONTEXT);
    fails(cuMemGetInfo_v2(&bytes, &bytes), CUDA_ERROR_INVALID_CONTEXT);
    fails(cuStreamCreate(&stream, 0), CUDA_ERROR_INVALID_CONTEXT);
    fails(cuEventCreate(&event, 0), CUDA_ERROR_INVALID_CONTEXT);
    fails(cuCtxSynchronize(), CUDA_ERROR_INVALID_CONTEXT);
    ok(cuMemAddressReserve(&address, PAGE, 0, 0, 0));
    ok(cuMemAddressFree(address, PAGE));
}

Test(sim_calls, contexts_are_pushed_popped_and_set_per_thread)
{
    CUcontext primary = start();
    CUcontext created;
    CUcontext seen;
    unsigned int flags;
    int active;

    ok(cuCtxCreate_v2(&created, CU_CTX_SCHED_SPIN, 1));
    ok(cuCtxGetCurrent(&seen));
    cr_assert_eq(seen, created);
    ok(cuCtxPopCurrent_v2(&seen));
    cr_assert_eq(seen, created);
    ok(cuCtxGetCurrent(&seen));
    cr_assert_eq(seen, primary);
    ok(cuCtxSetCurrent(created));
    ok(cuCtxGetFlags(&flags));
    cr_assert_eq(flags, CU_CTX_SCHED_SPIN);
    ok(cuCtxSetCurrent(NULL));
    fails(cuCtxPopCurrent_v2(&seen), CUDA_ERROR_INVALID_CONTEXT);
    fails(cuCtxSetCurrent((CUcontext)&seen), CUDA_ERROR_INVALID_CONTEXT);
    ok(cuDevicePrimaryCtxGetState(0, &flags, &active));
    cr_assert(active);
    ok(cuDevicePrimaryCtxRelease_v2(0));
    ok(cuDevicePrimaryCtxGetState(0, &flags, &active));
    cr_assert_not(active);
    fails(cuDevicePrimaryCtxRelease_v2(0), CUDA_ERROR_INVALID_CONTEXT);
}

Test(sim_calls, fails_the_nth_call_as_told_and_counts_all)
{
    CUdeviceptr address;

    start();
    cr_assert_eq(sim_calls("cuMemAlloc_v2"), 0);
    sim_fail("cuMemAlloc_v2", 2, CUDA_ERROR_OUT_OF_MEMORY);
    ok(cuMemAlloc_v2(&address, 4096));
    fails(cuMemAlloc_v2(&address, 4096), CUDA_ERROR_OUT_OF_MEMORY);
    ok(cuMemAlloc_v2(&address, 4096));
    cr_assert_eq(sim_calls("cuMemAlloc_v2"), 3);
    cr_assert_eq(sim_calls("cuMemAlloc"), 3);
    cr_assert_eq(sim_calls("cuNothing"), 0);
    sim_fail("cuMemsetD8Async", 1, CUDA_ERROR_UNKNOWN);
    fails(cuMemsetD8Async_ptsz(address, 0, 1, NULL), CUDA_ERROR_UNKNOWN);
    cr_assert_eq(sim_calls("cuMemsetD8Async"), 1, "a twin counts as its plain call");
    sim_fail("cuMemAlloc_v2", 1, CUDA_ERROR_UNKNOWN);
    sim_fail_clear();
    ok(cuMemAlloc_v2(&address, 4096));
    cr_assert_eq(stats_now().allocations, 3);
}

Test(sim_calls, whatever_row_is_told_to_fail_fails)
{
    start();
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        CUresult (*call)(void) = NULL;

        *(void **)&call = dlsym(library(), rows[i].symbol);
        sim_fail(rows[i].symbol, 1, CUDA_ERROR_DEVICE_UNAVAILABLE);
        /* An injected failure comes before anything reads the arguments, so none are passed. */
        cr_expect_eq(call(), CUDA_ERROR_DEVICE_UNAVAILABLE, "%s", rows[i].symbol);
    }
}

Test(sim_calls, what_is_not_simulated_is_refused)
{
    CUtexObject texture;
    const void *table;
    CUuuid id = {0};

    start();
    fails(cuTexObjectCreate(&texture, NULL, NULL, NULL), CUDA_ERROR_NOT_SUPPORTED);
    fails(cuMipmappedArrayDestroy(NULL), CUDA_ERROR_NOT_SUPPORTED);
    fails(cuGetExportTable(&table, &id), CUDA_ERROR_NOT_FOUND);
    cr_assert_null(table);
}

Test(sim_calls, describes_each_card)
{
    static const struct {
        CUdevice_attribute attribute;
        int value;
    } expected[] = {
        {CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32},
        {CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, 1},
        {CU_DEVICE_ATTRIBUTE_HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, 1},
        {CU_DEVICE_ATTRIBUTE_HOST_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, 1},
        {CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, 1},
        {CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH, 1},
        {CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 8},
        {CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, 2},
    };
    CUuuid first;
    CUuuid second;
    size_t bytes;
    int value;

    start();
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        ok(cuDeviceGetAttribute(&value, expected[i].attribute, 1));
        cr_expect_eq(value, expected[i].value, "attribute %d", expected[i].attribute);
    }
    ok(cuDeviceTotalMem_v2(&bytes, 1));
    cr_assert_eq(bytes, 22 * MIB);
    ok(cuDeviceGetUuid_v2(&first, 0));
    ok(cuDeviceGetUuid(&second, 1));
    cr_assert_neq(memcmp(&first, &second, sizeof(first)), 0);
    fails(cuDeviceGetUuid_v2(&first, 2), CUDA_ERROR_INVALID_DEVICE);
}

Test(sim_calls, the_simulated_nvml_tells_the_same_cards)
{
    struct {
        unsigned long long total;
        unsigned long long free;
        unsigned long long used;
    } memory;
    int (*init)(void);
    int (*count)(unsigned int *);
    int (*by_index)(unsigned int, void **);
    int (*uuid)(void *, char *, unsigned int);
    int (*info)(void *, void *);
    char path[4096];
    char text[80];
    char digits[3];
    Dl_info self;
    void *nvml;
    void *device;
    unsigned int n;
    CUdeviceptr address;
    CUuuid expected;

    cr_assert(dladdr((void *)sim_calls, &self));
    snprintf(path, sizeof(path), "%.*s/libnvidia-ml.so.1",
             (int)(strrchr(self.dli_fname, '/') - self.dli_fname), self.dli_fname);
    nvml = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    cr_assert(nvml, "%s", dlerror());
    *(void **)&init = dlsym(nvml, "nvmlInit_v2");
    *(void **)&count = dlsym(nvml, "nvmlDeviceGetCount_v2");
    *(void **)&by_index = dlsym(nvml, "nvmlDeviceGetHandleByIndex_v2");
    *(void **)&uuid = dlsym(nvml, "nvmlDeviceGetUUID");
    *(void **)&info = dlsym(nvml, "nvmlDeviceGetMemoryInfo");
    cr_assert_eq(count(&n), 1, "not initialised");
    cr_assert_eq(init(), 0);
    cr_assert_eq(count(&n), 0);
    cr_assert_eq(n, 2);
    cr_assert_eq(by_index(0, &device), 0);
    cr_assert_eq(uuid(device, text, sizeof(text)), 0);
    start();
    ok(cuDeviceGetUuid_v2(&expected, 0));
    snprintf(digits, sizeof(digits), "%02x", (unsigned char)expected.bytes[0]);
    cr_assert_eq(strncmp(text, "GPU-", 4), 0);
    cr_assert_eq(strncmp(text + 4, digits, 2), 0);
    cr_assert_eq(strlen(text), 40);
    ok(cuMemAlloc_v2(&address, 6 * MIB));
    cr_assert_eq(info(device, &memory), 0);
    cr_assert_eq(memory.total, 22 * MIB);
    cr_assert_eq(memory.used, 6 * MIB);
    cr_assert_eq(memory.free, 16 * MIB);
}

Test(sim_calls, makes_contexts_in_every_version)
{
    CUexecAffinityParam affinity = {.type = CU_EXEC_AFFINITY_TYPE_SM_COUNT, .param.smCount.val = 4};
    CUctxCreateParams none = {0};
    CUctxCreateParams some = {.execAffinityParams = &affinity, .numExecAffinityParams = 1};
    unsigned long long ids[2];
    CUcontext contexts[2];
    CUcontext seen;
    CUdevice device;

    ok(cuInit(0));
    ok(cuCtxCreate_v4(&contexts[0], NULL, 0, 0));
    ok(cuCtxCreate_v4(&contexts[1], &none, CU_CTX_SCHED_YIELD, 1));
    fails(cuCtxCreate_v4(&seen, &some, 0, 0), CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY);
    fails(cuCtxCreate_v3(&seen, &affinity, 1, 0, 0), CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY);
    ok(cuCtxGetDevice_v2(&device, contexts[1]));
    cr_assert_eq(device, 1);
    ok(cuCtxGetId(contexts[0], &ids[0]));
    ok(cuCtxGetId(NULL, &ids[1]));
    cr_assert_neq(ids[0], ids[1]);
    ok(cuCtxDestroy_v2(contexts[1]));
    fails(cuCtxGetId(contexts[1], &ids[1]), CUDA_ERROR_CONTEXT_IS_DESTROYED);
    ok(cuCtxGetCurrent(&seen));
    cr_assert_eq(seen, contexts[0]);
}

Test(sim_calls, limits_are_kept_within_what_the_card_can_do)
{
    static const struct {
        CUlimit limit;
        size_t initial;
        size_t asked;
        CUresult answer;
        size_t then;
    } cases[] = {
        {CU_LIMIT_STACK_SIZE, 1024, 8192, CUDA_SUCCESS, 8192},
        {CU_LIMIT_STACK_SIZE, 8192, 1 << 30, CUDA_ERROR_INVALID_VALUE, 8192},
        {CU_LIMIT_PRINTF_FIFO_SIZE, 1 << 20, 1 << 24, CUDA_SUCCESS, 1 << 24},
        {CU_LIMIT_MALLOC_HEAP_SIZE, 8 << 20, 1 << 24, CUDA_SUCCESS, 1 << 24},
        {CU_LIMIT_DEV_RUNTIME_PENDING_LAUNCH_COUNT, 2048, 4096, CUDA_SUCCESS, 4096},
        {CU_LIMIT_MAX_L2_FETCH_GRANULARITY, 64, 1000, CUDA_SUCCESS, 128},
        {CU_LIMIT_PERSISTING_L2_CACHE_SIZE, 0, 1 << 20, CUDA_SUCCESS, 0},
    };
    size_t value;

    start();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        ok(cuCtxGetLimit(&value, cases[i].limit));
        cr_expect_eq(value, cases[i].initial, "case %zu", i);
        cr_expect_eq(cuCtxSetLimit(cases[i].limit, cases[i].asked), cases[i].answer, "case %zu", i);
        ok(cuCtxGetLimit(&value, cases[i].limit));
        cr_expect_eq(value, cases[i].then, "case %zu", i);
    }
    fails(cuCtxGetLimit(&value, CU_LIMIT_SHMEM_SIZE), CUDA_ERROR_UNSUPPORTED_LIMIT);
    fails(cuCtxGetLimit(&value, CU_LIMIT_MAX), CUDA_ERROR_INVALID_VALUE);
    fails(cuCtxSetLimit((CUlimit)-1, 1), CUDA_ERROR_INVALID_VALUE);
}

Test(sim_calls, keeps_what_a_context_prefers)
{
    CUsharedconfig banks;
    CUfunc_cache cache;
    unsigned int flags;

    start();
    ok(cuCtxSetCacheConfig(CU_FUNC_CACHE_PREFER_L1));
    ok(cuCtxGetCacheConfig(&cache));
    cr_assert_eq(cache, CU_FUNC_CACHE_PREFER_L1);
    fails(cuCtxSetCacheConfig((CUfunc_cache)4), CUDA_ERROR_INVALID_VALUE);
    ok(cuCtxSetSharedMemConfig(CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE));
    ok(cuCtxGetSharedMemConfig(&banks));
    cr_assert_eq(banks, CU_SHARED_MEM_CONFIG_FOUR_BYTE_BANK_SIZE);
    ok(cuCtxSetFlags(CU_CTX_SCHED_BLOCKING_SYNC));
    ok(cuCtxGetFlags(&flags));
    cr_assert_eq(flags, CU_CTX_SCHED_BLOCKING_SYNC);
    ok(cuCtxResetPersistingL2Cache());
}

Test(sim_calls, finds_cards_by_their_bus)
{
    static const struct {
        const char *id;
        CUresult answer;
        CUdevice device;
    } cases[] = {
        {"0000:01:00.0", CUDA_SUCCESS, 0},
        {"0000:02:00.0", CUDA_SUCCESS, 1},
        {"02:00.0", CUDA_SUCCESS, 1},
        {"0000:02:00", CUDA_SUCCESS, 1},
        {"0000:03:00.0", CUDA_ERROR_INVALID_DEVICE, 0},
        {"0001:01:00.0", CUDA_ERROR_INVALID_DEVICE, 0},
        {"0000:01:01.0", CUDA_ERROR_INVALID_DEVICE, 0},
        {"elsewhere", CUDA_ERROR_INVALID_VALUE, 0},
        {"", CUDA_ERROR_INVALID_VALUE, 0},
    };
    CUdevice device = 0;
    char id[16];

    ok(cuInit(0));
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        cr_expect_eq(cuDeviceGetByPCIBusId(&device, cases[i].id), cases[i].answer, "%s",
                     cases[i].id);
        if (!cases[i].answer)
            cr_expect_eq(device, cases[i].device, "%s", cases[i].id);
    }
    for (int i = 0; i < 2; i++) {
        ok(cuDeviceGetPCIBusId(id, sizeof(id), i));
        ok(cuDeviceGetByPCIBusId(&device, id));
        cr_expect_eq(device, i);
    }
}

Test(sim_calls, answers_every_attribute_and_agrees_with_itself)
{
    CUdevprop prop;
    int major;
    int minor;
    int value;

    ok(cuInit(0));
    for (int i = 1; i < CU_DEVICE_ATTRIBUTE_MAX; i++) {
        ok(cuDeviceGetAttribute(&value, (CUdevice_attribute)i, 0));
        cr_expect_geq(value, -1, "attribute %d", i);
    }
    fails(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MAX, 0), CUDA_ERROR_INVALID_VALUE);
    fails(cuDeviceGetAttribute(&value, (CUdevice_attribute)0, 0), CUDA_ERROR_INVALID_VALUE);
    ok(cuDeviceGetProperties(&prop, 0));
    ok(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, 0));
    cr_assert_eq(value, prop.maxThreadsPerBlock);
    ok(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, 0));
    cr_assert_eq(value, prop.maxGridSize[1]);
    ok(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MAX_PITCH, 0));
    cr_assert_eq(value, prop.memPitch);
    cr_assert_eq(prop.SIMDWidth, 32);
    ok(cuDeviceComputeCapability(&major, &minor, 0));
    ok(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0));
    cr_assert_eq(value, major);
}
