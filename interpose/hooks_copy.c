/* SPDX-License-Identifier: MIT */
/*
 * One-dimensional copies and memsets. A range may lie in both tiers, and whether the driver takes
 * one call across the border is not something to rely on: such a call becomes one per run of a
 * single tier. While they are made the gate keeps homes where they are.
 */
#include "interpose/hooks.h"
#include "runtime/company.h"
#include "runtime/gate.h"
#include "runtime/pager.h"

static bool is_ours(CUdeviceptr address)
{
    return residency_block(address) != NULL;
}

/* Inside the gate, where no plan begins: the program writes what launches may be reading copies of.
 */
static void written(CUdeviceptr address, uint64_t bytes)
{
    if (residency_takes_turns(address, bytes))
        gate_note_unknown();
}

static void touch(CUdeviceptr address)
{
    struct block *block = residency_block(address);

    if (block)
        block_touch(block, residency_tick());
}

/* From an address that may be the host's. */
static void scan(const struct driver *drv, CUdeviceptr src, uint64_t bytes)
{
    CUmemorytype type = CU_MEMORYTYPE_HOST;

    if (drv->cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, src) != CUDA_SUCCESS ||
        type == CU_MEMORYTYPE_HOST)
        pager_scan(drv, (const void *)(uintptr_t)src, bytes);
}

/* Calls `note` inside the gate, then `call` for each piece: `at` is where it begins, `run` its
 * bytes. `to` and `from` are the piece's addresses in device memory, 0 for none; what of them is on
 * the disk is brought back, one block at a time. */
#define IN_RUNS(total, to, from, run_of_rest, note, call)                                          \
    ({                                                                                             \
        CUresult in_runs_result = CUDA_SUCCESS;                                                    \
        size_t at = 0;                                                                             \
                                                                                                   \
        gate_enter();                                                                              \
        note;                                                                                      \
        do {                                                                                       \
            size_t rest = (total)-at;                                                              \
            size_t run = (run_of_rest);                                                            \
                                                                                                   \
            if (unlikely(pager_must_bring(to)) || unlikely(pager_must_bring(from))) {              \
                gate_leave();                                                                      \
                in_runs_result = pager_bring(drv, (to), (from));                                   \
                gate_enter();                                                                      \
                note;                                                                              \
                continue;                                                                          \
            }                                                                                      \
            in_runs_result = (call);                                                               \
            at += run;                                                                             \
        } while (at < (total) && in_runs_result == CUDA_SUCCESS);                                  \
        gate_leave();                                                                              \
        in_runs_result;                                                                            \
    })

/*
 * A call on memory that is not ours is passed on at once; what is done otherwise stands in a
 * function of its own, so that passing on saves no registers for it.
 */
#define ASIDE static __attribute__((noinline)) CUresult

/* From host memory to ours: an upload, whose destination begins a buffer. */
#define UPLOAD(symbol, PASS_ON, ...)                                                               \
    ASIDE ours_##symbol(const struct driver *drv, CUdeviceptr dst, const void *src,                \
                        size_t bytes __VA_OPT__(, ) __VA_ARGS__)                                   \
    {                                                                                              \
        touch(dst);                                                                                \
        pager_upload(drv, dst, src, bytes);                                                        \
        return IN_RUNS(bytes, dst + at, 0, pager_run(dst + at, rest), written(dst, bytes),         \
                       drv->symbol(dst + at, (const char *)src + at, run PASS_ON));                \
    }                                                                                              \
                                                                                                   \
    ASIDE scanned_##symbol(const struct driver *drv, CUdeviceptr dst, const void *src,             \
                           size_t bytes __VA_OPT__(, ) __VA_ARGS__)                                \
    {                                                                                              \
        pager_scan(drv, src, bytes);                                                               \
        if (residency_spills())                                                                    \
            pager_note_source(dst, src, bytes);                                                    \
        return is_ours(dst) ? ours_##symbol(drv, dst, src, bytes PASS_ON)                          \
                            : drv->symbol(dst, src, bytes PASS_ON);                                \
    }                                                                                              \
                                                                                                   \
    CUresult hook_##symbol(const struct driver *drv, CUdeviceptr dst, const void *src,             \
                           size_t bytes __VA_OPT__(, ) __VA_ARGS__)                                \
    {                                                                                              \
        if (unlikely(residency_scans(bytes)))                                                      \
            return scanned_##symbol(drv, dst, src, bytes PASS_ON);                                 \
        return is_ours(dst) ? ours_##symbol(drv, dst, src, bytes PASS_ON)                          \
                            : drv->symbol(dst, src, bytes PASS_ON);                                \
    }

