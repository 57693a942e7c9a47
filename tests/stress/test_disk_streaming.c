/* SPDX-License-Identifier: MIT */
/* A model of which the card and host memory together hold a part, read through the ring. */
#include "tests/stress/model.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "runtime/card.h"

TestSuite(disk_streaming, .timeout = 120, .fini = stop_paged);

/* Of host memory three pages are for the way to the disk and back. */
static struct model start_spilled(const char *vram, const char *ram)
{
    int fd = open(".", O_TMPFILE | O_RDWR, 0600);

    if (fd < 0)
        cr_skip_test("this directory cannot hold a file without a name");
    close(fd);
    setenv("VRAMSHIM_RAM", ram, 1);
    setenv("VRAMSHIM_SPILL_DIR", ".", 1);
    setenv("VRAMSHIM_SPILL_FORCE", "1", 1);
    setenv("VRAMSHIM_LOG", "error", 1);
    return start_model(vram);
}

static const struct memory_case {
    const char *name;
    const char *vram;
    const char *ram;
    uint64_t held; /* of the model, beside what is in the ring or left free */
} memory_cases[] = {
    {"60 % of it", "18MiB", "24MiB", 24 * MIB},
    {"half of it", "14MiB", "22MiB", 18 * MIB},
};

static void expect_reads(const struct memory_case *c)
{
    struct model m = start_spilled(c->vram, c->ram);
    uint64_t in_place, read, written;

    passes(&m, 5);
    cr_assert_eq(stats_get(streaming_plans), 1, "%s", c->name);
    in_place = read_in_place();
    read = stats_get(bytes_read);
    written = stats_get(bytes_written);
    passes(&m, 6);
    cr_expect_eq(stats_get(streaming_plans), 1, "%s", c->name);
    cr_expect_eq(read_in_place(), in_place, "%s: over the link", c->name);
    cr_expect_gt(stats_get(bytes_read), read, "%s", c->name);
    cr_expect_leq(stats_get(bytes_read) - read, 6 * (MODEL - c->held), "%s: read %lu a pass",
                  c->name, (unsigned long)(stats_get(bytes_read) - read) / 6);
    cr_expect_eq(stats_get(bytes_written), written, "%s: written", c->name);
    cr_expect_eq(stats_now().illegal_addresses, 0);
    stop_model(&m);
    expect_nothing_paged();
}

Test(disk_streaming, what_memory_does_not_hold_is_read_once_in_a_pass_and_nothing_is_written)
{
    expect_reads(&memory_cases[0]);
}

Test(disk_streaming, so_it_is_when_memory_holds_half_of_the_model)
{
    expect_reads(&memory_cases[1]);
}

/* Another allocation, that is read once in some passes. */
enum { BESIDE = 4 * TENSOR, LAPS = 4 };

static void read_beside(struct model *m, CUdeviceptr beside)
{
    for (uint32_t i = 0; i < BESIDE / TENSOR; i++) {
        CUdeviceptr at = beside + (uint64_t)i * TENSOR;
        uint64_t bytes = TENSOR;
        void *params[] = {&m->sum, &at, &bytes};

        ok(cuLaunchKernel(m->read, 1, 1, 1, 1, 1, 1, 0, m->stream, params, NULL));
        for (uint64_t k = 0; k < TENSOR; k += 64 * KIB)
            m->expected = m->expected * 33 + 7 + i;
    }
}

static CUdeviceptr load_beside(void)
{
    CUdeviceptr beside = alloc(BESIDE);
    uint32_t *words = malloc(TENSOR);

    for (uint32_t i = 0; i < BESIDE / TENSOR; i++) {
        for (uint32_t k = 0; k < TENSOR / sizeof(*words); k++)
            words[k] = 7 + i;
        ok(cuMemcpyHtoD_v2(beside + (uint64_t)i * TENSOR, words, TENSOR));
    }
    free(words);
    return beside;
}

static void rounds(struct model *m, CUdeviceptr beside, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        passes(m, LAPS);
        read_beside(m, beside);
    }
    expect_sum(m);
}

Test(disk_streaming, what_is_read_once_in_some_passes_is_read_once_then)
{
    struct model m = start_spilled("18MiB", "36MiB");
    CUdeviceptr beside = load_beside();
    uint64_t read, written, ends;

    rounds(&m, beside, 6);
    read = stats_get(bytes_read);
    written = stats_get(bytes_written);
    ends = stats_get(streaming_ends);
    rounds(&m, beside, 3);
    cr_expect_eq(stats_get(streaming_ends), ends);
    cr_expect_eq(stats_get(bytes_written), written);
    cr_expect_leq(stats_get(bytes_read) - read, 3 * (LAPS * (MODEL - 32 * MIB) + BESIDE),
                  "read %lu a round", (unsigned long)(stats_get(bytes_read) - read) / 3);
    cr_expect_eq(stats_now().illegal_addresses, 0);
    stop_model(&m);
    ok(cuMemFree_v2(beside));
    expect_nothing_paged();
}

