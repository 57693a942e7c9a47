/* SPDX-License-Identifier: MIT */
/* Homes on a disk: what is brought back for whom, and what happens when the disk fails. */
#include "tests/stress/paged.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "runtime/card.h"

TestSuite(disk, .timeout = 120, .fini = stop_paged);

enum {
    MANY = 16, /* allocations of a page each: twice what both memories hold */
};

static CUdeviceptr at[MANY];

/* Four pages of device memory, and four of host memory that are not for moves and bounces. */
static struct device_code start_spilling(void)
{
    int fd = open(".", O_TMPFILE | O_RDWR, 0600);

    if (fd < 0)
        cr_skip_test("this directory cannot hold a file without a name");
    close(fd);
    setenv("VRAMSHIM_SPILL_DIR", ".", 1);
    setenv("VRAMSHIM_SPILL_FORCE", "1", 1);
    setenv("VRAMSHIM_LOG", "error", 1);
    start_paged("8MiB", "18MiB");
    return load_code();
}

static uint32_t value_of(uint32_t page)
{
    return 1000 + page;
}

static void fill_pages(void)
{
    for (uint32_t i = 0; i < MANY; i++) {
        at[i] = alloc(PAGE);
        ok(cuMemsetD32_v2(at[i], value_of(i), PAGE / 4));
    }
}

static void expect_pages(void)
{
    for (uint32_t i = 0; i < MANY; i++) {
        cr_expect_eq(read_word(at[i]), value_of(i), "page %u", i);
        cr_expect_eq(read_word(at[i] + PAGE - 4), value_of(i), "page %u", i);
    }
}

static void free_pages(void)
{
    for (uint32_t i = 0; i < MANY; i++)
        ok(cuMemFree_v2(at[i]));
}

/* One that is on the disk. */
static CUdeviceptr find_on_disk(void)
{
    for (uint32_t i = 0; i < MANY; i++) {
        if (residency_is_on_disk(at[i]))
            return at[i];
    }
    cr_assert_fail("everything is in memory");
    return 0;
}

Test(disk, takes_what_neither_memory_has_room_for)
{
    start_spilling();
    fill_pages();
    cr_expect_geq(stats_get(disk_bytes), (MANY - 9) * PAGE);
    expect_pages();
    free_pages();
    expect_nothing_paged();
    cr_expect_eq(stats_get(disk_errors), 0);
    cr_expect_eq(stats_now().illegal_addresses, 0);
}

Test(disk, is_not_there_without_a_directory)
{
    CUdeviceptr all;

    start_paged("8MiB", "14MiB");
    cr_expect_eq(cuMemAlloc_v2(&all, MANY * PAGE), CUDA_ERROR_OUT_OF_MEMORY);
}

Test(disk, is_full_at_its_budget)
{
    CUdeviceptr all;

    setenv("VRAMSHIM_SPILL", "12MiB", 1);
    start_spilling();
    cr_expect_eq(cuMemAlloc_v2(&all, MANY * PAGE), CUDA_ERROR_OUT_OF_MEMORY);
    ok(cuMemAlloc_v2(&all, (MANY - 5) * PAGE));
    ok(cuMemFree_v2(all));
    expect_nothing_paged();
}

/* Two pages are left, by which all of memory changes places. */
Test(disk, that_is_full_still_gives_back_what_is_there)
{
    struct device_code code;
    CUdeviceptr out;
    CUdeviceptr more;

    setenv("VRAMSHIM_SPILL", "22MiB", 1);
    code = start_spilling();
    out = alloc(64);
    fill_pages();
    cr_expect_eq(stats_get(disk_bytes), 9 * PAGE);
    cr_expect_eq(cuMemAlloc_v2(&more, PAGE), CUDA_ERROR_OUT_OF_MEMORY);
    for (uint32_t i = 0; i < 3 * MANY; i++) {
        ok(launch_copy(&code, out, at[i * 7 % MANY], 16, NULL));
        cr_expect_eq(read_word(out), value_of(i * 7 % MANY));
        ok(cuMemsetD32_v2(at[i * 5 % MANY] + 4096, i, 1));
    }
    expect_pages();
    cr_expect_eq(stats_now().illegal_addresses, 0);
}

