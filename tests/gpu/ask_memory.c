/* SPDX-License-Identifier: MIT */
/*
 * What host-located memory is: mixed with device memory in one range, mapped at several addresses,
 * and what the driver says of it.
 */
#include "tests/gpu/card.h"
#include "tests/gpu/experiments.h"
#include "tests/gpu/report.h"

enum {
    FILLED = 1,
    ADDED = 2,
    ONE_ACCESS = 4,
    FREE_OF_CARD = 8,
    PIECES = 4,
    ADD_BLOCKS = 64,
};

static const struct location {
    const char *name;
    CUmemLocationType type;
} locations[] = {
    {"HOST_NUMA", CU_MEM_LOCATION_TYPE_HOST_NUMA},
    {"HOST", CU_MEM_LOCATION_TYPE_HOST},
};

static bool is_filled(CUdeviceptr at, uint64_t bytes, uint64_t seed)
{
    memory_fill(at, bytes, seed);
    return memory_digest(at, bytes) == fill_digest(bytes, seed);
}

/* Words in host-located memory to which every block adds one. */
static bool is_added(CUdeviceptr at)
{
    uint64_t words[256];
    bool right = true;

    MUST(cu.cuMemsetD8_v2(at, 0, sizeof(words)));
    kernel_launch(KERNEL_ADD, ADD_BLOCKS, NULL, at, ARRAY_SIZE(words), 0, 0);
    MUST(cu.cuMemcpyDtoH_v2(words, at, sizeof(words)));
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        right &= words[i] == ADD_BLOCKS;
    return right;
}

static uint64_t free_memory(void)
{
    size_t available, total;

    MUST(cu.cuMemGetInfo_v2(&available, &total));
    return available;
}

static int mixed_part(const void *argument)
{
    const struct location *location = argument;
    CUmemAllocationProp host;
    uint64_t piece, before;
    CUdeviceptr at;
    int found = 0;

    card_open();
    piece = 8 * card.unit;
    host = card.on_host;
    host.location.type = location->type;
    host.location.id = location->type == card.on_host.location.type ? card.on_host.location.id : 0;
    at = range_new(PIECES * piece);
    before = free_memory();
    for (int i = 0; i < PIECES; i++) {
        CUmemGenericAllocationHandle handle = physical_new(i % 2 ? &host : &card.on_device, piece);

        MUST(cu.cuMemMap(at + (uint64_t)i * piece, piece, 0, handle, 0));
    }
    /* Page tables are the card's: half of what the host's pieces would take is too much. */
    if (before <= free_memory() + PIECES / 2 * piece + PIECES / 4 * piece)
        found |= FREE_OF_CARD;
    if (cu.cuMemSetAccess(at, PIECES * piece, &card.access, 1) == CUDA_SUCCESS) {
        found |= ONE_ACCESS;
    } else {
        for (int i = 0; i < PIECES; i++)
            MUST(cu.cuMemSetAccess(at + (uint64_t)i * piece, piece, &card.access, 1));
    }
    if (is_filled(at, PIECES * piece, 7))
        found |= FILLED;
    if (is_added(at + piece))
        found |= ADDED;
    return found;
}

void experiment_mixed(void)
{
    bool good = false, all = true;

    for (size_t i = 0; i < ARRAY_SIZE(locations); i++) {
        const char *name = locations[i].name;
        int found = part_run(mixed_part, &locations[i], 20);

        report_figure(found >= 0, "", "%s: made and mapped", name);
        if (found < 0) {
            all = false;
            continue;
        }
        report_figure(!!(found & FILLED), "", "%s: kernels write and read across", name);
        report_figure(!!(found & ADDED), "", "%s: kernels add atomically", name);
        report_figure(!!(found & ONE_ACCESS), "", "%s: one call sets access of all", name);
        report_figure(!!(found & FREE_OF_CARD), "", "%s: takes nothing of the card", name);
        good |= (found & (FILLED | ADDED | FREE_OF_CARD)) == (FILLED | ADDED | FREE_OF_CARD);
    }
    report_verdict(good ? VERDICT_CONFIRMED : VERDICT_REFUTED, "%s",
                   good ? (all ? "by both host locations" : "by one of the host locations")
                        : "no host location does all that the design needs");
}