/* To host memory: every program that comes to a result makes such copies, so here it is noticed
 * that others want some of the card, whatever else the program does. */
#define DOWNLOAD(symbol, PASS_ON, ...)                                                             \
    ASIDE ours_##symbol(const struct driver *drv, void *dst, CUdeviceptr src,                      \
                        size_t bytes __VA_OPT__(, ) __VA_ARGS__)                                   \
    {                                                                                              \
        touch(src);                                                                                \
        return IN_RUNS(bytes, 0, src + at, pager_run(src + at, rest), (void)0,                     \
                       drv->symbol((char *)dst + at, src + at, run PASS_ON));                      \
    }                                                                                              \
                                                                                                   \
    ASIDE heard_##symbol(const struct driver *drv, void *dst, CUdeviceptr src,                     \
                         size_t bytes __VA_OPT__(, ) __VA_ARGS__)                                  \
    {                                                                                              \
        pager_hear(drv);                                                                           \
        return is_ours(src) ? ours_##symbol(drv, dst, src, bytes PASS_ON)                          \
                            : drv->symbol(dst, src, bytes PASS_ON);                                \
    }                                                                                              \
                                                                                                   \
    CUresult hook_##symbol(const struct driver *drv, void *dst, CUdeviceptr src,                   \
                           size_t bytes __VA_OPT__(, ) __VA_ARGS__)                                \
    {                                                                                              \
        if (company_is_due())                                                                      \
            return heard_##symbol(drv, dst, src, bytes PASS_ON);                                   \
        return is_ours(src) ? ours_##symbol(drv, dst, src, bytes PASS_ON)                          \
                            : drv->symbol(dst, src, bytes PASS_ON);                                \
    }

#define BETWEEN(symbol, PASS_ON, ...)                                                              \
    ASIDE ours_##symbol(const struct driver *drv, CUdeviceptr dst, CUdeviceptr src,                \
                        size_t bytes __VA_OPT__(, ) __VA_ARGS__)                                   \
    {                                                                                              \
        touch(dst);                                                                                \
        touch(src);                                                                                \
        return IN_RUNS(bytes, dst + at, src + at, pager_run(src + at, pager_run(dst + at, rest)),  \
                       written(dst, bytes), drv->symbol(dst + at, src + at, run PASS_ON));         \
    }                                                                                              \
                                                                                                   \
    ASIDE spilled_##symbol(const struct driver *drv, CUdeviceptr dst, CUdeviceptr src,             \
                           size_t bytes __VA_OPT__(, ) __VA_ARGS__)                                \
    {                                                                                              \
        if (!is_ours(src))                                                                         \
            scan(drv, src, bytes);                                                                 \
        return is_ours(dst) || is_ours(src) ? ours_##symbol(drv, dst, src, bytes PASS_ON)          \
                                            : drv->symbol(dst, src, bytes PASS_ON);                \
    }                                                                                              \
                                                                                                   \
    CUresult hook_##symbol(const struct driver *drv, CUdeviceptr dst, CUdeviceptr src,             \
                           size_t bytes __VA_OPT__(, ) __VA_ARGS__)                                \
    {                                                                                              \
        if (unlikely(residency_spills()))                                                          \
            return spilled_##symbol(drv, dst, src, bytes PASS_ON);                                 \
        return is_ours(dst) || is_ours(src) ? ours_##symbol(drv, dst, src, bytes PASS_ON)          \
                                            : drv->symbol(dst, src, bytes PASS_ON);                \
    }

