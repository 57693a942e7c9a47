/* SPDX-License-Identifier: MIT */
/* Programs that now and then write what they read, in one way each, while it may be staged. */
#include "tests/stress/stage.h"

#include <string.h>

static void by_kernel(CUdeviceptr at, uint32_t tensor, uint64_t seed)
{
    (void)tensor;
    LAUNCH(WRITE, at, TENSOR, seed);
}

static void by_offset(CUdeviceptr at, uint32_t tensor, uint64_t seed)
{
    (void)tensor;
    LAUNCH(WRITE_AT, stage.weights, at - stage.weights, TENSOR, seed);
}

static void via_pointer(CUdeviceptr at, uint32_t tensor, uint64_t seed)
{
    (void)at;
    LAUNCH(WRITE_VIA, stage.table, tensor, TENSOR, seed);
}

static void by_memset(CUdeviceptr at, uint32_t tensor, uint64_t seed)
{
    (void)tensor;
    MUST(cuMemsetD32Async(at, (unsigned int)seed, TENSOR / 4, passes_stream));
}

static void by_memset_2d(CUdeviceptr at, uint32_t tensor, uint64_t seed)
{
    (void)tensor;
    MUST(cuMemsetD2D8Async(at, 64 << 10, (unsigned char)seed, 4096, TENSOR / (64 << 10),
                           passes_stream));
}

/* The copy reads what a host function has put there. */
static uint64_t pinned_seed;

static void CUDA_CB fill_pinned(void *unused)
{
    (void)unused;
    memset(stage.pinned, (int)(pinned_seed++ * 37), TENSOR);
}

static void by_copy(CUdeviceptr at, uint32_t tensor, uint64_t seed)
{
    (void)tensor;
    (void)seed;
    MUST(cuLaunchHostFunc(passes_stream, fill_pinned, NULL));
    MUST(cuMemcpyHtoDAsync(at, stage.pinned, TENSOR, passes_stream));
}

static void by_copy_between(CUdeviceptr at, uint32_t tensor, uint64_t seed)
{
    (void)seed;
    MUST(cuMemcpyDtoDAsync(at, tensor_at(tensor + 5), TENSOR, passes_stream));
}

static void by_peer_copy(CUdeviceptr at, uint32_t tensor, uint64_t seed)
{
    (void)seed;
    MUST(cuMemcpyPeerAsync(at, stage.context, tensor_at(tensor + 5), stage.context, TENSOR,
                           passes_stream));
}

static void by_copy_2d(CUdeviceptr at, uint32_t tensor, uint64_t seed)
{
    CUDA_MEMCPY2D copy = {
        .srcMemoryType = CU_MEMORYTYPE_DEVICE,
        .srcDevice = tensor_at(tensor + 3),
        .srcPitch = 64 << 10,
        .dstMemoryType = CU_MEMORYTYPE_DEVICE,
        .dstDevice = at,
        .dstPitch = 64 << 10,
        .WidthInBytes = 4096,
        .Height = TENSOR / (64 << 10),
    };

    (void)seed;
    MUST(cuMemcpy2DAsync(&copy, passes_stream));
}

static void by_write_value(CUdeviceptr at, uint32_t tensor, uint64_t seed)
{
    (void)tensor;
    MUST(cuStreamWriteValue32(passes_stream, at + (64 << 10), (uint32_t)seed, 0));
}

static void by_batch(CUdeviceptr at, uint32_t tensor, uint64_t seed)
{
    CUstreamBatchMemOpParams write = {.writeValue = {
                                          .operation = CU_STREAM_MEM_OP_WRITE_VALUE_32,
                                          .address = at + (64 << 10),
                                          .value = (uint32_t)seed,
                                      }};

    (void)tensor;
    MUST(cuStreamBatchMemOp(passes_stream, 1, &write, 0));
}