Test(disk_streaming, without_io_uring_it_is_read_when_it_is_needed)
{
    struct model m = start_spilled("18MiB", "24MiB");

    passes(&m, 2);
    disk_fini(&pagers.cold.spill.disk);
    disk_init(&pagers.cold.spill.disk, true);
    passes(&m, 6);
    cr_expect_gt(stats_get(launches_redirected), 0);
    stop_model(&m);
}

static void write_beside_reading(enum way way)
{
    struct model m = start_spilled("18MiB", "24MiB");

    passes(&m, 5);
    write_while_reading(&m, way, 14);
    stop_model(&m);
}

Test(disk_streaming, a_copy_into_a_weight_is_seen_by_the_next_launch)
{
    write_beside_reading(BY_COPY);
}

Test(disk_streaming, a_copy_in_stream_order_into_a_weight_is_seen_by_the_next_launch)
{
    write_beside_reading(BY_COPY_IN_STREAM);
}

Test(disk_streaming, a_memset_of_a_weight_is_seen_by_the_next_launch)
{
    write_beside_reading(BY_MEMSET);
}

Test(disk_streaming, a_kernel_that_writes_a_weight_is_seen_by_the_next_launch)
{
    write_beside_reading(BY_KERNEL);
}

/* The copy in the ring is the only place where it is, until it is noticed. */
Test(disk_streaming, what_a_trusted_function_writes_later_on_is_not_lost)
{
    struct model m = start_spilled("18MiB", "24MiB");

    for (uint32_t i = 0; i < 12; i++) {
        for (uint32_t k = 0; k < TENSORS; k++) {
            uint64_t offset = (uint64_t)k * TENSOR;
            uint32_t value = i < 6 ? *mirror_at(&m, offset) : i * 100 + k;

            read_tensor(&m, k);
            if (k % 3)
                continue;
            ok(launch_fill(&m.code, m.weights + offset, 1, value, m.stream));
            *mirror_at(&m, offset) = value;
            read_tensor(&m, k);
        }
        expect_sum(&m);
        for (uint32_t k = 0; k < TENSORS; k += 3)
            cr_assert_eq(read_word(m.weights + (uint64_t)k * TENSOR),
                         *mirror_at(&m, (uint64_t)k * TENSOR), "pass %u", i);
    }
    cr_expect_gt(stats_get(launches_redirected), 0);
    stop_model(&m);
}

Test(disk_streaming, a_random_order_is_read_right)
{
    struct model m = start_spilled("18MiB", "24MiB");
    unsigned int seed = 5;

    passes(&m, 5);
    for (uint32_t i = 0; i < 120; i++) {
        read_tensor(&m, (uint32_t)rand_r(&seed) % TENSORS);
        if (i % 16 == 0)
            expect_sum(&m);
    }
    expect_sum(&m);
    passes(&m, 6);
    stop_model(&m);
}

/* Reads tensors until one cannot be had, but for that launch as if nothing had been. */
static CUresult read_until_refused(struct model *m, uint32_t *tensor)
{
    uint64_t bytes = TENSOR;

    for (*tensor = 0; *tensor < TENSORS; ++*tensor) {
        CUdeviceptr at = m->weights + (uint64_t)*tensor * TENSOR;
        void *params[] = {&m->sum, &at, &bytes};
        CUresult result = cuLaunchKernel(m->read, 1, 1, 1, 1, 1, 1, 0, m->stream, params, NULL);

        if (result != CUDA_SUCCESS)
            return result;
        expect_tensor(m, *tensor);
    }
    return CUDA_SUCCESS;
}

static int broken(const struct disk_request *request, int result)
{
    return request->write ? result : -EIO;
}

Test(disk_streaming, a_disk_that_fails_fails_the_launch_and_nothing_else)
{
    struct model m = start_spilled("18MiB", "24MiB");
    uint32_t tensor;

    passes(&m, 5);
    pagers.cold.spill.disk.fault = broken;
    cr_expect_eq(read_until_refused(&m, &tensor), CUDA_ERROR_OPERATING_SYSTEM);
    expect_sum(&m);
    pagers.cold.spill.disk.fault = NULL;
    passes(&m, 3);
    cr_expect_gt(stats_get(disk_errors), 0);
    stop_model(&m);
}

