/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "runtime/checksum.h"
#include "runtime/log.h"
#include "runtime/spill.h"
#include "runtime/util.h"

enum {
    PAGE = 3 << 20, /* several parts, the last of them not whole */
    USED = PAGE - 2 * DISK_ALIGN,
};

static char directory[64];
static struct spill spill;

static struct spill_options options_for(bool plain)
{
    return (struct spill_options){
        .directory = directory,
        .budget = {.value = 8 * PAGE},
        .force = true,
        .plain = plain,
        .root = "",
    };
}

static void make_directory(void)
{
    strcpy(directory, "/tmp/test-spill-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
}

static void open_spill(bool plain)
{
    struct spill_options options = options_for(plain);

    cr_assert_eq(spill_open(&spill, &options, PAGE), 0);
}

static void remove_directory(void)
{
    spill_close(&spill);
    (void)rmdir(directory);
}

TestSuite(spill, .init = make_directory, .fini = remove_directory);

static char *buffer_of(unsigned int seed)
{
    uint32_t *words = aligned_alloc(DISK_ALIGN, PAGE);

    for (size_t i = 0; i < PAGE / sizeof(*words); i++)
        words[i] = (uint32_t)i * 2654435761u + seed;
    return (char *)words;
}

static int transfer(uint32_t page, bool write, char *buffer)
{
    struct disk_request request = spill_request(&spill, page, write, buffer, USED);

    disk_start(&spill.disk, &request);
    return disk_finish(&spill.disk, &request);
}

static int put(uint32_t page, char *buffer)
{
    spill.sums[page] = checksum(buffer, USED);
    return transfer(page, true, buffer);
}

static int get(uint32_t page, char *buffer)
{
    int r;

    memset(buffer, 0, PAGE);
    r = transfer(page, false, buffer);
    return r ? r : spill_verify(&spill, page, buffer, USED);
}

static void expect_round_trip(void)
{
    char *buffer = buffer_of(1);
    char *other = buffer_of(2);
    uint32_t a;
    uint32_t b;

    cr_assert_eq(spill_take(&spill, &a), 0);
    cr_assert_eq(spill_take(&spill, &b), 0);
    cr_expect_eq(put(b, other), 0);
    cr_expect_eq(put(a, buffer), 0);
    cr_expect_eq(get(b, buffer), 0);
    cr_expect_arr_eq(buffer, other, USED);
    cr_expect_eq(get(a, buffer), 0);
    cr_expect_neq(memcmp(buffer, other, USED), 0);
    free(buffer);
    free(other);
}

Test(spill, gives_back_what_was_written)
{
    open_spill(false);
    expect_round_trip();
}

Test(spill, does_so_without_io_uring)
{
    open_spill(true);
    cr_expect_not(spill.disk.async);
    expect_round_trip();
}

/* As in containers: the call exists and is refused. */
static void refuse_io_uring(void)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = ARRAY_SIZE(program), .filter = program};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, 2, &filter))
        cr_skip_test("no seccomp filter can be set here");
}

Test(spill, does_so_where_io_uring_is_refused)
{
    refuse_io_uring();
    open_spill(false);
    cr_expect_not(spill.disk.async);
    expect_round_trip();
}

Test(spill, has_many_requests_under_way)
{
    struct disk_request requests[6];
    char *buffers[6];

    open_spill(false);
    for (unsigned int i = 0; i < 6; i++) {
        uint32_t page;

        cr_assert_eq(spill_take(&spill, &page), 0);
        buffers[i] = buffer_of(i);
        spill.sums[page] = checksum(buffers[i], USED);
        requests[i] = spill_request(&spill, page, true, buffers[i], USED);
        disk_start(&spill.disk, &requests[i]);
    }
    for (unsigned int i = 6; i-- > 0;)
        cr_expect_eq(disk_finish(&spill.disk, &requests[i]), 0);
    for (unsigned int i = 0; i < 6; i++) {
        memset(buffers[i], 0, PAGE);
        requests[i] = spill_request(&spill, i, false, buffers[i], USED);
        disk_start(&spill.disk, &requests[i]);
    }
    for (unsigned int i = 0; i < 6; i++) {
        while (!disk_is_over(&requests[i]))
            disk_poll(&spill.disk);
        cr_expect_eq(requests[i].result, 0);
        cr_expect_eq(spill_verify(&spill, i, buffers[i], USED), 0);
        free(buffers[i]);
    }
}