Test(disk, gives_launches_what_they_name)
{
    struct device_code code = start_spilling();

    fill_pages();
    for (uint32_t i = 0; i + 1 < MANY; i++)
        ok(launch_copy(&code, at[i], at[i + 1], PAGE / 4, NULL));
    ok(cuCtxSynchronize());
    for (uint32_t i = 0; i + 1 < MANY; i++)
        cr_expect_eq(read_word(at[i] + PAGE - 4), value_of(i + 1), "page %u", i);
    cr_expect_eq(stats_now().illegal_addresses, 0);
}

Test(disk, is_written_once_for_what_does_not_change)
{
    struct device_code code = start_spilling();
    uint64_t written = 0;
    CUdeviceptr sink;

    fill_pages();
    sink = at[0];
    for (uint32_t round = 0; round < 4; round++) {
        if (round == 2)
            written = stats_get(bytes_written);
        for (uint32_t i = 1; i < MANY; i++)
            ok(launch_copy(&code, sink, at[i], 16, NULL));
        ok(cuCtxSynchronize());
    }
    cr_expect_leq(stats_get(bytes_written) - written, 2 * PAGE, "but for the one that is written");
    cr_expect_gt(stats_get(chunks_from_disk), MANY);
}

Test(disk, one_copy_may_be_larger_than_both_memories)
{
    uint32_t *words = malloc(MANY * PAGE);
    CUdeviceptr all;

    start_spilling();
    for (size_t i = 0; i < MANY * PAGE / 4; i++)
        words[i] = (uint32_t)i * 2654435761u;
    all = alloc(MANY * PAGE);
    ok(cuMemcpyHtoD_v2(all, words, MANY * PAGE));
    memset(words, 0, MANY * PAGE);
    ok(cuMemcpyDtoH_v2(words, all, MANY * PAGE));
    for (size_t i = 0; i < MANY * PAGE / 4; i += 1021)
        cr_assert_eq(words[i], (uint32_t)i * 2654435761u);
    free(words);
}

Test(disk, boxes_of_memory_are_brought_back)
{
    CUDA_MEMCPY2D copy = {
        .srcMemoryType = CU_MEMORYTYPE_DEVICE,
        .dstMemoryType = CU_MEMORYTYPE_HOST,
        .srcPitch = PAGE,
        .dstPitch = 4,
        .WidthInBytes = 4,
        .Height = MANY,
    };
    uint32_t words[MANY] = {0};
    CUdeviceptr all;

    start_spilling();
    all = alloc(MANY * PAGE);
    ok(cuMemsetD2D32_v2(all, PAGE, 7, 1, MANY));
    copy.srcDevice = all;
    copy.dstHost = words;
    ok(cuMemcpy2D_v2(&copy));
    for (uint32_t i = 0; i < MANY; i++)
        cr_expect_eq(words[i], 7, "row %u", i);
}

Test(disk, changed_bytes_are_never_handed_out)
{
    struct device_code code = start_spilling();
    const struct spill *spill = &pagers.cold.spill;
    char *junk = aligned_alloc(DISK_ALIGN, DISK_ALIGN);
    CUdeviceptr page;
    uint32_t word;

    fill_pages();
    page = find_on_disk();
    memset(junk, 77, DISK_ALIGN);
    for (uint32_t i = 0; i < spill->n_pages; i++)
        cr_assert_eq(pwrite(spill->fd, junk, DISK_ALIGN, (off_t)(i * spill->page_bytes + PAGE / 2)),
                     DISK_ALIGN);
    cr_expect_eq(launch_copy(&code, at[MANY - 1], page, 16, NULL), CUDA_ERROR_OPERATING_SYSTEM);
    cr_expect_eq(cuMemcpyDtoH_v2(&word, page, sizeof(word)), CUDA_ERROR_OPERATING_SYSTEM);
    cr_expect_geq(stats_get(disk_errors), 2);
    ok(cuCtxSynchronize());
    cr_expect_eq(stats_now().illegal_addresses, 0);
    ok(cuMemsetD32_v2(at[MANY - 1], 5, 1));
    free(junk);
    free_pages();
    expect_nothing_paged();
}

