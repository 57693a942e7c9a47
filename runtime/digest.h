/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Digests of device memory, computed on the device: whether bytes are still what they were.
 *
 * 64 bits, not meant to resist an adversary: memory that was written has another digest but for
 * one case in 2^64 or so.
 *
 * Locking: the caller's. The digester's context is current.
 */

#include <stddef.h>
#include <stdint.h>
#include "runtime/driver.h"

/* PTX. */
extern const char digest_kernel_text[];

struct digester {
    CUmodule module; /* NULL until digester_init() */
    CUfunction function;
    CUdeviceptr sums; /* results, on the device */
};

/* 0 or -errno: this driver cannot run it. */
int digester_init(struct digester *digester, const struct driver *drv);
void digester_fini(struct digester *digester, const struct driver *drv);

struct digest_span {
    CUdeviceptr at; /* 16-aligned, and `bytes` too */
    uint64_t bytes;
    uint64_t digest; /* out */
};

/* The same digest of bytes in host memory, which `before` bytes of the piece precede: that of a
 * piece is the sum of its parts'. */
uint64_t digest_bytes(const void *bytes, uint64_t n, uint64_t before);

/* Queues the digest of device memory to be added to the word at `to`. 0 or -errno. */
int digest_note(struct digester *digester, const struct driver *drv, CUstream stream,
                CUdeviceptr at, uint64_t bytes, CUdeviceptr to);

/* Computes all of them in `stream` and waits. 0 or -errno, then no digest is good. */
int digest_spans(struct digester *digester, const struct driver *drv, CUstream stream,
                 struct digest_span *spans, size_t n);