Test(spill, has_no_name_and_is_nobody_elses)
{
    struct stat st;

    open_spill(false);
    cr_assert_eq(fstat(spill.fd, &st), 0);
    cr_expect_eq(st.st_nlink, 0);
    cr_expect_eq(st.st_mode & 07777, 0600);
    cr_expect(fcntl(spill.fd, F_GETFD) & FD_CLOEXEC);
}

Test(spill, survives_its_directory)
{
    open_spill(false);
    cr_assert_eq(rmdir(directory), 0);
    expect_round_trip();
}

Test(spill, takes_no_more_than_its_budget)
{
    uint32_t page;

    open_spill(false);
    cr_expect_eq(spill_room(&spill), 8);
    for (uint32_t i = 0; i < 8; i++)
        cr_expect_eq(spill_take(&spill, &page), 0);
    cr_expect_eq(spill_take(&spill, &page), -ENOSPC);
    spill_give(&spill, 3);
    cr_expect_eq(spill_room(&spill), 1);
    cr_expect_eq(spill_take(&spill, &page), 0);
    cr_expect_eq(page, 3);
}

Test(spill, leaves_free_what_is_to_be_left)
{
    uint32_t page;

    open_spill(false);
    spill.keep_free = UINT64_MAX / 2;
    cr_expect_eq(spill_take(&spill, &page), -ENOSPC);
    cr_expect_eq(spill_room(&spill), 8);
}

/* Beyond it the kernel would send a signal that ends the program. */
static void limit_files_to(uint64_t bytes)
{
    struct rlimit most;

    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &most), 0);
    most.rlim_cur = bytes;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &most), 0);
}

static void expect_limit(bool plain)
{
    char *buffer = buffer_of(1);
    uint32_t page;

    open_spill(plain);
    limit_files_to(2 * PAGE);
    cr_expect_eq(spill_take(&spill, &page), 0);
    cr_expect_eq(spill_take(&spill, &page), 0);
    cr_expect_eq(put(page, buffer), 0);
    cr_expect_eq(spill_take(&spill, &page), -EFBIG);
    limit_files_to(PAGE);
    cr_expect_eq(put(1, buffer), -EFBIG);
    cr_expect_eq(put(0, buffer), 0);
    free(buffer);
}

Test(spill, stays_below_the_limit_on_the_size_of_files)
{
    expect_limit(false);
}

Test(spill, stays_below_it_without_io_uring)
{
    expect_limit(true);
}

/* What parts come to; the last is what is expected of a page that is written and read. */
static int half_of_it(const struct disk_request *request, int result)
{
    return result > DISK_ALIGN ? (int)align_down((uint64_t)result / 2, DISK_ALIGN) : result;
}

static int interrupted(const struct disk_request *request, int result)
{
    static int calls;

    return calls++ % 2 ? result : -EINTR;
}

static int broken(const struct disk_request *request, int result)
{
    return request->write ? result : -EIO;
}

static int full(const struct disk_request *request, int result)
{
    return request->write ? -ENOSPC : result;
}

static int slow(const struct disk_request *request, int result)
{
    usleep(5000);
    return result;
}

static const struct fault_case {
    const char *name;
    int (*fault)(const struct disk_request *, int);
    int put;
    int get;
} fault_cases[] = {
    {"short", half_of_it, 0, 0}, {"interrupted", interrupted, 0, 0},
    {"EIO", broken, 0, -EIO},    {"full", full, -ENOSPC, 0},
    {"slow", slow, 0, 0},
};

static void try_faults(bool plain)
{
    char *buffer = buffer_of(1);
    char *read = buffer_of(2);
    uint32_t page;

    open_spill(plain);
    cr_assert_eq(spill_take(&spill, &page), 0);
    cr_assert_eq(put(page, buffer), 0);
    for (size_t i = 0; i < ARRAY_SIZE(fault_cases); i++) {
        const struct fault_case *c = &fault_cases[i];

        spill.disk.fault = c->fault;
        cr_expect_eq(put(page, buffer), c->put, "%s: written", c->name);
        cr_expect_eq(get(page, read), c->get, "%s: read", c->name);
        spill.disk.fault = NULL;
        cr_expect_eq(get(page, read), 0, "%s: over", c->name);
    }
    free(buffer);
    free(read);
}

Test(spill, tells_what_a_disk_fails_at)
{
    try_faults(false);
}

Test(spill, tells_so_without_io_uring)
{
    try_faults(true);
}

Test(spill, misses_what_the_file_has_lost)
{
    char *buffer = buffer_of(1);
    uint32_t page;

    open_spill(false);
    cr_assert_eq(spill_take(&spill, &page), 0);
    cr_assert_eq(put(page, buffer), 0);
    cr_assert_eq(ftruncate(spill.fd, DISK_PART), 0);
    cr_expect_eq(get(page, buffer), -EIO);
    free(buffer);
}

