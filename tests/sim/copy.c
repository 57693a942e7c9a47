/* SPDX-License-Identifier: MIT */
/*
 * Copies of every shape, as one: boxes of rows with a pitch on either side.
 *
 * What a copy may touch is checked twice. At submission an address that is not mapped is the
 * caller's mistake (INVALID_VALUE). When the copy runs it is the device that faults, and the
 * context with it. Pageable source memory is read at submission, pinned memory when the copy runs,
 * so a buffer reused too early shows.
 */
#include "tests/sim/copy.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"
#include "tests/sim/bulk.h"
#include "tests/sim/calls.h"
#include "tests/sim/capture.h"
#include "tests/sim/counters.h"
#include "tests/sim/node.h"
#include "tests/sim/vmm.h"

struct copy {
    struct work work;
    struct copy_side dst;
    struct copy_side src;
    struct copy_box box;
    uint8_t *snapshot;
    uint64_t snapshot_bytes;
};

static void count_copied(bool from_host, bool to_host, uint64_t bytes)
{
    if (from_host && to_host)
        counters.bytes_on_host += bytes;
    else if (from_host)
        counters.bytes_to_device += bytes;
    else if (to_host)
        counters.bytes_to_host += bytes;
    else
        counters.bytes_on_device += bytes;
}

/* Where a side's bytes are; NULL when the device faults there. */
static uint8_t *side_span(const struct copy_side *side, uint64_t address, uint64_t bytes,
                          bool write, uint64_t *span, bool *on_host)
{
    if (side->kind == SIDE_DEVICE)
        return mmu_copy_span(side->device, address, bytes, write, span, on_host);
    *span = bytes;
    *on_host = true;
    return (uint8_t *)(uintptr_t)address;
}

/* The address that faulted, 0 when none did. */
static uint64_t copy_row(const struct copy *copy, uint64_t dst, uint64_t src, uint64_t bytes)
{
    while (bytes) {
        uint64_t span;
        bool from_host;
        bool to_host;
        const uint8_t *from = side_span(&copy->src, src, bytes, false, &span, &from_host);
        uint8_t *to = from ? side_span(&copy->dst, dst, span, true, &span, &to_host) : NULL;

        if (!to)
            return from ? dst : src;
        bulk_copy(to, from, span);
        count_copied(from_host, to_host, span);
        dst += span;
        src += span;
        bytes -= span;
    }
    return 0;
}

void copy_fault(struct stream *stream, const char *what, uint64_t address)
{
    char near[160];

    memory_describe(address, near, sizeof(near));
    core_say("a %s touched 0x%llx, which is not accessible when it runs; %s; the context is lost "
             "with CUDA_ERROR_ILLEGAL_ADDRESS",
             what, (unsigned long long)address, near);
    counters.illegal_addresses++;
    context_break(stream->context, CUDA_ERROR_ILLEGAL_ADDRESS);
}

static void copy_run(struct work *work)
{
    struct copy *copy = (struct copy *)work;
    uint64_t fault = 0;

    for (size_t z = 0; z < copy->box.depth && !fault; z++)
        for (size_t y = 0; y < copy->box.height && !fault; y++)
            fault = copy_row(copy, copy->dst.address + z * copy->dst.slice + y * copy->dst.pitch,
                             copy->src.address + z * copy->src.slice + y * copy->src.pitch,
                             copy->box.width);
    if (fault)
        copy_fault(work->stream, "copy", fault);
}

static bool side_is_host(const struct copy_side *side)
{
    return side->kind == SIDE_PAGEABLE || host_range_find(side->address);
}

