/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim_test.h"

/* Each test sets its variables before its first driver call, when they are read. */
TestSuite(sim_settings, .timeout = 30);

static CUresult create(CUmemLocationType type)
{
    CUmemAllocationProp prop = host_prop();
    CUmemGenericAllocationHandle handle;

    prop.location.type = type;
    return cuMemCreate(&handle, PAGE, &prop, 0);
}

static int attribute(CUdevice_attribute which)
{
    int value;

    ok(cuDeviceGetAttribute(&value, which, 0));
    return value;
}

static void expect_host_vmm(const char *setting, bool host, bool numa)
{
    setenv("SIM_HOST_VMM", setting, 1);
    start();
    cr_expect_eq(create(CU_MEM_LOCATION_TYPE_HOST) == CUDA_SUCCESS, host);
    cr_expect_eq(create(CU_MEM_LOCATION_TYPE_HOST_NUMA) == CUDA_SUCCESS, numa);
    cr_expect_eq(attribute(CU_DEVICE_ATTRIBUTE_HOST_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED), host);
    cr_expect_eq(attribute(CU_DEVICE_ATTRIBUTE_HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED),
                 numa);
}

Test(sim_settings, host_located_memory_can_be_missing)
{
    expect_host_vmm("none", false, false);
}

Test(sim_settings, host_located_memory_can_be_had_by_node_only)
{
    expect_host_vmm("numa", false, true);
}

Test(sim_settings, host_located_memory_can_be_had_without_node_only)
{
    expect_host_vmm("host", true, false);
}

Test(sim_settings, a_card_can_say_that_its_memory_is_the_hosts)
{
    setenv("SIM_MEMORY", "unified", 1);
    start();
    cr_expect_eq(attribute(CU_DEVICE_ATTRIBUTE_INTEGRATED), 1);
}

Test(sim_settings, eager_order_runs_work_at_submission)
{
    struct device_code code;
    CUdeviceptr address;

    setenv("SIM_ORDER", "eager", 1);
    start();
    code = load_code();
    ok(cuMemAlloc_v2(&address, 4096));
    ok(launch_fill(&code, address, 1, 1, CU_STREAM_PER_THREAD));
    cr_assert_eq(stats_now().launches, 1);
    ok(cuStreamQuery(CU_STREAM_PER_THREAD));
}

Test(sim_settings, one_copy_may_cross_where_that_is_allowed)
{
    CUmemAllocationProp props[] = {device_prop(), host_prop()};
    CUmemGenericAllocationHandle handle;
    static uint8_t bytes[PAGE];
    CUdeviceptr base;

    setenv("SIM_MIXED_COPY", "allow", 1);
    start();
    ok(cuMemAddressReserve(&base, 2 * PAGE, 0, 0, 0));
    for (size_t i = 0; i < 2; i++) {
        ok(cuMemCreate(&handle, PAGE, &props[i], 0));
        ok(cuMemMap(base + i * PAGE, PAGE, 0, handle, 0));
    }
    ok(allow_device(base, 2 * PAGE));
    ok(cuMemcpyHtoD_v2(base + PAGE / 2, bytes, PAGE));
    ok(cuMemsetD8_v2(base, 5, 2 * PAGE));
    cr_assert_eq(read_word(base + PAGE), 0x05050505);
}

Test(sim_settings, hidden_calls_are_not_found_and_their_features_not_claimed)
{
    CUmemGenericAllocationHandle handle;
    void *found;

    setenv("SIM_HIDE", "cuMemCreate,cuMemAllocAsync", 1);
    start();
    fails(cuGetProcAddress("cuMemCreate", &found, 13000, 0), CUDA_ERROR_NOT_FOUND);
    ok(cuGetProcAddress("cuMemMap", &found, 13000, 0));
    fails(cuMemCreate(&handle, PAGE, &(CUmemAllocationProp){0}, 0), CUDA_ERROR_NOT_SUPPORTED);
    cr_assert_eq(attribute(CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED), 0);
    cr_assert_eq(attribute(CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED), 0);
}

