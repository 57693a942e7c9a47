/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Small buffers as they were behind a launch: a kernel of ours in the same stream copies them to
 * host memory. Nobody waits; whether a copy is there is looked up later.
 *
 * Locking: peek_launch() none, between peek_init() and peek_fini(), for records of its own; all
 * else the pager's. The context is current.
 */

#include <stdbool.h>
#include <stdint.h>
#include "runtime/driver.h"

enum {
    PEEK_SOURCES = 8,       /* of a record, */
    PEEK_BYTES = 2048,      /* all together, */
    PEEK_BYTES_EACH = 1024, /* and of one */
};

/* PTX. */
extern const char peek_kernel_text[];

struct peek_source {
    CUdeviceptr at; /* 4-aligned, and so are the bytes; memory of the device */
    uint64_t bytes;
    uint64_t to; /* bytes into the record */
};

struct peek {
    CUmodule module; /* NULL: there is none */
    CUfunction function;
    char *memory; /* pinned: a number for each record, then the records */
    uint32_t n_records;
};

/* 0 or -errno: this driver cannot run it. */
int peek_init(struct peek *peek, const struct driver *drv, uint32_t n_records);
/* Nothing that it launched is in flight. `alive`: the context still is. */
void peek_fini(struct peek *peek, const struct driver *drv, bool alive);

/* Queues a copy into a record; `number`, not 0 and not the record's last, is put to it behind it.
 * 0 or -errno. */
int peek_launch(const struct peek *peek, const struct driver *drv, CUstream stream, uint32_t record,
                uint32_t number, const struct peek_source *sources, uint32_t n);

/* Whether the copy of that number is there. */
bool peek_is_done(const struct peek *peek, uint32_t record, uint32_t number);
const void *peek_record(const struct peek *peek, uint32_t record);