Test(disk_streaming, changed_bytes_fail_the_launch_that_needs_them)
{
    struct model m = start_spilled("18MiB", "24MiB");
    const struct spill *spill = &pagers.cold.spill;
    char *junk = aligned_alloc(DISK_ALIGN, DISK_ALIGN);
    uint32_t tensor;

    passes(&m, 5);
    memset(junk, 77, DISK_ALIGN);
    for (uint32_t i = 0; i < spill->n_pages; i++)
        cr_assert_eq(pwrite(spill->fd, junk, DISK_ALIGN, (off_t)(i * spill->page_bytes)),
                     DISK_ALIGN);
    for (uint32_t attempt = 0; attempt < 3; attempt++)
        cr_expect_eq(read_until_refused(&m, &tensor), CUDA_ERROR_OPERATING_SYSTEM);
    expect_sum(&m);
    cr_expect_eq(stats_now().illegal_addresses, 0);
    free(junk);
    stop_model(&m);
}

/* The model's bytes in a file, mapped as programs do; and uploaded from there. */
static uint32_t *map_model(struct model *m, int *out_fd)
{
    char name[] = "./test-disk-XXXXXX";
    uint32_t *bytes = malloc(MODEL);
    void *mapped;

    *out_fd = mkstemp(name);
    cr_assert_geq(*out_fd, 0);
    for (uint64_t i = 0; i < MODEL / 4; i++)
        bytes[i] = (uint32_t)i * 2654435761u;
    for (uint64_t i = 0; i < MODEL; i += 64 * KIB)
        bytes[i / 4] = *mirror_at(m, i);
    cr_assert_eq(write(*out_fd, bytes, 100), 100);
    cr_assert_eq(write(*out_fd, bytes, MODEL), MODEL);
    free(bytes);
    mapped = mmap(NULL, MODEL + 100, PROT_READ, MAP_PRIVATE, *out_fd, 0);
    cr_assert_neq(mapped, MAP_FAILED);
    for (uint32_t i = 0; i < TENSORS; i++)
        ok(cuMemcpyHtoD_v2(m->weights + i * TENSOR, (char *)mapped + 100 + i * TENSOR, TENSOR));
    unlink(name);
    return (uint32_t *)((char *)mapped + 100);
}

Test(disk_streaming, what_a_model_file_holds_is_never_written)
{
    struct model m = start_spilled("18MiB", "24MiB");
    uint64_t written = stats_get(bytes_written);
    int fd;

    (void)map_model(&m, &fd);
    passes(&m, 9);
    cr_expect_gt(stats_get(launches_redirected), 0);
    cr_expect_gt(stats_get(bytes_read), 0);
    cr_expect_leq(stats_get(bytes_written) - written, 22 * PAGE, "but for what there was before");
    written = stats_get(bytes_written);
    for (uint32_t i = 0; i < 60; i++)
        read_tensor(&m, i * 5 % TENSORS);
    passes(&m, 4);
    cr_expect_eq(stats_get(bytes_written), written);
    stop_model(&m);
    close(fd);
}

/* W/(B + H) of 2: the card and host memory take 28 MiB of the model's 56, some of it for the ring
 * and for the way to the disk. */
Test(disk_streaming, a_model_file_is_read_at_most_once_in_a_pass_and_nothing_is_written)
{
    struct model m = start_spilled("14MiB", "14MiB");
    uint64_t written, read;
    int fd;

    (void)map_model(&m, &fd);
    written = stats_get(bytes_written);
    passes(&m, 7);
    cr_assert_geq(stats_get(streaming_plans), 1);
    read = stats_get(bytes_read);
    passes(&m, 6);
    cr_expect_gt(stats_get(bytes_read), read);
    cr_expect_leq(stats_get(bytes_read) - read, 6 * (uint64_t)MODEL, "read %lu a pass",
                  (unsigned long)(stats_get(bytes_read) - read) / 6);
    cr_expect_eq(stats_get(bytes_written), written);
    cr_expect_eq(stats_now().illegal_addresses, 0);
    stop_model(&m);
    close(fd);
}

Test(disk_streaming, a_model_file_that_is_changed_fails_the_launch_that_needs_it)
{
    struct model m = start_spilled("18MiB", "24MiB");
    uint32_t tensor;
    int fd;

    (void)map_model(&m, &fd);
    passes(&m, 5);
    for (uint64_t i = 0; i < MODEL; i += PAGE / 2)
        cr_assert_eq(pwrite(fd, "changed", 7, (off_t)(i + 4096)), 7);
    cr_expect_eq(read_until_refused(&m, &tensor), CUDA_ERROR_OPERATING_SYSTEM);
    expect_sum(&m);
    stop_model(&m);
    close(fd);
}
