/* SPDX-License-Identifier: MIT */
/* Programs whose memory, code or context is another after a while. */
#include "tests/stress/stage.h"

#include <stddef.h>

/* Of the toolkits that have newer ones this is the version without structures. */
CUresult CUDAAPI cuCtxCreate_v2(CUcontext *context, unsigned int flags, CUdevice device);

static void in_order(uint32_t number)
{
    (void)number;
    read_tensors();
}

/* Another model at the same address. */
static void replace_model(uint32_t number)
{
    if (number % 5 != 4)
        return;
    MUST(cuMemFree(stage.weights));
    stage_load_model();
    for (uint32_t i = 0; i < TENSORS; i++)
        stage_fill(tensor_at(i), TENSOR, number * 100 + i);
}

/* In the middle of a pass. */
static void replace_one(uint32_t number)
{
    for (uint32_t i = 0; i < TENSORS; i++) {
        read_own(i);
        if (number % 6 != 5 || i != number % TENSORS)
            continue;
        MUST(cuMemFree(stage.own[i]));
        stage.own[i] = stage_alloc(TENSOR);
        stage_fill(stage.own[i], TENSOR, number * 100 + i);
        read_own(i);
    }
}

static void load_in_stream_order(void)
{
    stage_open();
    passes_are_about(MODEL);
    for (uint32_t i = 0; i < TENSORS; i++) {
        MUST(cuMemAllocAsync(&stage.own[i], TENSOR, passes_stream));
        stage_fill(stage.own[i], TENSOR, i + 1);
        passes_have_loaded(stage.own[i], TENSOR);
    }
}

/* The memory is given out again while launches that read it are queued. */
static void replace_in_stream_order(uint32_t number)
{
    for (uint32_t i = 0; i < TENSORS; i++) {
        read_own(i);
        if (number % 6 != 5 || i % 4 != 1)
            continue;
        MUST(cuMemFreeAsync(stage.own[i], passes_stream));
        MUST(cuMemAllocAsync(&stage.own[i], TENSOR, passes_stream));
        stage_fill(stage.own[i], TENSOR, number * 100 + i);
        read_own(i);
    }
}

static uint32_t free_in_stream_order(void)
{
    for (uint32_t i = 0; i < TENSORS; i++)
        MUST(cuMemFreeAsync(stage.own[i], passes_stream));
    MUST(cuStreamSynchronize(passes_stream));
    return stage_close();
}

/* A cache that is moved to a larger one now and then. */
static CUdeviceptr cache;
static uint64_t cache_bytes;

static void load_with_cache(void)
{
    stage_start();
    cache_bytes = STAGE_PAGE;
    cache = stage_alloc(cache_bytes);
    stage_fill(cache, cache_bytes, 7);
}

static void grow_cache(uint32_t number)
{
    CUdeviceptr larger;

    if (number % 5 != 4)
        return;
    larger = stage_alloc(cache_bytes + STAGE_PAGE);
    stage_fill(larger, cache_bytes + STAGE_PAGE, number);
    MUST(cuMemcpyDtoDAsync(larger, cache, cache_bytes, passes_stream));
    MUST(cuMemFree(cache));
    cache = larger;
    cache_bytes += STAGE_PAGE;
}

static void read_with_cache(uint32_t number)
{
    for (uint32_t i = 0; i < TENSORS; i++) {
        read_tensor(i);
        if (i % 4 == 1) {
            LAUNCH(WRITE, cache + i * (64 << 10), 64 << 10, number);
            LAUNCH(READ, stage.sum, cache, cache_bytes);
        }
    }
}

static uint32_t free_with_cache(void)
{
    MUST(cuMemFree(cache));
    return stage_stop();
}

/* Memory for a while, more than is left of the card. */
static CUdeviceptr extra;

static void allocate_meanwhile(uint32_t number)
{
    if (number % 3 == 2) {
        extra = stage_alloc(6 * STAGE_PAGE);
        stage_fill(extra, 6 * STAGE_PAGE, number);
        LAUNCH(READ, stage.sum, extra, 6 * STAGE_PAGE);
    } else if (extra) {
        LAUNCH(READ, stage.sum, extra, 6 * STAGE_PAGE);
        MUST(cuMemFree(extra));
        extra = 0;
    }
}

