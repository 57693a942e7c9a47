/* SPDX-License-Identifier: MIT */
/*
 * Memory of allocation nodes.
 *
 * Two views: by submission (`live`), which decides what may be launched or freed, and by execution
 * (`mapped`), which decides what faults. Physical memory is taken when a launch is submitted, so
 * that a launch fails and not a node, is shown fresh at each allocation, and is kept for later
 * launches: on a real card too it stays with the graphs of the device until it is trimmed. One
 * node's memory never serves another's at the same time, so a device needs more of it here than
 * where lifetimes that do not overlap share it.
 */
#include "tests/sim/graph_memory.h"

#include <stdlib.h>

#include "runtime/util.h"
#include "tests/sim/bulk.h"
#include "tests/sim/calls.h"
#include "tests/sim/capture.h"

struct graph_memory {
    struct graph_memory *next;
    struct allocation *allocation; /* its address, for whoever asks what is there */
    struct physical *physical;     /* NULL while no launch needs it */
    unsigned int refs;
    unsigned int reserved; /* submitted launches that have not finished */
    bool live;
    bool mapped;
    uint8_t peers;
    CUmemAccessDesc access[MAX_DEVICES]; /* the peers in the words of the interface */
    size_t n_access;
};

struct usage {
    uint64_t used;
    uint64_t used_high;
    uint64_t reserved;
    uint64_t reserved_high;
};

static struct graph_memory *memories;
static struct usage usages[MAX_DEVICES];

static uint64_t page_bytes(const struct graph_memory *memory)
{
    return align_up(memory->allocation->range.bytes, SIM_PAGE_BYTES);
}

static void list_peers(struct graph_memory *memory)
{
    for (int device = 0; device < MAX_DEVICES; device++)
        if (memory->peers >> device & 1)
            memory->access[memory->n_access++] = (CUmemAccessDesc){
                .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device},
                .flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
            };
}

CUresult graph_memory_new(struct context *context, int device, uint64_t bytes, uint8_t peers,
                          struct graph_memory **out)
{
    struct graph_memory *memory = calloc(1, sizeof(*memory));
    struct allocation *allocation = calloc(1, sizeof(*allocation));

    if (!bytes || bytes > (uint64_t)1 << 48 || !memory || !allocation)
        goto fail;
    memory->allocation = allocation;
    memory->refs = 1;
    memory->peers = peers;
    list_peers(memory);
    allocation->context = context;
    allocation->device = device;
    allocation->id = memory_next_id();
    allocation->graph_memory = memory;
    allocation->range.bytes = bytes;
    allocation->range.base = mmu_take_region(page_bytes(memory), SIM_PAGE_BYTES, 0);
    if (!allocation->range.base)
        goto fail;
    if (!ranges_insert(&allocations, &allocation->range))
        abort();
    memory->next = memories;
    memories = memory;
    *out = memory;
    return CUDA_SUCCESS;

fail:
    free(allocation);
    free(memory);
    return bytes ? CUDA_ERROR_OUT_OF_MEMORY : CUDA_ERROR_INVALID_VALUE;
}

static void physical_give(struct graph_memory *memory)
{
    if (!memory->physical)
        return;
    usages[memory->allocation->device].reserved -= memory->physical->bytes;
    physical_put(memory->physical);
    memory->physical = NULL;
}

void graph_memory_unmap(struct graph_memory *memory)
{
    if (!memory->mapped)
        return;
    mmu_unmap(memory->allocation->range.base, memory->physical->bytes);
    usages[memory->allocation->device].used -= memory->physical->bytes;
    memory->mapped = false;
}

void graph_memory_get(struct graph_memory *memory)
{
    memory->refs++;
}

void graph_memory_put(struct graph_memory *memory)
{
    struct graph_memory **at = &memories;

    if (--memory->refs)
        return;
    while (*at != memory)
        at = &(*at)->next;
    *at = memory->next;
    graph_memory_unmap(memory);
    physical_give(memory);
    ranges_remove(&allocations, &memory->allocation->range);
    mmu_give_region(memory->allocation->range.base);
    free(memory->allocation);
    free(memory);
}

