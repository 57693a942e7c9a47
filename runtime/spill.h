/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The spill file: pages of memory on a disk, for when both other tiers are full.
 *
 * The file has no name: it is there for nobody else, and gone with the process however that ends. A
 * page is as large as the largest chunk. What is written to it is remembered by a checksum, without
 * which nothing that is read back is believed.
 *
 * Locking: the caller's.
 */

#include <stdbool.h>
#include <stdint.h>
#include "runtime/config.h"
#include "runtime/disk.h"

struct spill {
    int fd; /* while budget is not 0 */
    char directory[256];
    uint64_t page_bytes;
    uint64_t budget;    /* bytes that pages may take */
    uint64_t keep_free; /* bytes that are left to others on that file system */
    uint32_t n_pages;   /* that the file is long */
    uint32_t n_free;    /* of these */
    uint32_t capacity;
    uint32_t *free;
    uint64_t *sums; /* by page */
    bool failing;   /* the last write did, which has been said */
    struct disk disk;
};

struct spill_options {
    const char *directory;
    struct amount budget; /* of the file system that the directory is on */
    bool force;           /* any kind of file system and disk will do */
    bool plain;           /* without io_uring */
    const char *root;     /* put before /sys: "" for this machine */
};

/* 0 or -errno; then one line has said why there will be none. */
int spill_open(struct spill *spill, const struct spill_options *options, uint64_t page_bytes);
/* A spill file that is not open is fine. */
void spill_close(struct spill *spill);
/* In the child of a fork: the pages are the parent's. */
void spill_abandon(struct spill *spill);

static inline bool spill_is_open(const struct spill *spill)
{
    return spill->budget != 0;
}

/* Pages that can still be had, by the budget. */
uint64_t spill_room(const struct spill *spill);

/* A page of nobody, its space on the disk reserved. 0, or -ENOSPC when the budget or the disk is
 * used up; -errno. */
int spill_take(struct spill *spill, uint32_t *out);
void spill_give(struct spill *spill, uint32_t page);

/* A request for the first `bytes` of a page, a multiple of DISK_ALIGN, still to be started. */
struct disk_request spill_request(const struct spill *spill, uint32_t page, bool write,
                                  void *buffer, uint64_t bytes);
/* It is what was written. 0, or -EBADMSG after an error message that says where it was. */
int spill_verify(const struct spill *spill, uint32_t page, const void *buffer, uint64_t bytes);
/* Why a request failed, for a person; of writes only the first in a row. */
void spill_blame(struct spill *spill, const struct disk_request *request);

/* What kind of place a directory is on, by the file system's magic number and its device. */
enum spill_place {
    SPILL_DISK,
    SPILL_MEMORY,   /* a file system that takes memory instead */
    SPILL_NETWORK,  /* or may */
    SPILL_ROTATING, /* a disk with a head that has to travel */
};
enum spill_place spill_place(uint64_t magic, uint64_t device, const char *root);