static uint32_t free_extra(void)
{
    if (extra)
        MUST(cuMemFree(extra));
    return stage_stop();
}

/* The same handles come to mean other functions: what has read so far, writes. */
static void reload_module(uint32_t number)
{
    if (number % 7 != 6)
        return;
    MUST(cuCtxSynchronize());
    MUST(cuModuleUnload(stage.module));
    MUST(cuModuleLoadData(&stage.module, "SIM-NATIVE\n.version 0"));
    for (int i = KERNELS - 1; i >= 0; i--)
        MUST(cuModuleGetFunction(&stage.functions[i], stage.module, stage_kernel_names[i]));
    LAUNCH(WRITE_VIA, stage.table, number % TENSORS, TENSOR, number);
}

/* All is made anew in the same process. */
static uint32_t before_resets;

static void reset_context(uint32_t number)
{
    CUcontext context;

    if (number % 7 != 6)
        return;
    before_resets = before_resets * 31 + stage_close();
    MUST(cuDevicePrimaryCtxReset(0));
    MUST(cuDevicePrimaryCtxRetain(&context, 0));
    MUST(cuCtxSetCurrent(context));
    MUST(cuStreamCreate(&passes_stream, CU_STREAM_NON_BLOCKING));
    stage_open();
    stage_load_model();
    for (uint32_t i = 0; i < TENSORS; i++)
        stage_fill(tensor_at(i), TENSOR, number * 100 + i);
}

static uint32_t stop_after_resets(void)
{
    return before_resets ^ stage_stop();
}

/* A context beside the one that streams, which comes and goes with memory of its own. */
static CUcontext beside;

static void change_contexts(uint32_t number)
{
    static CUdeviceptr memory;

    if (number % 6 == 3) {
        MUST(cuCtxCreate_v2(&beside, 0, 0));
        memory = stage_alloc(3 * STAGE_PAGE);
        MUST(cuMemsetD8(memory, 1, 3 * STAGE_PAGE));
        MUST(cuCtxSetCurrent(stage.context));
    } else if (beside && number % 6 == 1) {
        MUST(cuCtxDestroy(beside));
        MUST(cuCtxSetCurrent(stage.context));
        beside = NULL;
    }
}

static uint32_t free_beside(void)
{
    if (beside)
        MUST(cuCtxDestroy(beside));
    MUST(cuCtxSetCurrent(stage.context));
    return stage_stop();
}

/* One long pass, then many short ones. */
static void fill_then_generate(uint32_t number)
{
    for (uint32_t i = 0; i < TENSORS; i++) {
        uint32_t times = number % 8 < 2 ? 3 : 1;

        while (times--)
            read_tensor(i);
        if (number % 8 < 2)
            LAUNCH(WRITE, tensor_at(TENSORS - 1), 64 << 10, number);
    }
}

const struct passes_program programs_that_change[] = {
    {"replaced", 22, stage_start, in_order, replace_model, false, stage_stop, true, false},
    {"replaced_one", 24, stage_start_own, replace_one, NULL, true, stage_stop_own, true, false},
    {"replaced_in_order", 24, load_in_stream_order, replace_in_stream_order, NULL, true,
     free_in_stream_order, true, false},
    {"cache", 24, load_with_cache, read_with_cache, grow_cache, false, free_with_cache, true,
     false},
    {"meanwhile", 20, stage_start, in_order, allocate_meanwhile, false, free_extra, true, false},
    {"reloaded", 24, stage_start, in_order, reload_module, false, stage_stop, true, false},
    {"reset_often", 24, stage_start, in_order, reset_context, true, stop_after_resets, true, false},
    {"contexts", 24, stage_start, in_order, change_contexts, false, free_beside, true, false},
    {"prefill", 24, stage_start, fill_then_generate, NULL, false, stage_stop, false, false},
    {NULL},
};