uint64_t graph_memory_address(const struct graph_memory *memory)
{
    return memory->allocation->range.base;
}

void graph_memory_describe(const struct graph_memory *memory, CUDA_MEM_ALLOC_NODE_PARAMS *out)
{
    *out = (CUDA_MEM_ALLOC_NODE_PARAMS){
        .poolProps =
            {
                .allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
                .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = memory->allocation->device},
            },
        .accessDescs = memory->n_access ? memory->access : NULL,
        .accessDescCount = memory->n_access,
        .bytesize = memory->allocation->range.bytes,
        .dptr = memory->allocation->range.base,
    };
}

struct graph_memory *graph_memory_at(uint64_t address)
{
    const struct allocation *allocation = ranges_find(&allocations, address);

    return allocation && allocation->range.base == address ? allocation->graph_memory : NULL;
}

bool graph_memory_is_live(const struct graph_memory *memory)
{
    return memory->live;
}

/* What is live outlives its nodes. */
void graph_memory_set_live(struct graph_memory *memory, bool live)
{
    bool before = memory->live;

    memory->live = live;
    if (live && !before)
        graph_memory_get(memory);
    else if (!live && before)
        graph_memory_put(memory);
}

static bool is_idle(const struct graph_memory *memory)
{
    return !memory->reserved && !memory->live && !memory->mapped;
}

/* Memory of the same size that nothing needs now, else all such memory of the device given back. */
static struct graph_memory *idle_like(const struct graph_memory *wanted)
{
    for (struct graph_memory *memory = memories; memory; memory = memory->next)
        if (memory->physical && is_idle(memory) &&
            memory->allocation->device == wanted->allocation->device &&
            page_bytes(memory) == page_bytes(wanted))
            return memory;
    return NULL;
}

static void trim(int device)
{
    for (struct graph_memory *memory = memories; memory; memory = memory->next)
        if (memory->allocation->device == device && is_idle(memory))
            physical_give(memory);
}

static CUresult physical_new_or_drain(struct graph_memory *memory, struct physical **out)
{
    int device = memory->allocation->device;
    CUresult res = physical_new(device, page_bytes(memory), out);

    if (res != CUDA_ERROR_OUT_OF_MEMORY)
        return res;
    trim(device);
    context_drain_device(device);
    trim(device);
    return physical_new(device, page_bytes(memory), out);
}

CUresult graph_memory_reserve(struct graph_memory *memory)
{
    struct usage *usage = &usages[memory->allocation->device];
    struct graph_memory *other = memory->physical ? NULL : idle_like(memory);
    CUresult res = CUDA_SUCCESS;

    memory->reserved++;
    if (other) {
        memory->physical = other->physical;
        other->physical = NULL;
    } else if (!memory->physical) {
        res = physical_new_or_drain(memory, &memory->physical);
        if (res) {
            memory->reserved--;
            return res;
        }
        usage->reserved += memory->physical->bytes;
        usage->reserved_high = max_u64(usage->reserved_high, usage->reserved);
    }
    graph_memory_get(memory);
    return CUDA_SUCCESS;
}

void graph_memory_unreserve(struct graph_memory *memory)
{
    memory->reserved--;
    graph_memory_put(memory);
}

void graph_memory_map(struct graph_memory *memory)
{
    struct usage *usage = &usages[memory->allocation->device];
    uint64_t base = memory->allocation->range.base;
    uint64_t bytes = memory->physical->bytes;

    graph_memory_unmap(memory);
    bulk_fill(memory->physical->memory, MEMORY_PATTERN, bytes);
    mmu_map(base, memory->physical, bytes, NULL);
    for (int device = 0; device < MAX_DEVICES; device++)
        if (device == memory->allocation->device || memory->peers >> device & 1)
            mmu_set_access(base, bytes, device, true, true);
    memory->mapped = true;
    usage->used += bytes;
    usage->used_high = max_u64(usage->used_high, usage->used);
}

