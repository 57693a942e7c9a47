/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Pages that need not be written, because a file of the program holds their bytes: it has uploaded
 * them from a mapping of that file which nobody may write to.
 *
 * What was uploaded from where is only a hint. A page is made when its bytes have been compared
 * with the file's; what is read back is compared by checksum. Bytes between such uploads, as long
 * as they are few, are kept in memory.
 *
 * Locking: the caller's.
 */

#include <stdbool.h>
#include <stdint.h>

enum {
    BACKING_FLAG = (int)0x80000000, /* in the number of a page: it is one of these */
};

/* Uploads into one allocation. */
struct backing_upload {
    uint64_t at; /* in the allocation */
    uint64_t bytes;
    uint64_t offset; /* in the file */
    uint32_t file;
};
struct backing_uploads {
    struct backing_upload *all;
    uint32_t n;
    uint32_t capacity;
};

static inline bool backing_is(uint32_t page)
{
    return page & (uint32_t)BACKING_FLAG;
}

/* Bytes at `from` are uploaded to `at` of an allocation. Notes it if they are a file's. */
void backing_note(struct backing_uploads *uploads, uint64_t at, const void *from, uint64_t bytes);

/* The same of bytes that are a file's, open as `fd`, for another reason. */
void backing_note_file(struct backing_uploads *uploads, uint64_t at, uint64_t bytes, int fd,
                       uint64_t offset);

/* A page of what is at `at` of the allocation, if a file holds it; `scratch` is as large as it. The
 * checksum is that of the spill file's pages. */
bool backing_make(const struct backing_uploads *uploads, uint64_t at, const void *bytes, uint64_t n,
                  uint64_t checksum, void *scratch, uint32_t *out);
void backing_free(uint32_t page);
uint64_t backing_checksum(uint32_t page);
/* What the file holds is not what it was made for. */
void backing_spoil(uint32_t page);

/* It will be read soon. */
void backing_hint(uint32_t page);
/* 0, or -EIO or -EBADMSG after an error message. */
int backing_read(uint32_t page, void *buffer);
