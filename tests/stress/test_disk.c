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

    setenv("VRAMSHIM_SPILL", "8MiB", 1);
    start_spilling();
    cr_expect_eq(cuMemAlloc_v2(&all, MANY * PAGE), CUDA_ERROR_OUT_OF_MEMORY);
    ok(cuMemAlloc_v2(&all, (MANY - 5) * PAGE));
    ok(cuMemFree_v2(all));
    expect_nothing_paged();
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
