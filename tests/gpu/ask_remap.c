/* SPDX-License-Identifier: MIT */
/*
 * Remapping while there is work: of another range, of the very address that a kernel reads, and of
 * memory that a graph will read when it is launched again.
 */
#include <stdlib.h>

#include "tests/gpu/card.h"
#include "tests/gpu/experiments.h"
#include "tests/gpu/report.h"

/* A chunk that is moved between its two kinds of memory, and the one beside it that is read. */
struct pair {
    CUdeviceptr moved, read;
    CUmemGenericAllocationHandle device, host;
    uint64_t bytes;
};

static void pair_init(struct pair *pair, uint64_t bytes)
{
    pair->bytes = bytes;
    pair->moved = range_new(2 * bytes);
    pair->read = pair->moved + bytes;
    pair->device = physical_new(&card.on_device, bytes);
    pair->host = physical_new(&card.on_host, bytes);
    range_map(pair->moved, bytes, pair->device);
    range_map(pair->read, bytes, physical_new(&card.on_device, bytes));
    memory_fill(pair->read, bytes, 9);
    MUST(cu.cuCtxSynchronize());
}

struct cycles {
    uint64_t done, not_ready, other;
    CUresult last_error;
};

static void note(struct cycles *cycles, CUresult result)
{
    if (result == CUDA_SUCCESS)
        return;
    if (result == CUDA_ERROR_NOT_READY)
        cycles->not_ready++;
    else
        cycles->other++;
    cycles->last_error = result;
}

