/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A file that a person names, read as if its writer were an enemy.
 *
 * Only regular files are opened, without waiting for anybody. Bytes are read, never mapped: a file
 * that becomes shorter meanwhile is an error with a sentence, not a signal. What was read of the
 * beginning stays at one address; no more of it is read than somebody asked for.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    /* Headers beyond this are refused: real ones have a few MiB. */
    SOURCE_MAX_HEAD = 32 << 20,
};

struct source {
    char *path;
    int fd; /* -1 when closed */
    uint64_t bytes;
    dev_t device;
    ino_t inode;
    uint8_t *head; /* the first `filled` bytes */
    size_t filled;
    size_t reserved;
};

/*
 * A line "path: what is wrong" in `error` on failure, with nothing in it that drives a terminal.
 * Negative errno; -EINVAL when the file is not one that has bytes.
 */
int source_open(const char *path, char *error, size_t error_size, struct source *out);

/* Makes the first `upto` bytes available in `head`. -ENODATA when there are not so many (any more),
 * -EFBIG beyond SOURCE_MAX_HEAD, or what reading gave. */
int source_fill(struct source *source, uint64_t upto);

/* Nothing more will be filled; what was stays. */
void source_close(struct source *source);
void source_fini(struct source *source);

/* Reads from anywhere, of the file as it was when it was opened: -ESTALE when it is another one
 * now, -ENODATA beyond its end. */
int source_read(const struct source *source, uint64_t at, void *out, size_t size);

/* Writes "path: reason" to `error`. */
void source_say(char *error, size_t error_size, const char *path, const char *reason);

/* What a file that begins so is, if it is none of the formats that are read; NULL: nothing known.
 * `path` is looked at for the endings of unfinished downloads. */
const char *source_guess(const char *path, const void *data, size_t size);