#define ON_STREAM , stream
#define NO_STREAM

UPLOAD(cuMemcpyHtoD_v2, NO_STREAM)
UPLOAD(cuMemcpyHtoDAsync_v2, ON_STREAM, CUstream stream)
DOWNLOAD(cuMemcpyDtoH_v2, NO_STREAM)
DOWNLOAD(cuMemcpyDtoHAsync_v2, ON_STREAM, CUstream stream)
BETWEEN(cuMemcpyDtoD_v2, NO_STREAM)
BETWEEN(cuMemcpyDtoDAsync_v2, ON_STREAM, CUstream stream)
BETWEEN(cuMemcpy, NO_STREAM)
BETWEEN(cuMemcpyAsync, ON_STREAM, CUstream stream)

CUresult hook_cuMemcpyPeer(const struct driver *drv, CUdeviceptr dst, CUcontext dst_context,
                           CUdeviceptr src, CUcontext src_context, size_t bytes)
{
    return IN_RUNS(bytes, dst + at, src + at, pager_run(src + at, pager_run(dst + at, rest)),
                   written(dst, bytes),
                   drv->cuMemcpyPeer(dst + at, dst_context, src + at, src_context, run));
}

CUresult hook_cuMemcpyPeerAsync(const struct driver *drv, CUdeviceptr dst, CUcontext dst_context,
                                CUdeviceptr src, CUcontext src_context, size_t bytes,
                                CUstream stream)
{
    return IN_RUNS(
        bytes, dst + at, src + at, pager_run(src + at, pager_run(dst + at, rest)),
        written(dst, bytes),
        drv->cuMemcpyPeerAsync(dst + at, dst_context, src + at, src_context, run, stream));
}

/* `width` elements. A misaligned destination goes to the driver whole, which refuses it. */
#define MEMSET(symbol, type, PASS_ON, ...)                                                         \
    ASIDE ours_##symbol(const struct driver *drv, CUdeviceptr dst, type value,                     \
                        size_t width __VA_OPT__(, ) __VA_ARGS__)                                   \
    {                                                                                              \
        size_t bytes;                                                                              \
                                                                                                   \
        if (dst % sizeof(value) || __builtin_mul_overflow(width, sizeof(value), &bytes))           \
            return drv->symbol(dst, value, width PASS_ON);                                         \
        touch(dst);                                                                                \
        return IN_RUNS(bytes, dst + at, 0, pager_run(dst + at, rest), written(dst, bytes),         \
                       drv->symbol(dst + at, value, run / sizeof(value) PASS_ON));                 \
    }                                                                                              \
                                                                                                   \
    CUresult hook_##symbol(const struct driver *drv, CUdeviceptr dst, type value,                  \
                           size_t width __VA_OPT__(, ) __VA_ARGS__)                                \
    {                                                                                              \
        return is_ours(dst) ? ours_##symbol(drv, dst, value, width PASS_ON)                        \
                            : drv->symbol(dst, value, width PASS_ON);                              \
    }

MEMSET(cuMemsetD8_v2, unsigned char, NO_STREAM)
MEMSET(cuMemsetD16_v2, unsigned short, NO_STREAM)
MEMSET(cuMemsetD32_v2, unsigned int, NO_STREAM)
MEMSET(cuMemsetD8Async, unsigned char, ON_STREAM, CUstream stream)
MEMSET(cuMemsetD16Async, unsigned short, ON_STREAM, CUstream stream)
MEMSET(cuMemsetD32Async, unsigned int, ON_STREAM, CUstream stream)
