/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Copies and memsets as work in a stream.
 */

#include "tests/sim/memory.h"
#include "tests/sim/stream.h"

enum side_kind {
    SIDE_DEVICE,   /* an address the device translates: its own memory, mapped or pinned memory */
    SIDE_PAGEABLE, /* plain host memory */
};

struct copy_side {
    enum side_kind kind;
    uint64_t address;
    int device; /* whose view of the address */
    uint64_t pitch;
    uint64_t slice; /* bytes from one layer to the next */
};

struct copy_box {
    size_t width; /* bytes */
    size_t height;
    size_t depth;
};

/* What the caller said the pointer is. */
enum side_type { SIDE_TYPE_HOST, SIDE_TYPE_DEVICE, SIDE_TYPE_UNIFIED };

struct copy_side copy_side_of(enum side_type type, uint64_t address, int device);
/*
 * `synchronous`: the call is not one of the Async kind. Whether it really waits follows from the
 * memory: always for pageable destinations and between host memories, never on the device alone.
 */
CUresult copy_submit(struct stream *stream, struct copy_side dst, struct copy_side src,
                     struct copy_box box, bool synchronous);
/* Whether the side lies partly in device and partly in host memory, and that is refused. */
bool copy_side_is_mixed(const struct copy_side *side, const struct copy_box *box);
/* Work for later, unchecked: what is pageable is read when it runs. NULL without memory. */
struct work *copy_new(struct copy_side dst, struct copy_side src, struct copy_box box);
/* What a copy says about its sides, as seen from a device. INVALID_VALUE, or NOT_SUPPORTED for
 * arrays. */
CUresult copy_sides(const CUDA_MEMCPY3D *copy, int device, struct copy_side *dst,
                    struct copy_side *src);
/* INVALID_VALUE when the side does not lie in accessible memory. */
CUresult copy_check_side(const struct copy_side *side, const struct copy_box *box, bool write);
CUresult memset_submit(struct stream *stream, uint64_t address, uint64_t pitch, uint32_t value,
                       unsigned int element_bytes, size_t width, size_t height);
/* Work for later; `check` as copy_check_side(). The sizes are not zero, the element is 1, 2 or 4.
 */
CUresult memset_new(const CUDA_MEMSET_NODE_PARAMS *asked, int device, bool check,
                    struct work **out);
/* A device access that failed while work ran: says so and breaks the context. */
void copy_fault(struct stream *stream, const char *what, uint64_t address);