/* Writes by one address, reads by the other, in one stream and in two that an event orders. */
static bool is_alias(CUdeviceptr one, CUdeviceptr other, uint64_t bytes)
{
    CUstream writer, reader;
    CUevent written;
    uint64_t digest;

    MUST(cu.cuStreamCreate(&writer, CU_STREAM_NON_BLOCKING));
    MUST(cu.cuStreamCreate(&reader, CU_STREAM_NON_BLOCKING));
    MUST(cu.cuEventCreate(&written, CU_EVENT_DISABLE_TIMING));
    if (!is_filled(one, bytes, 3) || memory_digest(other, bytes) != fill_digest(bytes, 3))
        return false;
    MUST(cu.cuMemsetD8_v2(card.sum, 0, 8));
    MUST(cu.cuCtxSynchronize());
    kernel_launch(KERNEL_FILL, card.blocks, writer, other, bytes / 16, 4, 0);
    MUST(cu.cuEventRecord(written, writer));
    MUST(cu.cuStreamWaitEvent(reader, written, 0));
    kernel_read(reader, one, bytes);
    MUST(cu.cuStreamSynchronize(reader));
    MUST(cu.cuMemcpyDtoH_v2(&digest, card.sum, 8));
    return digest == fill_digest(bytes, 4);
}

void experiment_alias(void)
{
    const CUmemAllocationProp *where[2] = {&card.on_device, &card.on_host};
    static const char *const names[2] = {"device", "host"};
    bool good = true;

    card_open();
    card_need_host_memory();
    for (int i = 0; i < 2; i++) {
        uint64_t bytes = 8 * card.unit;
        CUmemGenericAllocationHandle handle = physical_new(where[i], bytes);
        CUdeviceptr one = range_new(bytes), other = range_new(bytes);
        bool same;

        range_map(one, bytes, handle);
        range_map(other, bytes, handle);
        same = is_alias(one, other, bytes);
        report_figure(same, "", "%s memory: one memory at two addresses", names[i]);
        good &= same;
    }
    report_verdict(good ? VERDICT_CONFIRMED : VERDICT_REFUTED, "%s",
                   good ? "what one address was given, the other has, in stream order"
                        : "two addresses of one handle differ");
}

static void ask_pointer(const char *name, CUdeviceptr at)
{
    CUmemorytype type = 0;
    CUdeviceptr base = 0, asked = 0;
    unsigned int managed = 9;
    int ordinal = -9;
    size_t size = 0;
    void *host = NULL;
    CUresult result = cu.cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, at);

    report_figure(result == CUDA_SUCCESS ? (double)type : -1, "", "%s: memory type", name);
    result = cu.cuPointerGetAttribute(&managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, at);
    report_figure(result == CUDA_SUCCESS ? (double)managed : -1, "", "%s: managed", name);
    result = cu.cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, at);
    report_figure(result == CUDA_SUCCESS ? (double)ordinal : -1, "", "%s: device", name);
    result = cu.cuPointerGetAttribute(&asked, CU_POINTER_ATTRIBUTE_DEVICE_POINTER, at);
    report_figure(result == CUDA_SUCCESS && asked == at, "", "%s: has a device pointer", name);
    result = cu.cuPointerGetAttribute(&host, CU_POINTER_ATTRIBUTE_HOST_POINTER, at);
    report_figure(result == CUDA_SUCCESS && host, "", "%s: has a host pointer", name);
    result = cu.cuPointerGetAttribute(&size, CU_POINTER_ATTRIBUTE_RANGE_SIZE, at);
    report_figure(result == CUDA_SUCCESS ? (double)size : -1, "bytes", "%s: range", name);
    result = cu.cuMemGetAddressRange_v2(&base, &size, at);
    report_figure(result == CUDA_SUCCESS ? (double)size : -1, "bytes", "%s: cuMemGetAddressRange",
                  name);
}

void experiment_attributes(void)
{
    CUdeviceptr at, allocated;
    uint64_t bytes;

    card_open();
    card_need_host_memory();
    bytes = 8 * card.unit;
    at = range_new(2 * bytes);
    range_map(at, bytes, physical_new(&card.on_device, bytes));
    range_map(at + bytes, bytes, physical_new(&card.on_host, bytes));
    MUST(cu.cuMemAlloc_v2(&allocated, bytes));
    ask_pointer("cuMemAlloc", allocated);
    ask_pointer("device chunk", at);
    ask_pointer("host chunk", at + bytes);
    if (report_value(-1, "host chunk: memory type") == CU_MEMORYTYPE_DEVICE)
        report_verdict(VERDICT_REFUTED, "host-located memory is said to be device memory: the "
                                        "library need not say so itself");
    else
        report_verdict(VERDICT_CONFIRMED,
                       "host-located memory is not said to be device memory: the library has to");
}
