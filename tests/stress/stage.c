/* SPDX-License-Identifier: MIT */
#include "tests/stress/stage.h"

#include <stdio.h>
#include <stdlib.h>

struct stage stage;

void stage_open(void)
{
    stage_kernels_init();
    MUST(cuCtxGetCurrent(&stage.context));
    MUST(cuModuleLoadData(&stage.module, "SIM-NATIVE\n.version 0"));
    for (int i = 0; i < KERNELS; i++)
        MUST(cuModuleGetFunction(&stage.functions[i], stage.module, stage_kernel_names[i]));
    MUST(cuMemAlloc_v2(&stage.sum, SUMS * 8));
    MUST(cuMemsetD8_v2(stage.sum, 0, SUMS * 8));
    MUST(cuMemAlloc_v2(&stage.table, 2 * TENSORS * 8));
    MUST(cuMemAlloc_v2(&stage.counter, 8));
    MUST(cuMemsetD8_v2(stage.counter, 0, 8));
    MUST(cuMemAllocHost_v2((void **)&stage.pinned, TENSOR));
    MUST(cuCtxSynchronize());
}

uint32_t stage_close(void)
{
    uint64_t sums[SUMS];
    uint64_t all = 0;

    MUST(cuCtxSynchronize());
    MUST(cuMemcpyDtoH_v2(sums, stage.sum, sizeof(sums)));
    for (int i = 0; i < SUMS; i++)
        all = (all ^ sums[i]) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(all >> 32);
}

CUdeviceptr stage_alloc(uint64_t bytes)
{
    CUdeviceptr at;

    MUST(cuMemAlloc_v2(&at, bytes));
    return at;
}

void stage_fill(CUdeviceptr at, uint64_t bytes, uint64_t seed)
{
    LAUNCH(WRITE, at, bytes, seed);
}

void stage_load_weights(void)
{
    stage.weights = stage_alloc(MODEL);
    for (uint32_t i = 0; i < TENSORS; i++)
        stage_fill(tensor_at(i), TENSOR, i + 1);
    MUST(cuStreamSynchronize(passes_stream));
    for (uint32_t i = 0; i < TENSORS; i++)
        passes_have_loaded(tensor_at(i), TENSOR);
}

void stage_load_model(void)
{
    stage_load_weights();
    for (uint32_t i = 0; i < TENSORS; i++) {
        CUdeviceptr at = tensor_at(i);

        MUST(cuMemcpyHtoD_v2(stage.table + i * sizeof(at), &at, sizeof(at)));
    }
}

void stage_start(void)
{
    stage_open();
    stage_load_model();
    passes_are_about(MODEL);
}

uint32_t stage_stop(void)
{
    MUST(cuMemFree_v2(stage.weights));
    return stage_close();
}

void launch_in(CUstream stream, enum kernel kernel, const uint64_t *params)
{
    void *words[4];

    for (int i = 0; i < 4; i++)
        words[i] = (void *)&params[i];
    MUST(cuLaunchKernel(stage.functions[kernel], 1, 1, 1, 1, 1, 1, 0, stream, words, NULL));
}

void read_tensor(uint32_t tensor)
{
    LAUNCH(READ, stage.sum, tensor_at(tensor), TENSOR);
}

void read_tensors(void)
{
    for (uint32_t i = 0; i < TENSORS; i++)
        read_tensor(i);
}

void stage_start_own(void)
{
    stage_open();
    passes_are_about(MODEL);
    for (uint32_t i = 0; i < TENSORS; i++) {
        stage.own[i] = stage_alloc(TENSOR);
        stage_fill(stage.own[i], TENSOR, i + 1);
        passes_have_loaded(stage.own[i], TENSOR);
    }
}

uint32_t stage_stop_own(void)
{
    for (uint32_t i = 0; i < TENSORS; i++)
        MUST(cuMemFree_v2(stage.own[i]));
    return stage_close();
}

void read_own(uint32_t tensor)
{
    LAUNCH(READ, stage.sum, stage.own[tensor], TENSOR);
}
