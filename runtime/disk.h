/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Reading and writing files in the background, as far as the kernel can.
 *
 * A request is cut into parts, of which many are under way at once: through io_uring where there is
 * one, else one after the other while disk_start() is called. Until disk_is_over() the request, its
 * buffer and its file must stay.
 *
 * Files may have been opened with O_DIRECT: then buffer, offset and bytes are multiples of
 * DISK_ALIGN.
 *
 * Locking: the caller's.
 */

#include <errno.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    DISK_ALIGN = 4096,
    DISK_PART = 1 << 20, /* bytes of a part */
    DISK_DEPTH = 32,     /* parts under way */
};

struct disk_request {
    int fd;
    bool write;
    char *buffer;
    uint64_t offset;
    uint64_t bytes;
    uint64_t least; /* of them that must be there: a file may end in the last few */

    int result; /* -EINPROGRESS, 0, or -errno; -EIO when the file ended too early */
    uint64_t next;
    unsigned int under_way;
    struct disk_request *later; /* parts of it still have to be started */
};

struct disk_part {
    struct disk_request *request; /* NULL: not in use */
    uint64_t at;                  /* in the request */
    uint64_t bytes;
};

struct disk {
    bool async;
    struct io_uring ring;
    struct disk_part parts[DISK_DEPTH];
    struct disk_request *first; /* with parts that have not been started, oldest first */
    /* What a test makes of the result of one part: bytes or -errno. NULL: nothing. */
    int (*fault)(const struct disk_request *request, int result);
};

/* `plain`: without io_uring. Cannot fail. */
void disk_init(struct disk *disk, bool plain);
/* Waits for what is under way. */
void disk_fini(struct disk *disk);
/* In the child of a fork: closes what is the parent's, waits for nothing. */
void disk_abandon(struct disk *disk);

void disk_start(struct disk *disk, struct disk_request *request);
/* Its result is there, and nothing of it is under way any more. */
static inline bool disk_is_over(const struct disk_request *request)
{
    return request->result != -EINPROGRESS && !request->under_way;
}

/* Takes note of what has ended; never waits. */
void disk_poll(struct disk *disk);
/* Waits for it; its result. */
int disk_finish(struct disk *disk, struct disk_request *request);
