/* SPDX-License-Identifier: MIT */
#include "runtime/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "runtime/checksum.h"
#include "runtime/log.h"
#include "runtime/util.h"

enum {
    PAGES_FIRST = 64,
};

/* File systems that are no disk, by the number that statfs() gives; those that <linux/magic.h> does
 * not have are written out. */
static const struct {
    uint64_t magic;
    enum spill_place place;
} places[] = {
    {TMPFS_MAGIC, SPILL_MEMORY},
    {RAMFS_MAGIC, SPILL_MEMORY},
    {HUGETLBFS_MAGIC, SPILL_MEMORY},
    {NFS_SUPER_MAGIC, SPILL_NETWORK},
    {SMB_SUPER_MAGIC, SPILL_NETWORK},
    {0xff534d42 /* CIFS */, SPILL_NETWORK},
    {0xfe534d42 /* SMB 2 */, SPILL_NETWORK},
    {0x65735546 /* FUSE: nobody knows what is behind it */, SPILL_NETWORK},
    {0x00c36400 /* Ceph */, SPILL_NETWORK},
    {0x0bd00bd0 /* Lustre */, SPILL_NETWORK},
    {0x47504653 /* GPFS */, SPILL_NETWORK},
    {AFS_SUPER_MAGIC, SPILL_NETWORK},
    {CODA_SUPER_MAGIC, SPILL_NETWORK},
    {V9FS_MAGIC, SPILL_NETWORK},
};

static const char *const place_words[] = {
    [SPILL_MEMORY] = "in memory",
    [SPILL_NETWORK] = "on a network, or may be",
    [SPILL_ROTATING] = "on a rotating disk",
};

/* A partition has no queue of its own; its disk is the directory above. */
static bool rotates(uint64_t device, const char *root)
{
    static const char *const forms[] = {
        "%s/sys/dev/block/%u:%u/queue/rotational",
        "%s/sys/dev/block/%u:%u/../queue/rotational",
    };
    char path[512];
    int rotational = 0;

    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        FILE *file;

        snprintf(path, sizeof(path), forms[i], root, major(device), minor(device));
        file = fopen(path, "re");
        if (!file)
            continue;
        if (fscanf(file, "%d", &rotational) != 1)
            rotational = 0;
        fclose(file);
        return rotational == 1;
    }
    return false;
}

enum spill_place spill_place(uint64_t magic, uint64_t device, const char *root)
{
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        if (places[i].magic == magic)
            return places[i].place;
    }
    return rotates(device, root) ? SPILL_ROTATING : SPILL_DISK;
}

static int refuse(const struct spill_options *options, const char *why, int error)
{
    log_warn("VRAMSHIM_SPILL_DIR %s: %s%s%s; nothing is put on a disk", options->directory, why,
             error ? ": " : "", error ? strerror(error) : "");
    return error ? -error : -EINVAL;
}

/* Without a name from the begin on. */
static int open_file(const char *directory)
{
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC | O_DIRECT, 0600);

    if (fd >= 0 || errno != EINVAL)
        return fd;
    fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        log_info("the file system of %s cannot read around the page cache; pages go through it",
                 directory);
    return fd;
}

static int look_at_place(const struct spill_options *options, int fd)
{
    enum spill_place place;
    struct statfs fs;
    struct stat st;
    char why[128];

    if (fstatfs(fd, &fs) || fstat(fd, &st))
        return refuse(options, "cannot be looked at", errno);
    place = spill_place((uint32_t)fs.f_type, st.st_dev, options->root);
    if (place == SPILL_DISK || options->force)
        return 0;
    snprintf(why, sizeof(why), "is %s (VRAMSHIM_SPILL_FORCE=1 takes it nevertheless)",
             place_words[place]);
    return refuse(options, why, 0);
}

static uint64_t free_on_disk(int fd, uint64_t *out_total)
{
    struct statvfs fs;

    if (fstatvfs(fd, &fs))
        return 0;
    if (out_total)
        *out_total = (uint64_t)fs.f_blocks * fs.f_frsize;
    return (uint64_t)fs.f_bavail * fs.f_frsize;
}

/* Beyond it the kernel would end the program. */
static uint64_t file_limit(void)
{
    struct rlimit most;

    return getrlimit(RLIMIT_FSIZE, &most) == 0 ? most.rlim_cur : UINT64_MAX;
}