static int broken(const struct disk_request *request, int result)
{
    return request->write ? result : -EIO;
}

static int full(const struct disk_request *request, int result)
{
    return request->write ? -ENOSPC : result;
}

static int in_halves(const struct disk_request *request, int result)
{
    return result > 8192 ? (int)align_down((uint64_t)result / 2, DISK_ALIGN) : result;
}

static int slow(const struct disk_request *request, int result)
{
    usleep(2000);
    return result;
}

Test(disk, that_cannot_be_read_fails_who_needs_it_and_loses_nothing)
{
    struct device_code code = start_spilling();
    CUdeviceptr page;

    fill_pages();
    page = find_on_disk();
    pagers.cold.spill.disk.fault = broken;
    cr_expect_eq(launch_copy(&code, at[MANY - 1], page, 16, NULL), CUDA_ERROR_OPERATING_SYSTEM);
    cr_expect_eq(cuMemsetD8_v2(page, 1, 1), CUDA_ERROR_OPERATING_SYSTEM);
    pagers.cold.spill.disk.fault = NULL;
    expect_pages();
}

Test(disk, that_is_full_refuses_what_does_not_fit_and_loses_nothing)
{
    struct device_code code = start_spilling();
    CUdeviceptr page;

    fill_pages();
    page = find_on_disk();
    /* Not only those that the disk has already. */
    for (uint32_t i = 0; i < MANY; i++) {
        if (!residency_is_on_disk(at[i]))
            ok(cuMemsetD32_v2(at[i] + 4, 77, 1));
    }
    pagers.cold.spill.disk.fault = full;
    cr_expect_eq(launch_copy(&code, at[MANY - 1], page, 16, NULL), CUDA_ERROR_OUT_OF_MEMORY);
    pagers.cold.spill.disk.fault = NULL;
    ok(launch_copy(&code, at[MANY - 1], at[MANY - 1], 16, NULL));
    expect_pages();
}

Test(disk, that_does_it_by_halves_or_slowly_is_only_slow)
{
    start_spilling();
    pagers.cold.spill.disk.fault = in_halves;
    fill_pages();
    expect_pages();
    pagers.cold.spill.disk.fault = slow;
    expect_pages();
}

Test(disk, memory_whose_address_is_in_memory_stays_off_it)
{
    struct device_code code = start_spilling();
    CUdeviceptr holder;

    fill_pages();
    ok(cuMemAlloc_v2(&holder, 64));
    ok(cuMemcpyHtoD_v2(holder, &at[3], sizeof(at[3])));
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 4; i < MANY; i++)
            ok(launch_copy(&code, at[i], at[i], 16, NULL));
    }
    cr_expect_not(residency_is_on_disk(at[3]));
    expect_pages();
}