/* Repeats what failed, with the device drained in between, as the library does. */
#define PERSIST(cycles, call)                                                                      \
    do {                                                                                           \
        CUresult persisted = CUDA_ERROR_UNKNOWN;                                                   \
        for (int attempt = 0; attempt < 4 && persisted != CUDA_SUCCESS; attempt++) {               \
            persisted = (call);                                                                    \
            note((cycles), persisted);                                                             \
            if (persisted != CUDA_SUCCESS)                                                         \
                (void)cu.cuCtxSynchronize();                                                       \
        }                                                                                          \
        must(persisted, #call);                                                                    \
    } while (0)

static void move(struct cycles *cycles, const struct pair *pair, CUmemGenericAllocationHandle to)
{
    PERSIST(cycles, cu.cuMemUnmap(pair->moved, pair->bytes));
    PERSIST(cycles, cu.cuMemMap(pair->moved, pair->bytes, 0, to, 0));
    PERSIST(cycles, cu.cuMemSetAccess(pair->moved, pair->bytes, &card.access, 1));
    cycles->done++;
}

/* Moves the one chunk for so long while kernels read the other; how many reads were made. */
static uint64_t cycle(struct cycles *cycles, const struct pair *pair, CUstream stream,
                      double seconds)
{
    uint64_t reads = 0, most = scaled(100000, 80);
    uint64_t until = clock_ns() + (uint64_t)(seconds * 1e9);

    while (cycles->done < most && clock_ns() < until) {
        if (cu.cuStreamQuery(stream) == CUDA_SUCCESS) {
            kernel_launch(KERNEL_READ, card.blocks, stream, pair->read, pair->bytes / 16, card.sum,
                          scaled(32, 1));
            reads += scaled(32, 1);
        }
        move(cycles, pair, cycles->done % 2 ? pair->device : pair->host);
    }
    MUST(cu.cuStreamSynchronize(stream));
    return reads;
}

static void report_cycles(const char *when, const struct cycles *cycles)
{
    report_figure((double)cycles->done, "", "moves, %s", when);
    report_figure((double)cycles->not_ready, "", "NOT_READY, %s", when);
    report_figure((double)cycles->other, "", "other errors, %s", when);
}

/* Takes nearly all of the card: remapping under pressure is where drivers were seen to refuse. */
static void fill_card(void)
{
    uint64_t piece = scaled(1024 * MIB, 256 * MIB);
    CUmemGenericAllocationHandle handle;
    size_t available, total;

    MUST(cu.cuMemGetInfo_v2(&available, &total));
    while (available > piece + scaled(512 * MIB, 64 * MIB)) {
        if (cu.cuMemCreate(&handle, piece, &card.on_device, 0) != CUDA_SUCCESS)
            break;
        MUST(cu.cuMemGetInfo_v2(&available, &total));
    }
    report_figure((double)available, "bytes", "left of the card when it is full");
}

static int beside_part(const void *argument)
{
    static const char *const names[] = {"the card empty", "the card full"};
    const bool full = *(const bool *)argument;
    struct cycles cycles = {.done = 0};
    uint64_t reads, digest;
    struct pair pair;
    CUstream stream;

    card_open();
    card_need_host_memory();
    pair_init(&pair, scaled(16 * MIB, 2 * MIB));
    MUST(cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    if (full)
        fill_card();
    reads = cycle(&cycles, &pair, stream, full ? 4 : 10);
    report_cycles(names[full], &cycles);
    MUST(cu.cuMemcpyDtoH_v2(&digest, card.sum, 8));
    report_figure((double)reads, "", "reads, %s", names[full]);
    return digest == reads * fill_digest(pair.bytes, 9) ? 0 : 1;
}

void experiment_beside(void)
{
    double moves = 0, refused = 0;
    bool good = true;

    for (int full = 0; full < 2; full++) {
        int result = part_run(beside_part, &(bool){full}, 28);
        const char *when = full ? "the card full" : "the card empty";

        report_figure(result, "", "0 right, 1 wrong bytes, -1 broken: %s", when);
        good &= result == 0;
        moves += report_value(0, "moves, %s", when);
        refused +=
            report_value(0, "NOT_READY, %s", when) + report_value(0, "other errors, %s", when);
    }
    report_verdict(good ? VERDICT_CONFIRMED : VERDICT_REFUTED,
                   "%.0f moves beside a kernel on the next range, %.0f calls refused at first; "
                   "what the kernel read was %s",
                   moves, refused, good ? "right" : "wrong, or the context broke");
}

/* The orders of calls in which a chunk may be remapped under a kernel. */
enum order { PLAIN, PROTECTED_FIRST, ALIASED_FIRST, ORDERS };
static const char *const order_names[ORDERS] = {"unmap, map, access", "no access first",
                                                "second address first"};

static int window_part(const void *argument)
{
    enum order order = *(const enum order *)argument;
    CUmemAccessDesc none;
    struct pair pair;
    CUstream stream;
    uint64_t until;
    void *params[4];
    uint64_t ns, zero = 0;

    setenv("SIM_ORDER", "lazy", 1);
    card_open();
    card_need_host_memory();
    pair_init(&pair, scaled(16 * MIB, 4 * MIB));
    MUST(cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    ns = scaled(200, 1) * 1000000;
    params[0] = &pair.moved;
    params[1] = &ns;
    params[2] = &card.sum;
    params[3] = &zero;
    MUST(cu.cuLaunchKernel(card.kernels[KERNEL_POLL], 1, 1, 1, 1, 1, 1, 0, stream, params, NULL));
    until = clock_ns() + scaled(20, 0) * 1000000;
    while (clock_ns() < until)
        continue;
    none = card.access;
    none.flags = CU_MEM_ACCESS_FLAGS_PROT_NONE;
    if (order == PROTECTED_FIRST)
        MUST(cu.cuMemSetAccess(pair.moved, pair.bytes, &none, 1));
    if (order == ALIASED_FIRST)
        range_map(range_new(pair.bytes), pair.bytes, pair.host);
    MUST(cu.cuMemUnmap(pair.moved, pair.bytes));
    /* The simulated card runs a kernel in one moment; let that be this one. */
    if (card.simulated)
        (void)cu.cuStreamQuery(stream);
    if (cu.cuMemMap(pair.moved, pair.bytes, 0, pair.host, 0) != CUDA_SUCCESS ||
        cu.cuMemSetAccess(pair.moved, pair.bytes, &card.access, 1) != CUDA_SUCCESS)
        return 1;
    return cu.cuStreamSynchronize(stream) == CUDA_SUCCESS ? 0 : 1;
}

void experiment_window(void)
{
    int survived = 0;

    for (int order = 0; order < ORDERS; order++) {
        int broke = part_run(window_part, &(enum order){(enum order)order}, 15);

        report_figure(broke, "", "breaks: %s", order_names[order]);
        survived += broke == 0;
    }
    report_verdict(survived ? VERDICT_REFUTED : VERDICT_CONFIRMED,
                   "of %d orders of calls %d hide the window from a kernel that reads the address",
                   ORDERS, survived);
}

static CUgraphExec record(CUstream stream, const struct pair *pair, CUdeviceptr copy)
{
    CUgraphExec exec;
    CUgraph graph;

    MUST(cu.cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_RELAXED));
    MUST(cu.cuMemsetD8Async(card.sum, 0, 8, stream));
    kernel_read(stream, pair->moved, pair->bytes);
    MUST(cu.cuMemcpyDtoDAsync_v2(copy, pair->moved, pair->bytes, stream));
    MUST(cu.cuStreamEndCapture(stream, &graph));
    MUST(cu.cuGraphInstantiateWithFlags(&exec, graph, 0));
    MUST(cu.cuGraphDestroy(graph));
    return exec;
}

/* Whether a launch of the graph reads, and copies, what `seed` filled. */
static bool sees(CUgraphExec exec, CUstream stream, CUdeviceptr copy, uint64_t bytes, uint64_t seed)
{
    uint64_t digest;

    MUST(cu.cuGraphLaunch(exec, stream));
    MUST(cu.cuStreamSynchronize(stream));
    MUST(cu.cuMemcpyDtoH_v2(&digest, card.sum, 8));
    return digest == fill_digest(bytes, seed) && memory_digest(copy, bytes) == digest;
}

static int replay_part(const void *argument)
{
    struct cycles cycles = {.done = 0};
    CUgraphExec exec;
    CUdeviceptr copy, host;
    struct pair pair;
    CUstream stream;
    bool good;

    (void)argument;
    card_open();
    card_need_host_memory();
    pair_init(&pair, scaled(16 * MIB, 4 * MIB));
    host = range_new(pair.bytes);
    range_map(host, pair.bytes, pair.host);
    memory_fill(pair.moved, pair.bytes, 1);
    memory_fill(host, pair.bytes, 2);
    MUST(cu.cuMemAlloc_v2(&copy, pair.bytes));
    MUST(cu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    MUST(cu.cuCtxSynchronize());
    exec = record(stream, &pair, copy);
    good = sees(exec, stream, copy, pair.bytes, 1);
    for (int i = 0; i < 4 && good; i++) {
        move(&cycles, &pair, i % 2 ? pair.device : pair.host);
        good = sees(exec, stream, copy, pair.bytes, i % 2 ? 1 : 2);
        report_figure(good, "", "move %d: kernel and copy of the graph see it", i + 1);
    }
    report_cycles("before launches of a graph", &cycles);
    return good ? 0 : 1;
}

void experiment_replay(void)
{
    int result = part_run(replay_part, NULL, 20);

    report_verdict(result == 0 ? VERDICT_CONFIRMED : VERDICT_REFUTED, "%s",
                   result == 0  ? "a graph sees what is mapped when it is launched"
                   : result > 0 ? "a graph sees what was mapped when it was made"
                                : "the context broke");
}
