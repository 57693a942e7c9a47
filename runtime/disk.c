/* SPDX-License-Identifier: MIT */
/*
 * Parts rather than whole requests are given to the kernel, because a disk is only fast with
 * several under way, and because a read of many MiB is cut by the kernel anyway, one piece after
 * the other.
 *
 * liburing is linked statically: the library that is preloaded into programs must not bring more
 * libraries with it than libc and libelf.
 */
#include "runtime/disk.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "runtime/log.h"
#include "runtime/quiet.h"
#include "runtime/util.h"

void disk_init(struct disk *disk, bool plain)
{
    int r = -ENOSYS;

    memset(disk, 0, sizeof(*disk));
    if (!plain)
        r = io_uring_queue_init(DISK_DEPTH, &disk->ring, 0);
    disk->async = r == 0;
    if (!plain && r)
        log_info("there is no io_uring here: %s; the disk is read when it is needed, not ahead",
                 strerror(-r));
}

void disk_fini(struct disk *disk)
{
    for (size_t i = 0; i < ARRAY_SIZE(disk->parts); i++) {
        while (disk->parts[i].request)
            (void)disk_finish(disk, disk->parts[i].request);
    }
    if (disk->async)
        io_uring_queue_exit(&disk->ring);
    memset(disk, 0, sizeof(*disk));
}

void disk_abandon(struct disk *disk)
{
    if (disk->async)
        close(disk->ring.ring_fd);
    memset(disk, 0, sizeof(*disk));
}

static void fail(struct disk_request *request, int error)
{
    request->result = error;
    request->next = request->bytes;
}

static void settle(struct disk_request *request)
{
    if (request->next == request->bytes && !request->under_way && request->result == -EINPROGRESS)
        request->result = 0;
}

/* What one call came to. True when the rest of the part has to be asked for. */
static bool take_result(struct disk *disk, struct disk_part *part, int result)
{
    struct disk_request *request = part->request;

    if (disk->fault)
        result = disk->fault(request, result);
    if (result == -EINTR || result == -EAGAIN)
        return request->result == -EINPROGRESS;
    if (result > 0) {
        part->at += min_u64((uint64_t)result, part->bytes);
        part->bytes -= min_u64((uint64_t)result, part->bytes);
        if (!part->bytes || (!request->write && part->at >= request->least))
            return false;
        return request->result == -EINPROGRESS;
    }
    if (result < 0)
        fail(request, result);
    else if (request->write || part->at < request->least)
        fail(request, -EIO);
    return false;
}

static void do_now(struct disk *disk, struct disk_part *part)
{
    struct disk_request *request = part->request;
    struct quiet quiet;
    ssize_t n;

    do {
        char *at = request->buffer + part->at;
        off_t offset = (off_t)(request->offset + part->at);

        quiet_begin(&quiet);
        n = request->write ? pwrite(request->fd, at, part->bytes, offset)
                           : pread(request->fd, at, part->bytes, offset);
        quiet_end(&quiet);
    } while (take_result(disk, part, n < 0 ? -errno : (int)n));
}

/* Gives a part to the kernel. */
static void queue(struct disk *disk, struct disk_part *part)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&disk->ring);
    struct disk_request *request = part->request;
    char *at = request->buffer + part->at;
    uint64_t offset = request->offset + part->at;

    /* There are as many entries as parts. */
    if (request->write)
        io_uring_prep_write(sqe, request->fd, at, (unsigned int)part->bytes, offset);
    else
        io_uring_prep_read(sqe, request->fd, at, (unsigned int)part->bytes, offset);
    io_uring_sqe_set_data(sqe, part);
}

static struct disk_part *free_part(struct disk *disk)
{
    for (size_t i = 0; i < ARRAY_SIZE(disk->parts); i++) {
        if (!disk->parts[i].request)
            return &disk->parts[i];
    }
    return NULL;
}

static void submit(struct disk *disk)
{
    struct quiet quiet;
    int r;

    quiet_begin(&quiet);
    do
        r = io_uring_submit(&disk->ring);
    while (r == -EINTR);
    quiet_end(&quiet);
}

/* Starts as many parts as there is room for. */
static void start_parts(struct disk *disk)
{
    struct disk_part *part;
    bool any = false;

    while (disk->first && (part = free_part(disk))) {
        struct disk_request *request = disk->first;

        if (request->next == request->bytes) {
            disk->first = request->later;
            settle(request);
            continue;
        }
        *part = (struct disk_part){
            .request = request,
            .at = request->next,
            .bytes = min_u64(DISK_PART, request->bytes - request->next),
        };
        request->next += part->bytes;
        request->under_way++;
        queue(disk, part);
        any = true;
    }
    if (any)
        submit(disk);
}

static void complete(struct disk *disk, struct io_uring_cqe *cqe)
{
    struct disk_part *part = io_uring_cqe_get_data(cqe);
    int result = cqe->res;

    io_uring_cqe_seen(&disk->ring, cqe);
    if (take_result(disk, part, result)) {
        queue(disk, part);
        submit(disk);
        return;
    }
    part->request->under_way--;
    settle(part->request);
    part->request = NULL;
}

void disk_start(struct disk *disk, struct disk_request *request)
{
    struct disk_request **end = &disk->first;

    request->result = -EINPROGRESS;
    request->next = 0;
    request->under_way = 0;
    request->later = NULL;
    if (!disk->async) {
        struct disk_part all = {.request = request, .bytes = request->bytes};

        request->next = request->bytes;
        do_now(disk, &all);
        settle(request);
        return;
    }
    while (*end)
        end = &(*end)->later;
    *end = request;
    start_parts(disk);
}

void disk_poll(struct disk *disk)
{
    struct io_uring_cqe *cqe;

    if (!disk->async)
        return;
    while (io_uring_peek_cqe(&disk->ring, &cqe) == 0)
        complete(disk, cqe);
    start_parts(disk);
}

int disk_finish(struct disk *disk, struct disk_request *request)
{
    struct io_uring_cqe *cqe;

    while (disk->async && !disk_is_over(request)) {
        /* What could not be submitted for want of memory is tried again. */
        if (io_uring_sq_ready(&disk->ring))
            submit(disk);
        if (io_uring_wait_cqe(&disk->ring, &cqe) == 0)
            complete(disk, cqe);
        start_parts(disk);
    }
    return request->result;
}