/* Nobody looks into it: it allocates. */
static CUgraphExec make_opaque_graph(void)
{
    CUstream stream = new_stream();
    CUgraphExec exec;
    CUdeviceptr own;
    CUgraph graph;

    ok(cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    ok(cuMemAllocAsync(&own, 64, stream));
    ok(cuMemsetD8Async(own, 1, 64, stream));
    ok(cuMemFreeAsync(own, stream));
    ok(cuStreamEndCapture(stream, &graph));
    ok(cuGraphInstantiateWithFlags(&exec, graph, 0));
    return exec;
}

Test(disk, work_that_nobody_understands_has_everything_in_memory)
{
    CUgraphExec exec;

    start_spilling();
    exec = make_opaque_graph();
    fill_pages();
    cr_expect_eq(cuGraphLaunch(exec, NULL), CUDA_ERROR_OUT_OF_MEMORY);
    for (uint32_t i = 0, kept = 0; i < MANY; i++) {
        if (!residency_is_on_disk(at[i]) || ++kept > 5)
            ok(cuMemFree_v2(at[i]));
    }
    cr_expect_eq(stats_get(disk_bytes), 5 * PAGE);
    ok(cuGraphLaunch(exec, NULL));
    ok(cuCtxSynchronize());
    cr_expect_eq(stats_get(disk_bytes), 0);
}

/* Kernels that reach further than what they are given: store(at, value), load_via(out, at), which
 * follows the address that is there, and load_at(out, base, offset). */
struct three {
    uint64_t a, b, c;
};
static const size_t three_offsets[] = {0, 8, 16};
static const size_t three_sizes[] = {8, 8, 8};

static void put_word(uint64_t out, uint64_t from)
{
    const uint32_t *word = sim_kernel_access(from, 4, 0);
    uint32_t *to = word ? sim_kernel_access(out, 4, 1) : NULL;

    if (to)
        *to = *word;
}

static void store_run(const void *params)
{
    const struct three *p = params;
    uint64_t *address = sim_kernel_access(p->a, 8, 1);

    if (address)
        *address = p->b;
}

static void load_via_run(const void *params)
{
    const struct three *p = params;
    const uint64_t *address = sim_kernel_access(p->b, 8, 0);

    if (address)
        put_word(p->a, *address);
}

static void load_at_run(const void *params)
{
    const struct three *p = params;

    put_word(p->a, p->b + p->c);
}

static const struct sim_native_kernel reaching[] = {
    {"store", 2, three_offsets, three_sizes, store_run},
    {"load_via", 2, three_offsets, three_sizes, load_via_run},
    {"load_at", 3, three_offsets, three_sizes, load_at_run},
};
enum { STORE, LOAD_VIA, LOAD_AT };

static CUresult launch_reaching(const struct device_code *code, int kernel, uint64_t a, uint64_t b,
                                uint64_t c)
{
    void *params[] = {&a, &b, &c};
    CUfunction function;

    sim_register_kernel(&reaching[kernel]);
    ok(cuModuleGetFunction(&function, code->module, reaching[kernel].name));
    return cuLaunchKernel(function, 1, 1, 1, 1, 1, 1, 0, NULL, params, NULL);
}

/* As a node and by what gives it other parameters; the host is the other side. */
Test(disk, a_node_of_more_than_memory_holds_is_refused_as_out_of_memory)
{
    static char bytes[MANY * PAGE];
    CUDA_MEMCPY3D copy = {
        .srcMemoryType = CU_MEMORYTYPE_DEVICE,
        .dstMemoryType = CU_MEMORYTYPE_HOST,
        .dstHost = bytes,
        .WidthInBytes = MANY * PAGE,
        .Height = 1,
        .Depth = 1,
    };
    CUgraphNode node;
    CUgraph graph;
    CUcontext ctx;

    start_spilling();
    copy.srcDevice = alloc(MANY * PAGE);
    ok(cuCtxGetCurrent(&ctx));
    ok(cuGraphCreate(&graph, 0));
    cr_expect_eq(cuGraphAddMemcpyNode(&node, graph, NULL, 0, &copy, ctx), CUDA_ERROR_OUT_OF_MEMORY);
    copy.WidthInBytes = 2 * PAGE;
    ok(cuGraphAddMemcpyNode(&node, graph, NULL, 0, &copy, ctx));
    copy.WidthInBytes = MANY * PAGE;
    cr_expect_eq(cuGraphMemcpyNodeSetParams(node, &copy), CUDA_ERROR_OUT_OF_MEMORY);
    ok(cuGraphDestroy(graph));
}

/* Brings in all other pages, so that this one goes. */
static void send_away(const struct device_code *code, uint32_t page)
{
    for (uint32_t i = 0; i < MANY; i++) {
        if (i != page)
            ok(launch_copy(code, at[i], at[i], 16, NULL));
    }
    cr_assert(residency_is_on_disk(at[page]));
}

Test(disk, what_an_address_that_a_kernel_has_stored_leads_to_is_brought_back)
{
    struct device_code code = start_spilling();
    CUdeviceptr out = alloc(64);
    CUdeviceptr holder = alloc(64);

    fill_pages();
    for (uint32_t i = 0; i < MANY; i++) {
        ok(launch_reaching(&code, STORE, holder, at[i] + 8, 0));
        send_away(&code, i);
        ok(launch_reaching(&code, LOAD_VIA, out, holder, 0));
        cr_expect_eq(read_word(out), value_of(i), "page %u", i);
    }
    cr_expect_eq(stats_now().illegal_addresses, 0);
}

Test(disk, addresses_that_lead_to_more_than_memory_holds_refuse_the_launch)
{
    struct device_code code = start_spilling();
    CUdeviceptr out = alloc(64);
    CUdeviceptr holder = alloc(MANY * 8);

    fill_pages();
    for (uint32_t i = 0; i < MANY; i++)
        ok(launch_reaching(&code, STORE, holder + 8 * i, at[i], 0));
    cr_expect_eq(launch_reaching(&code, LOAD_VIA, out, holder, 0), CUDA_ERROR_OUT_OF_MEMORY);
    ok(cuMemsetD8_v2(holder + 8, 0, (MANY - 1) * 8));
    ok(launch_reaching(&code, LOAD_VIA, out, holder, 0));
    cr_expect_eq(read_word(out), value_of(0));
    expect_pages();
    cr_expect_eq(stats_now().illegal_addresses, 0);
}

/* The first is negative, so it cannot be how much is read, for which memory has no room. */
Test(disk, what_a_number_leads_to_is_brought_back)
{
    struct device_code code = start_spilling();
    CUdeviceptr out = alloc(64);
    CUdeviceptr all = alloc(MANY * PAGE);

    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t value = value_of(i);

        ok(cuMemcpyHtoD_v2(all + i * PAGE, &value, sizeof(value)));
    }
    for (uint32_t i = 4; i < 2 * MANY; i++) {
        uint32_t page = i * 5 % MANY;
        uint32_t from = i * 3 % MANY;

        ok(launch_reaching(&code, LOAD_AT, out, all + from * PAGE,
                           (uint64_t)((int64_t)page - from) * PAGE));
        cr_expect_eq(read_word(out), value_of(page), "page %u", page);
    }
    cr_expect_eq(stats_now().illegal_addresses, 0);
}

/* By what it is told: all of the allocation in bytes or in words, or three quarters of it. */
Test(disk, a_launch_that_may_touch_more_than_memory_holds_is_refused)
{
    static const uint64_t sizes[] = {MANY * PAGE, MANY * PAGE / 4, MANY * PAGE / 4 * 3};
    struct device_code code = start_spilling();
    CUdeviceptr all = alloc(MANY * PAGE);

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
        cr_expect_eq(launch_fill(&code, all, sizes[i], 1, NULL), CUDA_ERROR_OUT_OF_MEMORY,
                     "size %zu", i);
    ok(launch_fill(&code, all, 64, 1, NULL));
    cr_expect_eq(read_word(all), 1);
    cr_expect_eq(stats_now().illegal_addresses, 0);
}

Test(disk, an_error_of_the_program_is_told_as_it_is)
{
    struct device_code code = start_spilling();

    fill_pages();
    ok(launch_copy(&code, at[0], 4096, 16, NULL));
    cr_expect_eq(cuCtxSynchronize(), CUDA_ERROR_ILLEGAL_ADDRESS);
    cr_expect_eq(launch_copy(&code, at[0], find_on_disk(), 16, NULL), CUDA_ERROR_ILLEGAL_ADDRESS);
}
