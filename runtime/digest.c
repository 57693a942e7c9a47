/* SPDX-License-Identifier: MIT */
/*
 * The kernel adds up a mixture of every 16 bytes and their place; the order of the threads does not
 * matter to a sum, so they need no cooperation. It is kept as text, which every driver since CUDA 8
 * compiles for whatever card there is.
 */
#include "runtime/digest.h"

#include <stdlib.h>

enum {
    THREADS = 128,
    BLOCKS = 64,
    BATCH = 4096, /* spans between two waits */
};

const char digest_kernel_text[] = ".version 5.0\n"
                                  ".target sm_50\n"
                                  ".address_size 64\n"
                                  ".visible .entry vramshim_digest(\n"
                                  "    .param .u64 at, .param .u64 units, .param .u64 sum)\n"
                                  "{\n"
                                  "    .reg .pred %done;\n"
                                  "    .reg .b32 %thread, %threads, %block, %blocks;\n"
                                  "    .reg .b64 %at, %units, %sum, %unit, %stride, %end;\n"
                                  "    .reg .b64 %low, %high, %mixed, %high_bits, %total;\n"
                                  "    ld.param.u64 %at, [at];\n"
                                  "    ld.param.u64 %units, [units];\n"
                                  "    ld.param.u64 %sum, [sum];\n"
                                  "    mov.u32 %thread, %tid.x;\n"
                                  "    mov.u32 %threads, %ntid.x;\n"
                                  "    mov.u32 %block, %ctaid.x;\n"
                                  "    mov.u32 %blocks, %nctaid.x;\n"
                                  "    mad.lo.u32 %thread, %block, %threads, %thread;\n"
                                  "    mul.lo.u32 %threads, %threads, %blocks;\n"
                                  "    cvt.u64.u32 %unit, %thread;\n"
                                  "    cvt.u64.u32 %stride, %threads;\n"
                                  "    shl.b64 %end, %unit, 4;\n"
                                  "    add.u64 %at, %at, %end;\n"
                                  "    shl.b64 %end, %stride, 4;\n"
                                  "    mov.u64 %total, 0;\n"
                                  "next:\n"
                                  "    setp.ge.u64 %done, %unit, %units;\n"
                                  "    @%done bra over;\n"
                                  "    ld.global.v2.u64 {%low, %high}, [%at];\n"
                                  "    mul.lo.u64 %mixed, %unit, 0x9e3779b97f4a7c15;\n"
                                  "    xor.b64 %mixed, %mixed, %low;\n"
                                  "    mul.lo.u64 %mixed, %mixed, 0xbf58476d1ce4e5b9;\n"
                                  "    shr.u64 %high_bits, %mixed, 29;\n"
                                  "    xor.b64 %mixed, %mixed, %high_bits;\n"
                                  "    add.u64 %mixed, %mixed, %high;\n"
                                  "    mul.lo.u64 %mixed, %mixed, 0x94d049bb133111eb;\n"
                                  "    shr.u64 %high_bits, %mixed, 32;\n"
                                  "    xor.b64 %mixed, %mixed, %high_bits;\n"
                                  "    add.u64 %total, %total, %mixed;\n"
                                  "    add.u64 %unit, %unit, %stride;\n"
                                  "    add.u64 %at, %at, %end;\n"
                                  "    bra next;\n"
                                  "over:\n"
                                  "    red.global.add.u64 [%sum], %total;\n"
                                  "    ret;\n"
                                  "}\n";

uint64_t digest_bytes(const void *bytes, uint64_t n, uint64_t before)
{
    const uint64_t *words = bytes;
    uint64_t total = 0;

    for (uint64_t i = 0; i < n / 16; i++) {
        uint64_t mixed = (before / 16 + i) * 0x9e3779b97f4a7c15u ^ words[2 * i];

        mixed *= 0xbf58476d1ce4e5b9u;
        mixed = (mixed ^ mixed >> 29) + words[2 * i + 1];
        mixed *= 0x94d049bb133111ebu;
        total += mixed ^ mixed >> 32;
    }
    return total;
}

int digester_init(struct digester *digester, const struct driver *drv)
{
    int r = driver_errno(drv->cuModuleLoadData(&digester->module, digest_kernel_text));

    if (r) {
        digester->module = NULL;
        return r;
    }
    r = driver_errno(
        drv->cuModuleGetFunction(&digester->function, digester->module, "vramshim_digest"));
    if (!r)
        r = driver_errno(drv->cuMemAlloc_v2(&digester->sums, BATCH * sizeof(uint64_t)));
    if (r) {
        digester->sums = 0;
        digester_fini(digester, drv);
    }
    return r;
}

void digester_fini(struct digester *digester, const struct driver *drv)
{
    if (digester->sums)
        (void)drv->cuMemFree_v2(digester->sums);
    if (digester->module)
        (void)drv->cuModuleUnload(digester->module);
    *digester = (struct digester){.module = NULL};
}

static CUresult launch(struct digester *digester, const struct driver *drv, CUstream stream,
                       const struct digest_span *span, CUdeviceptr sum)
{
    CUdeviceptr at = span->at;
    uint64_t units = span->bytes / 16;
    void *params[] = {&at, &units, &sum};

    return drv->cuLaunchKernel(digester->function, BLOCKS, 1, 1, THREADS, 1, 1, 0, stream, params,
                               NULL);
}

static CUresult batch(struct digester *digester, const struct driver *drv, CUstream stream,
                      struct digest_span *spans, size_t n)
{
    CUresult result = drv->cuMemsetD32Async(digester->sums, 0, 2 * n, stream);
    uint64_t *sums = calloc(n, sizeof(*sums));

    if (!sums)
        return CUDA_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; i < n && result == CUDA_SUCCESS; i++)
        result = launch(digester, drv, stream, &spans[i], digester->sums + i * sizeof(uint64_t));
    if (result == CUDA_SUCCESS)
        result = drv->cuMemcpyDtoHAsync_v2(sums, digester->sums, n * sizeof(*sums), stream);
    if (result == CUDA_SUCCESS)
        result = drv->cuStreamSynchronize(stream);
    for (size_t i = 0; i < n; i++)
        spans[i].digest = sums[i];
    free(sums);
    return result;
}

int digest_note(struct digester *digester, const struct driver *drv, CUstream stream,
                CUdeviceptr at, uint64_t bytes, CUdeviceptr to)
{
    struct digest_span span = {.at = at, .bytes = bytes};

    return driver_errno(launch(digester, drv, stream, &span, to));
}

int digest_spans(struct digester *digester, const struct driver *drv, CUstream stream,
                 struct digest_span *spans, size_t n)
{
    for (size_t done = 0; done < n; done += BATCH) {
        CUresult result =
            batch(digester, drv, stream, spans + done, n - done < BATCH ? n - done : BATCH);

        if (result != CUDA_SUCCESS)
            return driver_errno(result);
    }
    return 0;
}
