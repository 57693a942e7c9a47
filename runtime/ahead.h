/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Reading ahead: pages of the spill file on their way into a ring.
 *
 * A buffer is free, or a page is being read into it, or is there, or is being copied from it.
 * Whoever knows what comes next says so, nearest first; pages that nobody wants any more give way.
 *
 * Locking: the caller's.
 */

#include <stdbool.h>
#include <stdint.h>
#include "runtime/driver.h"
#include "runtime/spill.h"

enum {
    AHEAD_MAX = 4,
};

struct ahead_buffer {
    char *memory;
    uint32_t page; /* one more; 0: none */
    uint64_t bytes;
    bool taken;      /* what is there is being copied, until */
    CUevent copied;  /* this; it is somebody else's */
    uint64_t wanted; /* round in which it last was */
    struct disk_request request;
};

struct ahead {
    struct spill *spill;
    uint32_t n;
    uint64_t round;
    struct ahead_buffer buffers[AHEAD_MAX];
};

/* A page of the file. */
struct ahead_page {
    uint32_t page;
    uint64_t bytes;
};

/* Sees to it that these are being read, as far as there are buffers. Never waits. */
void ahead_want(struct ahead *ahead, const struct driver *drv, const struct ahead_page *pages,
                uint32_t n);

/*
 * The bytes of a page, their checksum compared. -EAGAIN when they are not there yet; with `wait`
 * only when there is no buffer to be had. -EIO or -EBADMSG after a message. What was taken stays
 * until the event that ahead_taken() is told is done.
 */
int ahead_take(struct ahead *ahead, const struct driver *drv, const struct ahead_page *page,
               bool wait, struct ahead_buffer **out);
void ahead_taken(struct ahead_buffer *buffer, CUevent copied);

/* The page means something else from now on; ahead_forget(): all do, and no copy is under way. */
void ahead_drop(struct ahead *ahead, uint32_t page);
void ahead_forget(struct ahead *ahead);