/* The copy in the words of the interface. */
static CUDA_MEMCPY3D describe(const struct copy *copy)
{
    CUDA_MEMCPY3D asked = {
        .WidthInBytes = copy->box.width,
        .Height = copy->box.height,
        .Depth = copy->box.depth,
        .srcMemoryType = side_is_host(&copy->src) ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE,
        .dstMemoryType = side_is_host(&copy->dst) ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE,
        .srcPitch = copy->src.pitch,
        .dstPitch = copy->dst.pitch,
    };

    asked.srcHeight = copy->src.pitch ? copy->src.slice / copy->src.pitch : 0;
    asked.dstHeight = copy->dst.pitch ? copy->dst.slice / copy->dst.pitch : 0;
    if (asked.srcMemoryType == CU_MEMORYTYPE_HOST)
        asked.srcHost = (const void *)(uintptr_t)copy->src.address;
    else
        asked.srcDevice = copy->src.address;
    if (asked.dstMemoryType == CU_MEMORYTYPE_HOST)
        asked.dstHost = (void *)(uintptr_t)copy->dst.address;
    else
        asked.dstDevice = copy->dst.address;
    return asked;
}

static CUresult copy_record(struct work *work, struct task *out)
{
    const struct copy *copy = (struct copy *)work;
    struct copy_task *task = calloc(1, sizeof(*task));

    if (!task)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *task = (struct copy_task){
        .dst = copy->dst,
        .src = copy->src,
        .box = copy->box,
        .asked = describe(copy),
    };
    if (work->stream)
        task->context = work->stream->context;
    *out = (struct task){.type = CU_GRAPH_NODE_TYPE_MEMCPY, .copy = task};
    return CUDA_SUCCESS;
}

static void copy_drop(struct work *work)
{
    struct copy *copy = (struct copy *)work;

    stream_note_snapshot(-(int64_t)copy->snapshot_bytes);
    free(copy->snapshot);
}

/* Whether one piece of work may touch [address, address + bytes) of the device's address space. */
static CUresult check_row(int device, uint64_t address, uint64_t bytes, bool write, int *location)
{
    const struct allocation *allocation = ranges_find(&allocations, address);

    if (address + bytes < address)
        return CUDA_ERROR_INVALID_VALUE;
    if (allocation) {
        *location = 0;
        return allocation->range.base + allocation->range.bytes - address >= bytes
                   ? CUDA_SUCCESS
                   : CUDA_ERROR_INVALID_VALUE;
    }
    while (bytes) {
        uint64_t span;
        bool on_host;

        if (!mmu_copy_span(device, address, bytes, write, &span, &on_host))
            return CUDA_ERROR_INVALID_VALUE;
        if (!settings.mixed_copy && *location >= 0 && *location != on_host) {
            core_say("one copy or memset crosses from device to host memory at 0x%llx; refusing it",
                     (unsigned long long)address);
            return CUDA_ERROR_INVALID_VALUE;
        }
        *location = on_host;
        address += span;
        bytes -= span;
    }
    return CUDA_SUCCESS;
}

CUresult copy_check_side(const struct copy_side *side, const struct copy_box *box, bool write)
{
    int location = -1;

    if (box->height > 1 && side->pitch < box->width)
        return CUDA_ERROR_INVALID_VALUE;
    if (side->kind != SIDE_DEVICE)
        return side->address ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    for (size_t z = 0; z < box->depth; z++) {
        for (size_t y = 0; y < box->height; y++) {
            CUresult res =
                check_row(side->device, side->address + z * side->slice + y * side->pitch,
                          box->width, write, &location);

            if (res)
                return res;
        }
    }
    return CUDA_SUCCESS;
}

static bool row_is_mixed(const struct copy_side *side, uint64_t address, uint64_t bytes,
                         int *location)
{
    while (bytes) {
        uint64_t span;
        bool on_host;

        if (!mmu_copy_span(side->device, address, bytes, false, &span, &on_host))
            return false;
        if (*location >= 0 && *location != on_host)
            return true;
        *location = on_host;
        address += span;
        bytes -= span;
    }
    return false;
}

bool copy_side_is_mixed(const struct copy_side *side, const struct copy_box *box)
{
    int location = -1;
    bool mixed = false;

    if (settings.mixed_copy || side->kind != SIDE_DEVICE)
        return false;
    for (size_t z = 0; z < box->depth && !mixed; z++)
        for (size_t y = 0; y < box->height && !mixed; y++)
            mixed = row_is_mixed(side, side->address + z * side->slice + y * side->pitch,
                                 box->width, &location);
    return mixed;
}