Test(sim_settings, failures_can_be_ordered_by_name_or_number)
{
    CUdeviceptr address;

    setenv("SIM_FAIL", "cuMemAlloc_v2:2:CUDA_ERROR_UNKNOWN,cuMemFree:1:400", 1);
    start();
    ok(cuMemAlloc_v2(&address, 4));
    fails(cuMemFree_v2(address), CUDA_ERROR_INVALID_HANDLE);
    fails(cuMemAlloc_v2(&address, 4), CUDA_ERROR_UNKNOWN);
    ok(cuMemAlloc_v2(&address, 4));
}

static int status_with(const char *name, const char *value)
{
    pid_t child = fork();
    int status;

    if (!child) {
        setenv(name, value, 1);
        cuInit(0);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(sim_settings, a_value_that_makes_no_sense_ends_the_process)
{
    static const char *const rows[][2] = {
        {"SIM_VRAM", "22 potatoes"},   {"SIM_VRAM", "-1"},           {"SIM_VRAM", ""},
        {"SIM_DEVICES", "0"},          {"SIM_DEVICES", "9"},         {"SIM_ORDER", "quick"},
        {"SIM_HOST_VMM", "yes"},       {"SIM_FAIL", "cuMemAlloc"},   {"SIM_FAIL", "cuNothing:1:2"},
        {"SIM_FAIL", "cuMemMap:0:2"},  {"SIM_FAIL", "cuMemMap:1:x"}, {"SIM_HIDE", "cuNothing"},
        {"SIM_MIXED_COPY", "perhaps"}, {"SIM_SEED", "one"},          {"SIM_MEMORY", "shared"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        cr_expect_eq(status_with(rows[i][0], rows[i][1]), 2, "%s=%s", rows[i][0], rows[i][1]);
    cr_expect_eq(status_with("SIM_VRAM", "1.5GiB"), 0);
}

Test(sim_settings, counters_are_written_at_exit)
{
    char path[] = "/tmp/sim-stats-XXXXXX";
    char line[128];
    bool device = false;
    bool calls = false;
    FILE *file;
    int status;
    pid_t child;

    close(mkstemp(path));
    child = fork();
    if (!child) {
        CUdeviceptr address;

        setenv("SIM_STATS", path, 1);
        start();
        ok(cuMemAlloc_v2(&address, 4 * MIB));
        exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    file = fopen(path, "r");
    cr_assert(file);
    while (fgets(line, sizeof(line), file)) {
        device = device || !strcmp(line, "device_used 4194304\n");
        calls = calls || !strcmp(line, "calls.cuMemAlloc_v2 1\n");
    }
    fclose(file);
    unlink(path);
    cr_assert(device && calls);
}

/* What two streams leave behind when only the whole context is waited for. */
static uint32_t race_with(const char *seed)
{
    int ends[2];
    uint32_t word = 0;
    pid_t child;

    cr_assert_eq(pipe(ends), 0);
    child = fork();
    if (!child) {
        struct device_code code;
        CUdeviceptr address;
        CUstream streams[2];

        setenv("SIM_SEED", seed, 1);
        start();
        code = load_code();
        ok(cuMemAlloc_v2(&address, 4096));
        for (uint32_t i = 0; i < 2; i++) {
            ok(cuStreamCreate(&streams[i], CU_STREAM_NON_BLOCKING));
            ok(launch_fill(&code, address, 1, i, streams[i]));
        }
        ok(cuCtxSynchronize());
        word = read_word(address);
        if (write(ends[1], &word, sizeof(word)) != sizeof(word))
            _exit(1);
        _exit(0);
    }
    cr_assert_eq(read(ends[0], &word, sizeof(word)), sizeof(word));
    waitpid(child, NULL, 0);
    close(ends[0]);
    close(ends[1]);
    return word;
}

Test(sim_settings, seeds_show_either_end_of_a_race)
{
    bool seen[2] = {false, false};
    char seed[8];

    for (int i = 1; i <= 16; i++) {
        snprintf(seed, sizeof(seed), "%d", i);
        seen[race_with(seed)] = true;
    }
    cr_assert(seen[0] && seen[1]);
}