int spill_open(struct spill *spill, const struct spill_options *options, uint64_t page_bytes)
{
    uint64_t total = 0;
    uint64_t room, budget;
    int fd = open_file(options->directory);
    int r;

    if (fd < 0)
        return refuse(options, "cannot hold a file without a name", errno);
    r = look_at_place(options, fd);
    if (r)
        goto close_fd;
    room = free_on_disk(fd, &total);
    budget = amount_resolve(options->budget, room, total);
    *spill = (struct spill){
        .fd = fd,
        .page_bytes = page_bytes,
        .budget = align_down(min_u64(budget, file_limit()), page_bytes),
    };
    if (!spill->budget) {
        r = refuse(options, "has no room that VRAMSHIM_SPILL would let be used", 0);
        goto close_fd;
    }
    if (options->budget.leave_free)
        spill->keep_free = room - budget;
    snprintf(spill->directory, sizeof(spill->directory), "%s", options->directory);
    disk_init(&spill->disk, options->plain);
    log_info("what memory has no room for goes to an unnamed file in %s, at most %llu MiB, by %s",
             options->directory, (unsigned long long)(spill->budget / MIB),
             spill->disk.async ? "io_uring" : "plain reads and writes");
    return 0;

close_fd:
    close(fd);
    return r;
}

void spill_close(struct spill *spill)
{
    if (!spill_is_open(spill))
        return;
    disk_fini(&spill->disk);
    close(spill->fd);
    free(spill->free);
    free(spill->sums);
    *spill = (struct spill){.budget = 0};
}

void spill_abandon(struct spill *spill)
{
    if (!spill_is_open(spill))
        return;
    disk_abandon(&spill->disk);
    close(spill->fd);
    *spill = (struct spill){.budget = 0};
}

uint64_t spill_room(const struct spill *spill)
{
    uint64_t used = spill->n_pages - spill->n_free;
    uint64_t most = spill_is_open(spill) ? spill->budget / spill->page_bytes : 0;

    return most > used ? most - used : 0;
}

static int grow_tables(struct spill *spill)
{
    uint32_t capacity = spill->capacity ? 2 * spill->capacity : PAGES_FIRST;
    uint32_t *unused = realloc(spill->free, capacity * sizeof(*unused));
    uint64_t *sums;

    if (!unused)
        return -ENOMEM;
    spill->free = unused;
    sums = realloc(spill->sums, capacity * sizeof(*sums));
    if (!sums)
        return -ENOMEM;
    spill->sums = sums;
    spill->capacity = capacity;
    return 0;
}

/* Disk space that is not there is better missed now than when a page is on its way. */
static int reserve(struct spill *spill)
{
    uint64_t at = spill->n_pages * spill->page_bytes;

    if (file_limit() < at + spill->page_bytes)
        return -EFBIG;
    if (free_on_disk(spill->fd, NULL) < spill->keep_free + spill->page_bytes)
        return -ENOSPC;
    if (fallocate(spill->fd, 0, (off_t)at, (off_t)spill->page_bytes) == 0 || errno == EOPNOTSUPP)
        return 0;
    return -errno;
}

int spill_take(struct spill *spill, uint32_t *out)
{
    int r = 0;

    if (spill->n_free) {
        *out = spill->free[--spill->n_free];
        return 0;
    }
    if (!spill_room(spill))
        return -ENOSPC;
    if (spill->n_pages == spill->capacity)
        r = grow_tables(spill);
    if (!r)
        r = reserve(spill);
    if (r)
        return r;
    *out = spill->n_pages++;
    return 0;
}

void spill_give(struct spill *spill, uint32_t page)
{
    spill->free[spill->n_free++] = page;
}

struct disk_request spill_request(const struct spill *spill, uint32_t page, bool write,
                                  void *buffer, uint64_t bytes)
{
    return (struct disk_request){
        .fd = spill->fd,
        .write = write,
        .buffer = buffer,
        .offset = page * spill->page_bytes,
        .bytes = bytes,
        .least = bytes,
    };
}

int spill_verify(const struct spill *spill, uint32_t page, const void *buffer, uint64_t bytes)
{
    uint64_t sum = checksum(buffer, bytes);

    if (sum == spill->sums[page])
        return 0;
    log_error("the spill file in %s gives back other bytes at offset %llu than were written "
              "(checksum %016llx instead of %016llx); what needs them fails",
              spill->directory, (unsigned long long)(page * spill->page_bytes),
              (unsigned long long)sum, (unsigned long long)spill->sums[page]);
    return -EBADMSG;
}

void spill_blame(struct spill *spill, const struct disk_request *request)
{
    if (request->write && spill->failing)
        return;
    spill->failing |= request->write;
    log_error("cannot %s %llu bytes %s the spill file in %s at offset %llu: %s; what needs them %s",
              request->write ? "write" : "read", (unsigned long long)request->bytes,
              request->write ? "to" : "from", spill->directory, (unsigned long long)request->offset,
              strerror(-request->result), request->write ? "stays in memory" : "fails");
}
