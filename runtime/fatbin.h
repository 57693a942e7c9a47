/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The ELF images inside a fatbin, the container that nvcc makes and cuLibraryLoadData() takes.
 *
 * Only uncompressed entries are found: zstd and LZ4 ones (nvcc's default for debug code and for
 * NVIDIA's own libraries) are skipped, because the shim depends on libc and libelf only. Bears any
 * content; no byte past the given size is touched. Locking: none.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fatbin_image {
    const void *data; /* inside the fatbin */
    size_t bytes;
    unsigned int arch; /* 75, 90, ... */
};

/* Stops the walk by returning non-zero. */
typedef int (*fatbin_visit_fn)(void *context, const struct fatbin_image *image);

/*
 * The fatbin that `image` is or, when it is the wrapper that nvcc puts into programs, points to;
 * NULL for anything else. `limit` bytes of `image` may be read.
 */
const void *fatbin_open(const void *image, size_t limit);

/* Bytes of the fatbin at `data`, header included, of `limit` that may be read; 0: it is none. */
size_t fatbin_bytes(const void *data, size_t limit);

/*
 * Visits the ELF images that were compiled for `arch` (0: any), or all when there are none for it.
 * The value that stopped the walk, or 0.
 */
int fatbin_walk(const void *data, size_t bytes, unsigned int arch, fatbin_visit_fn visit,
                void *context);