Test(spill, says_where_bytes_have_changed)
{
    char *buffer = buffer_of(1);
    char said[1024] = "";
    char log[96];
    uint32_t page;
    FILE *file;

    snprintf(log, sizeof(log), "%s/log", directory);
    log_setup(LOG_ERROR, log);
    open_spill(false);
    cr_assert_eq(spill_take(&spill, &page), 0);
    cr_assert_eq(spill_take(&spill, &page), 0);
    cr_assert_eq(put(page, buffer), 0);
    buffer[DISK_PART + 77] ^= 1;
    cr_assert_eq(transfer(page, true, buffer), 0);
    cr_expect_eq(get(page, buffer), -EBADMSG);
    file = fopen(log, "r");
    cr_assert_not_null(file);
    cr_expect_not_null(fgets(said, sizeof(said), file));
    cr_expect_not_null(strstr(said, "at offset 3145728"), "%s", said);
    cr_expect_not_null(strstr(said, directory), "%s", said);
    fclose(file);
    unlink(log);
    free(buffer);
}

static const struct place_case {
    const char *name;
    uint64_t magic;
    unsigned int device;
    enum spill_place place;
} place_cases[] = {
    {"ext4 on an SSD", EXT4_SUPER_MAGIC, 2, SPILL_DISK},
    {"ext4 on a rotating disk", EXT4_SUPER_MAGIC, 3, SPILL_ROTATING},
    {"a partition of a rotating disk", EXT4_SUPER_MAGIC, 4, SPILL_ROTATING},
    {"a device nobody knows", BTRFS_SUPER_MAGIC, 5, SPILL_DISK},
    {"tmpfs", TMPFS_MAGIC, 2, SPILL_MEMORY},
    {"NFS", NFS_SUPER_MAGIC, 2, SPILL_NETWORK},
    {"FUSE", 0x65735546, 2, SPILL_NETWORK},
};

/* Makes files of a machine, below the directory. */
static void build_machine(void)
{
    static const char script[] =
        "cd \"$1\" && mkdir -p sys/dev/block disks/ssd/queue disks/old/queue disks/old/part &&"
        "echo 0 >disks/ssd/queue/rotational && echo 1 >disks/old/queue/rotational &&"
        "cd sys/dev/block && ln -s ../../../disks/ssd 8:2 && ln -s ../../../disks/old 8:3 &&"
        "ln -s ../../../disks/old/part 8:4";
    char command[512];

    snprintf(command, sizeof(command), "set -- '%s'; %s", directory, script);
    cr_assert_eq(system(command), 0);
}

Test(spill, knows_what_is_no_disk)
{
    char command[128];

    build_machine();
    for (size_t i = 0; i < ARRAY_SIZE(place_cases); i++) {
        const struct place_case *c = &place_cases[i];

        cr_expect_eq(spill_place(c->magic, makedev(8, c->device), directory), c->place, "%s",
                     c->name);
    }
    snprintf(command, sizeof(command), "rm -rf '%s'", directory);
    cr_assert_eq(system(command), 0);
}

Test(spill, refuses_memory_unless_forced)
{
    struct spill_options options = {
        .directory = "/dev/shm", .budget = {.value = 2 * PAGE}, .root = ""};
    struct statfs fs;

    if (statfs("/dev/shm", &fs) || (uint64_t)fs.f_type != TMPFS_MAGIC)
        cr_skip_test("/dev/shm is no tmpfs");
    cr_expect_eq(spill_open(&spill, &options, PAGE), -EINVAL);
    cr_expect_not(spill_is_open(&spill));
    options.force = true;
    cr_expect_eq(spill_open(&spill, &options, PAGE), 0);
}

Test(spill, refuses_what_is_no_directory)
{
    struct spill_options options = options_for(false);

    options.directory = "/nowhere/at/all";
    cr_expect_eq(spill_open(&spill, &options, PAGE), -ENOENT);
}

Test(spill, refuses_a_file_system_without_unnamed_files)
{
    struct spill_options options = options_for(false);
    int fd = open("/proc/self", O_TMPFILE | O_RDWR, 0600);

    if (fd >= 0 || access("/proc/self", X_OK))
        cr_skip_test("/proc is no such file system");
    options.directory = "/proc/self";
    cr_expect_lt(spill_open(&spill, &options, PAGE), 0);
    cr_expect_not(spill_is_open(&spill));
}