CUresult graph_memory_free(struct graph_memory *memory)
{
    struct context *context = memory->allocation->context;

    if (!memory->live)
        return CUDA_ERROR_INVALID_VALUE;
    graph_memory_get(memory);
    graph_memory_set_live(memory, false);
    context_drain_device(memory->allocation->device);
    graph_memory_unmap(memory);
    graph_memory_put(memory);
    return context->sticky;
}

struct free_work {
    struct work work;
    struct graph_memory *memory;
};

static void free_run(struct work *work)
{
    graph_memory_unmap(((struct free_work *)work)->memory);
}

static void free_drop(struct work *work)
{
    graph_memory_put(((struct free_work *)work)->memory);
}

CUresult graph_memory_free_async(struct graph_memory *memory, struct stream *stream)
{
    struct free_work *work;

    if (!memory->live)
        return CUDA_ERROR_INVALID_VALUE;
    work = work_new(sizeof(*work), free_run, NULL);
    if (!work)
        return CUDA_ERROR_OUT_OF_MEMORY;
    work->work.drop = free_drop;
    work->memory = memory;
    graph_memory_get(memory);
    graph_memory_set_live(memory, false);
    return stream_submit(stream, &work->work);
}

CUresult graph_memory_capture_alloc(struct stream *stream, int device, size_t bytes,
                                    CUdeviceptr *out)
{
    struct task task = {.type = CU_GRAPH_NODE_TYPE_MEM_ALLOC};
    CUdeviceptr address;
    CUresult res;

    res = graph_memory_new(stream->context, device, bytes, 0, &task.memory);
    if (res)
        return res;
    address = graph_memory_address(task.memory);
    res = capture_add(stream, &task);
    if (!res)
        *out = address;
    return res;
}

CUresult graph_memory_capture_free(struct stream *stream, CUdeviceptr address)
{
    struct graph_memory *memory = graph_memory_at(address);
    struct task task = {.type = CU_GRAPH_NODE_TYPE_MEM_FREE, .memory = memory};

    if (!memory || graph_memory_node(capture_graph(stream), CU_GRAPH_NODE_TYPE_MEM_FREE, memory))
        return CUDA_ERROR_INVALID_VALUE;
    graph_memory_get(memory);
    return capture_add(stream, &task);
}

void graph_memory_context_gone(const struct context *context)
{
    struct graph_memory *next;

    for (struct graph_memory *memory = memories; memory; memory = next) {
        next = memory->next;
        if (memory->allocation->context != context)
            continue;
        graph_memory_get(memory);
        graph_memory_unmap(memory);
        graph_memory_set_live(memory, false);
        if (!memory->reserved)
            physical_give(memory);
        next = memory->next;
        graph_memory_put(memory);
    }
}

CUresult sim_cuDeviceGraphMemTrim(CUdevice device)
{
    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    trim(device);
    return CUDA_SUCCESS;
}

CUresult sim_cuDeviceGetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attr, void *value)
{
    const struct usage *usage;

    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    if (!value)
        return CUDA_ERROR_INVALID_VALUE;
    usage = &usages[device];
    switch ((int)attr) {
    case CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT:
        *(uint64_t *)value = usage->used;
        return CUDA_SUCCESS;
    case CU_GRAPH_MEM_ATTR_USED_MEM_HIGH:
        *(uint64_t *)value = usage->used_high;
        return CUDA_SUCCESS;
    case CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT:
        *(uint64_t *)value = usage->reserved;
        return CUDA_SUCCESS;
    case CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH:
        *(uint64_t *)value = usage->reserved_high;
        return CUDA_SUCCESS;
    default:
        return CUDA_ERROR_INVALID_VALUE;
    }
}

/* High-water marks can be set, to zero only: they begin anew at what is current. */
CUresult sim_cuDeviceSetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attr, void *value)
{
    struct usage *usage;

    if (!device_is_valid(device))
        return CUDA_ERROR_INVALID_DEVICE;
    if (!value || *(uint64_t *)value)
        return CUDA_ERROR_INVALID_VALUE;
    usage = &usages[device];
    if (attr == CU_GRAPH_MEM_ATTR_USED_MEM_HIGH)
        usage->used_high = usage->used;
    else if (attr == CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH)
        usage->reserved_high = usage->reserved;
    else
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}