struct copy_side copy_side_of(enum side_type type, uint64_t address, int device)
{
    struct copy_side side = {.kind = SIDE_PAGEABLE, .address = address, .device = device};
    const struct vmm_mapping *mapping = vmm_mapping_at(address);

    if (type == SIDE_TYPE_DEVICE || host_range_find(address))
        side.kind = SIDE_DEVICE;
    else if (type == SIDE_TYPE_UNIFIED && mmu_holds(address))
        side.kind = SIDE_DEVICE;
    else if (mapping && mapping->host_access)
        side.kind = SIDE_DEVICE;
    else if (mmu_holds(address))
        side.address = 0; /* a device address where only host memory will do */
    return side;
}

/* Reads the whole source now. */
static CUresult take_snapshot(struct copy *copy)
{
    const struct copy_box *box = &copy->box;
    uint8_t *to;

    copy->snapshot_bytes = (uint64_t)box->width * box->height * box->depth;
    copy->snapshot = malloc(copy->snapshot_bytes);
    if (!copy->snapshot) {
        copy->snapshot_bytes = 0;
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    stream_note_snapshot((int64_t)copy->snapshot_bytes);
    to = copy->snapshot;
    for (size_t z = 0; z < box->depth; z++)
        for (size_t y = 0; y < box->height; y++, to += box->width)
            bulk_copy(to,
                      (const void *)(uintptr_t)(copy->src.address + z * copy->src.slice +
                                                y * copy->src.pitch),
                      box->width);
    copy->src.address = (uint64_t)(uintptr_t)copy->snapshot;
    copy->src.pitch = box->width;
    copy->src.slice = box->width * box->height;
    return CUDA_SUCCESS;
}

static bool side_lies_in_host(const struct copy_side *side)
{
    uint64_t span;
    bool on_host = false;

    if (side_is_host(side))
        return true;
    return mmu_copy_span(side->device, side->address, 1, false, &span, &on_host) && on_host;
}

static struct cost copy_cost(const struct copy_side *dst, const struct copy_side *src,
                             const struct copy_box *box)
{
    bool from_host = side_lies_in_host(src);
    bool to_host = side_lies_in_host(dst);

    return (struct cost){
        .engine = from_host ? (to_host ? ENGINE_D2H : ENGINE_H2D)
                  : to_host ? ENGINE_D2H
                            : ENGINE_D2D,
        .bytes = (uint64_t)box->width * box->height * box->depth,
        .pageable = src->kind == SIDE_PAGEABLE || dst->kind == SIDE_PAGEABLE,
    };
}

struct work *copy_new(struct copy_side dst, struct copy_side src, struct copy_box box)
{
    struct copy *copy = work_new(sizeof(*copy), copy_run, copy_drop);

    if (!copy)
        return NULL;
    copy->work.record = copy_record;
    copy->work.cost = copy_cost(&dst, &src, &box);
    copy->dst = dst;
    copy->src = src;
    copy->box = box;
    return &copy->work;
}

CUresult copy_submit(struct stream *stream, struct copy_side dst, struct copy_side src,
                     struct copy_box box, bool synchronous)
{
    bool host_to_host = side_is_host(&src) && side_is_host(&dst);
    bool any_host = side_is_host(&src) || side_is_host(&dst);
    bool wait = dst.kind == SIDE_PAGEABLE || host_to_host || (synchronous && any_host);
    const struct context *context = stream->context;
    struct marker *marker;
    struct copy *copy;
    CUresult res;

    if (!box.width || !box.height || !box.depth)
        return CUDA_SUCCESS;
    res = copy_check_side(&dst, &box, true);
    if (!res)
        res = copy_check_side(&src, &box, false);
    if (!res && synchronous)
        res = capture_refuse_unsafe();
    if (res)
        return res;
    copy = (struct copy *)copy_new(dst, src, box);
    if (!copy)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (src.kind == SIDE_PAGEABLE && !wait && !stream->capture && take_snapshot(copy)) {
        work_free(&copy->work);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    marker = marker_get(copy->work.marker);
    res = stream_submit(stream, &copy->work);
    if (!res && wait && !stream->capture) {
        stream_host_wait(marker);
        res = context->sticky;
    }
    marker_put(marker);
    return res;
}

struct memset_work {
    struct work work;
    struct copy_side dst;
    struct copy_box box;
    uint32_t value;
    unsigned int element_bytes;
};

static void fill(uint8_t *to, uint64_t bytes, uint32_t value, unsigned int element_bytes)
{
    if (element_bytes == 1) {
        bulk_fill(to, value & 0xff, bytes);
        return;
    }
    memcpy(to, &value, element_bytes);
    for (uint64_t done = element_bytes; done < bytes; done *= 2)
        bulk_copy(to + done, to, done < bytes - done ? done : bytes - done);
}

static void memset_run(struct work *work)
{
    const struct memset_work *set = (struct memset_work *)work;

    for (size_t y = 0; y < set->box.height; y++) {
        uint64_t address = set->dst.address + y * set->dst.pitch;
        uint64_t left = set->box.width;

        while (left) {
            uint64_t span;
            bool on_host;
            uint8_t *to = side_span(&set->dst, address, left, true, &span, &on_host);

            if (!to) {
                copy_fault(work->stream, "memset", address);
                return;
            }
            fill(to, span, set->value, set->element_bytes);
            address += span;
            left -= span;
        }
    }
}

static CUresult memset_record(struct work *work, struct task *out)
{
    const struct memset_work *set = (struct memset_work *)work;

    *out = (struct task){
        .type = CU_GRAPH_NODE_TYPE_MEMSET,
        .memset.asked =
            {
                .dst = set->dst.address,
                .pitch = set->dst.pitch,
                .value = set->value,
                .elementSize = set->element_bytes,
                .width = set->box.width / set->element_bytes,
                .height = set->box.height,
            },
    };
    if (work->stream)
        out->memset.context = work->stream->context;
    return CUDA_SUCCESS;
}

CUresult memset_new(const CUDA_MEMSET_NODE_PARAMS *asked, int device, bool check, struct work **out)
{
    struct copy_side dst = copy_side_of(SIDE_TYPE_DEVICE, asked->dst, device);
    unsigned int element_bytes = asked->elementSize;
    struct copy_box box = {
        .width = asked->width * element_bytes, .height = asked->height, .depth = 1};
    struct memset_work *set;
    CUresult res;

    dst.pitch = asked->pitch;
    if (asked->width > UINT64_MAX / element_bytes || !is_aligned(asked->dst, element_bytes) ||
        (asked->height > 1 && !is_aligned(asked->pitch, element_bytes)))
        return CUDA_ERROR_INVALID_VALUE;
    res = check ? copy_check_side(&dst, &box, true) : CUDA_SUCCESS;
    if (res)
        return res;
    set = work_new(sizeof(*set), memset_run, NULL);
    if (!set)
        return CUDA_ERROR_OUT_OF_MEMORY;
    set->work.record = memset_record;
    set->work.cost.engine = ENGINE_COMPUTE;
    if (side_lies_in_host(&dst))
        set->work.cost.link_bytes = box.width * box.height;
    else
        set->work.cost.bytes = box.width * box.height;
    set->dst = dst;
    set->box = box;
    set->value = asked->value;
    set->element_bytes = element_bytes;
    *out = &set->work;
    return CUDA_SUCCESS;
}

CUresult memset_submit(struct stream *stream, uint64_t address, uint64_t pitch, uint32_t value,
                       unsigned int element_bytes, size_t width, size_t height)
{
    CUDA_MEMSET_NODE_PARAMS asked = {
        .dst = address,
        .pitch = pitch,
        .value = value,
        .elementSize = element_bytes,
        .width = width,
        .height = height,
    };
    struct work *work;
    CUresult res;

    if (!width || !height)
        return CUDA_SUCCESS;
    res = memset_new(&asked, stream->context->device, true, &work);
    return res ? res : stream_submit(stream, work);
}