/* Of many addresses in a struct the kernel writes to a late one; all others are the sum's. */
static void by_one_of_many(CUdeviceptr at, uint32_t tensor, uint64_t seed)
{
    uint64_t addresses[MANY];
    void *params[] = {addresses, &seed};

    (void)tensor;
    for (int i = 0; i < MANY; i++)
        addresses[i] = i == MANY_AT ? at : tensor_at(0);
    MUST(cuLaunchKernel(stage.functions[WRITE_ONE], 1, 1, 1, 1, 1, 1, 0, passes_stream, params,
                        NULL));
}

static void by_graph(CUdeviceptr at, uint32_t tensor, uint64_t seed)
{
    CUgraphExec exec;
    CUgraph graph;

    MUST(cuStreamBeginCapture(passes_stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL));
    via_pointer(at, tensor, seed);
    MUST(cuStreamEndCapture(passes_stream, &graph));
    MUST(cuGraphInstantiateWithFlags(&exec, graph, 0));
    MUST(cuGraphLaunch(exec, passes_stream));
    MUST(cuGraphDestroy(graph));
    MUST(cuGraphExecDestroy(exec));
}

/* While some other stream is being captured nothing is looked into. */
static void beside_a_capture(CUdeviceptr at, uint32_t tensor, uint64_t seed)
{
    static CUstream other;
    CUgraph graph;

    if (!other)
        MUST(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    MUST(cuStreamBeginCapture(other, CU_STREAM_CAPTURE_MODE_RELAXED));
    by_kernel(at, tensor, seed);
    MUST(cuStreamEndCapture(other, &graph));
    MUST(cuGraphDestroy(graph));
}

/* What is written, in this pass: some tensor that is read now, or soon, or was just. */
static void read_and_write(uint32_t number, uint32_t every, uint32_t first,
                           void (*write)(CUdeviceptr, uint32_t, uint64_t))
{
    bool writes = number >= first && (number - first) % every == 0;
    uint32_t at = number * 5 % TENSORS;

    for (uint32_t i = 0; i < TENSORS; i++) {
        uint32_t tensor = (at + TENSORS - 1 + number % 7) % TENSORS;

        read_tensor(i);
        if (writes && i == at)
            write(tensor_at(tensor), tensor, 1000 + number);
    }
}

/* Soon, and again before anybody can be sure; and not before everybody is. */
#define WAY(write)                                                                                 \
    static void write##_often(uint32_t number)                                                     \
    {                                                                                              \
        read_and_write(number, 3, 0, write);                                                       \
    }                                                                                              \
    static void write##_late(uint32_t number)                                                      \
    {                                                                                              \
        read_and_write(number, 10, 9, write);                                                      \
    }

WAY(by_kernel)
WAY(by_offset)
WAY(via_pointer)
WAY(by_memset)
WAY(by_memset_2d)
WAY(by_copy)
WAY(by_copy_between)
WAY(by_peer_copy)
WAY(by_copy_2d)
WAY(by_write_value)
WAY(by_batch)
WAY(by_one_of_many)
WAY(by_graph)
WAY(beside_a_capture)

/* The kernel that reads the weight writes it, too, but seldom. */
static void by_its_reader(uint32_t number)
{
    (void)number;
    for (uint32_t i = 0; i < TENSORS; i++) {
        if (i == 11)
            LAUNCH(WRITE_LATER, stage.sum, tensor_at(i), TENSOR, stage.counter);
        else
            read_tensor(i);
    }
}

/* In every pass, in place. */
static void always(uint32_t number)
{
    for (uint32_t i = 0; i < TENSORS; i++) {
        read_tensor(i);
        if (i % 5 == 2)
            LAUNCH(WRITE, tensor_at(i), TENSOR, 1000 + number);
    }
}

/* In every pass the same kernel writes elsewhere, until everybody is sure that it does so. It finds
 * addresses in the table: those of the model are uploaded, or made on the device. */
static CUdeviceptr scratch;
enum { SCRATCH = TENSORS, TARGET }; /* in the table */

static void start_known(void (*load)(void))
{
    stage_open();
    load();
    scratch = (CUdeviceptr)(uintptr_t)stage.pinned;
    MUST(cuMemcpyHtoD_v2(stage.table + SCRATCH * 8, &scratch, 8));
    MUST(cuMemcpyHtoD_v2(stage.table + TARGET * 8, &stage.weights, 8));
    passes_are_about(MODEL);
}

static void start_via_pointer_known(void)
{
    start_known(stage_load_model);
}

static void start_via_sum_known(void)
{
    start_known(stage_load_weights);
}

/* A tensor that is read soon, in few passes; `number` of the pass. */
static bool is_rewritten(uint32_t number, uint32_t i, uint32_t *out_tensor)
{
    *out_tensor = (i + 1 + number % 3) % TENSORS;
    return number >= 12 && number % 5 == 2 && i == number * 3 % TENSORS;
}

static void write_known(uint32_t number, void (*write)(CUdeviceptr, uint32_t, uint64_t))
{
    for (uint32_t i = 0; i < TENSORS; i++) {
        uint32_t tensor;

        read_tensor(i);
        if (i % 4 == 0)
            write(scratch, SCRATCH, number);
        if (is_rewritten(number, i, &tensor))
            write(tensor_at(tensor), tensor, 1000 + number);
    }
    LAUNCH(READ_VIA, stage.sum, stage.table, SCRATCH, TENSOR);
}

static void via_pointer_known(uint32_t number)
{
    write_known(number, via_pointer);
}

/* The place in the table goes there from the first tensor, and back, by kernels. */
static void via_sum(CUdeviceptr at, uint32_t tensor, uint64_t seed)
{
    uint64_t distance = at - tensor_at(0);

    (void)tensor;
    LAUNCH(ADVANCE, stage.table, TARGET, distance);
    LAUNCH(WRITE_VIA, stage.table, TARGET, TENSOR, seed);
    LAUNCH(ADVANCE, stage.table, TARGET, -distance);
}

static void via_sum_known(uint32_t number)
{
    write_known(number, via_sum);
}

/* A cache that grows: a part of it in every pass, and all that there is is read. */
static void grow(uint32_t number)
{
    for (uint32_t i = 0; i < TENSORS; i++) {
        uint64_t filled = (number % 16 + 1) * (uint64_t)(128 << 10);

        if (i % 4 != 3) {
            read_tensor(i);
            continue;
        }
        LAUNCH(WRITE, tensor_at(i) + filled - (128 << 10), 128 << 10, number);
        LAUNCH(READ, stage.sum, tensor_at(i), filled);
    }
}

#define ROWS(write, eager)                                                                         \
    {#write "_often", 18, stage_start, write##_often, NULL, eager, stage_stop, false, false},      \
    {                                                                                              \
#write "_late", 32, stage_start, write##_late, NULL, eager, stage_stop, true, false        \
    }

const struct passes_program programs_that_write[] = {
    ROWS(by_kernel, false),
    ROWS(by_offset, false),
    ROWS(via_pointer, false),
    ROWS(by_memset, false),
    ROWS(by_memset_2d, false),
    ROWS(by_copy, false),
    ROWS(by_copy_between, false),
    ROWS(by_peer_copy, false),
    ROWS(by_copy_2d, false),
    ROWS(by_write_value, true),
    ROWS(by_batch, true),
    ROWS(by_one_of_many, false),
    ROWS(by_graph, true),
    ROWS(beside_a_capture, true),
    {"by_its_reader", 32, stage_start, by_its_reader, NULL, false, stage_stop, true, false},
    {"via_pointer_known", 32, start_via_pointer_known, via_pointer_known, NULL, false, stage_stop,
     true, false},
    {"via_sum_known", 32, start_via_sum_known, via_sum_known, NULL, false, stage_stop, true, false},
    {"always", 16, stage_start, always, NULL, false, stage_stop, true, false},
    {"grow", 24, stage_start, grow, NULL, false, stage_stop, true, false},
    {NULL},
};
